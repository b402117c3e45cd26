import { DEFAULTS, durationMs, isTerminal, type RestartPolicy, rfc3339, type Task } from '@swarmd/model';
import type { Observed, Slot } from './observed.js';
import { isLost, mustLeave } from './observed.js';

/** What follows the end (or the eviction) of a task. */
export type RestartDecision = { restart: false } | { restart: true; startAfterMs: number | undefined };

/**
 * Whether a task that ended, or must leave its node, is replaced, and when the replacement may start.
 * History is the slot's kept tasks of the same spec version (swarmkit restart.go; the window counts on the leader's
 * clock). Nothing delays a task that is moved away from a drained or lost node.
 */
export function decideRestart(task: Task, slot: Slot, observed: Observed): RestartDecision {
  const policy = observed.service.Spec.TaskTemplate?.RestartPolicy ?? undefined;
  const condition = policy?.Condition || 'any';
  if (condition === 'none') return { restart: false };
  // What completed is done, for jobs whatever the condition.
  if ((condition === 'on-failure' || isJob(observed)) && task.Status.State === 'complete') return { restart: false };
  const moved = !isTerminal(task.Status.State) && mustLeave(observed.node(task.NodeID));
  if (!moved && attemptsSpent(task, slot, policy)) return { restart: false };
  if (moved) return { restart: true, startAfterMs: undefined };
  const delayMs = durationMs(policy?.Delay, DEFAULTS.restartDelayMs);
  return { restart: true, startAfterMs: delayMs === 0 ? undefined : observed.now + delayMs };
}

function isJob({ service }: Observed): boolean {
  return Boolean(service.Spec.Mode?.ReplicatedJob ?? service.Spec.Mode?.GlobalJob);
}

/** Whether the policy's attempts are used up: restarts of this slot and spec version, within the window if there is one. */
function attemptsSpent(task: Task, slot: Slot, policy: RestartPolicy | undefined): boolean {
  const maxAttempts = policy?.MaxAttempts ?? 0;
  if (maxAttempts === 0) return false;
  const windowMs = durationMs(policy?.Window, 0);
  const endedMs = Date.parse(task.Status.AppliedAt ?? task.Status.Timestamp);
  const sameSpec = slot.tasks.filter((other) => other.SpecVersion === task.SpecVersion);
  // Every task of this spec but the first is a restart.
  const restarts = sameSpec.slice(1).filter((other) => {
    const createdMs = Date.parse(other.CreatedAt);
    if (createdMs > endedMs) return false;
    return windowMs === 0 || createdMs >= endedMs - windowMs;
  });
  return restarts.length >= maxAttempts;
}

/**
 * When a task that waits in desired state `ready` may start: `now` or earlier means at once. It waits for its restart
 * delay and for the older tasks of its slot to stop, but not for lost nodes and no longer than a minute
 * (swarmkit `DelayStart`).
 */
export function startDueMs(task: Task, slot: Slot, observed: Observed): number {
  const delayedUntil = task.StartAfter === undefined ? 0 : Date.parse(task.StartAfter);
  const waitsForOld = slot.tasks.some(
    (other) =>
      other !== task &&
      other.CreatedAt <= task.CreatedAt &&
      !slot.live.includes(other) &&
      other.NodeID !== '' &&
      !isTerminal(other.Status.State) &&
      !isLost(observed.node(other.NodeID)),
  );
  if (!waitsForOld) return delayedUntil;
  return Math.max(delayedUntil, Date.parse(task.CreatedAt) + DEFAULTS.oldTaskTimeoutMs);
}

/** RFC 3339 of a time, or nothing. */
export function startAfterOf(ms: number | undefined): { startAfter: string } | Record<string, never> {
  return ms === undefined ? {} : { startAfter: rfc3339(ms) };
}
