import type { AnyObject, TableName } from '../tables.js';

/** One operation of a transaction: the object now under `key` in `table`, or `undefined` when it was deleted. */
export interface LogOperation {
  table: TableName;
  key: string;
  value: AnyObject | undefined;
}

/** One transaction as the log keeps it. Indexes grow, with gaps; without operations it only raises the index. */
export interface LogEntry {
  index: number;
  operations: readonly LogOperation[];
}

/**
 * Where the store's transactions are made durable. Implementations: memory, level; etcd is a {@link SharedLog}.
 * Every implementation passes the one conformance suite in `packages/store/test/conformance.ts`.
 */
export interface Log {
  /**
   * Calls `onObject` once for each object that the log holds and resolves with the last durable index.
   * Rejects with code `damaged`, saying what is damaged and what to do, when anything is missing or altered.
   */
  replay(onObject: (table: TableName, key: string, value: AnyObject) => void): Promise<{ index: number }>;
  /**
   * Makes entries durable, all or none of each and in order; resolves once they are synced to disk.
   * A rejection means that nothing later may be written: the store stops accepting writes.
   */
  append(entries: readonly LogEntry[]): Promise<void>;
  /** Releases files and locks. Pending appends finish first. */
  close(): Promise<void>;
}

/** A log whose values can be sealed with another data key while it is in use. */
export interface ResealableLog extends Log {
  /**
   * Seals everything that the log holds with the key that its cipher seals with at the time of the call; appends go on
   * meanwhile. Resolves once nothing needs any other key any more, durably. What it has done stays when it rejects: with
   * the signal's reason, or because the log failed.
   */
  reseal(signal: AbortSignal): Promise<void>;
}

/** A shared log whose leader can seal it anew; `reseal` rejects with `not-leader` elsewhere. */
export type ResealableSharedLog = SharedLog & ResealableLog;

/** The manager that alone may write a shared log, as its fence key says. */
export interface Leader {
  nodeId: string;
  /** Where other managers reach it: `host:port`. */
  addr: string;
  /** Grows with every claim: a leader of an earlier term can write nothing any more. */
  term: number;
}

/** What a manager that follows a shared log is told, in the order in which it happened. */
export type LogEvent =
  /** A transaction, or several of one append as one; `term` is that of the leader who wrote it. */
  | { kind: 'entry'; entry: LogEntry; term: number }
  /** Another leader, or none: whoever wrote before can write no more. */
  | { kind: 'leader'; leader: Leader | undefined }
  /** The log can no longer tell what came next: everything must be replayed. Nothing follows. */
  | { kind: 'lost'; reason: string };

/**
 * A log that several managers open at once; one of them writes (the leader), the others follow.
 *
 * `append` is fenced: it rejects with `not-leader` when the writer surely wrote nothing because it no longer leads, and
 * with `unavailable` when nobody can tell; {@link follow} then tells, by the entries of the writer's own term.
 */
export interface SharedLog extends Log {
  /** The leader as of the last replay or the last event of {@link follow}. */
  readonly leader: Leader | undefined;
  /** The most that one object's JSON may take, in bytes; without it there is no limit. An append of more rejects. */
  readonly largestObject?: number;
  /**
   * Calls `onEvent` for everything after the replay, or after the last acknowledged append of this process, whichever is
   * later. Survives interruptions of the connection. One follower at a time; the returned function ends it, and so does a
   * replay.
   */
  follow(onEvent: (event: LogEvent) => void): () => void;
  /**
   * Becomes the leader in place of the one with term `over` (`undefined`: of none), compare-and-set. Resolves with the new
   * leader, or `undefined` when somebody was faster. The claimant may write once {@link follow} has told it of its term.
   * Rejects with `unavailable` without a quorum.
   */
  claim(
    self: Pick<Leader, 'nodeId' | 'addr'>,
    over: number | undefined,
    signal: AbortSignal,
  ): Promise<Leader | undefined>;
  /** Gives leadership up, if `term` still has it, so that others need not wait for silence. */
  resign(term: number, signal: AbortSignal): Promise<void>;
  /**
   * One linearizable read: the index that the log had at some time after the call, and the term of its leader then. Calls
   * made while one is under way share the next. Rejects with `unavailable` without a quorum.
   */
  barrier(signal: AbortSignal): Promise<{ index: number; term: number | undefined }>;
}
