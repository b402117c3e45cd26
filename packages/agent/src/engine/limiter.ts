/** Lets a bounded number of calls run at once; the others wait in order, urgent ones first. */
export interface Limiter {
  /** Runs `call` when a place is free. Rejects with the signal's reason when it aborts before that. */
  run<T>(call: () => Promise<T>, options?: { urgent?: boolean; signal?: AbortSignal }): Promise<T>;
}

/** A {@link Limiter} with `places` places (at least 1). */
export function createLimiter(places: number): Limiter {
  let free = places;
  const urgent: (() => void)[] = [];
  const waiting: (() => void)[] = [];

  const take = (queue: (() => void)[], signal: AbortSignal | undefined): Promise<void> => {
    signal?.throwIfAborted();
    if (free > 0) {
      free--;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const entry = () => {
        signal?.removeEventListener('abort', abort);
        resolve();
      };
      const abort = () => {
        queue.splice(queue.indexOf(entry), 1);
        reject(signal?.reason);
      };
      signal?.addEventListener('abort', abort, { once: true });
      queue.push(entry);
    });
  };
  const give = () => {
    const next = urgent.shift() ?? waiting.shift();
    if (next) next();
    else free++;
  };

  return {
    async run(call, options = {}) {
      await take(options.urgent ? urgent : waiting, options.signal);
      try {
        return await call();
      } finally {
        give();
      }
    },
  };
}
