import {
  type CallOptions,
  Channel,
  type ChannelCredentials,
  type ChannelInterface,
  type ChannelOptions,
  type Client,
  type ClientUnaryCall,
  connectivityState,
  credentials,
  type Interceptor,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js';
import { SwarmdError, VERSIONS } from '@swarmd/model';
import type { IdentityHolder } from './identity.js';
import { KEEPALIVE_MS, RECEIVE_BYTES, RECONNECT_MS } from './limits.js';
import { fromGrpcError } from './status.js';
import { type Announced, announcing } from './versions.js';

/** The names that managers' certificates carry besides their node ID: clients check for these, not for host names. */
export const SERVER_NAMES = { manager: 'swarm-manager', ca: 'swarm-ca' } as const;

/** How a joining node, which has no certificate yet, trusts the other end. */
export type AnonymousTrust =
  /** Not at all: only for fetching the root certificate, whose digest the caller then checks. */
  | { verify: false }
  /** The other end must be a manager with a certificate from this root. */
  | { verify: true; rootPem: string };

function channelOptions(serverName: string): ChannelOptions {
  return {
    'grpc.ssl_target_name_override': serverName,
    'grpc.default_authority': serverName,
    'grpc.max_receive_message_length': RECEIVE_BYTES,
    'grpc.max_send_message_length': RECEIVE_BYTES,
    'grpc.keepalive_time_ms': KEEPALIVE_MS.time,
    'grpc.keepalive_timeout_ms': KEEPALIVE_MS.timeout,
    'grpc.initial_reconnect_backoff_ms': RECONNECT_MS.min,
    'grpc.min_reconnect_backoff_ms': RECONNECT_MS.min,
    'grpc.max_reconnect_backoff_ms': RECONNECT_MS.max,
    'grpc.enable_retries': 0,
    // Managers are reached directly, whatever the environment says of proxies, and their names have no TXT records.
    'grpc.enable_http_proxy': 0,
    'grpc.service_config_disable_resolution': 1,
    // A connection of its own: connections are shared by credentials otherwise, and outlive `close`.
    'grpc.use_local_subchannel_pool': 1,
  };
}

/** A channel to `addr` (host:port) without a client certificate. The caller closes it. */
export function createAnonymousChannel(addr: string, trust: AnonymousTrust): ChannelInterface {
  const root = trust.verify ? Buffer.from(trust.rootPem) : null;
  const secure = credentials.createSsl(root, null, null, { rejectUnauthorized: trust.verify });
  return new Channel(target(addr), secure, channelOptions(SERVER_NAMES.ca));
}

/**
 * A channel to the manager at `addr` (host:port) over mutual TLS. When the identity is replaced, later calls go over a
 * new connection with the new certificate; calls under way finish on the old one. Hand it to a client as
 * `channelOverride` (see {@link clientArguments}). The caller closes it.
 */
export function createChannel(addr: string, identity: IdentityHolder): ChannelInterface {
  return new RotatingChannel(addr, identity);
}

class RotatingChannel implements ChannelInterface {
  readonly #addr: string;
  readonly #unfollow: () => void;
  #inner: ChannelInterface;

  constructor(addr: string, identity: IdentityHolder) {
    this.#addr = addr;
    const open = (): ChannelInterface =>
      new Channel(target(addr), secureCredentials(identity), channelOptions(SERVER_NAMES.manager));
    this.#inner = open();
    this.#unfollow = identity.onChange(() => {
      const old = this.#inner;
      this.#inner = open();
      old.close();
    });
  }

  close(): void {
    this.#unfollow();
    this.#inner.close();
  }
  getTarget(): string {
    return target(this.#addr);
  }
  getConnectivityState(tryToConnect: boolean): connectivityState {
    return this.#inner.getConnectivityState(tryToConnect);
  }
  watchConnectivityState(...args: Parameters<ChannelInterface['watchConnectivityState']>): void {
    this.#inner.watchConnectivityState(...args);
  }
  getChannelzRef(): ReturnType<ChannelInterface['getChannelzRef']> {
    return this.#inner.getChannelzRef();
  }
  createCall(...args: Parameters<ChannelInterface['createCall']>): ReturnType<ChannelInterface['createCall']> {
    return this.#inner.createCall(...args);
  }
}

function secureCredentials({ current }: IdentityHolder): ChannelCredentials {
  return credentials.createSsl(
    Buffer.from(current.rootPem),
    Buffer.from(current.keyPem),
    Buffer.from(current.certificatePem),
  );
}

/** IP addresses and host names both: grpc-js would otherwise read `host:port` as a URI with a scheme. */
function target(addr: string): string {
  return `dns:${addr}`;
}

/**
 * Arguments for a generated client that is to use `channel`: `new DispatcherClient(...clientArguments(channel))`. Each of
 * its calls tells the other side what this one speaks; `incompatible` is the answer when they have no protocol in common.
 */
export function clientArguments(
  channel: ChannelInterface,
  own: Announced = VERSIONS,
): [string, ChannelCredentials, { channelOverride: ChannelInterface; interceptors: Interceptor[] }] {
  const options = { channelOverride: channel, interceptors: [announcing(own)] };
  return [channel.getTarget(), credentials.createInsecure(), options];
}

/** Whether a client's channel has a connection now. */
export function isConnected(client: Client): boolean {
  return client.getChannel().getConnectivityState(false) === connectivityState.READY;
}

/** Whether a channel could not connect and waits before it tries again: calls on it fail at once. */
export function hasFailed(channel: ChannelInterface): boolean {
  return channel.getConnectivityState(false) === connectivityState.TRANSIENT_FAILURE;
}

type UnaryMethod<Request, Response> = (
  request: Request,
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, response: Response) => void,
) => ClientUnaryCall;

/** What a unary call may take. */
export interface UnaryOptions {
  timeoutMs: number;
  signal?: AbortSignal;
}

/**
 * Makes one unary call of a generated client: `callUnary(client.issueCertificate.bind(client), request, options)`.
 * Rejects with a `SwarmdError`: the server's own, `unavailable` when nobody answers, `deadline-exceeded`, `aborted`.
 */
export function callUnary<Request, Response>(
  method: UnaryMethod<Request, Response>,
  request: Request,
  { timeoutMs, signal }: UnaryOptions,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(new SwarmdError('aborted', 'the call was given up'));
      return;
    }
    const cancel = (): void => call.cancel();
    const call = method(request, new Metadata(), { deadline: Date.now() + timeoutMs }, (error, response) => {
      signal?.removeEventListener('abort', cancel);
      if (error === null) resolve(response);
      else reject(fromGrpcError(error));
    });
    signal?.addEventListener('abort', cancel, { once: true });
  });
}
