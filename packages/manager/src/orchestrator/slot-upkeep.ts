import { compareStates, isTerminal, type Task } from '@swarmd/model';
import type { Action, Plan } from './actions.js';
import { earlier } from './actions.js';
import type { Observed, Slot } from './observed.js';
import { isEvicted, mustLeave } from './observed.js';
import { decideRestart, heldUntil, holdsItsNode, startAfterOf, startDueMs, stillStopping } from './restart.js';

/** What upkeep made of a slot. */
export interface SlotUpkeep extends Plan {
  /** The slot counts as taken: something runs or will run in it, or its restart policy has let it rest. */
  taken: boolean;
}

/**
 * Keeps one slot of a service as it should be, whatever its mode: replaces what ended or must leave its node by the
 * restart policy, and starts what waits once it is due. `replace` says where a replacement goes. The actions count even
 * when the slot does not.
 */
export function keepSlot(slot: Slot, observed: Observed, replace: { slot: number; nodeId: string }): SlotUpkeep {
  if (isSteady(slot, observed)) return STEADY;
  const actions: Action[] = [];
  let wakeAtMs: number | undefined;
  const ends = (task: Task): boolean => isTerminal(task.Status.State) || isEvicted(task, observed);
  const ending = slot.live.filter(ends);
  // A slot that holds two tasks in mid-update needs one replacement at most.
  let alive = slot.live.length - ending.length;
  for (const task of slot.live) {
    if (task.DesiredState !== 'ready' || ending.includes(task)) continue;
    const dueMs = startDueMs(task, slot, observed);
    if (dueMs <= observed.now)
      actions.push({ kind: 'set-desired', taskId: task.ID, desired: 'running', reason: 'due to start' });
    else wakeAtMs = earlier(wakeAtMs, dueMs);
  }
  for (const task of ending) {
    const heldUntilMs = heldUntil(task, observed);
    if (heldUntilMs !== undefined) {
      alive++;
      wakeAtMs = earlier(wakeAtMs, heldUntilMs);
      continue;
    }
    const why = reasonOf(task);
    actions.push({ kind: 'set-desired', taskId: task.ID, desired: 'shutdown', reason: why });
    const decision = decideRestart(task, slot, observed);
    if (!decision.restart || alive > 0) continue;
    alive++;
    const waits =
      decision.startAfterMs !== undefined ||
      stillStopping(slot, observed) ||
      ending.some((other) => holdsItsNode(other, observed));
    actions.push({
      kind: 'create-task',
      slot: replace.slot,
      nodeId: replace.nodeId,
      desired: waits ? 'ready' : 'running',
      ...startAfterOf(decision.startAfterMs),
      reason: why,
    });
  }
  return { actions, wakeAtMs, taken: alive > 0 || restsByPolicy(slot, observed) };
}

/** Later than every time in RFC 3339. */
const LAST_TIME = '~';
const STEADY: SlotUpkeep = Object.freeze({ actions: [], wakeAtMs: undefined, taken: true });

/** The slots of a large service nearly all hold one task that may go on: looking at them must cost next to nothing. */
function isSteady({ live: [task], live }: Slot, observed: Observed): boolean {
  if (task === undefined || live.length > 1 || task.DesiredState !== 'running') return false;
  return !isTerminal(task.Status.State) && !isEvicted(task, observed);
}

function reasonOf({ Status: { State }, RejectedAt }: Task): string {
  if (isTerminal(State)) return `task ended (${State})`;
  return RejectedAt === undefined ? 'its node can keep no tasks' : 'its node does not suit it any more';
}

/** Whether the slot's newest task ended, or was sent off, under the current spec, with a policy against another try. */
function restsByPolicy(slot: Slot, observed: Observed): boolean {
  const last = slot.tasks.at(-1);
  if (last === undefined || last.SpecVersion !== observed.service.SpecVersion) return false;
  const sentOff = last.RejectedAt !== undefined || mustLeave(observed.node(last.NodeID));
  if (!isTerminal(last.Status.State) && !sentOff) return false;
  // A global service's task that was sent off is wanted again as soon as its node is.
  if (observed.service.Spec.Mode?.Global && last.Status.State === 'shutdown') return false;
  // A rollback makes its slots anew, whatever befell them before it began.
  const { UpdateStatus, UpdateProgress } = observed.service;
  if (UpdateStatus?.State === 'rollback_started' && !(last.CreatedAt >= (UpdateProgress?.StartedAt ?? LAST_TIME)))
    return false;
  return !decideRestart(last, slot, observed).restart;
}

/** Whether a task has come as far as running, for ordering what scale-down takes first. */
export function isRunning(task: Task): boolean {
  return compareStates(task.Status.State, 'running') === 0;
}
