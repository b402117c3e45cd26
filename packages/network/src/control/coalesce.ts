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

/** Room for some tasks at a time; the others wait in the order in which they came. */
export interface Slots {
  /** Runs `task` once there is room. */
  run<T>(key: string, task: () => Promise<T>): Promise<T>;
  /** What waits under `key` comes next. */
  hurry(key: string): void;
}

/** Room for `count` tasks. */
export function createSlots(count: number): Slots {
  let free = count;
  let waiting: { key: string; begin(): void }[] = [];
  return {
    async run(key, task) {
      if (free > 0) free -= 1;
      else await new Promise<void>((resolve) => waiting.push({ key, begin: resolve }));
      try {
        return await task();
      } finally {
        const next = waiting.shift();
        if (next === undefined) free += 1;
        else next.begin();
      }
    },
    hurry(key) {
      const urgent = waiting.filter((entry) => entry.key === key);
      if (urgent.length > 0) waiting = [...urgent, ...waiting.filter((entry) => entry.key !== key)];
    },
  };
}
