import { CLUSTER_KEY, idFromBytes, isErrorCode, SwarmdError } from '@swarmd/model';
import { type AgentMessage, fromGrpcError, type Goodbye, peerOf, type Register, type StatusBatch } from '@swarmd/wire';
import { type AgentSession, createAgentSession } from './agent-session.js';
import { certificateOf, withTlsInfo } from './certificate-report.js';
import { parseDescription } from './description.js';
import type { DispatcherContext } from './dispatcher.js';
import { jittered } from './liveness.js';
import { describeNode, markDown, registerNode } from './node-state.js';
import { createSessionStream, type SessionCall } from './session-stream.js';

/** How long a stream may stay open without a first message. */
const REGISTER_TIMEOUT_MS = 10_000;
/** The most that a node that says goodbye may ask for to come back in. */
const MAX_GOODBYE_MS = 60_000;
/** Batches of statuses of one agent that may be unacknowledged. */
const MAX_UNACKNOWLEDGED = 256;
/** Part of a heartbeat period, beyond one, in which an older session must give a sign when another claims its node. */
const PROBE_PERIODS = 1.5;

/** Serves one session from its first message, which must be a Register, to its end. Never throws. */
export function handleSession(context: DispatcherContext, call: SessionCall): void {
  const { clock, registry, logs } = context;
  let session: AgentSession | undefined;
  let unacknowledged = 0;

  const stream = createSessionStream(call, {
    clock,
    onWritable: () => session?.update(),
    onClose: () => {
      cancelTimeout();
      if (session === undefined) return;
      const current = registry.release(session);
      session.sign(false);
      if (current) logs.nodeGone(session.nodeId);
    },
  });
  const cancelTimeout = clock.after(REGISTER_TIMEOUT_MS, () => {
    stream.end(new SwarmdError('deadline-exceeded', 'the session’s first message did not come'));
  });
  const fail = (error: unknown): void => {
    if (!stream.open) return;
    const reason = fromGrpcError(error);
    context.logger.warn({ nodeId: session?.nodeId, err: reason }, 'session ended');
    stream.end(reason);
  };
  const onStatuses = (batch: StatusBatch, of: AgentSession): void => {
    unacknowledged += 1;
    if (unacknowledged > MAX_UNACKNOWLEDGED) throw new SwarmdError('unavailable', 'too many statuses at once');
    context.statuses
      .submit({ nodeId: of.nodeId, statuses: batch.statuses })
      .then(({ storeIndex, rejected }) => {
        unacknowledged -= 1;
        if (rejected.length > 0) context.logger.warn({ nodeId: of.nodeId, rejected }, 'statuses refused');
        stream.send({ $case: 'statusAck', value: { sequence: batch.sequence, storeIndex, rejected } });
      })
      .catch(fail);
  };
  const onMessage = (message: AgentMessage): void => {
    const { body } = message;
    if (session === undefined) {
      cancelTimeout();
      if (body?.$case !== 'register') throw new SwarmdError('invalid-argument', 'a session begins with a Register');
      // What follows is read once the node is registered.
      call.pause();
      session = openSession(context, call, body.value, stream);
      register(context, session, body.value, () => call.resume()).catch(fail);
      return;
    }
    context.liveness.heard(session.nodeId, session.sessionId, context.graceMs());
    session.sign(true);
    if (body === undefined) return;
    if (body.$case === 'heartbeat') onHeartbeat(context, session);
    else if (body.$case === 'statuses') onStatuses(body.value, session);
    else if (body.$case === 'description') onDescription(context, session, body.value.description).catch(fail);
    else if (body.$case === 'goodbye') onGoodbye(context, session, body.value).catch(fail);
    else throw new SwarmdError('invalid-argument', 'a session registers once');
  };
  call.on('data', (message: AgentMessage) => {
    if (!stream.open) return;
    try {
      onMessage(message);
    } catch (error) {
      fail(error);
    }
  });
}

function openSession(
  { store, random, managers }: DispatcherContext,
  call: SessionCall,
  register: Register,
  stream: AgentSession['stream'],
): AgentSession {
  const peer = peerOf(call);
  if (peer === undefined) throw new SwarmdError('unauthenticated', 'a certificate of this cluster is needed');
  if (register.bootNonce === '') throw new SwarmdError('invalid-argument', 'no boot nonce', { field: 'boot_nonce' });
  const addr = hostOf(register.advertiseAddr) || peerHost(call.getPeer());
  const sessionId = idFromBytes(random.bytes(17));
  return createAgentSession(
    { sessionId, nodeId: peer.nodeId, bootNonce: register.bootNonce, addr, peer, stream },
    store,
    managers,
  );
}

