import { type Cluster, compareStates, DEFAULTS, isTerminal, type Service, type Task } from '@swarmd/model';
import { byAge } from './observed.js';

/**
 * Which tasks of a service may go: those on their way out that have stopped (or never had a node), and of each slot's
 * ended ones the oldest, until no more than `historyLimit` tasks are left of the slot, the live one included. Pure.
 * (swarmkit taskreaper.)
 */
export function reapableTasks(tasks: readonly Task[], service: Service | undefined, historyLimit: number): Task[] {
  const reapable: Task[] = [];
  const endedBySlot = new Map<number | string, Task[]>();
  const perNode = Boolean(service?.Spec.Mode?.Global ?? service?.Spec.Mode?.GlobalJob);
  const slotOf = (task: Task): number | string => (perNode ? task.NodeID : task.Slot);
  const others: Task[] = [];
  for (const task of tasks) {
    const ended = isTerminal(task.Status.State);
    const unplaced = compareStates(task.Status.State, 'assigned') < 0;
    const dismissed = compareStates(task.DesiredState, 'shutdown') >= 0;
    if (task.DesiredState === 'remove' || service === undefined) {
      if (ended || unplaced) reapable.push(task);
      // A task that never had a node leaves nothing worth remembering, but shows an update that its slot is being updated.
    } else if (dismissed && unplaced && service.UpdateProgress === undefined) reapable.push(task);
    else if (dismissed && ended) {
      const kept = endedBySlot.get(slotOf(task));
      if (kept === undefined) endedBySlot.set(slotOf(task), [task]);
      else kept.push(task);
    } else others.push(task);
  }
  const limit = retention(service, historyLimit);
  if (limit < 0 || endedBySlot.size === 0) return reapable;
  const roomBySlot = new Map<number | string, number>();
  for (const slot of endedBySlot.keys()) roomBySlot.set(slot, limit);
  for (const task of others) {
    const room = roomBySlot.get(slotOf(task));
    if (room !== undefined) roomBySlot.set(slotOf(task), room - 1);
  }
  for (const [slot, ended] of endedBySlot) {
    const surplus = ended.length - roomBySlot.get(slot)!;
    if (surplus <= 0) continue;
    ended.sort(byAge);
    for (const task of ended.slice(0, surplus)) reapable.push(task);
  }
  return reapable;
}

/**
 * Tasks kept per slot: enough to count a restart policy's attempts after a fail-over, to know that a slot is at rest, and
 * during an update what became of the slot's new task.
 */
function retention(service: Service | undefined, historyLimit: number): number {
  if (historyLimit < 0) return historyLimit;
  const attempts = service?.Spec.TaskTemplate?.RestartPolicy?.MaxAttempts ?? 0;
  return Math.max(historyLimit, attempts > 0 ? attempts + 1 : 1, service?.UpdateProgress === undefined ? 1 : 2);
}

/** A cluster's limit of kept tasks per slot; negative keeps all. */
export function historyLimit(cluster: Cluster | undefined): number {
  return cluster?.Spec.Orchestration?.TaskHistoryRetentionLimit ?? DEFAULTS.taskHistoryRetentionLimit;
}
