import type { Clock } from '@swarmd/model';

/** A clock that stands still until told: for tests and simulations. */
export interface ManualClock extends Clock {
  /** Moves time on by `ms`, calling due timers in order. Awaits nothing; let promises settle between steps. */
  advance(ms: number): void;
  /** Moves wall time alone by `ms`, as an administrator or NTP would. */
  jumpWall(ms: number): void;
  /** Milliseconds until the next timer, or `undefined` when none waits. */
  nextTimerMs(): number | undefined;
}

/** A {@link ManualClock} that starts at `startMs` (wall; default 2026-01-01). */
export function manualClock(startMs: number = Date.UTC(2026, 0, 1)): ManualClock {
  let mono = 0;
  let wallOffset = startMs;
  let sequence = 0;
  const timers = new Map<number, { at: number; fn: () => void }>();
  const next = (): [number, { at: number; fn: () => void }] | undefined => {
    let best: [number, { at: number; fn: () => void }] | undefined;
    for (const entry of timers) if (best === undefined || entry[1].at < best[1].at) best = entry;
    return best;
  };
  return {
    now: () => wallOffset + mono,
    monotonic: () => mono,
    after: (delayMs, fn) => {
      const id = ++sequence;
      timers.set(id, { at: mono + Math.max(0, delayMs), fn });
      return () => {
        timers.delete(id);
      };
    },
    advance: (ms) => {
      const target = mono + ms;
      for (let due = next(); due !== undefined && due[1].at <= target; due = next()) {
        timers.delete(due[0]);
        mono = Math.max(mono, due[1].at);
        due[1].fn();
      }
      mono = target;
    },
    jumpWall: (ms) => {
      wallOffset += ms;
    },
    nextTimerMs: () => {
      const due = next();
      return due === undefined ? undefined : Math.max(0, due[1].at - mono);
    },
  };
}
