import { type Clock, isErrorCode, type ReadView, type Store, SwarmdError } from '@swarmd/model';
import { callUnary, clientArguments, SessionProbeClient, type SessionProbeServer, unaryHandler } from '@swarmd/wire';
import type { ManagerPeers } from '../../cluster/manager-peers.js';
import { type EndpointQuestion, SETTLE_MS } from './settling.js';

/** Networks that one question may name; a cluster with more has them in several. */
export const MAX_ASKED_NETWORKS = 10_000;
/** What the way to another manager and back may take beyond the time that its nodes have. */
const ANSWER_MS = 500;

/** Answers for the sessions here: resolves once they know, or the signal fires. */
export type AskHere = (question: EndpointQuestion, signal: AbortSignal) => Promise<void>;

/** How this manager answers others that ask what its nodes know of some networks. */
export function awaitEndpointsHandler(
  store: Pick<Store, 'waitFor'>,
  clock: Clock,
  here: AskHere,
): SessionProbeServer['awaitEndpoints'] {
  return unaryHandler(async ({ index, networkIds }, { signal }) => {
    if (networkIds.length > MAX_ASKED_NETWORKS) {
      throw new SwarmdError('invalid-argument', `no more than ${MAX_ASKED_NETWORKS} networks at once`, {
        field: 'network_ids',
      });
    }
    const over = new AbortController();
    const abort = (): void => over.abort();
    const cancel = clock.after(SETTLE_MS, abort);
    signal.addEventListener('abort', abort, { once: true });
    try {
      // Once the store shows the index, the sets do, and sessions are about to be told.
      await store.waitFor(index, over.signal);
      await here({ index, networkIds }, over.signal);
    } catch (error) {
      if (!over.signal.aborted) throw error;
    } finally {
      cancel();
      signal.removeEventListener('abort', abort);
    }
    return {};
  });
}

/**
 * Asks every other manager that the cluster knows to be there. One that does not answer counts as having said yes when
 * the signal fires: it may be cut off from this manager and not from its nodes. One that knows no such question has
 * nothing to say. Resolves when all have answered; never rejects.
 */
export async function askManagers(
  { view, managerId, peers }: { view: ReadView; managerId: string; peers: ManagerPeers | undefined },
  { index, networkIds }: EndpointQuestion,
  signal: AbortSignal,
): Promise<void> {
  if (peers === undefined) return;
  const asked: Promise<void>[] = [];
  for (const { ID, Spec, ManagerStatus } of view.all('node')) {
    if (ID === managerId || Spec.Role !== 'manager' || ManagerStatus?.Reachability !== 'reachable') continue;
    const channel = peers.channel(ID);
    if (channel === undefined) continue;
    // The client is not closed: that would close the channel, which others use.
    const client = new SessionProbeClient(...clientArguments(channel));
    const request = { index, networkIds: networkIds.slice(0, MAX_ASKED_NETWORKS) };
    const call = callUnary(client.awaitEndpoints.bind(client), request, { timeoutMs: SETTLE_MS + ANSWER_MS, signal });
    asked.push(
      call.then(
        () => {},
        (error: unknown) => (isErrorCode(error, 'unimplemented', 'permission-denied') ? undefined : aborted(signal)),
      ),
    );
  }
  await Promise.all(asked);
}

/** Resolves when the signal fires. */
export function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
