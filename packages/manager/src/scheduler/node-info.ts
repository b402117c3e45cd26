import type { GenericResource, Node } from '@swarmd/model';
import { countGeneric, emptyUse, type GenericOffers, type GenericUse, readOffers } from './generic.js';
import type { Needs } from './needs.js';

/** Tasks of one service per node, by {@link NodeInfo.slot}; only those that are wanted to run (or to complete) count. */
export type ServiceLoad = Map<number, number>;

/** What all tasks of one spec version share in the scheduler. */
export interface SpecEntry {
  /** Key of the spec record. */
  key: string;
  /** What tells its tasks on overlay networks from those that have none. */
  overlayKey: string;
  needs: Needs;
  load: ServiceLoad;
}

/** What an assigned task takes of its node until it has ended. */
export interface Hold {
  node: NodeInfo;
  spec: SpecEntry;
  /** Whether it counts for spreading and replica limits: its desired state is not past `complete`. */
  active: boolean;
  hostPorts: readonly string[];
  generic: readonly GenericResource[];
  /** The scheduler's own decision, not yet seen in the store. */
  inFlight: boolean;
}

/** A recent failure counts against a node for this long, and that many of them move it to the end of the order (swarmkit). */
export const FAILURE_WINDOW_MS = 5 * 60_000;
/** See {@link FAILURE_WINDOW_MS}. */
export const MAX_FAILURES = 5;

const NO_OFFERS = readOffers(undefined);

/** The scheduler's account of one node: what it offers, and what the tasks assigned to it take of that. */
export class NodeInfo {
  readonly id: string;
  /** A number of its own for as long as the scheduler runs, to index by. */
  readonly slot: number;
  /** Absent while only tasks still name the node. */
  node: Node | undefined;
  /** Ready and active. */
  ready = false;
  nanoCpus = 0;
  memoryBytes = 0;
  offers: GenericOffers = NO_OFFERS;
  usedNanoCpus = 0;
  usedMemoryBytes = 0;
  usedGeneric: GenericUse | undefined;
  activeTasks = 0;
  holds = 0;
  /** How many tasks hold each `protocol/port`: two may, when one was given its node by its orchestrator. */
  hostPorts: Map<string, number> | undefined;
  /** Times of failures (milliseconds since the epoch, ascending) by spec version. */
  failures: Map<string, number[]> | undefined;

  constructor(id: string, slot: number) {
    this.id = id;
    this.slot = slot;
  }

  /** Takes over the node's present object. */
  describe(node: Node | undefined): void {
    this.node = node;
    this.ready = node?.Status.State === 'ready' && node.Spec.Availability === 'active';
    const resources = node?.Description?.Resources;
    this.nanoCpus = resources?.NanoCPUs ?? 0;
    this.memoryBytes = resources?.MemoryBytes ?? 0;
    this.offers = readOffers(resources?.GenericResources);
  }

  /** Counts a hold in. */
  acquire(hold: Hold): void {
    this.#count(hold, 1);
    if (hold.active) this.countActive(hold.spec.load, 1);
  }

  /** Counts a hold out. */
  release(hold: Hold): void {
    this.#count(hold, -1);
    if (hold.active) this.countActive(hold.spec.load, -1);
  }

  /** Counts tasks that are wanted to run in or out. */
  countActive(load: ServiceLoad, delta: 1 | -1): void {
    this.activeTasks += delta;
    const tasks = (load.get(this.slot) ?? 0) + delta;
    if (tasks === 0) load.delete(this.slot);
    else load.set(this.slot, tasks);
  }

  /** Notes that a task of the spec version failed or was rejected here at `at` (milliseconds since the epoch). */
  recordFailure(specKey: string, at: number): void {
    this.failures ??= new Map();
    const times = (this.failures.get(specKey) ?? []).filter((time) => at - time <= FAILURE_WINDOW_MS);
    times.push(at);
    times.sort((a, b) => a - b);
    this.failures.set(specKey, times);
  }

  /** Failures of the spec version within the window before `now`; 0 when they are too few to matter. */
  weighingFailures(specKey: string, now: number): number {
    const times = this.failures?.get(specKey);
    if (times === undefined) return 0;
    const recent = times.filter((time) => now - time <= FAILURE_WINDOW_MS);
    if (recent.length === 0) this.failures?.delete(specKey);
    return recent.length < MAX_FAILURES ? 0 : recent.length;
  }

  #count(hold: Hold, sign: 1 | -1): void {
    const { needs } = hold.spec;
    this.holds += sign;
    this.usedNanoCpus += sign * needs.nanoCpus;
    this.usedMemoryBytes += sign * needs.memoryBytes;
    if (hold.generic.length > 0) {
      this.usedGeneric ??= emptyUse();
      countGeneric(this.usedGeneric, hold.generic, sign);
    }
    if (hold.hostPorts.length > 0) this.#countPorts(hold.hostPorts, sign);
  }

  #countPorts(ports: readonly string[], sign: 1 | -1): void {
    this.hostPorts ??= new Map();
    for (const port of ports) {
      const users = (this.hostPorts.get(port) ?? 0) + sign;
      if (users === 0) this.hostPorts.delete(port);
      else this.hostPorts.set(port, users);
    }
  }
}

/** When a status was applied, as milliseconds since the epoch: the leader's clock if it says so, else the agent's. */
export function statusTimeMs(status: { AppliedAt?: string; Timestamp: string }): number {
  const parsed = Date.parse(status.AppliedAt ?? status.Timestamp);
  return Number.isNaN(parsed) ? 0 : parsed;
}
