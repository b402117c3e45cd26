import {
  experimental,
  Server,
  type ServerCredentials,
  ServerInterceptingCall,
  type ServerInterceptor,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { protocolRefusal, SwarmdError, VERSIONS } from '@swarmd/model';
import { type Access, type AccessTable, METHOD_ACCESS, mayCall } from './access.js';
import { type IdentityHolder, trustsAllOf } from './identity.js';
import { IDLE_CONNECTION_MS, KEEPALIVE_MS, RECEIVE_BYTES, SERVER_LIMITS } from './limits.js';
import { type Peer, peerOf } from './peer.js';
import { toGrpcStatus } from './status.js';
import { type Announced, announce, announcedIn } from './versions.js';

/** Calls under way on connections that are to end have this long. */
const DRAIN_GRACE_MS = 2_000;

/** What {@link createServer} needs. */
export interface WireServerOptions {
  /**
   * The server's certificate; replacing it takes effect for new connections and drops none, unless a root is not trusted
   * any more: connections that may have been opened by its grace are then ended in favour of new ones.
   */
  identity: IdentityHolder;
  /** Defaults to {@link METHOD_ACCESS}. */
  access?: AccessTable;
  /** Asked at each call of a caller with a valid certificate, with the method's access; an error refuses the call. */
  admit?: (peer: Peer, access: Access) => SwarmdError | undefined;
  /** What this side speaks; this program's own unless told. */
  versions?: Announced;
  /** Wall time in milliseconds, for the expiry of certificates on connections that stay open. */
  now: () => number;
}

/** A gRPC server over TLS that asks for a client certificate, does without one, and authorises each method. */
export interface WireServer {
  addService(service: ServiceDefinition, implementation: UntypedServiceImplementation): void;
  /** Listens on `host:port` (port 0: any); resolves with the port. `unavailable` when the address cannot be had. */
  listen(addr: string): Promise<number>;
  /** Refuses new calls, lets those under way finish for `graceMs`, then ends them. */
  stop(graceMs: number): Promise<void>;
}

/**
 * A server on which every call is authorised by one table before its handler sees it, and denied when the table does
 * not name its method. `createSsl` of grpc-js knows only "no client certificates" and "none without": the
 * certificate-provider credentials also know "optional", which joining needs, and they rotate.
 */
export function createServer(options: WireServerOptions): WireServer {
  const server = new Server({
    interceptors: [agreeOnProtocol(options.versions ?? VERSIONS), authorise(options)],
    'grpc.max_receive_message_length': SERVER_LIMITS.receiveBytes,
    'grpc.max_concurrent_streams': SERVER_LIMITS.streamsPerConnection,
    'grpc.max_connection_idle_ms': IDLE_CONNECTION_MS,
    'grpc.max_send_message_length': RECEIVE_BYTES,
    'grpc.keepalive_time_ms': KEEPALIVE_MS.time,
    'grpc.keepalive_timeout_ms': KEEPALIVE_MS.timeout,
  });
  const credentials = followIdentity(options.identity);
  let bound: string | undefined;
  let before = options.identity.current;
  const unfollow = options.identity.onChange((identity) => {
    const lessTrusting = !trustsAllOf(identity, before);
    before = identity;
    if (lessTrusting && bound !== undefined) server.drain(bound, DRAIN_GRACE_MS);
  });
  return {
    addService: (service, implementation) => server.addService(service, implementation),
    listen: (addr) =>
      new Promise((resolve, reject) => {
        server.bindAsync(addr, credentials, (error, port) => {
          if (error === null) {
            bound = addr.replace(/:\d+$/, `:${port}`);
            resolve(port);
          } else reject(new SwarmdError('unavailable', `cannot listen on ${addr}: ${error.message}`, { cause: error }));
        });
      }),
    stop: (graceMs) =>
      new Promise((resolve) => {
        unfollow();
        const timer = setTimeout(() => server.forceShutdown(), graceMs);
        server.tryShutdown(() => {
          clearTimeout(timer);
          resolve();
        });
      }),
  };
}

function authorise({ identity, access = METHOD_ACCESS, admit, now }: WireServerOptions): ServerInterceptor {
  const refusal = (path: string, peer: Peer | undefined): SwarmdError | undefined => {
    const valid = peer !== undefined && peer.clusterId === identity.current.clusterId && now() < peer.notAfter;
    if (!mayCall(access, path, valid ? peer.role : undefined)) {
      if (peer === undefined) return new SwarmdError('unauthenticated', 'a certificate of this cluster is needed');
      if (!valid) return new SwarmdError('unauthenticated', 'the certificate is expired or of another cluster');
      return new SwarmdError('permission-denied', `a ${peer.role} may not call ${path}`);
    }
    const level = access[path];
    return valid && level !== undefined && level !== 'anyone' ? admit?.(peer, level) : undefined;
  };
  return (method, call) =>
    new ServerInterceptingCall(call, {
      start: (next) => {
        const error = refusal(method.path, peerOf(call));
        if (error === undefined) next();
        else next({ onReceiveMetadata: () => call.sendStatus(toGrpcStatus(error)) });
      },
    });
}

/** Refuses callers with whom there is no protocol in common, before anything else of theirs is read; tells all what it speaks. */
function agreeOnProtocol(own: Announced): ServerInterceptor {
  return (_method, call) =>
    new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMetadata: (metadata, accept) => {
            const refusal = protocolRefusal(own, announcedIn(metadata));
            if (refusal === undefined) accept(metadata);
            else call.sendStatus(toGrpcStatus(refusal));
          },
        }),
      sendMetadata: (metadata, next) => next(announce(metadata, own)),
    });
}

function followIdentity(identity: IdentityHolder): ServerCredentials {
  type Roots = Parameters<experimental.CertificateProvider['addCaCertificateListener']>[0];
  type Own = Parameters<experimental.CertificateProvider['addIdentityCertificateListener']>[0];
  const ends = new Map<Roots | Own, () => void>();
  const follow = (listener: Roots | Own, tell: () => void): void => {
    ends.set(listener, identity.onChange(tell));
    // The credentials register whom to tell only after they have asked to be told.
    queueMicrotask(tell);
  };
  const unfollow = (listener: Roots | Own): void => {
    ends.get(listener)?.();
    ends.delete(listener);
  };
  const provider: experimental.CertificateProvider = {
    addCaCertificateListener: (listener) =>
      follow(listener, () => listener({ caCertificate: Buffer.from(identity.current.rootPem) })),
    removeCaCertificateListener: unfollow,
    addIdentityCertificateListener: (listener) =>
      follow(listener, () => {
        const { certificatePem, keyPem } = identity.current;
        listener({ certificate: Buffer.from(certificatePem), privateKey: Buffer.from(keyPem) });
      }),
    removeIdentityCertificateListener: unfollow,
  };
  return experimental.createCertificateProviderServerCredentials(provider, provider, false);
}
