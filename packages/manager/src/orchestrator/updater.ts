import { isTerminal, rfc3339, type UpdateStatus } from '@swarmd/model';
import { type Action, earlier, type Plan } from './actions.js';
import { specComparer } from './dirty.js';
import type { Observed, Slot } from './observed.js';
import { isLost } from './observed.js';
import { decideRestart, startAfterOf } from './restart.js';
import { failedTasks, type SlotProgress, slotProgress, type UpdateRules, updateRules } from './update-progress.js';

/** Where the replacement of a slot's task goes. */
export type Place = (slot: Slot) => { slot: number; nodeId: string };

const NOTHING: Plan = { actions: [], wakeAtMs: undefined };

/**
 * Moves a rolling update or rollback one step on. All that it knows stands in the store, so a new leader goes on where
 * the old one stopped: a slot holds one of the update's places from the creation of its new task until that task runs
 * and the delay has passed. `busy` slots were changed by this pass already and wait for the next.
 */
export function planUpdate(slots: readonly Slot[], busy: ReadonlySet<Slot>, observed: Observed, place: Place): Plan {
  const { service } = observed;
  const state = service.UpdateStatus?.State;
  if (state === 'paused' || state === 'rollback_paused') return NOTHING;
  const active = state === 'updating' || state === 'rollback_started';
  const progress = active ? service.UpdateProgress : undefined;
  const compare = specComparer(observed);
  const standing = slots
    .filter((slot) => slot.live.length > 0)
    .map((slot) => slotProgress(slot, observed, compare, progress?.StartedAt));
  const unfinished = standing.filter((s) => s.dirty.length > 0 || s.clean.length > 1);
  if (unfinished.length === 0 && !active) return NOTHING;
  const rollingBack = state === 'rollback_started';
  const rules = updateRules(rollingBack ? service.Spec.RollbackConfig : service.Spec.UpdateConfig);
  if (progress === undefined) return begin(unfinished, standing, busy, observed, rules, place);
  const failure = judge(slots, observed, rules, progress);
  if (failure !== undefined) return failure;
  if (unfinished.length === 0 && !standing.some((s) => s.inFlight)) return finish(standing, observed, rules);
  return advance(standing, busy, observed, rules, place);
}

/** First step: the update is on record together with its first slots; one that changes no task is complete at once. */
function begin(
  unfinished: readonly SlotProgress[],
  standing: readonly SlotProgress[],
  busy: ReadonlySet<Slot>,
  observed: Observed,
  rules: UpdateRules,
  place: Place,
): Plan {
  const { service, now } = observed;
  const known = service.UpdateStatus;
  const active = known?.State === 'updating' || known?.State === 'rollback_started';
  const at = rfc3339(now);
  if (unfinished.length === 0) return { actions: [closing(observed, known)], wakeAtMs: undefined };
  const status: UpdateStatus = active
    ? { ...known, StartedAt: known.StartedAt ?? at }
    : { State: 'updating', StartedAt: at, Message: 'update in progress' };
  const first = advance(standing, busy, observed, rules, place);
  const record: Action = { kind: 'set-update', status, progress: { StartedAt: at, TotalSlots: unfinished.length } };
  return { actions: [record, ...first.actions], wakeAtMs: first.wakeAtMs };
}

/** Stops, or turns back, an update of which too many tasks failed. */
function judge(
  slots: readonly Slot[],
  observed: Observed,
  rules: UpdateRules,
  progress: { StartedAt: string; TotalSlots: number },
): Plan | undefined {
  const { service, now } = observed;
  if (rules.action === 'continue') return undefined;
  const failed = failedTasks(slots, observed, progress.StartedAt, rules.monitorMs);
  const culprit = failed.at(-1);
  if (culprit === undefined || failed.length / Math.max(1, progress.TotalSlots) <= rules.maxFailureRatio)
    return undefined;
  const rollingBack = service.UpdateStatus?.State === 'rollback_started';
  const because = `due to failure or early termination of task ${culprit.ID}`;
  const startedAt = service.UpdateStatus?.StartedAt ?? rfc3339(now);
  if (rules.action === 'rollback' && !rollingBack && service.PreviousSpec !== undefined) {
    const status: UpdateStatus = {
      State: 'rollback_started',
      StartedAt: startedAt,
      Message: `update rolled back ${because}`,
    };
    return { actions: [{ kind: 'roll-back', status }], wakeAtMs: undefined };
  }
  const status: UpdateStatus = {
    State: rollingBack ? 'rollback_paused' : 'paused',
    StartedAt: startedAt,
    Message: `${rollingBack ? 'rollback' : 'update'} paused ${because}`,
  };
  return { actions: [{ kind: 'set-update', status, progress }], wakeAtMs: undefined };
}

