import { isIP } from 'node:net';
import { checkServerIdentity } from 'node:tls';
import {
  type CallOptions,
  Channel,
  type ChannelCredentials,
  type ChannelInterface,
  type ChannelOptions,
  type ClientUnaryCall,
  connectivityState,
  credentials,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js';
import { SwarmdError } from '@swarmd/model';
import { fromEtcdError, notSent } from './errors.js';

/** How a client of etcd proves who it is, and whom it believes. PEM texts. */
export interface EtcdTls {
  ca: string;
  certificate: string;
  key: string;
  /** The name that etcd's certificate must carry; the host of the endpoint without it. */
  serverName?: string;
}

/** How one call may end early. */
export interface EtcdCallOptions {
  /** Milliseconds until the call is given up with `unavailable`, waiting for a connection included. */
  timeoutMs?: number;
  /** Gives the call up with `aborted`. What it was to do may be done all the same. */
  signal?: AbortSignal;
}

/** An unary method of a generated client, bound to it. */
export type UnaryMethod<Request, Response> = (
  request: Request,
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, response: Response) => void,
) => ClientUnaryCall;

/** Waiting between attempts to connect, doubling from the first to the last: etcd is near, and restarts within a second. */
const RECONNECT_MS = { min: 100, max: 1_000 } as const;
/** A silent connection is probed this often and given up when that long unanswered; etcd allows probes every 5 s. */
const KEEPALIVE_MS = { time: 10_000, timeout: 5_000 } as const;
/** Bytes under way at once: with the usual 64 KiB a large answer waits for us many times. */
const WINDOW_BYTES = 4 << 20;

/**
 * One HTTP/2 connection to one etcd member, made anew whenever it is lost, then to the first of its endpoints that answers,
 * with the calls under way on it.
 */
export class EtcdConnection {
  readonly channel: ChannelInterface;
  readonly #endpoint: string;
  readonly #timeoutMs: number;
  /** Ends what is under way. */
  readonly #underWay = new Set<() => void>();
  #closed = false;

  constructor(endpoint: string, tls: EtcdTls | undefined, timeoutMs: number) {
    this.#endpoint = endpoint;
    this.#timeoutMs = timeoutMs;
    const hosts = endpoint.split(',').map((one) => one.slice(0, one.lastIndexOf(':')).replace(/^\[|\]$/g, ''));
    const secure = tls === undefined ? credentials.createInsecure() : secureCredentials(tls, hosts);
    this.channel = new Channel(targetOf(endpoint, hosts), secure, channelOptions(tls, hosts[0]!));
  }

  /** Whether {@link close} was called. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Makes one call. Rejects with a `SwarmdError` (see `surelyNotApplied`). */
  async unary<Request, Response>(
    method: UnaryMethod<Request, Response>,
    request: Request,
    { timeoutMs = this.#timeoutMs, signal }: EtcdCallOptions = {},
  ): Promise<Response> {
    const deadline = Date.now() + timeoutMs;
    await this.connected(deadline, signal);
    return new Promise((resolve, reject) => {
      const call = method(request, new Metadata(), { deadline }, (error, response) => {
        forget();
        if (error === null) resolve(response);
        else reject(fromEtcdError(error, signal?.aborted ?? false));
      });
      const forget = this.onGivenUp(() => call.cancel(), signal);
    });
  }

  /**
   * Resolves when there is a connection: what fails before that was surely not sent. Rejects with `unavailable` when
   * `deadline` (milliseconds since the epoch) passes or the client is closed, with `aborted` on the signal.
   */
  async connected(deadline: number, signal: AbortSignal | undefined): Promise<void> {
    for (;;) {
      if (signal?.aborted) throw notSent('aborted', 'the call was given up');
      if (this.#closed) throw notSent('unavailable', 'the client is closed');
      const state = this.channel.getConnectivityState(true);
      if (state === connectivityState.READY) return;
      await this.#stateChange(state, deadline, signal);
    }
  }

  /** Calls `end` when the client is closed or `signal` fires; the returned function forgets it. */
  onGivenUp(end: () => void, signal: AbortSignal | undefined): () => void {
    this.#underWay.add(end);
    signal?.addEventListener('abort', end, { once: true });
    return () => {
      this.#underWay.delete(end);
      signal?.removeEventListener('abort', end);
    };
  }

  close(): void {
    this.#closed = true;
    for (const end of [...this.#underWay]) end();
    this.channel.close();
  }

  async #stateChange(state: connectivityState, deadline: number, signal: AbortSignal | undefined): Promise<void> {
    const inTime = await new Promise<boolean>((resolve) => {
      const forget = this.onGivenUp(() => settle(true), signal);
      const settle = (changed: boolean): void => {
        forget();
        resolve(changed);
      };
      this.channel.watchConnectivityState(state, deadline, (error) => settle(error === undefined));
    });
    if (!inTime) throw notSent('unavailable', `etcd at ${this.#endpoint} cannot be reached`);
  }
}

/** Several are tried in order; gRPC takes a list of addresses of one family, or one name. */
function targetOf(endpoint: string, hosts: readonly string[]): string {
  if (hosts.length === 1) return `dns:${endpoint}`;
  const families = new Set(hosts.map((host) => isIP(host)));
  if (families.size > 1 || families.has(0)) {
    const message = `${endpoint}: several endpoints of etcd must be IP addresses of one family`;
    throw new SwarmdError('invalid-argument', message);
  }
  return `ipv${isIP(hosts[0]!)}:${endpoint}`;
}

function channelOptions(tls: EtcdTls | undefined, host: string): ChannelOptions {
  // A TLS server name is never an address: with one, etcd's certificate is checked against the host all the same.
  const name = tls?.serverName ?? (isIP(host) ? 'localhost' : host);
  return {
    ...(tls === undefined ? {} : { 'grpc.ssl_target_name_override': name, 'grpc.default_authority': name }),
    'grpc.max_receive_message_length': -1,
    'grpc.max_send_message_length': -1,
    'grpc-node.flow_control_window': WINDOW_BYTES,
    'grpc.keepalive_time_ms': KEEPALIVE_MS.time,
    'grpc.keepalive_timeout_ms': KEEPALIVE_MS.timeout,
    'grpc.initial_reconnect_backoff_ms': RECONNECT_MS.min,
    'grpc.min_reconnect_backoff_ms': RECONNECT_MS.min,
    'grpc.max_reconnect_backoff_ms': RECONNECT_MS.max,
    // A write must not be sent twice behind our back.
    'grpc.enable_retries': 0,
    'grpc.enable_http_proxy': 0,
    'grpc.service_config_disable_resolution': 1,
    // A connection of its own: connections are shared by credentials otherwise, and outlive `close`.
    'grpc.use_local_subchannel_pool': 1,
  };
}

function secureCredentials(
  { ca, certificate, key, serverName }: EtcdTls,
  hosts: readonly string[],
): ChannelCredentials {
  try {
    return credentials.createSsl(Buffer.from(ca), Buffer.from(key), Buffer.from(certificate), {
      // Of several endpoints gRPC does not tell which one this is: any of them may answer for any other.
      checkServerIdentity: (_, presented) => {
        const wrong = (serverName ? [serverName] : hosts).map((name) => checkServerIdentity(name, presented as never));
        return wrong.includes(undefined) ? undefined : wrong[0];
      },
    });
  } catch (error) {
    throw new SwarmdError('invalid-argument', `not a certificate and key for etcd: ${(error as Error).message}`, {
      cause: error,
    });
  }
}
