import type { Clock } from '@swarmd/model';
import type { Logger } from 'pino';
import type { InitialMember } from './flags.js';
import type { EtcdTls } from './key-directory.js';
import type { GoneReason } from './verdict.js';

/** What `startEtcdMember` starts. */
export interface EtcdMemberOptions {
  /** See `findEtcd`. */
  etcdPath: string;
  nodeId: string;
  clusterId: string;
  /** etcd's own data, made when it is not there. */
  dataDir: string;
  /** For the private key, on a tmpfs; see `writeKeyFiles`. */
  keyDir: string;
  tls: EtcdTls;
  /** Both `https://IP:port`; the first is where etcd listens, such as `https://0.0.0.0:2378`. */
  listenPeerUrl: string;
  advertisePeerUrl: string;
  /** All members, this one too. Counts only while there is no data. */
  initialCluster: readonly InitialMember[];
  initialClusterState: 'new' | 'existing';
  /** Makes this member the only one of its cluster, with the data it has. For recovery: all others must be gone for good. */
  forceNewCluster?: boolean;
  /** Default: 8 GiB, or what the disk allows. */
  quotaBytes?: number;
  snapshotCount?: number;
  /** Called once, when the member cannot come back with the data it has. It is not started again. */
  onGone: (reason: GoneReason) => void;
  /** Called when {@link EtcdMember.clientEndpoint} has changed: somebody else had taken the port. */
  onEndpoint?: (endpoint: string) => void;
  clock: Clock;
  logger: Logger;
}

/** `starting`: it runs, and serves clients once a quorum knows it; `waiting`: it ended and will be started again. */
export type EtcdMemberState = 'starting' | 'ready' | 'waiting' | 'gone' | 'stopped';

/** An etcd member under supervision: it is started again when it ends, and ends with this process. */
export interface EtcdMember {
  readonly state: EtcdMemberState;
  readonly pid: number | undefined;
  /** `https://127.0.0.1:port`. */
  readonly clientEndpoint: string;
  /** With which its clients must come. */
  readonly clientTls: EtcdTls;
  /** The database's limit in bytes as of the last start. */
  readonly quotaBytes: number;
  /** Resolves once clients are served; that takes a quorum. `unavailable` when the member is gone or stopped. */
  ready(signal: AbortSignal): Promise<void>;
  /** Takes another certificate, at once and without a restart; another CA counts after {@link restart}. */
  renew(tls: EtcdTls): Promise<void>;
  /** Ends etcd in order and starts it again. */
  restart(): void;
  /** Ends etcd, in order if it does so within 5 s, and removes its keys. Resolves when the process is gone. */
  stop(): Promise<void>;
}
