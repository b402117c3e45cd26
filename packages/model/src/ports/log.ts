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
 * Where the store's transactions are made durable. Implementations: memory, level (etcd later).
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
