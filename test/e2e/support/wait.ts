import { setTimeout as delay } from 'node:timers/promises';

/** Bounds of {@link waitFor}. */
export interface WaitOptions {
  /** 120,000 unless told: a bound on a hang, not a measure of speed. */
  timeoutMs?: number;
  everyMs?: number;
  /** Called for the message when the time is up. */
  describe?: () => Promise<string> | string;
}

/** Resolves once `condition` is true; rejects, naming `what`, when the time is up. What it throws ends the wait. */
export async function waitFor(
  what: string,
  condition: () => Promise<boolean> | boolean,
  options: WaitOptions = {},
): Promise<void> {
  const { timeoutMs = 120_000, everyMs = 100 } = options;
  const deadline = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > deadline) {
      const seen = options.describe === undefined ? '' : `\n${await options.describe()}`;
      throw new Error(`gave up waiting until ${what} (${timeoutMs / 1000} s)${seen}`);
    }
    await delay(everyMs);
  }
}
