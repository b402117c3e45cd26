import type { KeyFiles } from './key-directory.js';

/** A member of the cluster as etcd's `--initial-cluster` names it. */
export interface InitialMember {
  /** The node ID. */
  name: string;
  /** `https://IP:port`. */
  peerUrl: string;
}

/** What one start of etcd is decided from. */
export interface FlagOptions {
  nodeId: string;
  clusterId: string;
  dataDir: string;
  listenPeerUrl: string;
  advertisePeerUrl: string;
  clientPort: number;
  initialCluster: readonly InitialMember[];
  initialClusterState: 'new' | 'existing';
  files: KeyFiles;
  quotaBytes: number;
  snapshotCount: number;
  forceNewCluster: boolean;
}

/** Default for how many raft entries are kept before a snapshot: ours are whole batches, and all are held in memory. */
export const SNAPSHOT_COUNT = 5_000;
/** What a transaction may hold; etcd's own 128 are few for one batch of the store. */
export const MAX_TXN_OPS = 10_240;
/** What one request may hold, in bytes. */
export const MAX_REQUEST_BYTES = 16 * 1024 * 1024;

/** A dead leader is noticed within these, in milliseconds: writes go on after 0.9 s, with etcd's defaults after 2 s. */
const HEARTBEAT_MS = 100;
const ELECTION_MS = 500;
/** How often the leader compares the members' data. */
const CORRUPT_CHECK_TIME = '30m';

const GIB = 1024 ** 3;
/** Above this etcd itself warns. */
const MAX_QUOTA_BYTES = 8 * GIB;
const MIN_QUOTA_BYTES = 256 * 1024 * 1024;

/**
 * How large etcd's database may get, in bytes, on a disk with `freeBytes` left besides a database of `usedBytes`:
 * 8 GiB, or what leaves room for the copy that a defragmentation makes and for the log.
 */
export function quotaBytesFor(freeBytes: number, usedBytes: number): number {
  const share = Math.floor((freeBytes + usedBytes) * 0.4);
  return Math.max(MIN_QUOTA_BYTES, Math.min(MAX_QUOTA_BYTES, share));
}

/** The arguments of one start of etcd. */
export function etcdFlags(options: FlagOptions): string[] {
  const clientUrl = `https://127.0.0.1:${options.clientPort}`;
  const flags: Record<string, string | number | boolean> = {
    name: options.nodeId,
    'data-dir': options.dataDir,
    'listen-peer-urls': options.listenPeerUrl,
    'initial-advertise-peer-urls': options.advertisePeerUrl,
    'listen-client-urls': clientUrl,
    'advertise-client-urls': clientUrl,
    'initial-cluster': options.initialCluster.map(({ name, peerUrl }) => `${name}=${peerUrl}`).join(','),
    'initial-cluster-state': options.initialClusterState,
    'initial-cluster-token': options.clusterId,
    'cert-file': options.files.memberFile,
    'key-file': options.files.memberFile,
    'trusted-ca-file': options.files.caFile,
    'client-cert-auth': true,
    'peer-cert-file': options.files.memberFile,
    'peer-key-file': options.files.memberFile,
    'peer-trusted-ca-file': options.files.caFile,
    'peer-client-cert-auth': true,
    // Whoever has a certificate of this CA is a manager, from whichever of its addresses it comes; the address that a
    // member is called at is checked all the same.
    'experimental-peer-skip-client-san-verification': true,
    'pre-vote': true,
    'heartbeat-interval': HEARTBEAT_MS,
    'election-timeout': ELECTION_MS,
    'max-txn-ops': MAX_TXN_OPS,
    'max-request-bytes': MAX_REQUEST_BYTES,
    'quota-backend-bytes': options.quotaBytes,
    'snapshot-count': options.snapshotCount,
    'experimental-initial-corrupt-check': true,
    'experimental-corrupt-check-time': CORRUPT_CHECK_TIME,
    logger: 'zap',
    'log-level': 'warn',
    'log-outputs': 'stderr',
    ...(options.forceNewCluster ? { 'force-new-cluster': true } : {}),
  };
  return Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
}
