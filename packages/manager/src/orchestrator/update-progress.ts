import { DEFAULTS, durationMs, isTerminal, rfc3339, type Task, type UpdateConfig } from '@swarmd/model';
import { isTaskDirty, type SpecComparer, specComparer } from './dirty.js';
import type { Observed, Slot } from './observed.js';

/** Where one slot stands in an update. */
export interface SlotProgress {
  slot: Slot;
  /** Live tasks of an older make, still to be replaced. */
  dirty: readonly Task[];
  /** Live tasks of the current make. */
  clean: readonly Task[];
  /** Tasks of the current make that came into being since the update began, ended ones too; oldest first. */
  made: readonly Task[];
  /** A task of the current make has come to running, or ended without. */
  reachedAtMs: number | undefined;
  /** A task of the current make is on its way and has not yet run. */
  inFlight: boolean;
}

/** An update's rules with defaults filled in; times in milliseconds. */
export interface UpdateRules {
  parallelism: number;
  delayMs: number;
  monitorMs: number;
  maxFailureRatio: number;
  action: 'pause' | 'continue' | 'rollback';
  order: 'stop-first' | 'start-first';
}

/** Fills in Docker Swarm's defaults. `Parallelism` 0 becomes Infinity; the monitor outlasts the delay by a second. */
export function updateRules(config: UpdateConfig | null | undefined): UpdateRules {
  const parallelism = config?.Parallelism ?? DEFAULTS.updateParallelism;
  const delayMs = durationMs(config?.Delay, DEFAULTS.updateDelayMs);
  const monitorMs = durationMs(config?.Monitor, DEFAULTS.updateMonitorMs);
  return {
    parallelism: parallelism === 0 ? Number.POSITIVE_INFINITY : parallelism,
    delayMs,
    monitorMs: delayMs >= monitorMs ? delayMs + 1_000 : monitorMs,
    maxFailureRatio: config?.MaxFailureRatio ?? DEFAULTS.updateMaxFailureRatio,
    action: config?.FailureAction || 'pause',
    order: config?.Order || 'stop-first',
  };
}

/**
 * Where the slots stand that an update still has to do with: what is old, what is new, how far the new has come since
 * `startedAt` (RFC 3339). Slots whose one task is new and has run for longer than `monitoredMs` are left out: of a large
 * service that is nearly all of them, whenever it is looked at.
 */
export function slotsInProgress(
  slots: readonly Slot[],
  observed: Observed,
  startedAt: string | undefined,
  monitoredMs: number,
): SlotProgress[] {
  const compare = specComparer(observed);
  const settledBefore = startedAt === undefined ? LAST_TIME : rfc3339(observed.now - monitoredMs);
  const standing: SlotProgress[] = [];
  for (const slot of slots) {
    const { live } = slot;
    const only = live[0];
    if (only === undefined) continue;
    if (live.length === 1 && only.Status.State === 'running') {
      if (isTaskDirty(only, observed, compare)) {
        if (slot.tasks.length === 1) {
          standing.push({ slot, dirty: live, clean: NONE, made: NONE, reachedAtMs: undefined, inFlight: false });
          continue;
        }
      } else if ((only.Status.RunningAt ?? '') < settledBefore) continue;
    }
    standing.push(slotProgress(slot, observed, compare, startedAt));
  }
  return standing;
}

const NONE: readonly Task[] = [];
/** Later than every time in RFC 3339. */
const LAST_TIME = '~';

function slotProgress(
  slot: Slot,
  observed: Observed,
  compare: SpecComparer,
  startedAt: string | undefined,
): SlotProgress {
  const dirty: Task[] = [];
  const clean: Task[] = [];
  for (const task of slot.live) (isTaskDirty(task, observed, compare) ? dirty : clean).push(task);
  let reachedAtMs: number | undefined;
  const made = startedAt === undefined ? NONE : madeSince(slot, observed, startedAt);
  for (const task of made) {
    const at = reachedAt(task);
    if (at !== undefined && (reachedAtMs === undefined || at < reachedAtMs)) reachedAtMs = at;
  }
  // Replicas that came into being while the update was under way take no place in it.
  const updated = slot.tasks.some((task) => task.SpecVersion !== observed.service.SpecVersion);
  const inFlight = updated && reachedAtMs === undefined && clean.some(isOnItsWay);
  return { slot, dirty, clean, made, reachedAtMs, inFlight };
}

/** Tasks of the current spec version that were made since the update began. */
function madeSince(slot: Slot, observed: Observed, startedAt: string): Task[] {
  return slot.tasks.filter((task) => isMadeSince(task, observed, startedAt));
}

function isMadeSince(task: Task, { service }: Observed, startedAt: string): boolean {
  return task.SpecVersion === service.SpecVersion && task.CreatedAt >= startedAt;
}

function isOnItsWay(task: Task): boolean {
  return task.Status.State !== 'running' && !isTerminal(task.Status.State);
}

function reachedAt(task: Task): number | undefined {
  if (task.Status.RunningAt !== undefined) return Date.parse(task.Status.RunningAt);
  return endedByItself(task) ? endedAtMs(task) : undefined;
}

/**
 * Of each slot that failed the update the newest task that did: it ended by itself before it ever ran or within the
 * monitoring time (swarmkit updater.go). A slot fails once, however often its new task is tried again.
 */
export function failedTasks(slots: readonly Slot[], observed: Observed, startedAt: string, monitorMs: number): Task[] {
  const failed: Task[] = [];
  for (const slot of slots) {
    const culprit = slot.tasks.findLast(
      (task) => failedEarly(task, monitorMs) && isMadeSince(task, observed, startedAt),
    );
    if (culprit !== undefined) failed.push(culprit);
  }
  return failed.sort((a, b) => endedAtMs(a) - endedAtMs(b));
}

function failedEarly(task: Task, monitorMs: number): boolean {
  if (!endedByItself(task)) return false;
  const ranMs = task.Status.RunningAt === undefined ? undefined : Date.parse(task.Status.RunningAt);
  return ranMs === undefined || endedAtMs(task) - ranMs <= monitorMs;
}

/** Rather than that it was stopped, or its node was removed: what comes of its spec, its successor will show. */
function endedByItself({ Status: { State } }: Task): boolean {
  return isTerminal(State) && State !== 'shutdown' && State !== 'orphaned';
}

function endedAtMs(task: Task): number {
  return Date.parse(task.Status.AppliedAt ?? task.Status.Timestamp);
}
