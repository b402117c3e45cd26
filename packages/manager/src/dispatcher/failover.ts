import { asSwarmdError, type Clock, isErrorCode, pause, SwarmdError } from '@swarmd/model';

/** How long a change of leader may take before whoever waits for it is told. */
const FAILOVER_MS = 5_000;
/** Waiting between attempts, doubling from the first to the last. */
const RETRY_MS = { min: 50, max: 500 } as const;

/** What {@link overFailover} goes by. */
export interface FailoverOptions {
  clock: Clock;
  /** Gives up early. */
  signal: AbortSignal;
  /** Gives up after this long. */
  limitMs?: number;
}

/**
 * Tries again while there is no leader to write it, or nobody can tell whether it was written; `attempt` must be harmless
 * to repeat. Rejects with `unavailable` when that takes longer than a change of leader may, and at once with anything else.
 */
export async function overFailover<R>(
  attempt: () => Promise<R>,
  { clock, signal, limitMs = FAILOVER_MS }: FailoverOptions,
): Promise<R> {
  const until = clock.monotonic() + limitMs;
  let waitMs: number = RETRY_MS.min;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (!isErrorCode(error, 'not-leader', 'unavailable')) throw error;
      if (signal.aborted || clock.monotonic() + waitMs > until) throw withoutLeader(error);
      await pause(clock, waitMs, signal);
      waitMs = Math.min(RETRY_MS.max, 2 * waitMs);
    }
  }
}

/** What others are told in place of `not-leader`: this manager cannot do it now. */
export function withoutLeader(thrown: unknown): SwarmdError {
  const error = asSwarmdError(thrown);
  return error.code === 'not-leader' ? new SwarmdError('unavailable', error.message, { cause: error }) : error;
}
