import { compareStates, DEFAULTS, isTerminal, type ReadView, type Service, type Task } from '@swarmd/model';

/**
 * Which tasks of a service may go: those on their way out that have stopped (or never had a node), and of each slot's
 * ended ones all but the newest `historyLimit`. Pure. (swarmkit taskreaper.)
 */
export function reapableTasks(tasks: Iterable<Task>, service: Service | undefined, historyLimit: number): Task[] {
  const reapable: Task[] = [];
  const history = new Map<string, Task[]>();
  for (const task of tasks) {
    const gone = isTerminal(task.Status.State);
    if (task.DesiredState === 'remove' || service === undefined) {
      if (gone || compareStates(task.Status.State, 'assigned') < 0) reapable.push(task);
    } else if (compareStates(task.DesiredState, 'shutdown') >= 0) {
      // A task that never had a node leaves nothing worth remembering.
      if (!gone && compareStates(task.Status.State, 'assigned') < 0) reapable.push(task);
      else if (gone) {
        const key = task.Slot > 0 ? String(task.Slot) : task.NodeID;
        const kept = history.get(key);
        if (kept === undefined) history.set(key, [task]);
        else kept.push(task);
      }
    }
  }
  const limit = retention(service, historyLimit);
  if (limit < 0) return reapable;
  for (const ended of history.values()) {
    if (ended.length <= limit) continue;
    ended.sort((a, b) => (a.CreatedAt < b.CreatedAt ? -1 : 1));
    for (const task of ended.slice(0, ended.length - limit)) reapable.push(task);
  }
  return reapable;
}

/** Ended tasks kept per slot: enough to count a restart policy's attempts after a fail-over. */
function retention(service: Service | undefined, historyLimit: number): number {
  if (historyLimit < 0) return historyLimit;
  const attempts = service?.Spec.TaskTemplate?.RestartPolicy?.MaxAttempts ?? 0;
  return attempts > 0 ? Math.max(historyLimit, attempts + 1) : historyLimit;
}

/** The cluster's limit of kept tasks per slot; negative keeps all. */
export function historyLimitOf(view: ReadView): number {
  for (const cluster of view.all('cluster')) {
    return cluster.Spec.Orchestration?.TaskHistoryRetentionLimit ?? DEFAULTS.taskHistoryRetentionLimit;
  }
  return DEFAULTS.taskHistoryRetentionLimit;
}
