import type { AnyObject, Commit, IndexName, TableName, TableTypes } from '../tables.js';
import type { Leader, SharedLog } from './log.js';

/** How far ahead `Store.advance` goes at once: more transactions than a cluster makes in decades. */
export const MAX_INDEX_JUMP = 2 ** 40;
/** How high `Store.advance` goes at all: half of the 48 bits that logs keep of an index, so that it never runs out. */
export const MAX_ADVANCED_INDEX = 2 ** 47;

/** Synchronous reads of one consistent state. Objects are shared and must not be changed. */
export interface ReadView {
  get<T extends TableName>(table: T, id: string): TableTypes[T] | undefined;
  /** Every object of a table, in no particular order. */
  all<T extends TableName>(table: T): Iterable<TableTypes[T]>;
  count(table: TableName): number;
  /** Objects whose key in a secondary index equals `key` (see `TABLE_INDEXES`). */
  find<T extends TableName>(table: T, index: IndexName<T>, key: string): Iterable<TableTypes[T]>;
}

/** A transaction: reads see its own writes. Nothing is visible outside before the log has made it durable. */
export interface WriteTx extends ReadView {
  /** The store index that this transaction will have. */
  readonly index: number;
  /** Time of the transaction, RFC 3339: one reading for all its writes. */
  readonly now: string;
  /**
   * Adds an object; `Version`, `CreatedAt` and `UpdatedAt` are stamped by the store. Returns what was stored.
   * Throws `already-exists` when the ID is taken.
   */
  create<T extends TableName>(table: T, object: NewObject<TableTypes[T]>): TableTypes[T];
  /**
   * Replaces an object. `UpdatedAt` is stamped. For tables whose objects have a `Spec` (all but task), `Version.Index`
   * moves only when `Spec` is another reference than before; for tasks it always moves. Throws `not-found` when absent.
   */
  put<T extends TableName>(table: T, object: TableTypes[T]): TableTypes[T];
  /** Removes an object; false when there was none. */
  delete(table: TableName, id: string): boolean;
}

/** An object without the fields that the store stamps. */
export type NewObject<O extends AnyObject> = Omit<O, 'Version' | 'CreatedAt' | 'UpdatedAt'>;

/**
 * The replicated state of the cluster. The store is the only shared state; see the design.
 *
 * Reads and watches show only what is durable. Transactions run one after another, each on the state left by the one
 * before (durable or not), and are made durable in groups. When the log fails, pending and later updates reject with
 * `unavailable` and the store stays as it was last durable.
 */
export interface Store {
  /** The durable state. Valid for the synchronous turn only: take it again after each `await`. */
  readonly view: ReadView;
  /** Index of the last durable transaction. */
  readonly index: number;
  /**
   * Runs `fn` synchronously in a transaction. Resolves with its result once durable and published to watchers.
   * When `fn` throws, nothing is written and the promise rejects with what it threw, once what it may have seen is
   * durable. A transaction that writes nothing takes no index.
   */
  update<R>(fn: (tx: WriteTx) => R): Promise<R>;
  /**
   * Calls `onCommit` for each later durable transaction, in order, synchronously. Taking `view` and calling `watch` in
   * the same turn leaves no gap. Returns the function that ends the watch. A watcher that throws is logged, not fatal.
   */
  watch(onCommit: (commit: Commit) => void): () => void;
  /** Resolves once the durable index is at least `index`; rejects when the signal fires. */
  waitFor(index: number, signal: AbortSignal): Promise<void>;
  /**
   * Raises the store's index to at least `index`, durably and after all pending transactions: later transactions get
   * higher ones, also when the store is opened again. Nothing else changes and watchers are not told. Resolves once the
   * durable index is at least `index`. Only the store's one writer may ask for it. Throws `invalid-argument` for an index
   * that no history of this cluster can have reached: more than {@link MAX_INDEX_JUMP} ahead, or beyond
   * {@link MAX_ADVANCED_INDEX}.
   */
  advance(index: number): Promise<void>;
  /** Waits for pending transactions, then closes the log. */
  close(): Promise<void>;
}

/**
 * The store of one of several managers. Only the one that leads can `update` and `advance`; elsewhere both reject with
 * `not-leader`, and the view follows what the leader writes.
 */
export interface SharedStore extends Store {
  /** Who leads, as far as this manager knows. */
  readonly leader: Leader | undefined;
  /** Whether this manager leads and may write. */
  readonly leads: boolean;
  /** Calls `listener` after each change of {@link leader} or {@link leads}; the returned function ends that. */
  onLeadership(listener: () => void): () => void;
  /**
   * Tries to lead in place of the present leader. Resolves with whether this manager leads now, everything that earlier
   * leaders wrote applied. Rejects with `unavailable` without a quorum.
   */
  claim(self: Pick<Leader, 'nodeId' | 'addr'>, signal: AbortSignal): Promise<boolean>;
  /** Makes what is pending durable, then gives leadership up. Does nothing where this manager does not lead. */
  resign(signal: AbortSignal): Promise<void>;
  /**
   * Resolves once the view holds everything that was acknowledged, by whichever manager, before the call. Rejects with
   * `unavailable` without a quorum, or with the signal's reason.
   */
  fresh(signal: AbortSignal): Promise<void>;
  /**
   * Goes on with another log: lets what is pending become durable, has `copy` bring the new log to the present state while
   * nothing is written, and writes there from then on. `copy` is given the present index, and tells the index that it
   * reached (at least that one) and this manager's claim on the new log. When it rejects, the old log goes on. The caller
   * closes the log that is left behind.
   */
  moveTo(next: SharedLog, copy: (index: number) => Promise<{ index: number; leader: Leader }>): Promise<void>;
}
