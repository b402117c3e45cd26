import { changedAt, type KeyValue, type RequestOp, rangeOp, rangeResult, surelyNotApplied } from '@swarmd/etcd';
import { isErrorCode, pause, SwarmdError } from '@swarmd/model';
import type { LogContext } from './log-context.js';

/** How a fenced transaction ended. */
export type FencedOutcome =
  /** It was applied; `revision` is the one that it made. */
  | { kind: 'applied'; revision: number }
  /**
   * It was not applied now: the fence or the guard had changed, to what is here. With `unsure` an earlier attempt of the
   * same may have been applied before.
   */
  | { kind: 'refused'; fence: KeyValue | undefined; guard: KeyValue | undefined; unsure: boolean };

/** A transaction that only the leader of `term` can make, and only while the guard is what it was. */
export interface FencedTxn {
  term: number;
  /** A key that every success changes, so that trying again is harmless, and its mod_revision (0: absent). */
  guard: { key: string; revision: number };
  operations: RequestOp[];
}

/**
 * One attempt may take this long, and a second more for each megabyte. A member passes a write on to a Raft leader that has
 * just died, and then waits for much longer than the others need to elect the next one.
 */
const ATTEMPT_MS = 1_500;
/** Between attempts. */
const RETRY_MS = 100;

/**
 * Makes a fenced transaction, again and again while nobody can tell what became of it, for `unknownMs` at most. Rejects
 * with `unavailable` after that or when the log is closed, or as etcd refuses the request.
 */
export async function fencedTxn(context: LogContext, txn: FencedTxn, unknownMs: number): Promise<FencedOutcome> {
  const { client, layout, clock, closed, logger } = context;
  const { term, guard, operations } = txn;
  const request = {
    compare: [changedAt(layout.leader, term), changedAt(guard.key, guard.revision)],
    success: operations,
    failure: [rangeOp(layout.leader), rangeOp(guard.key)],
  };
  const bytes = operations.reduce(
    (sum, { request }) => sum + (request?.$case === 'requestPut' ? request.value.value.length : 0),
    0,
  );
  const timeoutMs = ATTEMPT_MS + bytes / 1_000;
  const giveUpAt = clock.monotonic() + unknownMs;
  let unsure = false;
  for (;;) {
    try {
      const response = await client.txn(request, { timeoutMs });
      if (response.succeeded) return { kind: 'applied', revision: response.header?.revision ?? 0 };
      return {
        kind: 'refused',
        fence: rangeResult(response, 0)[0],
        guard: rangeResult(response, 1)[0],
        unsure,
      };
    } catch (error) {
      if (!isErrorCode(error, 'unavailable')) throw error;
      unsure ||= !surelyNotApplied(error);
      if (closed.aborted || clock.monotonic() >= giveUpAt)
        throw new SwarmdError('unavailable', `etcd does not answer: ${error.message}`, { cause: error });
      logger.debug({ err: error, unsure }, 'a write to etcd is tried again');
    }
    await pause(clock, RETRY_MS, closed);
  }
}
