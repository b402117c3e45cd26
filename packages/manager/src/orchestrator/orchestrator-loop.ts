import {
  type Clock,
  compareStates,
  type Node,
  type Random,
  type ReadView,
  type Store,
  type StoreEvent,
  specKey,
  type Task,
} from '@swarmd/model';
import type { Logger } from 'pino';
import { eachKey } from '../loop/each-key.js';
import { type Loop, startLoop } from '../loop/loop.js';
import { concernsPlacement } from '../scheduler/task-place.js';
import { applyActions } from './apply.js';
import { versionedSpec } from './dirty.js';
import { isLost, type Observed } from './observed.js';
import { reconcileService } from './reconcile.js';

/** What the orchestrator needs. */
export interface OrchestratorDependencies {
  store: Store;
  clock: Clock;
  random: Random;
  logger: Logger;
}

/**
 * Keeps the tasks of every service as its spec wants them. Each service is decided and written in one transaction, on
 * the newest state there is.
 */
export function startOrchestrator({ store, clock, random, logger }: OrchestratorDependencies): Loop {
  const log = logger.child({ component: 'orchestrator' });
  return startLoop<string>(
    {
      name: 'orchestrator',
      dirtiedBy: (event, mark) => markServices(event, store.view, mark),
      allKeys: () => [...store.view.all('service')].map((service) => service.ID),
      pass: eachKey((serviceId, { wakeAfter }) =>
        store.update((tx) => {
          const service = tx.get('service', serviceId);
          if (service === undefined) return;
          // The store's reading of the time, which all that it is compared with came from.
          const now = Date.parse(tx.now);
          const plan = reconcileService(observe(tx, serviceId, now));
          if (plan.wakeAtMs !== undefined) wakeAfter(serviceId, plan.wakeAtMs - now);
          applyActions(tx, service, plan.actions, random, (action, taskId) =>
            log.info({ serviceId, taskId, ...action }, action.kind),
          );
        }),
      ),
    },
    { store, clock, logger },
  );
}

/** Gathers what a pass over one service decides from. */
export function observe(view: ReadView, serviceId: string, now: number): Observed {
  const service = view.get('service', serviceId);
  if (service === undefined) throw new Error(`service ${serviceId} is not in the store`);
  return {
    service,
    tasks: [...view.find('task', 'service', serviceId)],
    node: (id) => view.get('node', id),
    nodes: () => view.all('node'),
    taskSpecOf: (version) => {
      const record = view.get('spec', specKey(serviceId, version));
      return record === undefined ? undefined : versionedSpec(record.Spec);
    },
    now,
  };
}

/** Which services an event concerns. Steps between assigned and running change nothing here. */
function markServices(event: StoreEvent, view: ReadView, mark: (serviceId: string) => void): void {
  if (event.table === 'service') mark(event.object.ID);
  else if (event.table === 'task') {
    if (event.kind === 'update' && !concerns(event.object, event.previous, view)) return;
    // A new task that is to run at once asks for nothing more; one that waits must be started in time.
    if (event.kind !== 'create' || event.object.DesiredState === 'ready') mark(event.object.ServiceID);
  } else if (event.table === 'node') markForNode(event.object, event.previous, view, mark);
}

function concerns(task: Task, previous: Task | undefined, view: ReadView): boolean {
  if (previous === undefined || task.DesiredState !== previous.DesiredState) return true;
  if (task.RejectedAt !== previous.RejectedAt) return true;
  const { State } = task.Status;
  if (State === previous.Status.State || compareStates(State, 'running') < 0) return false;
  // That a task has come to run moves nothing but updates.
  return State !== 'running' || view.get('service', task.ServiceID)?.UpdateProgress !== undefined;
}

/** Heartbeats, sessions and messages of nodes concern nobody; whether a node is known to be well, only global services. */
function markForNode(node: Node, previous: Node | undefined, view: ReadView, mark: (serviceId: string) => void): void {
  if (previous !== undefined && !concernsPlacement(previous, node)) return;
  const described = node.Spec !== previous?.Spec || node.Description !== previous.Description;
  if (described || isLost(node) !== isLost(previous))
    for (const task of view.find('task', 'node', node.ID)) mark(task.ServiceID);
  for (const service of view.all('service')) {
    if (service.Spec.Mode?.Global || service.Spec.Mode?.GlobalJob) mark(service.ID);
  }
}
