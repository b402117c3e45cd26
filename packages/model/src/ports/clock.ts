/** Time, as a port: simulations pass their own. */
export interface Clock {
  /** Wall time in milliseconds since the epoch. It may jump. */
  now(): number;
  /** Monotonic milliseconds since some start. It never jumps back. */
  monotonic(): number;
  /** Calls `fn` once after `delayMs`; the returned function cancels it. Does not keep the process alive by itself. */
  after(delayMs: number, fn: () => void): () => void;
}

/**
 * `clock` with a wall time that never goes back: when it is set back, time goes on from where it was until the clock has
 * caught up. What is decided from stored times (which came first, how long ago) stays right over such a jump. Jumps
 * forward are followed.
 */
export function steadyClock(clock: Clock): Clock {
  let base = { wall: clock.now(), monotonic: clock.monotonic() };
  return {
    now: () => {
      const [wall, monotonic] = [clock.now(), clock.monotonic()];
      const steady = base.wall + Math.floor(monotonic - base.monotonic);
      if (wall < steady) return steady;
      base = { wall, monotonic };
      return wall;
    },
    monotonic: () => clock.monotonic(),
    after: (delayMs, fn) => clock.after(delayMs, fn),
  };
}

/** Randomness, as a port. */
export interface Random {
  /** `n` unpredictable bytes. */
  bytes(n: number): Uint8Array;
  /** A number in [0, 1). */
  float(): number;
}

/** RFC 3339 with nanosecond digits, the form in which the Docker Engine API gives times. */
export function rfc3339(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '000000Z');
}
