/**
 * Turns `run` into a function of which only one call runs at a time: calls that come meanwhile share one further run,
 * which begins after them. So each call resolves when a run has ended that saw all that was done before the call.
 */
export function coalesce(run: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  let next: Promise<void> | undefined;
  const call = (): Promise<void> => {
    if (running === undefined) {
      const started = run().finally(() => {
        running = undefined;
      });
      running = started;
      return started;
    }
    next ??= running
      .catch(() => {})
      .then(() => {
        next = undefined;
        return call();
      });
    return next;
  };
  return call;
}

/** Runs what belongs to one key one after the other, and what belongs to different keys side by side. */
export function createQueues(): <T>(key: string, task: () => Promise<T>) => Promise<T> {
  const tails = new Map<string, Promise<void>>();
  return (key, task) => {
    const turn = (tails.get(key) ?? Promise.resolve()).then(task);
    const tail = turn.then(
      () => {},
      () => {},
    );
    tails.set(key, tail);
    return turn.finally(() => {
      if (tails.get(key) === tail) tails.delete(key);
    });
  };
}

/** Runs at most `count` tasks at a time, the others in the order in which they came. */
export function createSlots(count: number): <T>(task: () => Promise<T>) => Promise<T> {
  let free = count;
  const waiting: (() => void)[] = [];
  return async (task) => {
    if (free > 0) free -= 1;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await task();
    } finally {
      const next = waiting.shift();
      if (next === undefined) free += 1;
      else next();
    }
  };
}
