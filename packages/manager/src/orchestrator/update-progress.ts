import { DEFAULTS, durationMs, isTerminal, type Task, type UpdateConfig } from '@swarmd/model';
import { isTaskDirty, type SpecComparer } from './dirty.js';
import type { Observed, Slot } from './observed.js';

/** Where one slot stands in an update. */
export interface SlotProgress {
  slot: Slot;
  /** Live tasks of an older make, still to be replaced. */
  dirty: Task[];
  /** Live tasks of the current make. */
  clean: Task[];
  /** Tasks of the current make that came into being since the update began, ended ones too; oldest first. */
  made: Task[];
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

/** Looks at one slot: what is old, what is new, how far the new has come since `startedAt` (RFC 3339). */
export function slotProgress(
  slot: Slot,
  observed: Observed,
  compare: SpecComparer,
  startedAt: string | undefined,
): SlotProgress {
  const dirty: Task[] = [];
  const clean: Task[] = [];
  for (const task of slot.live) (isTaskDirty(task, observed, compare) ? dirty : clean).push(task);
  let reachedAtMs: number | undefined;
  const made = startedAt === undefined ? [] : madeSince(slot, observed, startedAt);
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
  const version = observed.service.SpecVersion;
  return slot.tasks.filter((task) => task.SpecVersion === version && task.CreatedAt >= startedAt);
}

function isOnItsWay(task: Task): boolean {
  return task.Status.State !== 'running' && !isTerminal(task.Status.State);
}

function reachedAt(task: Task): number | undefined {
  if (task.Status.RunningAt !== undefined) return Date.parse(task.Status.RunningAt);
  if (isOnItsWay(task)) return undefined;
  return endedAtMs(task);
}

/**
 * Of each slot that failed the update the newest task that did: it ended by itself before it ever ran or within the
 * monitoring time (swarmkit updater.go). A slot fails once, however often its new task is tried again.
 */
export function failedTasks(slots: readonly Slot[], observed: Observed, startedAt: string, monitorMs: number): Task[] {
  const failed: Task[] = [];
  for (const slot of slots) {
    const culprit = madeSince(slot, observed, startedAt).findLast((task) => failedEarly(task, monitorMs));
    if (culprit !== undefined) failed.push(culprit);
  }
  return failed.sort((a, b) => endedAtMs(a) - endedAtMs(b));
}

function failedEarly(task: Task, monitorMs: number): boolean {
  if (!isTerminal(task.Status.State) || task.Status.State === 'shutdown') return false;
  const ranMs = task.Status.RunningAt === undefined ? undefined : Date.parse(task.Status.RunningAt);
  return ranMs === undefined || endedAtMs(task) - ranMs <= monitorMs;
}

function endedAtMs(task: Task): number {
  return Date.parse(task.Status.AppliedAt ?? task.Status.Timestamp);
}
