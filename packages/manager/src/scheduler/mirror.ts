import {
  type Commit,
  type GenericResource,
  type Node,
  type ReadView,
  type StoreEvent,
  specKey,
  type Task,
} from '@swarmd/model';
import { chooseGeneric } from './generic.js';
import { hostPortsOf, readNeeds } from './needs.js';
import { type Hold, NodeInfo, type ServiceLoad, type SpecEntry, statusTimeMs } from './node-info.js';
import { NodeOrder } from './node-order.js';
import { PendingTasks, type TaskGroup } from './pending-tasks.js';
import { concernsPlacement, failedHere, isActive, placeOf, taskStates } from './task-place.js';

/**
 * The scheduler's own account of the cluster, kept up event by event: what each node offers and holds, and which tasks
 * wait. Its own decisions count from the moment they are made. Built anew from a view it comes out the same.
 */
export class ClusterMirror {
  /** Nodes by ID, with those that do not exist any more but still have tasks. */
  readonly nodes = new Map<string, NodeInfo>();
  /** Assigned tasks that have not ended, by ID. */
  readonly holds = new Map<string, Hold>();
  readonly pending = new PendingTasks();
  readonly order = new NodeOrder();
  /** Grows with every change of a node object: what was judged before must be judged again. */
  nodeRevision = 0;
  readonly #view: () => ReadView;
  /** By service, then version: without making a key for each task that is looked at. */
  readonly #specs = new Map<string, Map<number, SpecEntry>>();
  readonly #loads = new Map<string, ServiceLoad>();
  #slots = 0;

  /** `view` gives the state that the events applied so far have led to. */
  constructor(view: () => ReadView) {
    this.#view = view;
  }

  /** Starts over from the present state. Recent failures that are known already are kept. */
  rebuild(): void {
    const failures = [...this.nodes.values()].map((info) => [info.id, info.failures] as const);
    this.nodes.clear();
    this.holds.clear();
    this.pending.clear();
    this.order.clear();
    this.#specs.clear();
    this.#loads.clear();
    const view = this.#view();
    for (const node of view.all('node')) this.#putNode(node);
    for (const task of view.all('task')) this.#taskChanged(task.ID, undefined, task);
    // Only now: those of the tasks that are still there are among them.
    for (const [id, known] of failures) if (known !== undefined) this.#restoreFailures(id, known);
  }

  /** Follows a commit. */
  apply(commit: Commit): void {
    for (const event of commit.events) {
      if (event.table === 'task') this.#taskChanged(event.object.ID, ...taskStates(event));
      else if (event.table === 'node') this.#nodeChanged(event);
    }
    // Only now: tasks that the same commit removed were counted by their specs.
    for (const event of commit.events) if (event.kind === 'delete') this.#forget(event);
    this.pending.settle();
  }

  /** Counts a task onto a node at once, ahead of the store, and takes it off the pending ones. */
  reserve(task: Task, node: NodeInfo, spec: SpecEntry): Hold {
    const { needs } = spec;
    const generic: readonly GenericResource[] =
      needs.generic.length === 0 ? NOTHING : chooseGeneric(node.offers, node.usedGeneric, needs.generic);
    const hold: Hold = { node, spec, active: true, hostPorts: hostPortsOf(task), generic, inFlight: true };
    this.holds.set(task.ID, hold);
    node.acquire(hold);
    return hold;
  }

  /** Takes back a reservation that the store refused, and looks at the task again as it is now. */
  undo(taskId: string, hold: Hold): void {
    if (this.holds.get(taskId) !== hold || !hold.inFlight) return;
    this.#drop(taskId, hold);
    this.#taskChanged(taskId, undefined, this.#view().get('task', taskId));
    this.pending.settle();
  }

  /** What tasks of this spec version share. */
  specOf(serviceId: string, specVersion: number): SpecEntry {
    return this.#specs.get(serviceId)?.get(specVersion) ?? this.#readSpec(serviceId, specVersion);
  }

