import type { ChannelInterface } from '@grpc/grpc-js';
import type { Clock } from '@swarmd/model';
import {
  type CertificateAuthorityServer,
  CertificateAuthorityService,
  type ClusterServer,
  ClusterService,
  createServer,
  type DispatcherServer,
  DispatcherService,
  type IdentityHolder,
  type LogRelayServer,
  LogRelayService,
  type NodeInquiryServer,
  NodeInquiryService,
  type SessionProbeServer,
  SessionProbeService,
  type WireServerOptions,
} from '@swarmd/wire';
import { createGrpcTransport } from './grpc-transport.js';
import type { ManagerTransport } from './transport.js';

/** Whether a caller may make a call: an error refuses it. */
export type Admission = NonNullable<WireServerOptions['admit']>;

/** What a manager serves to agents, other managers and joining nodes. */
export interface ManagerServices {
  authority: CertificateAuthorityServer;
  dispatcher: DispatcherServer;
  relay: LogRelayServer;
  probe: SessionProbeServer;
  inquiry: NodeInquiryServer;
  cluster: ClusterServer;
}

/** A manager's place in the network: how it reaches others, and they it. gRPC, or a simulation's own. */
export interface ManagerNetwork extends ManagerTransport {
  /** The channel to the manager at `addr`, for all who ask; `undefined` where there are none. */
  channel(addr: string): ChannelInterface | undefined;
  /**
   * Serves until {@link stop}; `admit` is asked at each call. Resolves with the port; `unavailable` when the address cannot
   * be had.
   */
  serve(services: ManagerServices, admit: Admission): Promise<number>;
  /** Refuses new calls and gives those under way `graceMs` to end. Calls to others end before, by `close`. */
  stop(graceMs: number): Promise<void>;
}

/** What {@link createGrpcNetwork} needs. */
export interface GrpcNetworkOptions {
  /** The node's own identity, a manager's. The server follows it when it is renewed. */
  identity: IdentityHolder;
  /** `host:port` to listen on; port 0 takes any. */
  listenAddr: string;
  clock: Clock;
}

/** gRPC over mutual TLS. */
export function createGrpcNetwork({ identity, listenAddr, clock }: GrpcNetworkOptions): ManagerNetwork {
  let admission: Admission = () => undefined;
  const server = createServer({ identity, now: () => clock.now(), admit: (peer, access) => admission(peer, access) });
  return {
    ...createGrpcTransport(identity),
    serve: (services, admit) => {
      admission = admit;
      server.addService(CertificateAuthorityService, services.authority);
      server.addService(DispatcherService, services.dispatcher);
      server.addService(LogRelayService, services.relay);
      server.addService(SessionProbeService, services.probe);
      server.addService(NodeInquiryService, services.inquiry);
      server.addService(ClusterService, services.cluster);
      return server.listen(listenAddr);
    },
    stop: (graceMs) => server.stop(graceMs),
  };
}
