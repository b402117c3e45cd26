/** Time, as a port: simulations pass their own. */
export interface Clock {
  /** Wall time in milliseconds since the epoch. It may jump. */
  now(): number;
  /** Monotonic milliseconds since some start. It never jumps back. */
  monotonic(): number;
  /** Calls `fn` once after `delayMs`; the returned function cancels it. Does not keep the process alive by itself. */
  after(delayMs: number, fn: () => void): () => void;
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
