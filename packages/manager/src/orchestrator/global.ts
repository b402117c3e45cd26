import { isTerminal, type Node, type Task } from '@swarmd/model';
import { nodeMatches, parseConstraints } from '../scheduler/constraint.js';
import { type Action, earlier, type Plan } from './actions.js';
import { groupSlots, mustLeave, type Observed, type Slot } from './observed.js';
import { keepSlot } from './slot-upkeep.js';
import { planUpdate } from './updater.js';

/**
 * One pass over a global service: one task on each node that is ready, active and meets the constraints. On a paused
 * node tasks stay but are not replaced; on a drained, lost or no longer fitting one they are shut down.
 */
export function reconcileGlobal(observed: Observed): Plan {
  const constraints = parseConstraints(observed.service.Spec.TaskTemplate?.Placement?.Constraints ?? []);
  const fits = (node: Node): boolean => nodeMatches(constraints, node);
  const slots = groupSlots(observed.tasks, (task) => task.NodeID);
  const actions: Action[] = [];
  let wakeAtMs: number | undefined;
  const kept: Slot[] = [];
  const busy = new Set<Slot>();
  for (const slot of slots.values()) {
    const node = observed.node(slot.key as string);
    if (mustLeave(node) || node === undefined || !fits(node)) {
      for (const task of slot.live) actions.push(leave(task));
      continue;
    }
    const upkeep = keepSlot(slot, observed, { slot: 0, nodeId: node.ID });
    const paused = node.Spec.Availability === 'pause';
    for (const action of upkeep.actions) if (!(paused && action.kind === 'create-task')) actions.push(action);
    wakeAtMs = earlier(wakeAtMs, upkeep.wakeAtMs);
    if (!upkeep.taken) continue;
    kept.push(slot);
    if (upkeep.actions.length > 0 || paused) busy.add(slot);
  }
  const covered = new Set(kept.map((slot) => slot.key));
  for (const node of observed.nodes()) {
    if (covered.has(node.ID) || node.Status.State !== 'ready' || node.Spec.Availability !== 'active' || !fits(node))
      continue;
    // Tasks created for this node before it was lost may still be stopping there: the new one waits for them.
    const stopping = slots.get(node.ID)?.tasks.some((task) => !isTerminal(task.Status.State)) ?? false;
    actions.push({
      kind: 'create-task',
      slot: 0,
      nodeId: node.ID,
      desired: stopping ? 'ready' : 'running',
      reason: 'node has no task',
    });
  }
  const update = planUpdate(kept, busy, observed, (slot) => ({ slot: 0, nodeId: slot.key as string }));
  // First: what else is created in this pass follows the spec that a rollback brings back.
  for (const action of actions) update.actions.push(action);
  return { actions: update.actions, wakeAtMs: earlier(wakeAtMs, update.wakeAtMs) };
}

function leave(task: Task): Action {
  return { kind: 'set-desired', taskId: task.ID, desired: 'shutdown', reason: 'its node does not qualify any more' };
}
