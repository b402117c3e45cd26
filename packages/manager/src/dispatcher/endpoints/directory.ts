import {
  type Commit,
  isTerminal,
  type Node,
  type Service,
  type Store,
  type StoreEvent,
  specKey,
  type Task,
} from '@swarmd/model';
import { specNetworks } from './endpoint-set.js';
import { NetworkIndex } from './network-index.js';
import { type Candidates, NetworkSet, type Touched } from './network-set.js';

const keysOf = {
  task: (task: Task): Iterable<string> =>
    isTerminal(task.Status.State) ? [] : new Set((task.NetworksAttachments ?? []).map(({ Network }) => Network.ID)),
  service: ({ Spec, Endpoint }: Service): Iterable<string> =>
    new Set([
      ...specNetworks(Spec).map(({ Target }) => Target ?? ''),
      ...(Endpoint?.VirtualIPs ?? []).map(({ NetworkID }) => NetworkID),
    ]),
  node: ({ Attachments, AddressBlocks }: Node): Iterable<string> =>
    new Set([...(Attachments ?? []).map(({ NetworkID }) => NetworkID), ...Object.keys(AddressBlocks ?? {})]),
};

/**
 * One manager's endpoint sets: of each network that somebody asked for one, kept from commit to commit. A commit costs
 * what it changes, however many networks and sessions there are.
 */
export class EndpointDirectory {
  readonly #store: Pick<Store, 'view' | 'index'>;
  readonly #sets = new Map<string, NetworkSet>();
  /** What may be on which network; made when the first set is opened. */
  #index: Record<keyof typeof keysOf, NetworkIndex> | undefined;

  constructor(store: Pick<Store, 'view' | 'index'>) {
    this.#store = store;
  }

  /** The set of a network, if it is kept. */
  get(networkId: string): NetworkSet | undefined {
    return this.#sets.get(networkId);
  }

  /** The set of a network, kept up to date from now on: every commit must be handed to {@link onCommit}. */
  open(networkId: string): NetworkSet {
    const open = this.#sets.get(networkId);
    if (open !== undefined) return open;
    this.#index ??= this.#indexAll();
    const { task, service, node } = this.#index;
    const candidates: Candidates = {
      tasks: task.on(networkId),
      services: service.on(networkId),
      nodes: node.on(networkId),
    };
    const set = new NetworkSet(networkId, this.#store.view, this.#store.index, candidates);
    this.#sets.set(networkId, set);
    return set;
  }

  /** Lets go of a set that nobody needs. */
  close(networkId: string): void {
    this.#sets.delete(networkId);
  }

  /** Takes in a commit, which the view must show. Returns the networks whose sets it changed. */
  onCommit({ index, events }: Commit): string[] {
    if (this.#index === undefined) return [];
    const touched = new Map<string, Touched>();
    for (const event of events) this.#touch(event, touched);
    const changed: string[] = [];
    for (const [networkId, what] of touched) {
      if (this.#sets.get(networkId)?.follow(this.#store.view, index, what)) changed.push(networkId);
    }
    return changed;
  }

  #touch(event: StoreEvent, touched: Map<string, Touched>): void {
    const touch = (kind: keyof Touched, id: string, networkIds: Iterable<string>): void => {
      for (const networkId of networkIds) {
        if (!this.#sets.has(networkId)) continue;
        let of = touched.get(networkId);
        if (of === undefined) {
          of = { tasks: new Set(), services: new Set(), nodes: new Set() };
          touched.set(networkId, of);
        }
        of[kind].add(id);
      }
    };
    const touchTasks = (tasks: Iterable<Task>): void => {
      for (const task of tasks) touch('tasks', task.ID, keysOf.task(task));
    };
    const { view } = this.#store;
    const { table, kind, object, previous } = event;
    if (table === 'task') touch('tasks', object.ID, this.#move(table, object.ID, previous, object, kind));
    else if (table === 'service') {
      touch('services', object.ID, this.#move(table, object.ID, previous, object, kind));
      const [before, now] = kind === 'delete' ? [object, undefined] : [previous, object];
      if (sameForTasks(before, now)) return;
      touchTasks(view.find('task', 'service', object.ID));
      // Tasks may be on networks that its spec has left.
      for (const [networkId, set] of this.#sets)
        if (set.hasTasksOf(object.ID)) touch('services', object.ID, [networkId]);
    } else if (table === 'spec') {
      if (kind === 'update' && previous?.Spec === object.Spec) return;
      const of = [...view.find('task', 'service', object.ServiceID)];
      touchTasks(of.filter(({ ServiceID, SpecVersion }) => specKey(ServiceID, SpecVersion) === object.ID));
    } else if (table === 'node') {
      if (kind === 'update' && previous !== undefined && sameNode(previous, object)) return;
      touch('nodes', object.ID, this.#move(table, object.ID, previous, object, kind));
      touchTasks(view.find('task', 'node', object.ID));
    }
  }

  /** Follows an object through the index; the networks that it was or is on. */
  #move<K extends keyof typeof keysOf>(
    table: K,
    id: string,
    previous: Parameters<(typeof keysOf)[K]>[0] | undefined,
    object: Parameters<(typeof keysOf)[K]>[0],
    kind: StoreEvent['kind'],
  ): Set<string> {
    const keys = keysOf[table] as (of: typeof object) => Iterable<string>;
    // Of what is deleted, the object is the last that was known.
    const last = kind === 'delete' ? object : previous;
    const before = last === undefined ? [] : keys(last);
    const now = kind === 'delete' ? [] : keys(object);
    this.#index![table].move(id, before, now);
    return new Set([...before, ...now]);
  }

  #indexAll(): Record<keyof typeof keysOf, NetworkIndex> {
    const { view } = this.#store;
    const index = { task: new NetworkIndex(), service: new NetworkIndex(), node: new NetworkIndex() };
    for (const task of view.all('task')) index.task.move(task.ID, [], keysOf.task(task));
    for (const service of view.all('service')) index.service.move(service.ID, [], keysOf.service(service));
    for (const node of view.all('node')) index.node.move(node.ID, [], keysOf.node(node));
    return index;
  }
}

/** Whether a service's tasks, wherever they are, are on their networks as before. */
function sameForTasks(previous: Service | undefined, object: Service | undefined): boolean {
  const [before, now] = [previous, object].map((service) =>
    service === undefined
      ? ''
      : JSON.stringify([
          service.PendingDelete,
          service.Spec.Name,
          specNetworks(service.Spec),
          service.Endpoint?.VirtualIPs,
        ]),
  );
  return before === now;
}

/** Whether a node takes part in overlays as before. */
function sameNode(previous: Node, object: Node): boolean {
  if ((previous.Status.State === 'down') !== (object.Status.State === 'down')) return false;
  const said = ({ DataPath, Attachments, AddressBlocks }: Node): string =>
    JSON.stringify([DataPath, Attachments, AddressBlocks]);
  return said(previous) === said(object);
}
