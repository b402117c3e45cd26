import { DEFAULTS, durationMs, isTerminal, type RestartPolicy, rfc3339, type Task } from '@swarmd/model';
import type { Observed, Slot } from './observed.js';
import { isLive, isLost, mustLeave } from './observed.js';

/** What follows the end (or the eviction) of a task. */
export type RestartDecision = { restart: false } | { restart: true; startAfterMs: number | undefined };

/**
 * Whether a task that ended, or must leave its node, is replaced, and when the replacement may start.
 * History is the slot's kept tasks of the same spec version (swarmkit restart.go; the window counts on the leader's
 * clock). Nothing delays a task that is moved away from a drained, lost or removed node.
 */
export function decideRestart(task: Task, slot: Slot, observed: Observed): RestartDecision {
  const policy = observed.service.Spec.TaskTemplate?.RestartPolicy ?? undefined;
  const condition = policy?.Condition || 'any';
  if (condition === 'none') return { restart: false };
  // What completed is done, for jobs whatever the condition.
  if ((condition === 'on-failure' || isJob(observed)) && task.Status.State === 'complete') return { restart: false };
  if (isMoved(task, observed)) return { restart: true, startAfterMs: undefined };
  if (attemptsSpent(task, slot, policy)) return { restart: false };
  const delayMs = restartDelayMs(observed);
  return { restart: true, startAfterMs: delayMs === 0 ? undefined : observed.now + delayMs };
}

/**
 * Until when a task that ended is left as it is: one that failed to get ready during its own restart delay is replaced
 * only when that is over, or a missing image would be asked for without end. `undefined` when it is due.
 */
export function heldUntil(task: Task, observed: Observed): number | undefined {
  if (task.StartAfter === undefined || isMoved(task, observed)) return undefined;
  if (!isTerminal(task.Status.State) && task.RejectedAt === undefined) return undefined;
  const untilMs = delayedUntilMs(task, observed);
  return untilMs > observed.now ? untilMs : undefined;
}

/** The end of a task's restart delay; 0 when it has none. */
function delayedUntilMs(task: Task, observed: Observed): number {
  const untilMs = task.StartAfter === undefined ? 0 : Date.parse(task.StartAfter);
  // More than the whole delay can only be left when the clock was set back.
  return untilMs > observed.now + restartDelayMs(observed) ? 0 : untilMs;
}

function isMoved(task: Task, observed: Observed): boolean {
  const { State } = task.Status;
  return (!isTerminal(State) || State === 'orphaned') && mustLeave(observed.node(task.NodeID));
}

function restartDelayMs({ service }: Observed): number {
  return durationMs(service.Spec.TaskTemplate?.RestartPolicy?.Delay, DEFAULTS.restartDelayMs);
}

function isJob({ service }: Observed): boolean {
  return Boolean(service.Spec.Mode?.ReplicatedJob ?? service.Spec.Mode?.GlobalJob);
}

/** Whether the policy's attempts are used up: restarts of this slot and spec version, within the window if there is one. */
function attemptsSpent(task: Task, slot: Slot, policy: RestartPolicy | undefined): boolean {
  const maxAttempts = policy?.MaxAttempts ?? 0;
  if (maxAttempts === 0) return false;
  const windowMs = durationMs(policy?.Window, 0);
  const endedMs = Date.parse(task.RejectedAt ?? task.Status.AppliedAt ?? task.Status.Timestamp);
  // Every task of this run of one spec but the first is a restart; what the spec did before another came is forgotten.
  const otherSpec = slot.tasks.findLastIndex((other) => other.SpecVersion !== task.SpecVersion);
  const restarts = slot.tasks.slice(otherSpec + 2).filter((other) => {
    const createdMs = Date.parse(other.CreatedAt);
    if (createdMs > endedMs) return false;
    return windowMs === 0 || createdMs >= endedMs - windowMs;
  });
  return restarts.length >= maxAttempts;
}

/**
 * When a task that waits in desired state `ready` may start: `now` or earlier means at once. It waits for its restart
 * delay and for the other tasks of its slot to stop, but not for lost nodes and no longer than a minute
 * (swarmkit `DelayStart`).
 */
export function startDueMs(task: Task, slot: Slot, observed: Observed): number {
  const delayedUntil = delayedUntilMs(task, observed);
  if (!stillStopping(slot, observed)) return delayedUntil;
  return Math.max(delayedUntil, Date.parse(task.CreatedAt) + DEFAULTS.oldTaskTimeoutMs);
}

/** Whether a task of the slot that is not wanted any more may still run: what replaces it has to wait. */
export function stillStopping(slot: Slot, observed: Observed): boolean {
  if (slot.live.length === slot.tasks.length) return false;
  return slot.tasks.some((task) => !isLive(task) && holdsItsNode(task, observed));
}

/** Whether a task may run on a node: it was given one that is not lost, and has not ended. */
export function holdsItsNode(task: Task, observed: Observed): boolean {
  return task.NodeID !== '' && !isTerminal(task.Status.State) && !isLost(observed.node(task.NodeID));
}

/** RFC 3339 of a time, or nothing. */
export function startAfterOf(ms: number | undefined): { startAfter: string } | Record<string, never> {
  return ms === undefined ? {} : { startAfter: rfc3339(ms) };
}
