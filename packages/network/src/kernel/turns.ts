import { SwarmdError } from '@swarmd/model';

/** Does one thing at a time for each key, in order. */
export interface Turns {
  /** Runs `work` once everything before it has ended; `unavailable` when too much is waiting. */
  take<T>(key: string, work: () => Promise<T>): Promise<T>;
}

/** More than a node has containers that start at once. */
const MAX_WAITING = 2_000;

/** No key has anything to do at first, and none that is idle is kept. */
export function createTurns(): Turns {
  const lines = new Map<string, { last: Promise<unknown>; waiting: number }>();
  return {
    async take(key, work) {
      const line = lines.get(key) ?? { last: Promise.resolve(), waiting: 0 };
      if (line.waiting >= MAX_WAITING) throw new SwarmdError('unavailable', `too much is waiting for network ${key}`);
      lines.set(key, line);
      line.waiting++;
      const turn = line.last.then(work);
      // The next one's turn comes either way; whoever asked hears of the failure.
      line.last = turn.catch(() => {});
      try {
        return await turn;
      } finally {
        line.waiting--;
        if (line.waiting === 0) lines.delete(key);
      }
    },
  };
}
