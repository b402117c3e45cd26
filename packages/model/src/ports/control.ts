import type { ClusterSpec } from '../objects/cluster.js';
import type { Node } from '../objects/node.js';
import type {
  CleanupOptions,
  CleanupReport,
  DoctorOptions,
  DoctorReport,
  ServiceEndpoints,
  TraceOptions,
  TraceReport,
} from './network-reports.js';

/** Docker's filters: name → accepted values (any of them). */
export type Filters = Readonly<Record<string, readonly string[]>>;

/** An object in the exact JSON of the Docker Engine API. */
export type ApiObject = Record<string, unknown> & { ID: string };

/** Options of `createService` and `updateService`. `registryAuth` is the `X-Registry-Auth` header as sent. */
export interface ServiceWriteOptions {
  registryAuth?: string;
  registryAuthFrom?: 'spec' | 'previous-spec';
  rollback?: 'previous';
}

/** What logs to read; `tail` counts lines per task, `all` is -1; times in milliseconds since the epoch. */
export interface LogsOptions {
  follow: boolean;
  stdout: boolean;
  stderr: boolean;
  timestamps: boolean;
  tail: number;
  sinceMs?: number;
  untilMs?: number;
  details: boolean;
}

/** One log record. `stream` as Docker numbers them: 1 stdout, 2 stderr, 0 a message of swarmd itself. */
export interface LogRecord {
  taskId: string;
  serviceId: string;
  nodeId: string;
  stream: 0 | 1 | 2;
  /** RFC 3339 with nanoseconds. */
  timestamp: string;
  /** The bytes of one line, with its newline if it had one. */
  data: Uint8Array;
  attributes?: Readonly<Record<string, string>>;
}

/** What seals and opens a backup: a passphrase, or a recovery key (`SWMBAK-1-…`). */
export type BackupSecret = { Passphrase: string } | { RecoveryKey: string };

/**
 * What the Docker Engine API's swarm part does, behind HTTP. Implemented by the manager; every method takes and
 * returns the API's own JSON. References are an ID, a name or (where Docker allows it) an unambiguous ID prefix.
 * Errors are `SwarmdError`s whose code and message follow Docker Swarm's.
 */
export interface Control {
  listServices(filters: Filters, options: { status: boolean }): Promise<ApiObject[]>;
  getService(ref: string, options: { insertDefaults: boolean }): Promise<ApiObject>;
  createService(spec: unknown, options: ServiceWriteOptions): Promise<{ ID: string; Warnings: string[] }>;
  updateService(
    ref: string,
    version: number,
    spec: unknown,
    options: ServiceWriteOptions,
  ): Promise<{ Warnings: string[] }>;
  removeService(ref: string): Promise<void>;
  /** `swarmctl why`: for each unplaced task the verdict of each filter for each node. */
  explainService(ref: string): Promise<ServiceExplanation>;

  listTasks(filters: Filters): Promise<ApiObject[]>;
  getTask(ref: string): Promise<ApiObject>;

  listNodes(filters: Filters): Promise<ApiObject[]>;
  getNode(ref: string): Promise<ApiObject>;
  updateNode(ref: string, version: number, spec: unknown): Promise<void>;
  removeNode(ref: string, force: boolean): Promise<void>;

  listSecrets(filters: Filters): Promise<ApiObject[]>;
  getSecret(ref: string): Promise<ApiObject>;
  createSecret(spec: unknown): Promise<{ ID: string }>;
  updateSecret(ref: string, version: number, spec: unknown): Promise<void>;
  removeSecret(ref: string): Promise<void>;

  listConfigs(filters: Filters): Promise<ApiObject[]>;
  getConfig(ref: string): Promise<ApiObject>;
  createConfig(spec: unknown): Promise<{ ID: string }>;
  updateConfig(ref: string, version: number, spec: unknown): Promise<void>;
  removeConfig(ref: string): Promise<void>;

  /** Swarm-scoped networks only; the engine's own are merged in by the API. */
  listNetworks(filters: Filters): Promise<ApiObject[]>;
  /** `verbose`: with the services on it and their tasks. */
  getNetwork(ref: string, options?: { verbose: boolean }): Promise<ApiObject>;
  createNetwork(spec: unknown): Promise<{ ID: string; Warnings: string[] }>;
  removeNetwork(ref: string): Promise<void>;

  getCluster(): Promise<ApiObject>;
  /** The key that locked managers are unlocked with, `SWMKEY-1-…`; empty while the lock is off. */
  getUnlockKey(): Promise<{ UnlockKey: string }>;
  updateCluster(
    version: number,
    spec: ClusterSpec,
    rotate: { workerToken: boolean; managerToken: boolean; managerUnlockKey: boolean },
  ): Promise<void>;

