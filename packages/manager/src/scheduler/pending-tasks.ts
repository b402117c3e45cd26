import { isOnOverlay, type Task } from '@swarmd/model';
import { type Filter, filtersFor, firstRefusal, type Requirement } from './filters.js';
import { hostPortsOf, networkDriversOf } from './needs.js';
import type { NodeInfo, SpecEntry } from './node-info.js';

/** Tasks that any node suits equally well or badly: one spec version, the same needs of ports and networks. */
export interface TaskGroup extends Requirement {
  key: string;
  tasks: Map<string, Task>;
  /** Filters with a say on this group, in order; and those of them whose answer placing a task may turn. */
  filters: readonly Filter[];
  changingFilters: readonly Filter[];
}

/** What a pass shall look at. */
export interface Work {
  /** Nodes whose preassigned tasks are to be judged, by ID. */
  nodes: readonly string[];
  /** Groups to place, by key. */
  groups: readonly TaskGroup[];
  /** Tasks that are wanted shut down before they had a node. */
  obsolete: readonly Task[];
}

/** More checks than this are not worth making before a pass: all waiting groups are simply tried. */
const MAX_HELP_CHECKS = 20_000;

/** The group that tasks like this one form, still empty. */
export function groupFor(task: Task, spec: SpecEntry): TaskGroup {
  const need: Requirement = {
    spec,
    hostPorts: hostPortsOf(task),
    networkDrivers: networkDriversOf(task),
    overlay: isOnOverlay(task.NetworksAttachments),
  };
  const filters = filtersFor(need);
  const changingFilters = filters.filter((filter) => filter.changing);
  return { ...need, key: groupKey(task, spec), tasks: new Map(), filters, changingFilters };
}

/** The tasks that wait for the scheduler, and which of them are worth trying now. */
export class PendingTasks {
  readonly #groups = new Map<string, TaskGroup>();
  readonly #preassigned = new Map<string, Map<string, Task>>();
  readonly #obsolete = new Map<string, Task>();
  readonly #dirtyGroups = new Set<TaskGroup>();
  readonly #dirtyNodes = new Set<string>();
  readonly #emptied = new Set<TaskGroup>();
  /** Nodes where something became free since the last pass. */
  readonly #freed = new Set<NodeInfo>();

  /** Whether a pass could achieve anything. */
  get hasWork(): boolean {
    return this.#dirtyGroups.size > 0 || this.#dirtyNodes.size > 0 || this.#obsolete.size > 0 || this.#freed.size > 0;
  }

  /** Groups of tasks that wait for any node. */
  get groups(): ReadonlyMap<string, TaskGroup> {
    return this.#groups;
  }

  /** Tasks that wait for their own node, by node. */
  get preassigned(): ReadonlyMap<string, ReadonlyMap<string, Task>> {
    return this.#preassigned;
  }

