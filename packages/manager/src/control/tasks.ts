import {
  type Control,
  type Filters,
  type ReadView,
  type Service,
  SwarmdError,
  TASK_STATES,
  type Task,
  taskName,
} from '@swarmd/model';
import type { ControlDependencies } from './dependencies.js';
import { isUpToDate } from './dirty.js';
import { checkFilters, equalTest, labelTest, matchesLabels, prefixTest, select, type Test } from './filters.js';
import { resolve, resolveTask } from './references.js';
import { createTaskShaper } from './task-shapes.js';

const FILTERS = ['id', 'name', 'label', 'service', 'node', 'desired-state', 'runtime', '_up-to-date'];

/** The reads of tasks. Lists by service, node or label follow indexes: clients poll them every few milliseconds. */
export function taskReads({ store }: ControlDependencies): Pick<Control, 'listTasks' | 'getTask'> {
  const shape = createTaskShaper();
  return {
    async listTasks(filters) {
      checkFilters(filters, FILTERS);
      checkDesiredStates(filters['desired-state'] ?? []);
      const view = store.view;
      const serviceIds = filters['service']?.map((ref) => resolve(view, 'service', ref).ID);
      const nodeIds = filters['node']?.map((ref) => resolve(view, 'node', ref).ID);
      const tasks = select<Task>(candidates(view, filters, serviceIds, nodeIds), [
        prefixTest(filters['id'], (t) => t.ID),
        prefixTest(filters['name'], taskName),
        equalTest(serviceIds, (t) => t.ServiceID),
        equalTest(nodeIds, (t) => t.NodeID),
        labelTest(filters['label'], (t) => t.Labels),
        equalTest(filters['desired-state'], (t) => t.DesiredState),
        equalTest(filters['runtime'], () => 'container'),
        upToDateTest(view, filters['_up-to-date']),
      ]);
      return tasks.map((task) => shape(view, task));
    },
    async getTask(ref) {
      return shape(store.view, resolveTask(store.view, ref));
    },
  };
}

function checkDesiredStates(states: readonly string[]): void {
  for (const state of states) {
    if (!(TASK_STATES as readonly string[]).includes(state)) {
      throw new SwarmdError('invalid-argument', `invalid desired-state filter: '${state}'`, { field: 'desired-state' });
    }
  }
}

function* candidates(
  view: ReadView,
  filters: Filters,
  serviceIds: readonly string[] | undefined,
  nodeIds: readonly string[] | undefined,
): Iterable<Task> {
  const labels = filters['label'] ?? [];
  if (serviceIds !== undefined) for (const id of new Set(serviceIds)) yield* view.find('task', 'service', id);
  else if (nodeIds !== undefined) for (const id of new Set(nodeIds)) yield* view.find('task', 'node', id);
  else if (labels.length > 0)
    for (const id of servicesEverLabelled(view, labels)) yield* view.find('task', 'service', id);
  else yield* view.all('task');
}

/** Services of which any kept spec version has the labels: only their tasks can have been created with them. */
function servicesEverLabelled(view: ReadView, labels: readonly string[]): Set<string> {
  const found = new Set<string>();
  for (const record of view.all('spec')) {
    if (!found.has(record.ServiceID) && matchesLabels(labels, record.Spec.Labels)) found.add(record.ServiceID);
  }
  return found;
}

function upToDateTest(view: ReadView, values: readonly string[] | undefined): Test<Task> | undefined {
  if (!values?.some((value) => value === 'true' || value === '1')) return undefined;
  const known = new Map();
  return (task) => {
    const service: Service | undefined = view.get('service', task.ServiceID);
    return service !== undefined && isUpToDate(view, task, service, known);
  };
}
