import { setImmediate as nextTurn } from 'node:timers/promises';
import {
  type Clock,
  isTerminal,
  type ReadView,
  type ServiceSpec,
  type Store,
  specKey,
  type WriteTx,
} from '@swarmd/model';
import type { Logger } from 'pino';
import { startLoop } from '../loop/loop.js';
import { type AssignedTask, tasksToReject } from './enforcer.js';
import { type Needs, readNeeds } from './needs.js';

/** A running constraint enforcer. */
export interface ConstraintEnforcer {
  /** Ends it; resolves when nothing of it is under way. */
  stop(): Promise<void>;
  /** Looks at every node again. */
  resync(): void;
}

/** Nodes looked at before others get their turn. */
const NODES_PER_TURN = 100;

/**
 * Starts the constraint enforcer: when a node changes so that tasks on it are not allowed there any more or do not fit
 * any more, it marks them as rejected (`Task.RejectedAt`). Their desired state stays the orchestrator's, which replaces
 * them by their restart policy and has them leave as any other: nothing is led to them any more when they are stopped, and
 * their addresses are theirs until then.
 */
export function startConstraintEnforcer({
  store,
  clock,
  logger,
}: {
  store: Store;
  clock: Clock;
  logger: Logger;
}): ConstraintEnforcer {
  const log = logger.child({ component: 'constraint-enforcer' });
  return startLoop<string>(
    {
      name: 'constraint-enforcer',
      allKeys: function* () {
        for (const node of store.view.all('node')) yield node.ID;
      },
      dirtiedBy: (event, mark) => {
        if (event.table !== 'node' || event.kind === 'delete') return;
        const { object: node, previous } = event;
        const same = previous?.Spec === node.Spec && previous.Description === node.Description;
        if (!same || previous.Status.Addr !== node.Status.Addr) mark(node.ID);
      },
      pass: async (nodeIds, { signal }) => {
        let looked = 0;
        for (const nodeId of nodeIds) {
          const victims = judge(store.view, nodeId);
          if (victims.length > 0) {
            const rejected = await store.update((tx) => reject(tx, nodeId));
            for (const taskId of rejected)
              log.info({ nodeId, taskId }, 'rejected a task that its node no longer suits');
          }
          if (++looked % NODES_PER_TURN === 0) await nextTurn();
          if (signal.aborted) return;
        }
      },
    },
    { store, clock, logger },
  );
}

/** The tasks on the node that must go, as things stand in `view`. */
function judge(view: ReadView, nodeId: string): string[] {
  const node = view.get('node', nodeId);
  if (node === undefined) return [];
  const read = new Map<string, Needs>();
  const needsOf = (serviceId: string, version: number, spec: ServiceSpec): Needs => {
    const key = specKey(serviceId, version);
    const needs = read.get(key) ?? readNeeds(serviceId, version, spec);
    read.set(key, needs);
    return needs;
  };
  const assigned: AssignedTask[] = [];
  for (const task of view.find('task', 'node', nodeId)) {
    if (isTerminal(task.Status.State)) continue;
    const service = view.get('service', task.ServiceID);
    const spec = view.get('spec', specKey(task.ServiceID, task.SpecVersion))?.Spec ?? service?.Spec ?? {};
    const needs = needsOf(task.ServiceID, task.SpecVersion, spec);
    // While an update goes from task to task, or stands still, older tasks are its business and not the enforcer's.
    const settled = service !== undefined && service.UpdateProgress === undefined;
    const current = settled ? needsOf(service.ID, service.SpecVersion, service.Spec) : needs;
    assigned.push({ task, needs, constraints: current.constraints });
  }
  return tasksToReject(node, assigned);
}

function reject(tx: WriteTx, nodeId: string): string[] {
  const victims = judge(tx, nodeId);
  for (const taskId of victims) {
    const task = tx.get('task', taskId)!;
    tx.put('task', { ...task, RejectedAt: tx.now });
  }
  return victims;
}
