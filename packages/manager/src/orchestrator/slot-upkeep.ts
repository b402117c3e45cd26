import { compareStates, isTerminal, type Task } from '@swarmd/model';
import type { Action, Plan } from './actions.js';
import { earlier } from './actions.js';
import type { Observed, Slot } from './observed.js';
import { isLost, mustLeave } from './observed.js';
import { decideRestart, startAfterOf, startDueMs } from './restart.js';

/** What upkeep made of a slot. */
export interface SlotUpkeep extends Plan {
  /** The slot counts as taken: something runs or will run in it, or its restart policy has let it rest. */
  taken: boolean;
  /** Nothing runs in it and nothing will, unless the spec changes. */
  resting: boolean;
}

/**
 * Keeps one slot of a service as it should be, whatever its mode: replaces what ended or must leave its node by the
 * restart policy, and starts what waits once it is due. `replace` says where a replacement goes.
 */
export function keepSlot(slot: Slot, observed: Observed, replace: { slot: number; nodeId: string }): SlotUpkeep {
  const actions: Action[] = [];
  let wakeAtMs: number | undefined;
  let alive = 0;
  const leaves = (task: Task): boolean => task.NodeID !== '' && mustLeave(observed.node(task.NodeID));
  for (const task of slot.live) {
    const ended = isTerminal(task.Status.State);
    if (!ended && !leaves(task)) {
      alive++;
      if (task.DesiredState === 'ready') {
        const dueMs = startDueMs(task, slot, observed);
        if (dueMs <= observed.now)
          actions.push({ kind: 'set-desired', taskId: task.ID, desired: 'running', reason: 'due to start' });
        else wakeAtMs = earlier(wakeAtMs, dueMs);
      }
      continue;
    }
    const why = ended ? `task ended (${task.Status.State})` : 'its node can keep no tasks';
    actions.push({ kind: 'set-desired', taskId: task.ID, desired: 'shutdown', reason: why });
    const decision = decideRestart(task, slot, observed);
    // A slot that holds two tasks in mid-update needs one replacement at most.
    if (!decision.restart || alive > 0 || actions.some((action) => action.kind === 'create-task')) continue;
    const waits = decision.startAfterMs !== undefined || (!ended && !isLost(observed.node(task.NodeID)));
    actions.push({
      kind: 'create-task',
      slot: replace.slot,
      nodeId: replace.nodeId,
      desired: waits ? 'ready' : 'running',
      ...startAfterOf(decision.startAfterMs),
      reason: why,
    });
  }
  const creates = actions.some((action) => action.kind === 'create-task');
  const resting = alive === 0 && !creates && restsByPolicy(slot, observed);
  return { actions, wakeAtMs, taken: alive > 0 || creates || resting, resting };
}

/** Whether the slot's newest task ended, or was sent off, under the current spec, with a policy against another try. */
function restsByPolicy(slot: Slot, observed: Observed): boolean {
  const last = slot.tasks.at(-1);
  if (last === undefined || last.SpecVersion !== observed.service.SpecVersion) return false;
  if (!isTerminal(last.Status.State) && !mustLeave(observed.node(last.NodeID))) return false;
  // A global service's task that was sent off is wanted again as soon as its node is.
  if (observed.service.Spec.Mode?.Global && last.Status.State === 'shutdown') return false;
  // A rollback makes its slots anew, whatever befell them under the failed spec.
  if (observed.service.UpdateStatus?.State === 'rollback_started') return false;
  return !decideRestart(last, slot, observed).restart;
}

/** Whether a task has come as far as running, for ordering what scale-down takes first. */
export function isRunning(task: Task): boolean {
  return compareStates(task.Status.State, 'running') === 0;
}
