import type { ReadView } from '@swarmd/model';
import type { EndpointUpdate } from '@swarmd/wire';
import {
  type EndpointSet,
  endpointsOf,
  foreignEndpoints,
  networkService,
  nodeBlocks,
  taskEndpoint,
} from './endpoint-set.js';
import { type EndpointDiff, emptyDiff, endpointMessages, mergeInto, sizeOf } from './messages.js';

/** Things in the differences that a network keeps, unless it has more members than that itself. */
const MIN_LOGGED = 1_000;

/** What a commit touches of one network, by ID. */
export interface Touched {
  tasks: Set<string>;
  services: Set<string>;
  nodes: Set<string>;
}

/** What a network's set starts from: all that may be on it. */
export type Candidates = { [K in keyof Touched]: Iterable<string> };

/**
 * Who is on one network now, and how it came to that: kept from commit to commit, at the cost of what changed. What
 * sessions are sent is made once for all that know the same.
 */
export class NetworkSet {
  readonly networkId: string;
  readonly #now: EndpointSet = { endpoints: new Map(), services: new Map(), blocks: new Map() };
  /** How many endpoints each service has. */
  readonly #present = new Map<string, number>();
  /** IDs of containers besides tasks, by node. */
  readonly #foreign = new Map<string, readonly string[]>();
  #log: { index: number; diff: EndpointDiff }[] = [];
  #logged = 0;
  /** The differences after this index are all there. */
  #floor: number;
  #changedAt: number;
  readonly #made = new Map<number, readonly EndpointUpdate[]>();

  /** The set by this state of the store; `index` is that of the state. */
  constructor(networkId: string, view: ReadView, index: number, candidates: Candidates) {
    this.networkId = networkId;
    this.#floor = index;
    this.#changedAt = index;
    this.#derive(view, candidates);
  }

  /** Index of the last commit that changed the set. */
  get changedAt(): number {
    return this.#changedAt;
  }

  /** As {@link endpointsOf} gives it; the maps are the set's own. */
  get members(): Readonly<EndpointSet> {
    return this.#now;
  }

  /** Whether a task of the service is on the network. */
  hasTasksOf(serviceId: string): boolean {
    return this.#present.has(serviceId);
  }

  /** Takes in what a commit touched; false when nothing came of it. */
  follow(view: ReadView, index: number, touched: Touched): boolean {
    const diff = this.#derive(view, touched);
    const size = sizeOf(diff);
    if (size === 0) return false;
    this.#log.push({ index, diff });
    this.#logged += size;
    this.#changedAt = index;
    this.#made.clear();
    const { endpoints, services, blocks } = this.#now;
    const limit = Math.max(MIN_LOGGED, endpoints.size + services.size + blocks.size);
    while (this.#logged > limit) {
      const oldest = this.#log.shift()!;
      this.#logged -= sizeOf(oldest.diff);
      this.#floor = oldest.index;
    }
    return true;
  }

  /**
   * What brings whoever knows the set as of `index` up to date: the differences since then, or all of it, where they are
   * not kept any more or nothing is known yet (`undefined`). `index` in the messages is the caller's to fill in.
   */
  since(index: number | undefined): readonly EndpointUpdate[] {
    const known = index !== undefined && index >= this.#floor;
    // Whoever knows the same gets the same.
    const from = known ? this.#firstAfter(index) : -1;
    let made = this.#made.get(from);
    if (made === undefined) {
      const diff = emptyDiff();
      if (!known) mergeInto(diff, this.#now);
      else for (const entry of this.#log.slice(from)) mergeInto(diff, entry.diff);
      made = endpointMessages(this.networkId, !known, diff);
      this.#made.set(from, made);
    }
    return made;
  }

  /** Position of the first difference after an index. Most who ask are not far behind. */
  #firstAfter(index: number): number {
    let from = this.#log.length;
    while (from > 0 && this.#log[from - 1]!.index > index) from -= 1;
    return from;
  }

  #derive(view: ReadView, { tasks, services, nodes }: Candidates): EndpointDiff {
    const diff = emptyDiff();
    const touchedServices = new Set(services);
    const put = (id: string, endpoint: EndpointDiff['endpoints'] extends Map<string, infer E> ? E : never): void => {
      const before = this.#now.endpoints.get(id);
      if (!replace(this.#now.endpoints, diff.endpoints, id, endpoint)) return;
      if (before?.serviceId === endpoint?.serviceId) return;
      for (const serviceId of [this.#count(before?.serviceId, -1), this.#count(endpoint?.serviceId, 1)])
        if (serviceId !== undefined) touchedServices.add(serviceId);
    };
    for (const id of tasks) {
      const task = view.get('task', id);
      put(id, task && taskEndpoint(view, task, this.networkId));
    }
    for (const id of nodes) {
      const node = view.get('node', id);
      const containers = node === undefined ? [] : foreignEndpoints(node, this.networkId);
      const ids = containers.map((container) => container.id);
      for (const gone of this.#foreign.get(id) ?? []) if (!ids.includes(gone)) put(gone, undefined);
      for (const container of containers) put(container.id, container);
      if (ids.length === 0) this.#foreign.delete(id);
      else this.#foreign.set(id, ids);
      replace(this.#now.blocks, diff.blocks, id, node && nodeBlocks(node, this.networkId));
    }
    for (const id of touchedServices) {
      const service = networkService(view, id, this.networkId, this.#present.has(id));
      replace(this.#now.services, diff.services, id, service);
    }
    return diff;
  }

  /** Counts an endpoint of a service in or out; returns the service when it has come or gone by that. */
  #count(serviceId: string | undefined, by: 1 | -1): string | undefined {
    if (serviceId === undefined || serviceId === '') return undefined;
    const count = (this.#present.get(serviceId) ?? 0) + by;
    if (count === 0) this.#present.delete(serviceId);
    else this.#present.set(serviceId, count);
    return count === 0 || (count === 1 && by === 1) ? serviceId : undefined;
  }
}

/** Puts or removes an item and notes that in `diff`; false when it was so already. */
function replace<V>(now: Map<string, V>, diff: Map<string, V | undefined>, id: string, value: V | undefined): boolean {
  const before = now.get(id);
  if (before === undefined && value === undefined) return false;
  if (value === undefined) now.delete(id);
  else if (before !== undefined && JSON.stringify(before) === JSON.stringify(value)) return false;
  else now.set(id, value);
  diff.set(id, value);
  return true;
}
