import { isTerminal, rfc3339, type Service, type Task, type UpdateStatus } from '@swarmd/model';
import { type Action, earlier, type Plan } from './actions.js';
import type { Observed, Slot } from './observed.js';
import { decideRestart, holdsItsNode, startAfterOf, stillStopping } from './restart.js';
import { isRunning } from './slot-upkeep.js';
import { failedTasks, type SlotProgress, slotsInProgress, type UpdateRules, updateRules } from './update-progress.js';

/** Where the replacement of a slot's task goes. */
export type Place = (slot: Slot) => { slot: number; nodeId: string };

function nothing(): Plan {
  return { actions: [], wakeAtMs: undefined };
}

/**
 * Moves a rolling update or rollback one step on. All that it knows stands in the store, so a new leader goes on where
 * the old one stopped: a slot holds one of the update's places from the creation of its new task until that task runs
 * and the delay has passed. `busy` slots were changed by this pass already and wait for the next.
 */
export function planUpdate(slots: readonly Slot[], busy: ReadonlySet<Slot>, observed: Observed, place: Place): Plan {
  const { service } = observed;
  const state = service.UpdateStatus?.State;
  const active = state === 'updating' || state === 'rollback_started';
  const progress = active ? currentProgress(service) : undefined;
  const rollingBack = state === 'rollback_started';
  const rules = updateRules(rollingBack ? service.Spec.RollbackConfig : service.Spec.UpdateConfig);
  const monitoredMs = Math.max(rules.monitorMs, rules.delayMs);
  const standing = slotsInProgress(slots, observed, progress?.StartedAt, monitoredMs);
  const unfinished = standing.filter((s) => s.dirty.length > 0 || s.clean.length > 1);
  if (state !== undefined && !active) return tidy(unfinished);
  if (unfinished.length === 0 && !active) return nothing();
  if (progress === undefined) return begin(unfinished, standing, busy, observed, rules, place);
  const failure = judge(slots, observed, rules, progress);
  if (failure !== undefined) return failure;
  const { held, actions, wakeAtMs } = advance(standing, busy, observed, rules, place);
  // Slots may be left whose restart policy allows no further try of the new task.
  const trying = unfinished.some(({ clean }) => clean.length > 0);
  if (held === 0 && actions.length === 0 && busy.size === 0 && !trying) return finish(standing, observed, rules);
  return { actions, wakeAtMs };
}

/**
 * Nothing is begun once an update has been paused or has ended, until the user writes the service again; slots whose
 * new task runs still lose the old one.
 */
function tidy(unfinished: readonly SlotProgress[]): Plan {
  const done = unfinished.filter(({ clean }) => clean.some(serves));
  return { actions: done.flatMap(retireAll), wakeAtMs: undefined };
}

