import { type Commit, isTerminal, type ReadView, type Task } from '@swarmd/model';
import type { ManualClock } from '@swarmd/testkit';
import type { AgentHost } from './agent-host.js';
import { isEverywhere, phaseOf, withoutPrefix } from './network-checks.js';

/** How long others have to learn of a phase. */
const BOUND_MS = 2_000;
/** A node counts as connected once nothing has come between it and its manager for so long. */
const CALM_MS = 1_000;
/** How long it may take until a node hears that its manager has ended its session. */
const HEARD_MS = 500;
/** An address that somebody had is nobody's for this long. */
const REST_MS = 30_000;
/** A node whose swarmd-net is away for less than that is as much part of the data path as before. */
const AWAY_MS = 4_000;

/** What a {@link NetworkWitness} sees. */
export interface NetworkWorld {
  clock: ManualClock;
  agents: ReadonlyMap<string, AgentHost>;
  /** The newest state that the log holds. */
  view(): ReadView;
  /** Whether an agent and the manager of its session hear each other. */
  hear(agent: string, manager: string): boolean;
  /** The term of the leader, and how far clocks may have jumped. */
  term(): number | undefined;
  skewMs(): number;
  report(problem: string): void;
}

/** An agent's session, as both sides would have it. */
interface Session {
  manager: string;
  sinceMs: number;
}

/** What is wanted of a task on its networks: since when it has its node, and since when it is to stop. */
interface Phase {
  reservedMs: number;
  drainingMs: number | undefined;
}

/** Holds what nodes do with networks against what other nodes know at that moment, and addresses against their past. */
export class NetworkWitness {
  readonly #world: NetworkWorld;
  readonly #sessions = new Map<string, Session>();
  /** When something last stood between an agent and its manager, or took away what it knew. */
  readonly #disturbed = new Map<string, number>();
  readonly #reachable = new Map<string, number>();
  readonly #phases = new Map<string, Phase>();
  /** `used`: it came to a node, so that others may have known it. */
  readonly #holders = new Map<string, { by: string; used: boolean }>();
  readonly #released = new Map<string, { atMs: number; term: number | undefined; by: string }>();

  constructor(world: NetworkWorld) {
    this.#world = world;
  }

  /** A session of an agent has begun with this manager, or has ended. */
  session(node: string, manager: string | undefined): void {
    if (manager === undefined) this.#sessions.delete(node);
    else this.#sessions.set(node, { manager, sinceMs: this.#now });
  }

  /** A node's swarmd-net has lost what it was told. */
  disturbed(node: string): void {
    this.#disturbed.set(node, this.#now);
  }

  /** Looks who hears whom: called before and after all that may change that. */
  sample(): void {
    for (const [node, { manager }] of this.#sessions) if (!this.#world.hear(node, manager)) this.disturbed(node);
  }

  committed({ events }: Commit): void {
    const view = this.#world.view();
    for (const { table, kind, object, previous } of events)
      if (table === 'node' && kind === 'update' && previous?.DataPath !== undefined && object.DataPath === undefined)
        this.#leftDataPath(object.ID);
    for (const node of view.all('node')) {
      if (node.ManagerStatus?.Reachability !== 'reachable') this.#reachable.delete(node.ID);
      else if (!this.#reachable.has(node.ID)) this.#reachable.set(node.ID, this.#now);
    }
    if (events.some(({ table }) => table === 'task' || table === 'node' || table === 'service')) {
      this.#followPhases(view);
      this.#followAddresses(view);
    }
  }

  /** A task's container is about to be started: others know the address by now, or have had their time. */
  starting(node: string, taskId: string): void {
    this.sample();
    const phase = this.#phases.get(taskId);
    if (phase === undefined || !this.#world.agents.get(node)!.connected) return;
    if (this.#now - phase.reservedMs >= BOUND_MS) return;
    this.#everyone(taskId, phase.reservedMs, (other, networkId, address) => {
      const known = other.swarmdNet.endpoint(networkId, taskId);
      if (known?.addresses.includes(address)) return;
      return `${node} starts ${taskId}, and ${other.id} does not know its address ${address} of ${networkId}`;
    });
  }

  /** A task's container runs: nobody else has its addresses. */
  started(node: string, taskId: string): void {
    const { agents, report } = this.#world;
    for (const { networkId, address } of agents.get(node)!.engine.attached.filter((own) => own.taskId === taskId))
      for (const other of agents.values())
        for (const attached of other.engine.attached)
          if (attached.networkId === networkId && attached.address === address && attached.taskId !== taskId)
            report(`${taskId} on ${node} and ${attached.taskId} on ${other.id} both run with ${address}`);
  }

  /** A task's container is about to be stopped: nothing is led to it any more, or others have had their time. */
  stopping(node: string, taskId: string): void {
    this.sample();
    const agent = this.#world.agents.get(node)!;
    const runner = agent.task(taskId);
    const drainingMs = this.#phases.get(taskId)?.drainingMs;
    if (runner === undefined || runner.withdrawn || runner.assignment.ended || !agent.connected) return;
    if (runner.status.State !== 'running' || drainingMs === undefined || this.#now - drainingMs >= BOUND_MS) return;
    this.#everyone(taskId, drainingMs, (other, networkId) => {
      if (other.swarmdNet.endpoint(networkId, taskId)?.phase !== 'ready') return;
      return `${node} stops ${taskId}, and ${other.id} still leads to it on ${networkId}`;
    });
  }

  /** A node takes no part in overlays any more: all others forget its containers, so there must be a reason. */
  #leftDataPath(node: string): void {
    const { downSinceMs } = this.#world.agents.get(node)!.swarmdNet;
    if (downSinceMs === undefined || this.#now - downSinceMs < AWAY_MS)
      this.#world.report(`${node} leaves the data path, and its swarmd-net is there or back at once`);
  }

  get #now(): number {
    return this.#world.clock.monotonic();
  }

