import { compareStates, DEFAULTS, isTerminal, type ReadView, type Service, type Task } from '@swarmd/model';

/**
 * Which tasks of a service may go: those on their way out that have stopped (or never had a node), and of each slot's
 * ended ones the oldest, until no more than `historyLimit` tasks are left of the slot, the live one included. Pure.
 * (swarmkit taskreaper.)
 */
export function reapableTasks(tasks: Iterable<Task>, service: Service | undefined, historyLimit: number): Task[] {
  const reapable: Task[] = [];
  const slots = new Map<number | string, { ended: Task[]; others: number }>();
  const perNode = Boolean(service?.Spec.Mode?.Global ?? service?.Spec.Mode?.GlobalJob);
  for (const task of tasks) {
    const ended = isTerminal(task.Status.State);
    const unplaced = compareStates(task.Status.State, 'assigned') < 0;
    if (task.DesiredState === 'remove' || service === undefined) {
      if (ended || unplaced) reapable.push(task);
      continue;
    }
    const dismissed = compareStates(task.DesiredState, 'shutdown') >= 0;
    // A task that never had a node leaves nothing worth remembering, but shows an update that its slot is being updated.
    if (dismissed && unplaced && service.UpdateProgress === undefined) {
      reapable.push(task);
      continue;
    }
    const key = perNode ? task.NodeID : task.Slot;
    let slot = slots.get(key);
    if (slot === undefined) {
      slot = { ended: [], others: 0 };
      slots.set(key, slot);
    }
    if (dismissed && ended) slot.ended.push(task);
    else slot.others++;
  }
  const limit = retention(service, historyLimit);
  if (limit < 0) return reapable;
  for (const { ended, others } of slots.values()) {
    const surplus = ended.length + others - limit;
    if (surplus <= 0 || ended.length === 0) continue;
    ended.sort((a, b) => (a.CreatedAt === b.CreatedAt ? (a.ID < b.ID ? -1 : 1) : a.CreatedAt < b.CreatedAt ? -1 : 1));
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

/** The cluster's limit of kept tasks per slot; negative keeps all. */
export function historyLimitOf(view: ReadView): number {
  for (const cluster of view.all('cluster')) {
    return cluster.Spec.Orchestration?.TaskHistoryRetentionLimit ?? DEFAULTS.taskHistoryRetentionLimit;
  }
  return DEFAULTS.taskHistoryRetentionLimit;
}
