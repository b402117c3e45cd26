import type { ServerDuplexStream } from '@grpc/grpc-js';
import { type Clock, type SharedStore, SwarmdError } from '@swarmd/model';
import {
  type CallRequest,
  type CallResponse,
  type ClusterServer,
  clientStreamHandler,
  type LeaderSign,
  type ManagerSign,
  peerOf,
  toGrpcStatus,
  unaryHandler,
} from '@swarmd/wire';
import { refuseNonManager } from '../ca/members.js';
import type { Attachments } from './attachments.js';
import { serve } from './forward.js';
import { jsonBytes, parseJson } from './grpc-transport.js';
import type { LeaderCallHandlers, LeaderCalls, LeaderHandlers } from './leader-calls.js';
import type { Leadership } from './leadership.js';
import { SIGN_PERIOD_MS } from './takeover.js';

/** The most that the arguments of one call may take: some times what the API takes in. */
const MAX_CALL_BYTES = 8 << 20;

/** What {@link createClusterService} needs. */
export interface ClusterServiceDependencies {
  store: Pick<SharedStore, 'view' | 'leads' | 'watch'>;
  /** Asked once calls come in. */
  leadership(): Leadership;
  attachments: Attachments;
  handlers: LeaderCallHandlers;
  /** What this manager answers by itself, whoever leads. */
  answers: LeaderHandlers;
  calls: LeaderCalls;
  clock: Clock;
}

/** The gRPC service between managers (see `proto/swarmd/v1/cluster.proto`). */
export function createClusterService(deps: ClusterServiceDependencies): ClusterServer {
  const { handlers, calls } = deps;
  const call = async ({ method, arguments: args, requestId }: CallRequest): Promise<CallResponse> => {
    if (!deps.leadership().leads)
      throw new SwarmdError('not-leader', 'this manager does not lead the cluster at the moment');
    return { result: jsonBytes(await serve(handlers, method, parseJson(args), requestId || undefined)) };
  };
  const callInParts = async (parts: AsyncIterable<CallRequest>): Promise<CallResponse> => {
    let first: CallRequest | undefined;
    const pieces: Uint8Array[] = [];
    let bytes = 0;
    for await (const part of parts) {
      first ??= part;
      bytes += part.arguments.length;
      if (bytes > MAX_CALL_BYTES)
        throw new SwarmdError('invalid-argument', `a call is larger than ${MAX_CALL_BYTES} bytes`);
      pieces.push(part.arguments);
    }
    if (first === undefined) throw new SwarmdError('invalid-argument', 'a call without a method');
    return call({ ...first, arguments: Buffer.concat(pieces) });
  };
  const relay = async ({ method, arguments: args, requestId }: CallRequest): Promise<CallResponse> => {
    const options = requestId === '' ? {} : { requestId };
    return { result: jsonBytes(await calls.call(method, parseJson(args), options)) };
  };
  return {
    attach: (stream) => serveLine(deps, stream),
    call: unaryHandler(call),
    callInParts: clientStreamHandler(callInParts),
    relay: unaryHandler(relay),
    ask: unaryHandler(answerWith(deps.answers)),
    hears: unaryHandler(async ({ term }) => ({ hears: deps.leadership().hears(term) })),
  };
}

/** Serves questions that need no leader. */
export function answerWith(answers: LeaderHandlers): (request: CallRequest) => Promise<CallResponse> {
  return async ({ method, arguments: args }) => ({
    result: jsonBytes(await serve(answers, method, parseJson(args), undefined)),
  });
}

/** Serves a manager's line for as long as this manager leads and the other is one; it signs only while it is sure that it does. */
function serveLine(deps: ClusterServiceDependencies, stream: ServerDuplexStream<ManagerSign, LeaderSign>): void {
  const { attachments, clock, store } = deps;
  const leadership = deps.leadership();
  const term = leadership.leader?.term;
  const refusal = (): Error => toGrpcStatus(new SwarmdError('not-leader', 'this manager does not lead'));
  if (!leadership.leads || term === undefined) {
    stream.emit('error', refusal());
    return;
  }
  const nodeId = peerOf(stream)?.nodeId ?? '';
  let line: { sign(): void; end(): void } | undefined;
  let over = false;
  let cancel = (): void => {};
  const finish = (): void => {
    if (over) return;
    over = true;
    cancel();
    unlisten();
    unwatch();
    line?.end();
  };
  const end = (reason = refusal()): void => {
    if (over) return;
    finish();
    stream.emit('error', reason);
  };
  const unlisten = leadership.onChange(() => {
    if (!leadership.leads || leadership.leader?.term !== term) end();
  });
  // Calls are admitted one by one; a line that is open was admitted before.
  const unwatch = store.watch(({ events }) => {
    if (!events.some(({ table, object }) => table === 'node' && object.ID === nodeId)) return;
    const reason = refuseNonManager(store, nodeId);
    if (reason !== undefined) end(toGrpcStatus(reason));
  });
  const sign = (): void => {
    if (leadership.sure) stream.write({ term });
    cancel = clock.after(SIGN_PERIOD_MS, sign);
  };
  stream.on('data', ({ swarmdVersion, protocol, clockMs, addr, stateFormat }: ManagerSign) => {
    if (over) return;
    const about = { swarmdVersion, addr, protocol, stateFormat, clockAheadMs: clockMs - clock.now() };
    line ??= attachments.add(nodeId, about, () => end());
    line.sign();
  });
  stream.on('cancelled', finish);
  stream.on('error', finish);
  stream.on('close', finish);
  stream.on('end', () => {
    finish();
    stream.end();
  });
  sign();
}