  /** What is wrong with what a node knows counts if it was connected since before `sinceMs`, and stays so a little. */
  #everyone(
    taskId: string,
    sinceMs: number,
    wrong: (other: AgentHost, networkId: string, address: string) => string | undefined,
  ): void {
    const view = this.#world.view();
    for (const { Network, Addresses } of view.get('task', taskId)?.NetworksAttachments ?? []) {
      for (const other of this.#world.agents.values()) {
        const session = this.#sessions.get(other.id);
        if (session === undefined || this.#calmSince(other.id, session) + CALM_MS > sinceMs) continue;
        const { networks } = other.swarmdNet;
        const concerned = isEverywhere(view.get('network', Network.ID)) || this.#isOn(Network.ID, other.id, sinceMs);
        if (!concerned || !networks.has(Network.ID)) continue;
        const problem = wrong(other, Network.ID, withoutPrefix(Addresses[0] ?? ''));
        if (problem === undefined) continue;
        this.#world.clock.after(HEARD_MS, () => {
          if (this.#sessions.get(other.id) === session && this.#calmSince(other.id, session) < sinceMs)
            this.#world.report(`${problem} (${HEARD_MS} ms ago)`);
        });
      }
    }
  }

  /** Whether a node had a task on a network at that time, which has not ended: what has ended learns nothing any more. */
  #isOn(networkId: string, node: string, atMs: number): boolean {
    return [...this.#world.view().find('task', 'node', node)].some(
      ({ ID, NetworksAttachments }) =>
        (this.#phases.get(ID)?.reservedMs ?? Number.POSITIVE_INFINITY) <= atMs &&
        NetworksAttachments?.some(({ Network }) => Network.ID === networkId),
    );
  }

  #calmSince(node: string, { manager, sinceMs }: Session): number {
    const reachable = this.#reachable.get(manager) ?? Number.POSITIVE_INFINITY;
    return Math.max(sinceMs, this.#disturbed.get(node) ?? 0, reachable);
  }

  #followPhases(view: ReadView): void {
    const seen = new Set<string>();
    for (const task of view.all('task')) {
      const phase = phaseOf(view, task);
      if (phase === undefined) continue;
      seen.add(task.ID);
      const before = this.#phases.get(task.ID);
      const drainingMs = phase === 'draining' ? (before?.drainingMs ?? this.#now) : undefined;
      this.#phases.set(task.ID, { reservedMs: before?.reservedMs ?? this.#now, drainingMs });
    }
    for (const id of [...this.#phases.keys()]) if (!seen.has(id)) this.#phases.delete(id);
  }

  #followAddresses(view: ReadView): void {
    const { term, skewMs, report } = this.#world;
    const now = new Map<string, { by: string; used: boolean }>();
    for (const task of view.all('task'))
      for (const key of addressesOf(task)) now.set(key, { by: `task ${task.ID}`, used: task.NodeID !== '' });
    for (const { ID, Endpoint } of view.all('service'))
      for (const { NetworkID, Addr } of Endpoint?.VirtualIPs ?? [])
        now.set(`${withoutPrefix(Addr)} of ${NetworkID}`, { by: `service ${ID}`, used: true });
    for (const [key, { by, used }] of this.#holders)
      if (used && now.get(key)?.by !== by) this.#released.set(key, { atMs: this.#now, term: term(), by });
    for (const [key, { by }] of now) {
      const last = this.#holders.get(key)?.by === by ? undefined : this.#released.get(key);
      if (last !== undefined && last.term === term() && this.#now - last.atMs + skewMs() < REST_MS)
        report(`${key} is given to ${by} ${this.#now - last.atMs} ms after ${last.by} had it`);
    }
    this.#holders.clear();
    for (const [key, holder] of now) this.#holders.set(key, holder);
  }
}

function addressesOf({ Status, NetworksAttachments }: Task): string[] {
  if (isTerminal(Status.State)) return [];
  return (NetworksAttachments ?? []).flatMap(({ Network, Addresses }) =>
    Addresses.map((address) => `${withoutPrefix(address)} of ${Network.ID}`),
  );
}
