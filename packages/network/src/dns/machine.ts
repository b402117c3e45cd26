import { randomBytes } from 'node:crypto';
import type { Clock, Random } from '@swarmd/model';

/** The machine's clock. Timers do not keep the process alive. */
export function machineClock(): Clock {
  return {
    now: () => Date.now(),
    monotonic: () => performance.now(),
    after: (delayMs, fn) => {
      const timer = setTimeout(fn, delayMs);
      timer.unref();
      return () => clearTimeout(timer);
    },
  };
}

/** The machine's randomness; numbers in [0, 1), which only spread load, are not unpredictable. */
export function machineRandom(): Random {
  return { bytes: (n) => randomBytes(n), float: () => Math.random() };
}
