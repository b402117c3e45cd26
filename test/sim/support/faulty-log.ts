import { type Clock, type Log, type LogEntry, SwarmdError } from '@swarmd/model';
import { createMemoryLog } from '@swarmd/store';
import type { Dice } from './dice.js';

/** A log in memory that takes its time and loses what it had not finished when the power goes. */
export interface FaultyLog extends Log {
  /** Loses the power: pending appends fail and leave nothing. A store that is opened on it finds what was durable. */
  crash(): void;
}

/** A {@link FaultyLog} whose appends take up to `slowMs` of simulated time; with 0 they take none. */
export function createFaultyLog(clock: Clock, dice: Dice, slowMs: number): FaultyLog {
  const memory = createMemoryLog();
  const pending = new Set<(reason: Error) => void>();
  let life = 0;

  const wait = (delayMs: number): Promise<void> =>
    new Promise((resolve, reject) => {
      const cancel = clock.after(delayMs, () => {
        pending.delete(fail);
        resolve();
      });
      const fail = (reason: Error): void => {
        pending.delete(fail);
        cancel();
        reject(reason);
      };
      pending.add(fail);
    });
  return {
    replay: (onObject) => memory.replay(onObject),
    append: async (entries: readonly LogEntry[]) => {
      const born = life;
      if (slowMs > 0) await wait(5 * dice.int(1, Math.ceil(slowMs / 5)));
      if (born !== life) throw new SwarmdError('unavailable', 'the power is gone');
      await memory.append(entries);
    },
    crash: () => {
      life++;
      for (const fail of [...pending]) fail(new SwarmdError('unavailable', 'the power is gone'));
    },
    close: async () => {},
  };
}
