import type { EngineClient, Inspection, ListedContainer, TaskEngine, TaskNetwork, TaskWork } from '@swarmd/agent';
import { SwarmdError } from '@swarmd/model';
import type { ManualClock } from '@swarmd/testkit';
import type { Dice } from '../support/dice.js';
import { type Fate, randomFate } from '../support/fate.js';
import { EngineNetworks } from './engine-networks.js';
import { GRAIN_MS } from './process.js';
import type { SimulatedSwarmdNet } from './swarmd-net.js';

interface Container {
  id: string;
  taskId: string;
  state: 'created' | 'running' | 'exited';
  exitCode: number;
  fate: Fate;
  /** What it was made to join. */
  networks: readonly TaskNetwork[];
  attached: readonly Attached[];
  /** Starts of it, so that the end of an earlier one means nothing. */
  life: number;
}

/** What an engine needs of the simulation. */
export interface EngineWorld {
  clock: ManualClock;
  dice: Dice;
  /** Whether containers do what they are meant to. */
  peaceful(): boolean;
  /** The host's network driver. */
  swarmdNet: SimulatedSwarmdNet;
  /** A task's container is about to be started, and has been. */
  starting(taskId: string): void;
  started(taskId: string): void;
  /** A container is about to be stopped or removed while it runs. */
  ending(taskId: string): void;
}

/** Has an agent bring about the networks of a task. */
export type JoinNetworks = (work: TaskWork, signal: AbortSignal) => Promise<TaskNetwork[]>;

/** A container that runs, and what address it has on which network. */
export interface Attached {
  taskId: string;
  networkId: string;
  address: string;
}

/** A host's simulated Docker engine: it outlives swarmd, hangs, runs out of disk, and loses power. */
export class SimulatedEngine {
  readonly #world: EngineWorld;
  readonly #containers = new Map<string, Container>();
  readonly networks: EngineNetworks;
  #made = 0;
  #hung: (() => void)[] | undefined;
  full = false;
  /** Whether it runs at all. */
  up = true;
  /** What the agent that runs is told of containers. */
  onContainer: ((id: string, taskId: string, exists: boolean) => void) | undefined;

  constructor(world: EngineWorld) {
    this.#world = world;
    this.networks = new EngineNetworks({
      take: () => this.#take(GRAIN_MS),
      driver: (networkId) => {
        const { up, networks } = world.swarmdNet;
        if (!up || !networks.has(networkId)) throw new SwarmdError('internal', 'the driver does not have the network');
      },
      inUse: (name) =>
        [...this.#containers.values()].some(
          ({ state, networks }) => state === 'running' && networks.some((network) => network.name === name),
        ),
    });
  }

