import type { ChannelInterface } from '@grpc/grpc-js';
import { SwarmdError, VERSIONS } from '@swarmd/model';
import {
  type CallRequest,
  type CallResponse,
  ClusterClient,
  callUnary,
  clientArguments,
  createChannel,
  fromGrpcError,
  hasFailed,
  type IdentityHolder,
  type LeaderSign,
  MESSAGE_BYTES,
} from '@swarmd/wire';
import type { LeaderLine, ManagerCallOptions, ManagerTransport } from './transport.js';

/** Room is left for what a call holds besides its arguments. */
const PART_BYTES = MESSAGE_BYTES / 2;

/** A {@link ManagerTransport} over gRPC and mutual TLS, and the channels that it and others use. */
export interface GrpcTransport extends ManagerTransport {
  /** The channel to the manager at `addr`: one for all who ask. */
  channel(addr: string): ChannelInterface;
  /** As `call`, through any manager, which passes it on to the leader. */
  relay(addr: string, method: string, args: unknown, options: ManagerCallOptions): Promise<unknown>;
  /** Asks the manager at `addr` what it answers by itself. */
  ask(addr: string, method: string, args: unknown, options: ManagerCallOptions): Promise<unknown>;
}

/** Channels to other managers, made when they are first needed and kept. */
export function createGrpcTransport(identity: IdentityHolder): GrpcTransport {
  const channels = new Map<string, ChannelInterface>();
  let closed = false;
  const channel = (addr: string): ChannelInterface => {
    if (closed) throw new SwarmdError('unavailable', 'this manager is stopping');
    const known = channels.get(addr);
    if (known !== undefined) return known;
    const made = createChannel(addr, identity);
    channels.set(addr, made);
    return made;
  };
  const forget = (addr: string): void => {
    channels.get(addr)?.close();
    channels.delete(addr);
  };
  const client = (addr: string): ClusterClient => new ClusterClient(...clientArguments(channel(addr)));
  return {
    channel,
    attach: (addr, first, handlers) => {
      // What kept it from connecting some time ago says nothing of now: a line to a new leader does not wait for that.
      if (hasFailed(channel(addr))) forget(addr);
      return attach(client(addr), first, handlers);
    },
    call: (addr, method, args, options) => {
      const to = client(addr);
      return callJson(callOf(to), method, args, options);
    },
    relay: (addr, method, args, options) => {
      const to = client(addr);
      return callJson(to.relay.bind(to), method, args, options);
    },
    ask: (addr, method, args, options) => {
      const to = client(addr);
      return callJson(to.ask.bind(to), method, args, options);
    },
    async hears(addr, term, { timeoutMs }) {
      const to = client(addr);
      return (await callUnary(to.hears.bind(to), { term }, { timeoutMs })).hears;
    },
    close: () => {
      closed = true;
      for (const open of channels.values()) open.close();
    },
  };
}

type Rpc = Parameters<typeof callUnary<CallRequest, CallResponse>>[0];

/** A call in one message, or in several when its arguments would not fit: a manager takes no larger ones. */
function callOf(to: ClusterClient): Rpc {
  return (request, metadata, options, callback) => {
    if (request.arguments.length <= PART_BYTES) return to.call(request, metadata, options, callback);
    const parts = to.callInParts(metadata, options, callback);
    for (let at = 0; at < request.arguments.length; at += PART_BYTES)
      parts.write({ ...request, arguments: request.arguments.subarray(at, at + PART_BYTES) });
    parts.end();
    return parts;
  };
}

async function callJson(
  rpc: Rpc,
  method: string,
  args: unknown,
  { requestId = '', timeoutMs, signal }: ManagerCallOptions,
): Promise<unknown> {
  const request = { method, arguments: jsonBytes(args), requestId, protocol: VERSIONS.protocol.max };
  const options = signal === undefined ? { timeoutMs } : { timeoutMs, signal };
  const { result } = await callUnary<CallRequest, CallResponse>(rpc, request, options);
  return parseJson(result);
}

/** JSON as it travels; nothing is no bytes. */
export function jsonBytes(value: unknown): Buffer {
  return Buffer.from(value === undefined ? '' : JSON.stringify(value));
}

/** The inverse of {@link jsonBytes}. `invalid-argument` for what is no JSON. */
export function parseJson(bytes: Uint8Array): unknown {
  if (bytes.length === 0) return undefined;
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8')) as unknown;
  } catch (cause) {
    throw new SwarmdError('invalid-argument', 'a manager sent what is not JSON', { cause });
  }
}

function attach(
  client: ClusterClient,
  first: Parameters<ManagerTransport['attach']>[1],
  handlers: Parameters<ManagerTransport['attach']>[2],
): LeaderLine {
  const call = client.attach();
  let over = false;
  const finish = (reason: Error): void => {
    if (over) return;
    over = true;
    handlers.onEnd(reason);
  };
  call.on('data', ({ term }: LeaderSign) => {
    if (!over) handlers.onSign(term);
  });
  call.on('error', (error: Error) => finish(fromGrpcError(error)));
  call.on('end', () => finish(new SwarmdError('unavailable', 'the leader ended the line')));
  call.write(first);
  return {
    sign: () => {
      if (!over) call.write({ swarmdVersion: '', protocol: 0, clockMs: 0, addr: '', stateFormat: 0 });
    },
    end: () => {
      if (over) return;
      over = true;
      call.cancel();
    },
  };
}
