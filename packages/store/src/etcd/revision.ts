import { setImmediate as turn } from 'node:timers/promises';
import { type Event, EventType, type KeyValue } from '@swarmd/etcd';
import type { LogEvent, LogOperation } from '@swarmd/model';
import { sameLogState } from '../records/digest.js';
import { decodeRecord, parseRecordKey } from '../records/record.js';
import { damaged } from './layout.js';
import type { LogContext } from './log-context.js';
import type { LogPosition, PendingEntry } from './log-position.js';
import { readPending } from './read-pending.js';
import { type Fence, openState, parseFence, type SharedState } from './state-record.js';

/** Records decoded before other work gets a turn: some milliseconds. */
const RECORDS_PER_TURN = 500;

/** What one revision of etcd means for the log. */
export interface Revision {
  revision: number;
  /** There when the revision only gave records other seals: the state that it found, sealed anew. */
  resealed: SharedState | undefined;
  /** There when the revision is a transaction of the log. */
  entry: { state: SharedState; operations: LogOperation[]; versions: number[] } | undefined;
  /** There when the leader changed: to another or, `fence` undefined, to none. */
  leader: { fence: Fence | undefined } | undefined;
  /** There when an entry became pending or stopped being so. */
  pending: { entry: PendingEntry | undefined } | undefined;
}

/** The events of a watch by revision, in order: etcd never spreads a revision over several answers. */
export function byRevision(events: readonly Event[]): Map<number, KeyEvent[]> {
  const revisions = new Map<number, KeyEvent[]>();
  for (const { type, kv } of events) {
    if (kv === undefined) continue;
    const event = { key: kv.key.toString(), kv: type === EventType.DELETE ? undefined : kv };
    const known = revisions.get(kv.modRevision);
    if (known === undefined) revisions.set(kv.modRevision, [event]);
    else known.push(event);
  }
  return revisions;
}

/** A key, and what it was set to; `undefined`: deleted. */
export interface KeyEvent {
  key: string;
  kv: KeyValue | undefined;
}

/** Reads one revision; keeps count of the parts in `parts`. Rejects with `damaged`. */
export async function readRevision(
  context: LogContext,
  parts: Map<string, Buffer>,
  revision: number,
  events: readonly KeyEvent[],
): Promise<Revision> {
  const { layout, cipher } = context;
  const result: Revision = { revision, resealed: undefined, entry: undefined, leader: undefined, pending: undefined };
  const objects = new Map<string, Buffer | undefined>();
  let state: SharedState | undefined;
  for (const { key, kv } of events) {
    if (key === layout.leader) result.leader = { fence: parseFence(layout, kv) };
    else if (key === layout.state && kv !== undefined) state = openState(layout, cipher, kv.value);
    else if (key === layout.state) throw damaged(layout, 'the record of its state was deleted');
    else if (key === layout.pending)
      result.pending = { entry: kv === undefined ? undefined : readPending(context, kv, parts) };
    else if (key.startsWith(layout.objects)) objects.set(key.slice(layout.objects.length), kv?.value);
    else if (key.startsWith(layout.parts) && kv !== undefined) parts.set(key, kv.value);
    else if (key.startsWith(layout.parts)) parts.delete(key);
  }
  // Without a new state, objects only got the values that a pending entry gave them before.
  if (state === undefined) return result;
  if (state.resealed) return { ...result, resealed: state };
  result.entry = { state, operations: [], versions: [] };
  await decodeAll(context, result.pending?.entry?.records ?? objects, result.entry);
  return result;
}

async function decodeAll(
  { layout, cipher }: LogContext,
  records: ReadonlyMap<string, Buffer | undefined>,
  { operations, versions }: { operations: LogOperation[]; versions: number[] },
): Promise<void> {
  for (const [key, sealed] of records) {
    if (sealed === undefined) {
      const parsed = parseRecordKey(key);
      if (parsed === undefined) throw damaged(layout, 'a record of no known table was deleted');
      operations.push({ table: parsed.table, key: parsed.id, value: undefined });
      versions.push(0);
    } else {
      const record = decodeRecord(cipher, key, sealed, (finding) => damaged(layout, finding));
      operations.push({ table: record.table, key: record.id, value: record.value });
      versions.push(record.version);
    }
    if (operations.length % RECORDS_PER_TURN === 0) await turn();
  }
}

/**
 * Moves the position on by a revision that it does not know yet; what this process wrote itself it knows. Returns what
 * followers are told. Throws `damaged` when the objects are not those that the state speaks of.
 */
export function applyRevision(context: LogContext, position: LogPosition, read: Revision): LogEvent[] {
  const { revision, resealed, entry, leader, pending } = read;
  const told: LogEvent[] = [];
  const news = revision > position.revision;
  if (news && pending !== undefined) position.pending = pending.entry;
  if (news && resealed !== undefined) {
    if (!sameLogState(resealed, position.state))
      throw damaged(context.layout, `it was sealed anew, and is not what index ${position.state.index} left`);
    Object.assign(position, { state: resealed, stateRevision: revision });
  }
  if (entry !== undefined) {
    const { state, operations } = entry;
    if (news) applyEntry(context, position, entry);
    if (news) position.stateRevision = revision;
    told.push({ kind: 'entry', entry: { index: state.index, operations }, term: state.term });
  }
  if (leader !== undefined) {
    position.leader = leader.fence;
    told.push({ kind: 'leader', leader: leaderOf(leader.fence) });
  }
  position.revision = Math.max(position.revision, revision);
  return told;
}

function applyEntry({ layout }: LogContext, position: LogPosition, entry: NonNullable<Revision['entry']>): void {
  let { digest } = position.state;
  entry.operations.forEach(({ table, key: id, value }, i) => {
    const versions = position.versions[table];
    const [key, before] = [`${table}/${id}`, versions.get(id)];
    if (before !== undefined) digest = digest.without(key, before);
    if (value === undefined) {
      versions.delete(id);
      return;
    }
    const version = entry.versions[i] ?? 0;
    versions.set(id, version);
    digest = digest.with(key, version);
  });
  const { state } = entry;
  if (digest.count !== state.digest.count || digest.sum !== state.digest.sum)
    throw damaged(layout, `index ${state.index} does not follow from the index ${position.state.index} before it`);
  position.state = state;
}

/** The leader as others are told of it. */
export function leaderOf(fence: Fence | undefined): { nodeId: string; addr: string; term: number } | undefined {
  return fence === undefined ? undefined : { nodeId: fence.nodeId, addr: fence.addr, term: fence.term };
}
