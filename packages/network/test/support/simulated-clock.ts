import type { Clock } from '@swarmd/model';

/** A clock that stands still until it is told to go on. */
export interface SimulatedClock extends Clock {
  /** Goes on, calls what is due in order, and lets what that begins settle. */
  advance(ms: number): Promise<void>;
}

/** A clock at zero. */
export function simulatedClock(): SimulatedClock {
  let nowMs = 0;
  const timers = new Set<{ atMs: number; fn: () => void }>();
  return {
    now: () => nowMs,
    monotonic: () => nowMs,
    after(delayMs, fn) {
      const timer = { atMs: nowMs + delayMs, fn };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    async advance(ms) {
      const untilMs = nowMs + ms;
      for (;;) {
        const [next] = [...timers].filter(({ atMs }) => atMs <= untilMs).sort((a, b) => a.atMs - b.atMs);
        if (next === undefined) break;
        timers.delete(next);
        nowMs = next.atMs;
        next.fn();
        await settled();
      }
      nowMs = untilMs;
      await settled();
    },
  };
}

/** Resolves when all that waits for nothing from outside has settled. */
export async function settled(): Promise<void> {
  for (let turns = 0; turns < 10; turns += 1) await new Promise((resolve) => setImmediate(resolve));
}