async function register(
  context: DispatcherContext,
  session: AgentSession,
  message: Register,
  registered: () => void,
): Promise<void> {
  const { store, registry, liveness, random, logger } = context;
  const { nodeId, sessionId, bootNonce, addr, peer, stream } = session;
  const description = parseDescription(message.description);
  const periodMs = context.periodMs();
  await registry
    .claim(session, periodMs * PROBE_PERIODS)
    .catch((error: unknown) => reportDuplicate(context, session, error));
  await catchUp(context, session, message.seenIndex);
  if (!stream.open) {
    registry.release(session);
    return;
  }
  const node = await store.update((tx) => {
    const cluster = tx.get('cluster', CLUSTER_KEY);
    const certificate = certificateOf(cluster, peer);
    const described = withTlsInfo(cluster, peer, description);
    return registerNode(tx, {
      nodeId,
      sessionId,
      bootNonce,
      role: peer.role,
      certificate,
      addr,
      description: described,
    });
  });
  if (node === undefined) throw new SwarmdError('permission-denied', `node ${nodeId} is not a member of this cluster`);
  // Counted even when the stream closed meanwhile: the store now says that the node is ready.
  if (registry.get(nodeId) === session || registry.get(nodeId) === undefined) {
    liveness.expect(nodeId, sessionId, context.graceMs());
  }
  if (!stream.open) return;
  const hostname = node.Description?.Hostname;
  logger.info({ nodeId, hostname, addr, sessionId, version: message.swarmdVersion }, 'node registered');
  const clusterId = store.view.get('cluster', CLUSTER_KEY)?.ClusterID ?? peer.clusterId;
  const heartbeat = jittered(periodMs, random);
  stream.send({ $case: 'welcome', value: { sessionId, nodeId, clusterId, heartbeatPeriodMs: heartbeat } });
  registered();
  session.begin();
  context.logs.nodeConnected(nodeId);
}

/**
 * Sees to it that the full set will not be older than what the node has seen, or it would refuse it ("No time travel").
 * This manager is the store's only writer, so that a node can be ahead of it for one reason only: the store was put back
 * from an older copy. History goes on from there, above all that nodes saw of the one that is lost. Throws
 * `failed-precondition` for an index that no history can have reached.
 */
async function catchUp(
  { store, logger }: DispatcherContext,
  { nodeId }: AgentSession,
  seenIndex: number,
): Promise<void> {
  const { index } = store;
  // Only members have a say; others are turned away by what follows.
  if (seenIndex <= index || store.view.get('node', nodeId) === undefined) return;
  try {
    await store.advance(seenIndex);
  } catch (cause) {
    if (!isErrorCode(cause, 'invalid-argument')) throw cause;
    const problem = `node ${nodeId} claims to have seen index ${seenIndex}, and this manager’s store is at ${index}`;
    const advice = 'no backup is as old as that; on the node, leave the cluster and join again';
    throw new SwarmdError('failed-precondition', `${problem}: ${advice}`, { cause });
  }
  logger.warn(
    { nodeId, seenIndex, index },
    'a node has seen later states than the store: it was put back from an older copy, and nodes now follow that',
  );
}

async function reportDuplicate(
  { store, logger }: DispatcherContext,
  newcomer: AgentSession,
  error: unknown,
): Promise<never> {
  if (isErrorCode(error, 'already-exists')) {
    const { nodeId, addr } = newcomer;
    logger.error({ nodeId, newcomer: addr }, 'two machines use one node’s identity; the newcomer is kept out');
    const Message = `another machine at ${addr} uses this node’s identity and is kept out`;
    await store.update((tx) => {
      const node = tx.get('node', nodeId);
      if (node !== undefined && node.Status.Message !== Message) {
        tx.put('node', { ...node, Status: { ...node.Status, Message } });
      }
    });
  }
  throw error;
}

function onHeartbeat({ periodMs, random, clock }: DispatcherContext, { stream, peer }: AgentSession): void {
  if (clock.now() >= peer.notAfter) throw new SwarmdError('unauthenticated', 'the session’s certificate has expired');
  stream.send({ $case: 'heartbeat', value: { heartbeatPeriodMs: jittered(periodMs(), random) } });
}

async function onDescription(
  context: DispatcherContext,
  { nodeId, peer }: AgentSession,
  json: Uint8Array,
): Promise<void> {
  const cluster = context.store.view.get('cluster', CLUSTER_KEY);
  const description = withTlsInfo(cluster, peer, parseDescription(json));
  if (description !== undefined) await context.store.update((tx) => describeNode(tx, nodeId, description));
}

async function onGoodbye(context: DispatcherContext, session: AgentSession, { backWithinMs }: Goodbye): Promise<void> {
  const { store, liveness, logger } = context;
  const { nodeId, sessionId, stream } = session;
  stream.end();
  if (backWithinMs > 0) {
    liveness.expect(nodeId, sessionId, Math.min(MAX_GOODBYE_MS, backWithinMs));
    return;
  }
  liveness.forget(nodeId);
  logger.info({ nodeId }, 'node says that it will not come back');
  await store.update((tx) => markDown(tx, nodeId, sessionId, 'the node has left'));
}

/** The address in grpc-js's `address:port`, which has no brackets; IPv4 in its own form. */
function peerHost(peer: string): string {
  return peer.replace(/:\d+$/, '').replace(/^::ffff:/, '');
}

/** The host of `host:port`, `[v6]:port` or a bare host; empty for what is none. */
function hostOf(addr: string): string {
  const bracketed = /^\[(.*)\](?::\d+)?$/.exec(addr)?.[1];
  if (bracketed !== undefined) return bracketed;
  return addr.split(':').length === 2 ? addr.slice(0, addr.indexOf(':')) : addr;
}