  /** Forgets everything. */
  clear(): void {
    for (const part of [this.#groups, this.#preassigned, this.#obsolete]) part.clear();
    for (const part of [this.#dirtyGroups, this.#dirtyNodes, this.#emptied, this.#freed]) part.clear();
  }

  /** Adds or replaces a task without a node. One that stays in the group it waited in is no reason to try again. */
  add(task: Task, spec: SpecEntry, from: TaskGroup | string | undefined): void {
    const key = groupKey(task, spec);
    let group = this.#groups.get(key);
    if (group === undefined) {
      group = groupFor(task, spec);
      this.#groups.set(key, group);
    }
    group.tasks.set(task.ID, task);
    if (group !== from) this.#dirtyGroups.add(group);
  }

  /** Removes a task as it was last seen. Returns its group when it waited there. */
  remove(task: Task, spec: SpecEntry): TaskGroup | undefined {
    const group = this.#groups.get(groupKey(task, spec));
    return group !== undefined && this.take(group, task.ID) ? group : undefined;
  }

  /** Takes a task out of its group; false when it does not wait there any more. */
  take(group: TaskGroup, taskId: string): boolean {
    const waited = group.tasks.delete(taskId);
    if (group.tasks.size === 0) this.#emptied.add(group);
    return waited;
  }

  /** Adds or replaces a task that has its node already; `from` is the node for which it waited before. */
  addPreassigned(task: Task, from: TaskGroup | string | undefined): void {
    const tasks = this.#preassigned.get(task.NodeID) ?? new Map<string, Task>();
    tasks.set(task.ID, task);
    this.#preassigned.set(task.NodeID, tasks);
    if (from !== task.NodeID) this.#dirtyNodes.add(task.NodeID);
  }

  /** Removes such a task. Returns its node when it waited for that. */
  removePreassigned(nodeId: string, taskId: string): string | undefined {
    const tasks = this.#preassigned.get(nodeId);
    if (!tasks?.delete(taskId)) return undefined;
    if (tasks.size === 0) this.#preassigned.delete(nodeId);
    return nodeId;
  }

  /** Adds a task that is wanted shut down and never had a node. */
  addObsolete(task: Task): void {
    this.#obsolete.set(task.ID, task);
  }

  /** Removes such a task. */
  removeObsolete(taskId: string): void {
    this.#obsolete.delete(taskId);
  }

  /** A node came, went or changed: anything may fit now, and every explanation counts differently. */
  nodeChanged(nodeId: string): void {
    for (const group of this.#groups.values()) this.#dirtyGroups.add(group);
    if (this.#preassigned.has(nodeId)) this.#dirtyNodes.add(nodeId);
  }

  /** Resources, ports or a replica's place became free on a node. */
  freed(node: NodeInfo): void {
    this.#freed.add(node);
    if (this.#preassigned.has(node.id)) this.#dirtyNodes.add(node.id);
  }

  /** Everything that waits is worth trying again. */
  markAll(): void {
    for (const group of this.#groups.values()) this.#dirtyGroups.add(group);
    for (const nodeId of this.#preassigned.keys()) this.#dirtyNodes.add(nodeId);
  }

  /** To be called after a number of changes: drops what they left empty. */
  settle(): void {
    for (const group of this.#emptied) {
      if (group.tasks.size > 0) continue;
      this.#dirtyGroups.delete(group);
      if (this.#groups.get(group.key) === group) this.#groups.delete(group.key);
    }
    this.#emptied.clear();
    if (this.#groups.size === 0) this.#freed.clear();
  }

  /** What is worth trying now; it counts as tried from here on. */
  takeWork(): Work {
    this.settle();
    this.#markHelped();
    const work: Work = {
      nodes: [...this.#dirtyNodes].sort(),
      groups: [...this.#dirtyGroups].sort((a, b) => (a.key < b.key ? -1 : 1)),
      obsolete: [...this.#obsolete.values()],
    };
    for (const part of [this.#dirtyNodes, this.#dirtyGroups, this.#obsolete]) part.clear();
    return work;
  }

  /** A group that found no room is tried again when a node with something free would take one of its tasks. */
  #markHelped(): void {
    const tryAll = this.#freed.size * this.#groups.size > MAX_HELP_CHECKS;
    for (const group of this.#groups.values()) {
      if (this.#dirtyGroups.has(group)) continue;
      if (tryAll || this.#wouldTake(group)) this.#dirtyGroups.add(group);
    }
    this.#freed.clear();
  }

  #wouldTake(group: TaskGroup): boolean {
    for (const node of this.#freed) if (firstRefusal(group.filters, node, group) === undefined) return true;
    return false;
  }
}

/** A key of the spec's own where nothing is added to it: the same string each time, so that its hash is computed once. */
function groupKey(task: Task, spec: SpecEntry): string {
  const ports = hostPortsOf(task);
  const drivers = networkDriversOf(task);
  const key = isOnOverlay(task.NetworksAttachments) ? spec.overlayKey : spec.key;
  return ports.length + drivers.length === 0 ? key : `${key} ${ports.join()} ${drivers.join()}`;
}