  /** Log lines of a service's or a task's containers on all nodes; ends by itself unless `follow`. */
  logs(
    selector: { service: string } | { task: string },
    options: LogsOptions,
    signal: AbortSignal,
  ): Promise<{ tty: boolean; records: AsyncIterable<LogRecord> }>;

  /** Docker events of scope swarm (`Type`, `Action`, `Actor`, `scope`, `time`, `timeNano`) from now on. Ends with the signal. */
  events(filters: Filters, signal: AbortSignal): AsyncIterable<Record<string, unknown>>;

  /** Asks nodes how their networks are, and has them try out the ways between them. */
  doctor(options: DoctorOptions, signal: AbortSignal): Promise<DoctorReport>;
  /** Follows the way from a task or container to a service, task, container or address. */
  trace(options: TraceOptions, signal: AbortSignal): Promise<TraceReport>;
  /** Which tasks of a service its name and virtual IPs lead to, and why not to the others. */
  serviceEndpoints(ref: string): Promise<ServiceEndpoints>;

  /** A backup of the whole cluster as of one store index, sealed, in pieces that are made as they are read. */
  createBackup(secret: BackupSecret): Promise<AsyncIterable<Uint8Array>>;
}

/** Why the tasks of a service wait. */
export interface ServiceExplanation {
  ServiceID: string;
  ServiceName: string;
  Tasks: {
    ID: string;
    Slot: number;
    NodeID: string;
    State: string;
    Err: string;
    /** Every node with the first filter that refused it (`''` when it would do) and that filter's words. */
    Nodes: { ID: string; Hostname: string; Verdicts: { Filter: string; Ok: boolean; Reason: string }[] }[];
  }[];
}

/** The local node's part in a cluster, as `GET /info` shows it (`Swarm`). */
export interface LocalNodeInfo {
  NodeID: string;
  NodeAddr: string;
  LocalNodeState: 'inactive' | 'pending' | 'active' | 'error' | 'locked';
  ControlAvailable: boolean;
  Error: string;
  RemoteManagers: { NodeID: string; Addr: string }[] | null;
  Nodes?: number;
  Managers?: number;
  Cluster?: ApiObject;
  /** This manager keeps a copy of the state and has no vote: it is not `ControlAvailable`. */
  Standby?: boolean;
  /** What whoever keeps this node should know, such as a backup that failed. */
  Warnings?: string[];
}

/** Body of `POST /swarm/init`. */
export interface InitRequest {
  ListenAddr?: string;
  AdvertiseAddr?: string;
  DataPathAddr?: string;
  DataPathPort?: number;
  DefaultAddrPool?: string[] | null;
  SubnetSize?: number;
  ForceNewCluster?: boolean;
  AutoLockManagers?: boolean;
  Availability?: Node['Spec']['Availability'];
  Spec?: ClusterSpec;
}

/** Body of `POST /swarm/join`. */
export interface JoinRequest {
  ListenAddr?: string;
  AdvertiseAddr?: string;
  DataPathAddr?: string;
  RemoteAddrs: string[];
  JoinToken: string;
  Availability?: Node['Spec']['Availability'];
}

/** How a cluster is restored from a backup: query and header of `POST /swarmd/restore`. */
export interface RestoreRequest {
  Secret: BackupSecret;
  /** A new cluster with what the backup describes, instead of the same cluster. */
  AsNew?: boolean;
  /** Only says what would be done. */
  DryRun?: boolean;
  /** The backed-up manager whose place this host takes (ID, hostname or address), or `new` for none. */
  Node?: string;
  ListenAddr?: string;
  AdvertiseAddr?: string;
}

/** What a restore did, or would do. */
export interface RestoreReport {
  /** The cluster's ID afterwards. */
  ClusterID: string;
  /** This node's ID afterwards; in a dry run of what makes a new one, another. */
  NodeID: string;
  /** The store index of the backup, and when it was made (RFC 3339). */
  Index: number;
  CreatedAt: string;
  /** Objects that are restored, by table. */
  Counts: Record<string, number>;
  /** What happens, a sentence each, for people. */
  Steps: string[];
  /** What people should know or do afterwards, a sentence each. */
  Warnings: string[];
}

/** How a cluster without a quorum is recovered from this manager: body of `POST /swarmd/recover`. */
export interface RecoveryRequest {
  /** Only says what would be done. */
  DryRun?: boolean;
  /** Although another manager that answers has a log that is further. */
  AllowOlder?: boolean;
  /** Although the managers have a quorum. */
  Force?: boolean;
  ListenAddr?: string;
  AdvertiseAddr?: string;
}