/** All slots are done: the update is complete once the last new task has run for the monitoring time. */
function finish(standing: readonly SlotProgress[], observed: Observed, rules: UpdateRules): Plan {
  let lastMs = 0;
  for (const { reachedAtMs } of standing) lastMs = Math.max(lastMs, reachedAtMs ?? 0);
  const dueMs = lastMs + rules.monitorMs;
  if (observed.now < dueMs) return { actions: [], wakeAtMs: dueMs };
  return { actions: [closing(observed, observed.service.UpdateStatus)], wakeAtMs: undefined };
}

function closing(observed: Observed, known: UpdateStatus | undefined): Action {
  const rollingBack = known?.State === 'rollback_started';
  const status: UpdateStatus = {
    ...known,
    State: rollingBack ? 'rollback_completed' : 'completed',
    CompletedAt: rfc3339(observed.now),
    Message: rollingBack ? 'rollback completed' : 'update completed',
  };
  return { kind: 'set-update', status, progress: undefined };
}

/** Takes as many further slots as the update's parallelism leaves room for, and retires what has been replaced. */
function advance(
  standing: readonly SlotProgress[],
  busy: ReadonlySet<Slot>,
  observed: Observed,
  rules: UpdateRules,
  place: Place,
): Plan {
  const actions: Action[] = [];
  let wakeAtMs: number | undefined;
  let held = 0;
  const waiting: SlotProgress[] = [];
  for (const standingSlot of standing) {
    const { slot, dirty, clean, reachedAtMs, inFlight } = standingSlot;
    if (clean.length === 0) {
      if (dirty.length > 0 && !busy.has(slot)) waiting.push(standingSlot);
      continue;
    }
    const holdsUntilMs = reachedAtMs === undefined ? undefined : reachedAtMs + rules.delayMs;
    const holds = holdsUntilMs !== undefined && rules.delayMs > 0 && holdsUntilMs > observed.now;
    if (inFlight || holds) held++;
    if (holds) wakeAtMs = earlier(wakeAtMs, holdsUntilMs);
    actions.push(...retire(standingSlot, rules));
  }
  for (const next of waiting) {
    if (held >= rules.parallelism) break;
    const replacement = replace(next, observed, rules, place);
    if (replacement === undefined) continue;
    held++;
    actions.push(...replacement);
  }
  return { actions, wakeAtMs };
}

/** Shuts down what a slot's new task has replaced, and all but one of several new ones. */
function retire({ dirty, clean }: SlotProgress, rules: UpdateRules): Action[] {
  const running = clean.find((task) => task.Status.State === 'running');
  const keeper = running ?? clean[0];
  const outdated = running !== undefined || rules.order === 'stop-first' ? dirty : [];
  return [...outdated, ...clean.filter((task) => task !== keeper)].map((task) => ({
    kind: 'set-desired',
    taskId: task.ID,
    desired: 'shutdown',
    reason: 'replaced by the update',
  }));
}

/** Begins a slot: the new task, and with stop-first the end of the old one. Nothing when its policy allows no more tries. */
function replace(next: SlotProgress, observed: Observed, rules: UpdateRules, place: Place): Action[] | undefined {
  const failedTry = next.slot.tasks
    .filter((task) => task.SpecVersion === observed.service.SpecVersion && isTerminal(task.Status.State))
    .at(-1);
  const again = failedTry === undefined ? undefined : decideRestart(failedTry, next.slot, observed);
  if (again !== undefined && !again.restart) return undefined;
  const startAfter = startAfterOf(again?.restart ? again.startAfterMs : undefined);
  const stopFirst = rules.order === 'stop-first';
  const oldHolds = next.dirty.some(
    (task) => task.NodeID !== '' && !isTerminal(task.Status.State) && !isLost(observed.node(task.NodeID)),
  );
  const waits = 'startAfter' in startAfter || (stopFirst && oldHolds);
  const create: Action = {
    kind: 'create-task',
    ...place(next.slot),
    desired: waits ? 'ready' : 'running',
    ...startAfter,
    reason: 'update',
  };
  if (!stopFirst) return [create];
  const stops: Action[] = next.dirty.map((task) => ({
    kind: 'set-desired',
    taskId: task.ID,
    desired: 'shutdown',
    reason: 'update',
  }));
  return [...stops, create];
}