  /** Where containers that run are on networks. */
  get attached(): Attached[] {
    return [...this.#containers.values()].flatMap(({ state, attached }) => (state === 'running' ? attached : []));
  }

  client(): EngineClient {
    return this.networks.client();
  }

  /** Whether an endpoint that a driver was told of is still somebody's. */
  hasEndpoint(endpointId: string): boolean {
    return [...this.#containers.values()].some(
      ({ id, state }) => state === 'running' && endpointId.startsWith(`${id}/`),
    );
  }

  /** IDs of the tasks whose containers run. */
  get running(): string[] {
    return [...this.#containers.values()].filter(({ state }) => state === 'running').map(({ taskId }) => taskId);
  }

  get containers(): ListedContainer[] {
    return [...this.#containers.values()].map(({ id, taskId, state }) => ({ id, taskId, state }));
  }

  hang(): void {
    this.#hung ??= [];
  }

  unhang(): void {
    const waiting = this.#hung ?? [];
    this.#hung = undefined;
    for (const go of waiting) go();
  }

  /** All containers end with the host. */
  losePower(): void {
    this.onContainer = undefined;
    this.endContainers();
  }

  /** All containers end with the engine, and nobody is told. */
  endContainers(): void {
    this.unhang();
    for (const container of this.#containers.values()) {
      container.life++;
      if (container.state === 'running') this.#detach(container);
      if (container.state === 'running') Object.assign(container, { state: 'exited', exitCode: 137 });
    }
  }

  /** The engine as one agent uses it; what an agent asked for is done even when it has died meanwhile. */
  api(join: JoinNetworks): TaskEngine {
    return {
      prepare: (work, signal) => this.#prepare(work, join, signal),
      start: (_work, id) => this.#start(id),
      stop: (id) => this.#stop(id),
      remove: async (id) => {
        await this.#take(GRAIN_MS);
        const container = this.#find(id);
        if (container === undefined) return;
        if (container.state === 'running') {
          this.#world.ending(container.taskId);
          this.#detach(container);
        }
        this.#containers.delete(container.id);
        this.onContainer?.(container.id, container.taskId, false);
      },
      inspect: async (idOrName) => {
        await this.#take(0);
        const container = this.#find(idOrName);
        return container === undefined ? undefined : inspection(container);
      },
      release: async () => {},
    };
  }

  #find(idOrName: string): Container | undefined {
    return this.#containers.get(idOrName) ?? [...this.#containers.values()].find((c) => c.taskId === idOrName);
  }

  async #take(ms: number): Promise<void> {
    if (ms > 0) await new Promise<void>((resolve) => void this.#world.clock.after(roundUp(ms), resolve));
    if (!this.up) throw new SwarmdError('unavailable', 'the engine cannot be reached');
    if (this.#hung !== undefined) await new Promise<void>((resolve) => void this.#hung?.push(resolve));
  }

  async #prepare(work: TaskWork, join: JoinNetworks, signal: AbortSignal): Promise<void> {
    const { assignment, spec } = work;
    const fate = randomFate(this.#world.dice, spec.spec, this.#world.peaceful());
    const [networks] = await Promise.all([join(work, signal), this.#take(fate.prepareMs)]);
    if (signal.aborted) throw new SwarmdError('aborted', 'given up');
    if (this.full) throw new SwarmdError('unavailable', 'no space left on device');
    if (fate.rejects) throw new SwarmdError('invalid-argument', 'no such image');
    if (this.#find(assignment.id) !== undefined) return;
    const id = `c${++this.#made}`;
    const made = { id, taskId: assignment.id, state: 'created', exitCode: 0, fate, life: 0 } as const;
    this.#containers.set(id, { ...made, networks, attached: [] });
  }

  async #start(id: string): Promise<void> {
    const container = this.#find(id);
    if (container?.state === 'created') this.#world.starting(container.taskId);
    await this.#take(container?.fate.startMs ?? 0);
    if (container === undefined || !this.#containers.has(id)) throw new SwarmdError('not-found', 'no such container');
    if (container.state !== 'created') return;
    this.#attach(container);
    container.state = 'running';
    this.#world.started(container.taskId);
    this.onContainer?.(id, container.taskId, true);
    const { runMs, endsIn } = container.fate;
    if (runMs === undefined) return;
    const life = container.life;
    this.#world.clock.after(roundUp(runMs), () => {
      if (container.life === life) this.#exit(container, endsIn === 'complete' ? 0 : 1);
    });
  }

  async #stop(id: string): Promise<void> {
    const container = this.#find(id);
    if (container?.state !== 'running') return;
    this.#world.ending(container.taskId);
    await this.#take(Math.min(container.fate.stopMs, 10_000));
    this.#exit(container, 143);
  }

  #attach(container: Container): void {
    const { swarmdNet } = this.#world;
    const attached: Attached[] = [];
    try {
      for (const { name, ipv4 } of container.networks) {
        const networkId = this.networks.idOf(name);
        if (networkId === undefined) throw new SwarmdError('not-found', `network ${name} not found`);
        const { id, taskId } = container;
        const addresses = ipv4 === undefined ? [] : [ipv4];
        swarmdNet.attach({ networkId, endpointId: `${id}/${networkId}`, addresses, taskId, sandbox: `/netns/${id}` });
        attached.push({ taskId, networkId, address: ipv4 ?? '' });
      }
      container.attached = attached;
    } catch (error) {
      for (const { networkId } of attached) swarmdNet.detach(`${container.id}/${networkId}`);
      throw error;
    }
  }

  #detach({ id, attached }: Container): void {
    for (const { networkId } of attached) this.#world.swarmdNet.detach(`${id}/${networkId}`);
  }

  #exit(container: Container, exitCode: number): void {
    if (container.state !== 'running') return;
    this.#detach(container);
    Object.assign(container, { state: 'exited', exitCode });
    this.onContainer?.(container.id, container.taskId, true);
  }
}

function roundUp(ms: number): number {
  return GRAIN_MS * Math.ceil(ms / GRAIN_MS);
}

function inspection({ id, state, exitCode }: Container): Inspection {
  const facts: Inspection['facts'] =
    state === 'running'
      ? { kind: 'running', id, health: 'none' }
      : state === 'created'
        ? { kind: 'created', id }
        : { kind: 'exited', id, exitCode };
  return { id, facts, status: { ContainerID: id, ExitCode: exitCode }, ports: [], addresses: {}, labels: {} };
}
