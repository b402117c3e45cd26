import { CLUSTER_KEY, isErrorCode, SwarmdError } from '@swarmd/model';
import type { Register } from '@swarmd/wire';
import type { AgentSession } from './agent-session.js';
import type { DispatcherContext } from './context.js';
import { parseDescription } from './description.js';
import { jittered } from './liveness.js';
import { probeElsewhere } from './session-probe.js';

/** Part of a heartbeat period, beyond one, in which an older session must give a sign when another claims its node. */
const PROBE_PERIODS = 1.5;
/** The most of an agent's version that is kept. */
const MAX_VERSION_LENGTH = 64;
/** This manager's store may take this long to show what the leader wrote of a registration. */
const CATCH_UP_MS = 10_000;

/**
 * Opens a session for an agent: the leader writes it, and once that is in this manager's store the agent is welcomed, sent
 * its full set, and heard (`registered`). Rejects with what the agent is to be told.
 */
export async function register(
  context: DispatcherContext,
  session: AgentSession,
  message: Register,
  registered: () => void,
): Promise<void> {
  const { store, registry, random, logger, managerId, reports, leaderContact } = context;
  const { nodeId, sessionId, bootNonce, addr, peer, stream, dataPath } = session;
  const description = parseDescription(message.description);
  const periodMs = context.periodMs();
  // Others may have a leader; when none has, the agent is back soon.
  if (leaderContact.lostForMs() > 0) throw new SwarmdError('unavailable', 'this manager knows of no leader');
  const probeMs = periodMs * PROBE_PERIODS;
  const older = { view: store.view, managerId, peers: context.peers };
  // Those at other managers first: what is here gives way only to who may stay.
  await probeElsewhere(older, session, probeMs)
    .then(() => registry.claim(session, probeMs))
    .catch((error: unknown) => reportDuplicate(context, session, error));
  if (!stream.open) {
    registry.release(session);
    return;
  }
  const { role, certificate } = peer;
  const version = message.swarmdVersion.slice(0, MAX_VERSION_LENGTH);
  const who = { nodeId, sessionId, bootNonce, managerId, role, certificate, addr };
  const about = { ...who, description, version, dataPath };
  const written = await reports.register(about, message.seenIndex);
  if (written === undefined)
    throw new SwarmdError('permission-denied', `node ${nodeId} is not a member of this cluster`);
  if (stream.open) await catchUp(context, session, written.index);
  // From here on the store names this manager: it counts, even when the stream has closed meanwhile.
  if (!stream.open) return;
  const hostname = written.node.Description?.Hostname;
  logger.info({ nodeId, hostname, addr, sessionId, version }, 'node registered');
  const clusterId = store.view.get('cluster', CLUSTER_KEY)?.ClusterID ?? peer.clusterId;
  const heartbeat = jittered(periodMs, random);
  stream.send({ $case: 'welcome', value: { sessionId, nodeId, clusterId, heartbeatPeriodMs: heartbeat } });
  registered();
  session.begin();
  context.logs.nodeConnected(nodeId);
}

/** Waits until the full set would be no older than what the node has seen, and shows its registration. */
async function catchUp({ store, clock }: DispatcherContext, session: AgentSession, index: number): Promise<void> {
  if (store.index >= index) return;
  const over = new AbortController();
  const cancel = clock.after(CATCH_UP_MS, () => over.abort());
  // Until it is registered nothing is read from it: the next sign is that its stream has closed.
  const forget = session.onNextSign(() => over.abort());
  try {
    await store.waitFor(index, over.signal);
  } catch (cause) {
    if (!over.signal.aborted) throw cause;
    const problem = `this manager’s store is at index ${store.index} and behind the leader’s ${index}`;
    throw new SwarmdError('unavailable', problem, { cause });
  } finally {
    cancel();
    forget();
  }
}

async function reportDuplicate(
  { reports, logger }: DispatcherContext,
  newcomer: AgentSession,
  error: unknown,
): Promise<never> {
  if (isErrorCode(error, 'already-exists')) {
    const { nodeId, addr } = newcomer;
    logger.error({ nodeId, newcomer: addr }, 'two machines use one node’s identity; the newcomer is kept out');
    await reports.duplicate(nodeId, `another machine at ${addr} uses this node’s identity and is kept out`);
  }
  throw error;
}