  #restoreFailures(nodeId: string, failures: Map<string, number[]>): void {
    const info = this.nodes.get(nodeId);
    if (info !== undefined) info.failures = failures;
  }

  #readSpec(serviceId: string, specVersion: number): SpecEntry {
    const view = this.#view();
    const key = specKey(serviceId, specVersion);
    const spec = view.get('spec', key)?.Spec ?? view.get('service', serviceId)?.Spec ?? {};
    let load = this.#loads.get(serviceId);
    if (load === undefined) {
      load = new Map();
      this.#loads.set(serviceId, load);
    }
    const entry: SpecEntry = {
      key,
      overlayKey: `${key} overlay`,
      needs: readNeeds(serviceId, specVersion, spec),
      load,
    };
    const versions = this.#specs.get(serviceId) ?? new Map<number, SpecEntry>();
    this.#specs.set(serviceId, versions.set(specVersion, entry));
    return entry;
  }

  #nodeChanged(event: Extract<StoreEvent, { table: 'node' }>): void {
    const { object: node } = event;
    if (event.kind === 'delete') {
      const info = this.nodes.get(node.ID);
      if (info === undefined) return;
      info.describe(undefined);
      this.order.remove(info);
      if (info.holds === 0) this.nodes.delete(node.ID);
    } else if (event.previous === undefined || concernsPlacement(event.previous, node)) {
      this.#putNode(node);
    } else {
      this.nodes.get(node.ID)?.describe(node);
      return;
    }
    this.nodeRevision++;
    this.pending.nodeChanged(node.ID);
  }

  #putNode(node: Node): void {
    const info = this.#infoOf(node.ID);
    if (info.node === undefined) this.order.add(info);
    info.describe(node);
  }

  #infoOf(nodeId: string): NodeInfo {
    let info = this.nodes.get(nodeId);
    if (info === undefined) {
      info = new NodeInfo(nodeId, this.#slots++);
      this.nodes.set(nodeId, info);
    }
    return info;
  }

  #taskChanged(id: string, previous: Task | undefined, next: Task | undefined): void {
    const hold = this.holds.get(id);
    const place = next === undefined ? 'none' : placeOf(next);
    if (hold?.inFlight) {
      // What else befalls the task, the transaction under way will find out; undo() looks again then.
      if (place !== 'held') return;
      hold.inFlight = false;
    }
    const group = this.#leavePending(id, previous);
    if (next !== undefined && place === 'pending') this.#enterPending(next, group);
    else if (next !== undefined && place === 'obsolete') this.pending.addObsolete(next);
    if (next !== undefined && place === 'held') this.#hold(next, hold);
    else if (hold !== undefined) this.#drop(id, hold);
    if (next !== undefined && failedHere(next) && !(previous !== undefined && failedHere(previous))) this.#failed(next);
  }

  /** Returns the group, or the node, that the task waited for, if it did. */
  #leavePending(id: string, previous: Task | undefined): TaskGroup | string | undefined {
    if (previous === undefined) return undefined;
    const place = placeOf(previous);
    if (place === 'obsolete') this.pending.removeObsolete(id);
    if (place !== 'pending') return undefined;
    if (previous.NodeID !== '') return this.pending.removePreassigned(previous.NodeID, id);
    return this.pending.remove(previous, this.specOf(previous.ServiceID, previous.SpecVersion));
  }

  #enterPending(task: Task, from: TaskGroup | string | undefined): void {
    if (task.NodeID === '') this.pending.add(task, this.specOf(task.ServiceID, task.SpecVersion), from);
    else this.pending.addPreassigned(task, from);
  }

  #hold(task: Task, held: Hold | undefined): void {
    const active = isActive(task);
    if (held !== undefined && held.node.id === task.NodeID) {
      if (held.active === active) return;
      held.active = active;
      held.node.countActive(held.spec.load, active ? 1 : -1);
      if (!active) this.pending.freed(held.node);
      return;
    }
    if (held !== undefined) this.#drop(task.ID, held);
    const hold: Hold = {
      node: this.#infoOf(task.NodeID),
      spec: this.specOf(task.ServiceID, task.SpecVersion),
      active,
      hostPorts: hostPortsOf(task),
      generic: task.AssignedGenericResources ?? NOTHING,
      inFlight: false,
    };
    this.holds.set(task.ID, hold);
    hold.node.acquire(hold);
  }

  #drop(id: string, hold: Hold): void {
    const { node } = hold;
    this.holds.delete(id);
    node.release(hold);
    if (node.node === undefined && node.holds === 0) this.nodes.delete(node.id);
    else this.pending.freed(node);
  }

  #failed(task: Task): void {
    this.nodes.get(task.NodeID)?.recordFailure(specKey(task.ServiceID, task.SpecVersion), statusTimeMs(task.Status));
  }

  #forget(event: StoreEvent): void {
    if (event.table === 'spec') {
      const { ServiceID, SpecVersion } = event.object;
      const versions = this.#specs.get(ServiceID);
      versions?.delete(SpecVersion);
      if (versions?.size === 0) this.#specs.delete(ServiceID);
    } else if (event.table === 'service' && this.#loads.get(event.object.ID)?.size === 0) {
      this.#loads.delete(event.object.ID);
    }
  }
}

const NOTHING: readonly GenericResource[] = [];
