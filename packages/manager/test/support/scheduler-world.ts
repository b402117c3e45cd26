import type { NewObject, Node, ReadView, Service, ServiceSpec, Store, Task, TaskSpec } from '@swarmd/model';
import { createMemoryLog, openStore } from '@swarmd/store';
import { buildNode, buildServiceSpec, buildTask, createService, type ManualClock, manualClock } from '@swarmd/testkit';
import { pino } from 'pino';
import type { ClusterMirror } from '../../src/scheduler/mirror.js';
import { readNeeds } from '../../src/scheduler/needs.js';
import { NodeInfo } from '../../src/scheduler/node-info.js';
import { groupFor, type TaskGroup } from '../../src/scheduler/pending-tasks.js';

/** A real store on a memory log, and what changes it the way the other parts of a manager do. */
export interface World {
  store: Store;
  clock: ManualClock;
  view: ReadView;
  addNode(id: string, over?: Partial<NewObject<Node>>): Promise<void>;
  changeNode(id: string, change: (node: Node) => Node): Promise<void>;
  removeNode(id: string): Promise<void>;
  addService(id: string, template?: TaskSpec): Promise<void>;
  addTasks(serviceId: string, ids: readonly string[], over?: Partial<NewObject<Task>>): Promise<void>;
  changeTask(id: string, change: (task: Task) => Task): Promise<void>;
  removeTask(id: string): Promise<void>;
  task(id: string): Task;
}

/** A logger that says nothing. */
export const silent = pino({ level: 'silent' });

/** An empty {@link World}. */
export async function openWorld(): Promise<World> {
  const clock = manualClock();
  const store = await openStore({ log: createMemoryLog(), clock });
  return {
    store,
    clock,
    view: store.view,
    addNode: (id, over) => store.update((tx) => void tx.create('node', buildNode(id, over))),
    changeNode: (id, change) => store.update((tx) => void tx.put('node', change(tx.get('node', id)!))),
    removeNode: (id) => store.update((tx) => void tx.delete('node', id)),
    addService: (id, template) => store.update((tx) => void createService(tx, id, specWith(template))),
    addTasks: (serviceId, ids, over) =>
      store.update((tx) => {
        const service = tx.get('service', serviceId)!;
        const slot = (i: number): number => i + 1;
        for (const [i, id] of ids.entries()) tx.create('task', buildTask(service, id, { Slot: slot(i), ...over }));
      }),
    changeTask: (id, change) => store.update((tx) => void tx.put('task', change(tx.get('task', id)!))),
    removeTask: (id) => store.update((tx) => void tx.delete('task', id)),
    task: (id) => store.view.get('task', id)!,
  };
}

/** A service spec whose tasks are as `template` says, beside their image. */
export function specWith(template: TaskSpec = {}): ServiceSpec {
  const spec = buildServiceSpec('web', 1);
  return { ...spec, TaskTemplate: { ...spec.TaskTemplate, ...template } };
}

/** Resolves once `condition` holds, looking at it now and after each commit; rejects after 10 s. */
export function until(store: Store, condition: () => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => end(new Error(`never came true: ${condition}`)), 10_000);
    const unwatch = store.watch(() => check());
    const end = (error?: Error): void => {
      clearTimeout(timer);
      unwatch();
      if (error === undefined) resolve();
      else reject(error);
    };
    const check = (): void => {
      if (condition()) end();
    };
    check();
  });
}

/** A node of the scheduler's account, outside any mirror. */
export function nodeInfo(over: Partial<NewObject<Node>> = {}, id = 'n1'): NodeInfo {
  const info = new NodeInfo(id, 0);
  const stamps = { Version: { Index: 1 }, CreatedAt: '', UpdatedAt: '' };
  info.describe({ ...buildNode(id, over), ...stamps });
  return info;
}

/** The group that tasks with this template form. */
export function groupWith(template: TaskSpec, over: Partial<NewObject<Task>> = {}): TaskGroup {
  const stamps = { Version: { Index: 1 }, CreatedAt: '', UpdatedAt: '' };
  const service: Service = { ID: 's', Spec: specWith(template), SpecVersion: 1, ...stamps };
  const entry = {
    key: 's/1',
    overlayKey: 's/1 overlay',
    needs: readNeeds('s', 1, service.Spec),
    load: new Map<number, number>(),
  };
  return groupFor({ ...buildTask(service, 't', over), ...stamps }, entry);
}

/** All that a mirror knows, in a form that two mirrors share when they know the same. */
export function describeMirror(mirror: ClusterMirror): unknown {
  const bySlot = new Map([...mirror.nodes.values()].map((node) => [node.slot, node.id]));
  const loads = new Map<string, Record<string, number>>();
  for (const { spec } of mirror.holds.values()) {
    const named = [...spec.load].map(([slot, tasks]) => [bySlot.get(slot) ?? slot, tasks] as const);
    loads.set(spec.needs.serviceId, Object.fromEntries(named.sort()));
  }
  return {
    order: mirror.order.list().map((node) => node.id),
    nodes: [...mirror.nodes.values()].sort((a, b) => (a.id < b.id ? -1 : 1)).map(describeNode),
    holds: [...mirror.holds].map(([id, hold]) => [id, hold.node.id, hold.active, hold.hostPorts, hold.inFlight]).sort(),
    loads: [...loads].sort(),
    groups: [...mirror.pending.groups.values()].map((group) => [group.key, [...group.tasks.keys()].sort()]).sort(),
    preassigned: [...mirror.pending.preassigned].map(([node, tasks]) => [node, [...tasks.keys()].sort()]).sort(),
  };
}

function describeNode({ slot: _slot, failures, usedGeneric, hostPorts, node, ...rest }: NodeInfo): unknown {
  return {
    ...rest,
    offers: [...rest.offers],
    node: node?.ID,
    failures: [...(failures ?? [])].sort(),
    units: [...(usedGeneric?.units ?? [])].sort(),
    names: [...(usedGeneric?.names ?? [])].map(([kind, held]) => [kind, [...held].sort()]).sort(),
    hostPorts: [...(hostPorts ?? [])].sort(),
  };
}
