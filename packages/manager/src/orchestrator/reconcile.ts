import { compareStates, type Task } from '@swarmd/model';
import type { Plan } from './actions.js';
import { reconcileGlobal } from './global.js';
import { reconcileGlobalJob, reconcileReplicatedJob } from './jobs.js';
import type { Observed } from './observed.js';
import { reconcileReplicated } from './replicated.js';

/** One pass over a service of any mode. Deleted services only send their tasks off; the reaper does the rest. */
export function reconcileService(observed: Observed): Plan {
  const { service } = observed;
  if (service.PendingDelete) return { actions: dismiss(observed.tasks, 'service removed'), wakeAtMs: undefined };
  if (service.Spec.Mode?.ReplicatedJob) return reconcileReplicatedJob(observed);
  if (service.Spec.Mode?.GlobalJob) return reconcileGlobalJob(observed);
  if (service.Spec.Mode?.Global) return reconcileGlobal(observed);
  return reconcileReplicated(observed);
}

function dismiss(tasks: readonly Task[], reason: string): Plan['actions'] {
  return tasks
    .filter((task) => compareStates(task.DesiredState, 'remove') < 0)
    .map((task) => ({ kind: 'set-desired', taskId: task.ID, desired: 'remove', reason }));
}
