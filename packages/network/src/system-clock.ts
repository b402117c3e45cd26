import type { Clock } from '@swarmd/model';

/** The machine's own clock. Timers do not keep the process alive. */
export function systemClock(): Clock {
  return {
    now: () => Date.now(),
    monotonic: () => performance.now(),
    after: (delayMs, fn) => {
      const timer = setTimeout(fn, Math.min(delayMs, 2 ** 31 - 1));
      timer.unref();
      return () => clearTimeout(timer);
    },
  };
}