/** The record of the update under way; one that an earlier update left behind says nothing of it. */
function currentProgress({ UpdateProgress, UpdateStatus }: Service): Service['UpdateProgress'] {
  return (UpdateProgress?.StartedAt ?? '') >= (UpdateStatus?.StartedAt ?? '') ? UpdateProgress : undefined;
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
  // Never before the update was asked for, even when the clock was set back since: see currentProgress.
  const at = active && known.StartedAt !== undefined && known.StartedAt > rfc3339(now) ? known.StartedAt : rfc3339(now);
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
  // More than the whole time can only be left when the clock was set back.
  if (observed.now < dueMs && dueMs <= observed.now + rules.monitorMs) return { actions: [], wakeAtMs: dueMs };
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

/**
 * Takes as many further slots as the update's parallelism leaves room for, and retires what has been replaced. `held`
 * is how many places are taken then.
 */
function advance(
  standing: readonly SlotProgress[],
  busy: ReadonlySet<Slot>,
  observed: Observed,
  rules: UpdateRules,
  place: Place,
): Plan & { held: number } {
  const actions: Action[] = [];
  let wakeAtMs: number | undefined;
  let held = 0;
  const waiting: SlotProgress[] = [];
  for (const next of standing) {
    const { slot, dirty, clean, inFlight } = next;
    const holdsUntilMs = holdUntil(next, observed, rules);
    if (inFlight || holdsUntilMs !== undefined) held++;
    wakeAtMs = earlier(wakeAtMs, holdsUntilMs);
    if (clean.length > 0) actions.push(...retire(next, rules));
    else if (dirty.length > 1) actions.push(...leftover(next));
    // One whose new task has failed already is tried again in its time, and takes no further place.
    if (clean.length === 0 && dirty.length > 0 && !busy.has(slot) && holdsUntilMs === undefined) waiting.push(next);
  }
  for (const next of waiting) {
    const again = next.reachedAtMs !== undefined;
    if (!again && held >= rules.parallelism) continue;
    const replacement = replace(next, observed, rules, place);
    if (replacement === undefined) continue;
    if (!again) held++;
    actions.push(...replacement);
  }
  return { actions, wakeAtMs, held };
}

/** Until when a slot keeps its place although its new task has run, or failed: the update's delay. */
function holdUntil({ reachedAtMs }: SlotProgress, observed: Observed, rules: UpdateRules): number | undefined {
  if (reachedAtMs === undefined) return undefined;
  const leftMs = reachedAtMs + rules.delayMs - observed.now;
  // More than the whole delay can only be left when the clock was set back.
  return leftMs > 0 && leftMs <= rules.delayMs ? reachedAtMs + rules.delayMs : undefined;
}

/** Shuts down what a slot's new task has replaced, and all but one of several new ones. */
function retire(standing: SlotProgress, rules: UpdateRules): Action[] {
  const { dirty, clean } = standing;
  if (clean.some(serves)) return retireAll(standing);
  return [...superseded(dirty, rules), ...clean.slice(1)].map((task) => stop(task, 'replaced by the update'));
}

function retireAll({ dirty, clean }: SlotProgress): Action[] {
  const keeper = clean.find(serves);
  return [...dirty, ...clean.filter((task) => task !== keeper)].map((task) => stop(task, 'replaced by the update'));
}

/** Shuts down all but one of several old tasks, which an update that started the new one first has left in mid-way. */
function leftover({ dirty }: SlotProgress): Action[] {
  const keeper = dirty.findLast(serves) ?? dirty.at(-1);
  return dirty.filter((task) => task !== keeper).map((task) => stop(task, 'its slot has another'));
}

/** The old tasks that need not wait for the new one to run: with start-first all but one that runs. */
function superseded(dirty: readonly Task[], rules: UpdateRules): Task[] {
  const serving = rules.order === 'start-first' ? dirty.findLast(serves) : undefined;
  return dirty.filter((task) => task !== serving);
}

/** Whether a task runs and may stay where it is. */
function serves(task: Task): boolean {
  return isRunning(task) && task.RejectedAt === undefined;
}

function stop(task: Task, reason: string): Action {
  return { kind: 'set-desired', taskId: task.ID, desired: 'shutdown', reason };
}

/** Begins a slot: the new task, and the end of the old ones that need not wait for it. Nothing when its policy allows no more tries. */
function replace(next: SlotProgress, observed: Observed, rules: UpdateRules, place: Place): Action[] | undefined {
  const failedTry = next.made.findLast((task) => isTerminal(task.Status.State) || task.RejectedAt !== undefined);
  const again = failedTry === undefined ? undefined : decideRestart(failedTry, next.slot, observed);
  if (again !== undefined && !again.restart) return undefined;
  const startAfter = startAfterOf(again?.restart ? again.startAfterMs : undefined);
  const stopped = superseded(next.dirty, rules);
  const waits =
    'startAfter' in startAfter ||
    stopped.some((task) => holdsItsNode(task, observed)) ||
    (rules.order === 'stop-first' && stillStopping(next.slot, observed));
  const create: Action = {
    kind: 'create-task',
    ...place(next.slot),
    desired: waits ? 'ready' : 'running',
    ...startAfter,
    reason: 'update',
  };
  return [...stopped.map((task) => stop(task, 'update')), create];
}