/** A manager as a recovery sees it; of one that does not answer there is only what was known before. */
export interface RecoveryManager {
  NodeID: string;
  Hostname: string;
  /** `host:port`. */
  Addr: string;
  Self: boolean;
  Answers: boolean;
  /** It has no vote: what others acknowledged it may not have yet. */
  Standby?: boolean;
  /** Whether it reaches more than half of all managers. */
  HasQuorum: boolean;
  /** Of the last entry in its log, decimal; whose are higher (the term first) is further. */
  Term: string;
  Index: string;
  /** When the newest object that it knows was changed (RFC 3339); empty when it cannot tell. */
  LastChange: string;
}

/** What a recovery did, or would do. */
export interface RecoveryReport {
  NodeID: string;
  /** This manager first. */
  Managers: RecoveryManager[];
  /** What happens, a sentence each, for people. */
  Steps: string[];
  /** What may be lost, and what is to be done afterwards, a sentence each. */
  Warnings: string[];
  /** Why it is not done as it was asked for; empty when it can be. */
  Refusal: string;
}

/** Something about the cluster that somebody should know. What is only a note is as it may be. */
export interface CheckFinding {
  Level: 'error' | 'warning' | 'note';
  What: string;
  /** What is to be done about it. */
  Do: string;
}

/** How a manager is, as `GET /swarmd/check` has it. Of one that does not answer, the first four fields are all. */
export interface ManagerCheck {
  NodeID: string;
  Hostname: string;
  Addr: string;
  Answers: boolean;
  /** It keeps a copy of the state and has no vote. */
  Standby?: boolean;
  SwarmdVersion?: string;
  Protocol?: number;
  /** Ahead of the clock of the manager that was asked, in milliseconds, give or take half of {@link RoundTripMs}. */
  ClockAheadMs?: number;
  RoundTripMs?: number;
  /** Its member of etcd, when the cluster has had several managers. Sizes in bytes. */
  Etcd?: {
    Version: string;
    SizeBytes: number;
    UsedBytes: number;
    QuotaBytes: number;
    /** 99 of 100 syncs of its log took at most this long since it was started. */
    FsyncP99Ms?: number;
    Alarms: string[];
    CertificateNotAfter: string;
  };
}

/** How a node is, as `GET /swarmd/check` has it. */
export interface NodeCheck {
  NodeID: string;
  Hostname: string;
  State: string;
  EngineVersion: string;
  /** Known while the node has a session at a manager that answers. */
  SwarmdVersion?: string;
  ClockAheadMs?: number;
  CertificateNotAfter?: string;
}

/** Answer to `GET /swarmd/check`. */
export interface ClusterCheck {
  /** No finding is an error or a warning. */
  Healthy: boolean;
  Findings: CheckFinding[];
  /** `Margin`: so many more managers can be lost; negative: so many are missing for any write. */
  Quorum: { Voters: number; Healthy: number; Quorum: number; Margin: number };
  /** RFC 3339. */
  RootCertificateNotAfter: string;
  Managers: ManagerCheck[];
  Nodes: NodeCheck[];
}

/** The life of the local node's membership. Implemented by the daemon. */
export interface Membership {
  /** Creates a cluster; resolves with the node's ID once this manager serves. `failed-precondition` when already in one. */
  init(request: InitRequest): Promise<string>;
  join(request: JoinRequest): Promise<void>;
  leave(force: boolean): Promise<void>;
  /**
   * Opens a locked manager's secrets and starts it. `invalid-argument` for what is no unlock key, `unauthenticated` for a
   * wrong one, `aborted` when this node is not locked.
   */
  unlock(unlockKey: string): Promise<void>;
  /** Makes this node the one manager of a backed-up cluster; all or nothing. `file` is the backup, read once. */
  restore(request: RestoreRequest, file: AsyncIterable<Uint8Array>): Promise<RestoreReport>;
  /**
   * Makes this manager the only one, with the state that it has: for a cluster that has lost its quorum. Resolves once it
   * serves. `failed-precondition` with the report's refusal; `unavailable` where this node is no manager.
   */
  recover(request: RecoveryRequest): Promise<RecoveryReport>;
  /** Looks after the cluster's health. `unavailable` where this node is no manager. */
  check(): Promise<ClusterCheck>;
  /**
   * What of swarmd's networks is on this host, and removes it if asked to. `failed-precondition` while the node is in a
   * cluster, unless forced.
   */
  cleanup(options: CleanupOptions): Promise<CleanupReport>;
  /** Tells this node where managers of its cluster are (`host:port`): it could find none where they were. */
  findManagers(addrs: readonly string[]): Promise<void>;
  info(): LocalNodeInfo;
  /** This node's control, when it is a manager that serves. */
  control(): Control | undefined;
  /**
   * Resolves once this manager's state holds all that was acknowledged, by any manager, before the call; at once where
   * this node is no manager. Rejects with `unavailable` when that cannot be told: too few managers can be reached.
   */
  fresh(signal: AbortSignal): Promise<void>;
}
