import { idFromBytes, isErrorCode, SwarmdError } from '@swarmd/model';
import {
  type AgentMessage,
  fromGrpcError,
  type Goodbye,
  type Heartbeat,
  peerOf,
  type Register,
  type StatusBatch,
} from '@swarmd/wire';
import { type AgentSession, createAgentSession } from './agent-session.js';
import type { DispatcherContext } from './context.js';
import { parseAttachments, parseDataPath } from './data-path.js';
import { parseDescription } from './description.js';
import { withoutLeader } from './failover.js';
import { jittered } from './liveness.js';
import { register } from './registration.js';
import { createSessionStream, type SessionCall } from './session-stream.js';

/** How long a stream may stay open without a first message. */
const REGISTER_TIMEOUT_MS = 10_000;
/** The most that a node that says goodbye may ask for to come back in. */
const MAX_GOODBYE_MS = 60_000;
/** Batches of statuses of one agent that may be unacknowledged. */
const MAX_UNACKNOWLEDGED = 256;

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
      session.close();
      if (!current) return;
      logs.nodeGone(session.nodeId);
      context.inquiries.nodeGone(session.nodeId);
    },
  });
  const cancelTimeout = clock.after(REGISTER_TIMEOUT_MS, () => {
    stream.end(new SwarmdError('deadline-exceeded', 'the session’s first message did not come'));
  });
  const fail = (error: unknown): void => {
    if (!stream.open) return;
    const reason = withoutLeader(fromGrpcError(error));
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
  const inOrder = oneByOne(fail);
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
    if (body.$case === 'heartbeat') onHeartbeat(context, session, body.value);
    else if (body.$case === 'statuses') onStatuses(body.value, session);
    else if (body.$case === 'description') inOrder(onDescription(context, session, body.value.description));
    else if (body.$case === 'goodbye') onGoodbye(context, session, body.value).catch(fail);
    else if (body.$case === 'inquiryAnswer') context.inquiries.answered(session.nodeId, body.value);
    else if (body.$case === 'endpointsApplied') session.endpointsApplied(body.value.index);
    else if (body.$case === 'attachments') inOrder(onAttachments(context, session, body.value.attachments));
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

/** Does one thing after the other: over a change of leader the older of two reports could be written last. */
function oneByOne(fail: (error: unknown) => void): (work: () => Promise<void>) => void {
  let last: Promise<void> = Promise.resolve();
  return (work) => {
    last = last.then(work).catch(fail);
  };
}

function openSession(
  { store, random, managers, dataPaths, endpoints }: DispatcherContext,
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
    {
      ...{ sessionId, nodeId: peer.nodeId, bootNonce: register.bootNonce, addr, peer, stream },
      swarmdVersion: register.swarmdVersion,
      dataPath: parseDataPath(register.dataPath),
    },
    store,
    { managers, dataPaths },
    endpoints,
  );
}

function onHeartbeat(
  { periodMs, random, clock }: DispatcherContext,
  session: AgentSession,
  { clockMs }: Heartbeat,
): void {
  const { stream, peer } = session;
  if (clockMs > 0) session.clockAheadMs = clockMs - clock.now();
  if (clock.now() >= peer.notAfter) throw new SwarmdError('unauthenticated', 'the session’s certificate has expired');
  stream.send({ $case: 'heartbeat', value: { heartbeatPeriodMs: jittered(periodMs(), random) } });
}

function onDescription(context: DispatcherContext, { nodeId }: AgentSession, json: Uint8Array): () => Promise<void> {
  return async () => {
    const description = parseDescription(json);
    if (description !== undefined) await context.overFailover(() => context.reports.describe(nodeId, description));
  };
}

function onAttachments(context: DispatcherContext, session: AgentSession, json: Uint8Array): () => Promise<void> {
  const { nodeId, sessionId } = session;
  return async () => {
    const attachments = parseAttachments(json);
    try {
      await context.overFailover(() => context.reports.attach(nodeId, sessionId, attachments));
    } catch (error) {
      // A leader that knows of no such report has no overlays to reach these containers by.
      if (!isErrorCode(error, 'unimplemented')) throw error;
    }
  };
}

async function onGoodbye(context: DispatcherContext, session: AgentSession, { backWithinMs }: Goodbye): Promise<void> {
  const { liveness, logger, reports } = context;
  const { nodeId, sessionId, stream } = session;
  if (backWithinMs > 0) {
    const boundMs = Math.min(MAX_GOODBYE_MS, backWithinMs);
    liveness.expect(nodeId, sessionId, boundMs);
    // The agent stays until this is written: its host's manager may be this one, and go with it.
    const away = (): Promise<void> => reports.away(nodeId, sessionId, boundMs);
    await context.overFailover(away).catch((err: unknown) => logger.warn({ err, nodeId }, 'a goodbye was not kept'));
    stream.end();
    return;
  }
  stream.end();
  liveness.forget(nodeId);
  logger.info({ nodeId }, 'node says that it will not come back');
  const left = (): Promise<boolean> => reports.silent(nodeId, sessionId, 'the node has left');
  // What cannot be said now is found out as that of any other node.
  await context.overFailover(left).catch(() => liveness.expect(nodeId, sessionId, context.graceMs()));
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
