import type { EtcdAlarm, EtcdStatus } from '../admin/admin.js';

/** A revision and when it was the newest, in monotonic milliseconds. */
export interface RevisionSample {
  atMs: number;
  revision: number;
}

/** What one round of maintenance is decided from. */
export interface MaintenanceView {
  /** Monotonic milliseconds. */
  nowMs: number;
  status: Pick<EtcdStatus, 'memberId' | 'leaderId' | 'revision' | 'dbSizeBytes' | 'dbSizeInUseBytes'>;
  /** The limit of the database's size. */
  quotaBytes: number;
  alarms: readonly EtcdAlarm[];
  memberIds: readonly string[];
  /** Whether this host does what one host does for all: compaction, and the alarms of members that cannot. */
  isLeader: boolean;
  /** Samples of earlier rounds, oldest first. */
  samples: readonly RevisionSample[];
  /** What was asked to be compacted up to; 0 when unknown. */
  compacted: number;
  /** When this member was last defragmented. */
  defragmentedAtMs: number | undefined;
  /** Since when, as seen from here, a `nospace` alarm has been up. */
  nospaceSinceMs: number | undefined;
}

/** How much room the database has left. */
export type SpaceState = 'ample' | 'tight' | 'full';

/** What one round does, in this order. */
export interface MaintenancePlan {
  compact: { revision: number; isPhysical: boolean } | undefined;
  /** Of this host's member. `needsLock`: one member at a time, which cannot be agreed on while nobody can write. */
  defragment: { needsLock: boolean; reason: string } | undefined;
  /** Alarms to take back, once the above is done and there is room. */
  disarm: readonly EtcdAlarm[];
  space: SpaceState;
  /** Members whose data differs from that of the others. */
  corrupt: readonly string[];
}

/** Followers that come back after an interruption go on from their revision: so much history is kept for them. */
export const KEEP_REVISIONS = 10_000;
export const KEEP_MS = 300_000;
/** With large transactions even that is too much. */
const KEEP_WHEN_TIGHT = 1_000;
/** Compacting for less is not worth a write. */
const COMPACT_AT_LEAST = 1_000;

const MIB = 1024 * 1024;
/** From this share of the quota on, history is cut short, and a smaller gain is worth a defragmentation. */
const SHORT_OF_SPACE = 0.6;
/** From this share on people are told. */
const TIGHT = 0.8;
/** Below this share of the quota writing can go on. */
const ROOM = 0.95;
/** A defragmentation stops the member, and on Raft's leader every write: it must give back this much … */
const WORTH_BYTES = 100 * MIB;
const WORTH_BYTES_ON_LEADER = 512 * MIB;
/** … and this share of the file. */
const WORTH_SHARE = 0.5;
const WORTH_SHARE_WHEN_SHORT = 0.1;
const DEFRAGMENT_EVERY_MS = 600_000;
/** After this long without room made by a member itself, its alarm is taken back for it: it may be down. */
const ALARM_PATIENCE_MS = 60_000;

/** What to do about history, space and alarms now. Pure. */
export function planMaintenance(view: MaintenanceView): MaintenancePlan {
  const isFull = view.alarms.some(({ kind }) => kind === 'nospace');
  const defragment = defragmentation(view, isFull);
  return {
    compact: view.isLeader ? compaction(view, isFull) : undefined,
    defragment,
    disarm: isFull ? disarming(view, defragment !== undefined) : [],
    space: isFull ? 'full' : share(view) >= TIGHT ? 'tight' : 'ample',
    corrupt: view.alarms.filter(({ kind }) => kind === 'corrupt').map(({ memberId }) => memberId),
  };
}

function share({ status, quotaBytes }: MaintenanceView): number {
  return status.dbSizeBytes / quotaBytes;
}

function compaction(view: MaintenanceView, isFull: boolean): MaintenancePlan['compact'] {
  const { revision } = view.status;
  if (isFull) return revision > view.compacted ? { revision, isPhysical: true } : undefined;
  const isShort = share(view) >= SHORT_OF_SPACE;
  const byCount = revision - (isShort ? KEEP_WHEN_TIGHT : KEEP_REVISIONS);
  const old = view.samples.findLast(({ atMs }) => atMs <= view.nowMs - KEEP_MS)?.revision ?? 0;
  const target = isShort || byCount < old ? byCount : old;
  return target - view.compacted >= COMPACT_AT_LEAST ? { revision: target, isPhysical: false } : undefined;
}

function defragmentation(view: MaintenanceView, isFull: boolean): MaintenancePlan['defragment'] {
  const { dbSizeBytes, dbSizeInUseBytes, memberId, leaderId } = view.status;
  const wasteBytes = dbSizeBytes - dbSizeInUseBytes;
  const reason = `${wasteBytes} of ${dbSizeBytes} bytes are not in use`;
  if (isFull) {
    const isOwn = view.alarms.some((alarm) => alarm.kind === 'nospace' && alarm.memberId === memberId);
    // The compaction of this round may free what is in use now; the next round sees.
    const helps = isOwn || wasteBytes >= dbSizeBytes * WORTH_SHARE_WHEN_SHORT;
    return helps && !isRecent(view, ALARM_PATIENCE_MS) ? { needsLock: false, reason } : undefined;
  }
  if (isRecent(view, DEFRAGMENT_EVERY_MS)) return undefined;
  if (share(view) >= SHORT_OF_SPACE && wasteBytes >= dbSizeBytes * WORTH_SHARE_WHEN_SHORT) {
    return { needsLock: true, reason };
  }
  const worthBytes = memberId === leaderId ? WORTH_BYTES_ON_LEADER : WORTH_BYTES;
  const isWorth = wasteBytes >= worthBytes && wasteBytes >= dbSizeBytes * WORTH_SHARE;
  return isWorth ? { needsLock: true, reason } : undefined;
}

function isRecent({ nowMs, defragmentedAtMs }: MaintenanceView, withinMs: number): boolean {
  return defragmentedAtMs !== undefined && nowMs - defragmentedAtMs < withinMs;
}

/** The own alarm; for all others' the leader waits until they had time to make room themselves. */
function disarming(view: MaintenanceView, willDefragment: boolean): EtcdAlarm[] {
  const { memberId } = view.status;
  const isLate = view.nospaceSinceMs !== undefined && view.nowMs - view.nospaceSinceMs >= ALARM_PATIENCE_MS;
  return view.alarms.filter((alarm) => {
    if (alarm.kind !== 'nospace') return false;
    if (alarm.memberId === memberId) return willDefragment || hasRoom(view.status, view.quotaBytes);
    return view.isLeader && (isLate || !view.memberIds.includes(alarm.memberId));
  });
}

/** Whether a member of this size can take writes. */
export function hasRoom({ dbSizeBytes }: Pick<EtcdStatus, 'dbSizeBytes'>, quotaBytes: number): boolean {
  return dbSizeBytes < quotaBytes * ROOM;
}
