import { perTable } from '../engine/table.js';
import type { RecordVersions } from '../records/batch.js';
import { RecordDigest } from '../records/digest.js';
import type { Fence, SharedState } from './state-record.js';

/** Sealed records by record key, `undefined` for deleted ones. */
export type SealedRecords = ReadonlyMap<string, Buffer | undefined>;

/** An entry that is durable in parts and not yet copied to the objects. */
export interface PendingEntry {
  /** The mod_revision of the key that says so. */
  revision: number;
  records: SealedRecords;
}

/** How far this process knows the log: by replay, by following, or because it wrote that itself. */
export interface LogPosition {
  /** Everything up to this revision of etcd is known. */
  revision: number;
  state: SharedState;
  /** The mod_revision of the state; 0 when there is none yet. */
  stateRevision: number;
  versions: RecordVersions;
  leader: Fence | undefined;
  pending: PendingEntry | undefined;
  /** What there is of parts, by key: complete for an entry by the time that it is pending. */
  parts: Map<string, Buffer>;
}

/** The position before everything. */
export function startPosition(): LogPosition {
  return {
    revision: 0,
    state: { index: 0, digest: new RecordDigest(), term: 0 },
    stateRevision: 0,
    versions: perTable(() => new Map<string, number>()),
    leader: undefined,
    pending: undefined,
    parts: new Map(),
  };
}
