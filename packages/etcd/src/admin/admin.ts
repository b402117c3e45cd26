/** A member as etcd's member list has it. IDs of members are hexadecimal, as etcd shows them. */
export interface EtcdClusterMember {
  id: string;
  /** The node ID; empty until the member has started for the first time. */
  name: string;
  peerUrls: readonly string[];
  isLearner: boolean;
}

/** How the member that was asked is doing. Sizes in bytes. */
export interface EtcdStatus {
  memberId: string;
  version: string;
  /** The member that leads Raft; `undefined`: none that this one knows of. */
  leaderId: string | undefined;
  isLearner: boolean;
  raftTerm: number;
  raftIndex: number;
  raftAppliedIndex: number;
  /** The store's revision as this member has it. */
  revision: number;
  /** The database file, and what of it is in use: the difference is given back by a defragmentation. */
  dbSizeBytes: number;
  dbSizeInUseBytes: number;
}

/** An alarm that a member has raised. While there is a `nospace`, nobody can write. */
export interface EtcdAlarm {
  memberId: string;
  kind: 'nospace' | 'corrupt';
}

/** A lock that ends by itself after `ttlMs`, should its holder be gone; `nowMs` is wall time. */
export interface EtcdLock {
  key: string;
  nowMs: number;
  ttlMs: number;
}

/** A transaction that writes nothing, for probing: it has a comparison that fails, `compares` times, before a value. */
export interface EtcdProbe {
  compares: number;
  /** Bytes of the value that is not written. */
  valueBytes: number;
}

/**
 * What is done to an etcd cluster besides reading and writing keys, through the client port of one member. All reject
 * with a `SwarmdError` whose message is etcd's own; {@link etcdErrorKind} reads it.
 */
export interface EtcdAdmin {
  status(signal: AbortSignal): Promise<EtcdStatus>;
  memberList(signal: AbortSignal): Promise<EtcdClusterMember[]>;
  memberAdd(peerUrl: string, isLearner: boolean, signal: AbortSignal): Promise<EtcdClusterMember>;
  memberPromote(id: string, signal: AbortSignal): Promise<void>;
  memberRemove(id: string, signal: AbortSignal): Promise<void>;
  memberUpdate(id: string, peerUrl: string, signal: AbortSignal): Promise<void>;
  /** Only through the leader's own client port. */
  moveLeader(targetId: string, signal: AbortSignal): Promise<void>;
  /** Forgets what was before `revision`; with `isPhysical` resolves when the space is free for reuse. */
  compact(revision: number, isPhysical: boolean, signal: AbortSignal): Promise<void>;
  /** Gives the space that is not in use back to the disk. The member answers nothing meanwhile. */
  defragment(signal: AbortSignal): Promise<void>;
  alarms(signal: AbortSignal): Promise<EtcdAlarm[]>;
  disarm(alarm: EtcdAlarm, signal: AbortSignal): Promise<void>;
  /** Takes a lock; `undefined`: somebody has it. The result gives it back. */
  tryLock(lock: EtcdLock, signal: AbortSignal): Promise<((signal: AbortSignal) => Promise<void>) | undefined>;
  /** Sends a transaction that writes nothing, to see whether etcd takes it. */
  probe(probe: EtcdProbe, signal: AbortSignal): Promise<void>;
  /** Ends the connection, with all calls on it. */
  close(): void;
}
