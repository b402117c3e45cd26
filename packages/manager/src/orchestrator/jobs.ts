import { compareStates, isTerminal, type Node, type Task } from '@swarmd/model';
import { nodeMatches, parseConstraints } from '../scheduler/constraint.js';
import { type Action, earlier, type Plan } from './actions.js';
import { groupSlots, isEvicted, isLive, mustLeave, type Observed, type Slot } from './observed.js';
import { decideRestart, heldUntil, holdsItsNode, startAfterOf, startDueMs } from './restart.js';

/** What became of one slot (or node) of a job's present iteration. */
interface JobSlot {
  /** Completed, at work (or about to be), or given up by the restart policy. */
  standing: 'completed' | 'active' | 'given-up';
  actions: Action[];
  wakeAtMs: number | undefined;
}

/**
 * One pass over a replicated job: at most `MaxConcurrent` tasks at work until `TotalCompletions` have completed, in
 * slots 0…n-1. Tasks of earlier iterations are removed. (swarmkit orchestrator/jobs/replicated.)
 */
export function reconcileReplicatedJob(observed: Observed): Plan {
  const mode = observed.service.Spec.Mode?.ReplicatedJob;
  const total = mode?.TotalCompletions ?? mode?.MaxConcurrent ?? 1;
  const concurrent = mode?.MaxConcurrent || total;
  const iteration = iterationOf(observed);
  const { actions, current } = dismissEarlier(observed, iteration);
  let wakeAtMs: number | undefined;
  const slots = groupSlots(current, (task) => task.Slot);
  let active = 0;
  for (const slot of slots.values()) {
    const job = standingOf(slot, observed, { slot: slot.key as number, nodeId: '', iteration });
    for (const action of job.actions) actions.push(action);
    wakeAtMs = earlier(wakeAtMs, job.wakeAtMs);
    if (job.standing === 'active') active++;
  }
  for (let slot = 0; slot < total && active < concurrent; slot++) {
    if (slots.has(slot)) continue;
    active++;
    actions.push({ ...newTask(iteration), slot, nodeId: '' });
  }
  return { actions, wakeAtMs };
}

/** One pass over a global job: one completion on every node that is ready, active and meets the constraints. */
export function reconcileGlobalJob(observed: Observed): Plan {
  const constraints = parseConstraints(observed.service.Spec.TaskTemplate?.Placement?.Constraints ?? []);
  const iteration = iterationOf(observed);
  const { actions, current } = dismissEarlier(observed, iteration);
  let wakeAtMs: number | undefined;
  const byNode = groupSlots(current, (task) => task.NodeID);
  const fits = (node: Node): boolean =>
    node.Status.State === 'ready' && node.Spec.Availability === 'active' && nodeMatches(constraints, node);
  for (const slot of byNode.values()) {
    const node = observed.node(slot.key as string);
    if (node === undefined || mustLeave(node)) {
      for (const task of slot.live) if (!isTerminal(task.Status.State)) actions.push(stop(task, 'its node is gone'));
      continue;
    }
    if (isInterrupted(slot)) continue;
    const job = standingOf(slot, observed, { slot: 0, nodeId: node.ID, iteration });
    for (const action of job.actions) actions.push(action);
    wakeAtMs = earlier(wakeAtMs, job.wakeAtMs);
  }
  for (const node of observed.nodes()) {
    const slot = byNode.get(node.ID);
    if (slot === undefined || isInterrupted(slot)) {
      if (fits(node)) actions.push({ ...newTask(iteration), slot: 0, nodeId: node.ID });
    }
  }
  return { actions, wakeAtMs };
}

/** Whether a node's task was stopped because the node was away: it gets another as soon as it takes tasks again. */
function isInterrupted(slot: Slot): boolean {
  return slot.tasks.every((task) => task.Status.State === 'shutdown');
}

function iterationOf(observed: Observed): number {
  return observed.service.JobStatus?.JobIteration.Index ?? 0;
}

function dismissEarlier(observed: Observed, iteration: number): { actions: Action[]; current: Task[] } {
  const actions: Action[] = [];
  const current: Task[] = [];
  for (const task of observed.tasks) {
    if ((task.JobIteration?.Index ?? 0) === iteration) current.push(task);
    else if (task.DesiredState !== 'remove') {
      actions.push({ kind: 'set-desired', taskId: task.ID, desired: 'remove', reason: 'an earlier iteration' });
    }
  }
  return { actions, current };
}

function standingOf(
  slot: Slot,
  observed: Observed,
  place: { slot: number; nodeId: string; iteration: number },
): JobSlot {
  if (slot.tasks.some((task) => task.Status.State === 'complete')) {
    // A task on a node that was lost may turn out to have completed after all.
    const others = slot.live.filter((task) => !isTerminal(task.Status.State));
    const actions = others.map((task) => stop(task, 'another has completed'));
    return { standing: 'completed', actions, wakeAtMs: undefined };
  }
  const atWork = slot.live.find((task) => !isTerminal(task.Status.State) && !leaves(task, observed));
  if (atWork !== undefined) {
    const dueMs = atWork.DesiredState === 'ready' ? startDueMs(atWork, slot, observed) : undefined;
    if (dueMs === undefined) return { standing: 'active', actions: [], wakeAtMs: undefined };
    if (dueMs > observed.now) return { standing: 'active', actions: [], wakeAtMs: dueMs };
    const start: Action = { kind: 'set-desired', taskId: atWork.ID, desired: 'complete', reason: 'due to start' };
    return { standing: 'active', actions: [start], wakeAtMs: undefined };
  }
  const last = slot.live.at(-1) ?? slot.tasks.at(-1);
  const heldUntilMs = last === undefined || !isLive(last) ? undefined : heldUntil(last, observed);
  if (heldUntilMs !== undefined) return { standing: 'active', actions: [], wakeAtMs: heldUntilMs };
  const actions: Action[] = slot.live.map((task) => stop(task, 'ended, or its node can keep no tasks'));
  const decision = last === undefined ? undefined : decideRestart(last, slot, observed);
  if (decision === undefined || !decision.restart) return { standing: 'given-up', actions, wakeAtMs: undefined };
  const stopping = slot.tasks.some((task) => holdsItsNode(task, observed));
  const waits = decision.startAfterMs === undefined && !stopping ? {} : { desired: 'ready' as const };
  actions.push({ ...newTask(place.iteration), ...place, ...waits, ...startAfterOf(decision.startAfterMs) });
  return { standing: 'active', actions, wakeAtMs: undefined };
}

function leaves(task: Task, observed: Observed): boolean {
  return compareStates(task.Status.State, 'assigned') >= 0 && isEvicted(task, observed);
}

function stop(task: Task, reason: string): Action {
  return { kind: 'set-desired', taskId: task.ID, desired: 'shutdown', reason };
}

function newTask(iteration: number): Extract<Action, { kind: 'create-task' }> {
  return { kind: 'create-task', slot: 0, nodeId: '', desired: 'complete', jobIteration: iteration, reason: 'job' };
}
