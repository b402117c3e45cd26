import { type Clock, isErrorCode, type SharedStore, SwarmdError } from '@swarmd/model';
import type { LeaderCallHandlers, LeaderCalls } from './leader-calls.js';
import type { ManagerTransport } from './transport.js';

/** How long a call may look for a leader that does it. */
const CALL_TIMEOUT_MS = 15_000;
/** How long one leader may take. */
const ATTEMPT_TIMEOUT_MS = 10_000;
/** Waiting before another attempt, unless the leader changes before. */
const RETRY_MS = 100;

/** What {@link createLeaderCalls} needs. */
export interface ForwardDependencies {
  store: SharedStore;
  transport: ManagerTransport;
  /** What this manager does itself when it leads. */
  handlers: LeaderCallHandlers;
  clock: Clock;
}

/** Calls to the leader: to this manager itself while it leads. Each is tried once, and given up when another leads. */
export function createLeaderCalls({ store, transport, handlers }: ForwardDependencies): LeaderCalls {
  return {
    call: async (method, args, { requestId, signal } = {}) => {
      if (store.leads) return serve(handlers, method, args, requestId);
      const leader = store.leader;
      if (leader === undefined) throw new SwarmdError('not-leader', 'no manager leads the cluster at the moment');
      return whileLeading(store, leader.term, (replaced) =>
        transport.call(leader.addr, method, args, {
          timeoutMs: ATTEMPT_TIMEOUT_MS,
          ...(requestId === undefined ? {} : { requestId }),
          signal: signal === undefined ? replaced : AbortSignal.any([signal, replaced]),
        }),
      );
    },
  };
}

/** Whoever led in `term` may be out of reach, and never answer: a call is given up as soon as another leads. */
async function whileLeading<R>(
  store: SharedStore,
  term: number,
  call: (replaced: AbortSignal) => Promise<R>,
): Promise<R> {
  const replaced = new AbortController();
  const unlisten = store.onLeadership(() => {
    if (store.leader?.term !== term) replaced.abort();
  });
  try {
    return await call(replaced.signal);
  } catch (cause) {
    if (!replaced.signal.aborted) throw cause;
    throw new SwarmdError('unavailable', 'another manager leads since the call was made', { cause });
  } finally {
    unlisten();
  }
}

/**
 * The same calls, tried again when leaders change: for what a client waits for. After some time without a leader each
 * rejects with `unavailable`, in Docker's words.
 */
export function patientCalls(
  calls: LeaderCalls,
  { store, clock }: Pick<ForwardDependencies, 'store' | 'clock'>,
): LeaderCalls {
  return {
    call: async (method, args, options = {}) => {
      const until = clock.monotonic() + CALL_TIMEOUT_MS;
      for (;;) {
        try {
          return await calls.call(method, args, options);
        } catch (error) {
          const mayRetry = isErrorCode(error, 'not-leader', 'unavailable', 'deadline-exceeded');
          if (!mayRetry || options.signal?.aborted) throw error;
          if (clock.monotonic() >= until) throw leaderless(error);
        }
        await changeOrPause(store, clock);
      }
    },
  };
}

/** Runs a method that this manager, which leads, was asked for. `unimplemented` for one that it does not know. */
export async function serve(
  handlers: LeaderCallHandlers,
  method: string,
  args: unknown,
  requestId: string | undefined,
): Promise<unknown> {
  const handler = Object.hasOwn(handlers, method) ? handlers[method] : undefined;
  if (handler === undefined) throw new SwarmdError('unimplemented', `this manager's version does not know ${method}`);
  return handler(args, { requestId });
}

function leaderless(cause: SwarmdError): SwarmdError {
  const message =
    'The swarm does not have a leader. It’s possible that too few managers are online. Make sure more than half of the managers are online.';
  return new SwarmdError('unavailable', message, { rpc: true, cause });
}

function changeOrPause(store: SharedStore, clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      cancel();
      unlisten();
      resolve();
    };
    const unlisten = store.onLeadership(done);
    const cancel = clock.after(RETRY_MS, done);
  });
}
