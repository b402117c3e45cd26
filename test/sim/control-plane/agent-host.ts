import { EventEmitter } from 'node:events';
import {
  type AgentCore,
  type AgentState,
  assembleAgent,
  createAgentState,
  createNodeNetworking,
  createOverlayNetworks,
  type Journal,
  type NodeNetworking,
  type SessionNetworks,
  type TaskWork,
} from '@swarmd/agent';
import { type NodeNetworks, type Random, SwarmdError } from '@swarmd/model';
import { buildNode, type ManualClock } from '@swarmd/testkit';
import type { DispatcherClient } from '@swarmd/wire';
import type { Logger } from 'pino';
import type { SimulatedEngine } from './engine.js';
import { type FindManager, hostOf, openStream } from './manager-network.js';
import type { Network } from './network.js';
import { type Process, startProcess } from './process.js';
import type { SimulatedSwarmdNet } from './swarmd-net.js';

/** What an {@link AgentHost} needs of the simulation. */
export interface AgentWorld {
  clock: ManualClock;
  random: Random;
  logger: Logger;
  network: Network;
  find: FindManager;
  /** Addresses of the managers that an agent is started with. */
  managers: readonly string[];
  /** A session with the manager at `addr` has begun, in which the node takes part in overlays, or one has ended. */
  session(node: string, addr: string | undefined): void;
  /** Breaks what the agent hears of managers, or says to swarmd-net, on purpose. */
  sabotage?: { heard?: Heard; nodeNetworks?: (real: NodeNetworks) => NodeNetworks };
}

/** Calls `hear` with what an agent is to hear in place of a message. */
export type Heard = (message: unknown, hear: (message: unknown) => void) => void;

/** A host's agent over all its lives, with the host's engine and what the agent keeps on its disk. */
export class AgentHost {
  readonly id: string;
  readonly engine: SimulatedEngine;
  readonly swarmdNet: SimulatedSwarmdNet;
  /** Where peers send packets to. */
  readonly addr: string;
  readonly #role: 'manager' | 'worker';
  readonly #world: AgentWorld;
  readonly #disk = new Map<string, unknown>();
  process: Process;
  #core: AgentCore | undefined;
  #networks: NodeNetworking | undefined;
  #engineUp: (() => void) | undefined;
  #manager = '';

  constructor(
    { id, role, addr }: { id: string; role: 'manager' | 'worker'; addr: string },
    engine: SimulatedEngine,
    swarmdNet: SimulatedSwarmdNet,
    world: AgentWorld,
  ) {
    this.id = id;
    this.addr = addr;
    this.swarmdNet = swarmdNet;
    this.#role = role;
    this.engine = engine;
    this.#world = world;
    this.process = startProcess(id, world.clock);
    this.#start();
  }

  /** IDs of the tasks whose containers run here, whatever managers believe. */
  get running(): string[] {
    return this.engine.running;
  }

  /** Whether the agent believes that a manager knows it. */
  get connected(): boolean {
    return this.process.alive && this.#core?.sessions.connected === true;
  }

  /** The agent's own view of a task. */
  task(id: string): ReturnType<AgentCore['worker']['task']> {
    return this.#core?.worker.task(id);
  }

  /** swarmd dies; containers go on. */
  crash(): void {
    this.#world.session(this.id, undefined);
    this.process.kill();
    this.#core?.worker.close();
    this.engine.onContainer = undefined;
  }

  /** The engine ends, and its containers with it. */
  stopEngine(): void {
    this.engine.up = false;
    this.engine.endContainers();
    if (!this.process.alive) return;
    this.#networks?.engineDown();
    this.#core?.worker.onDown();
  }

  startEngine(): void {
    if (this.engine.up) return;
    this.engine.up = true;
    if (this.process.alive) this.#engineUp?.();
  }

  boot(): void {
    if (this.process.alive) return;
    this.process = startProcess(this.id, this.#world.clock);
    this.#start();
  }

  #start(): void {
    const { process, engine } = this;
    const { random, logger, managers } = this.#world;
    const client = engine.client();
    const state = createAgentState(this.#journal(process), this.id, CLUSTER_ID);
    const networking = this.#networking(process, state);
    const overlays = createOverlayNetworks({
      ...{ clusterId: CLUSTER_ID, link: networking.link, clock: process.clock, logger },
    });
    const join = ({ assignment }: TaskWork, signal: AbortSignal) =>
      Promise.all(
        assignment.networks.map(({ Network, Addresses }) => {
          const known = core.worker.network(Network.ID);
          if (known === undefined) throw new SwarmdError('failed-precondition', `network ${Network.ID} is not here`);
          const wanted = { target: Network.ID, aliases: [], addresses: Addresses };
          return overlays.join(client, known, wanted, { id: assignment.id, nameservers: [] }, signal);
        }),
      );
    const core = assembleAgent({
      engine: engine.api(async (work, signal) => join(work, signal)),
      networks: overlays,
      sessionNetworks: this.#watched(networking.sessions),
      payloadStore: { paths: () => [], write: nothing, has: async () => true, remove: nothing, sweep: nothing },
      state,
      containerName: ({ id }) => id,
      connect: (addr) => this.#connect(process, addr),
      managers: () => managers,
      description: async () => buildNode(this.id).Description!,
      trustRoot: () => '',
      onWelcome: () => {},
      onCluster: () => {},
      onSessionEnd: () => {},
      publishLogs: nothing,
      backWithinMs: () => 60_000,
      swarmdVersion: 'simulated',
      advertiseAddr: this.addr,
      ...{ clock: process.clock, random, logger },
    });
    this.#core = core;
    this.#networks = networking;
    this.#engineUp = () => {
      core.worker.onUp(client, engine.containers);
      networking.engineUp(client);
    };
    core.worker.restore();
    engine.onContainer = (id, taskId, exists) => {
      process.clock.after(0, () => core.worker.onContainer(id, taskId, exists));
    };
    process.clock.after(0, () => {
      if (engine.up) this.#engineUp?.();
      void networking.run(new AbortController().signal);
      void core.sessions.run(new AbortController().signal);
    });
  }

  #networking(process: Process, state: AgentState): NodeNetworking {
    const { logger, sabotage } = this.#world;
    const real = this.swarmdNet.api(process);
    const client = this.engine.client();
    return createNodeNetworking({
      nodeNetworks: sabotage?.nodeNetworks === undefined ? real : sabotage.nodeNetworks(real),
      ...{ nodeId: this.id, clusterId: CLUSTER_ID, dataPathAddr: this.addr, state, client: () => client },
      describe: async (addr) => ({ addr, mtu: 1500, encryption: false }),
      ...{ clock: process.clock, logger },
    });
  }

  /** The same, and the simulation hears of it. */
  #watched(sessions: SessionNetworks): SessionNetworks {
    return {
      ...sessions,
      begin: (dataPath, reports) => {
        this.#world.session(this.id, dataPath === undefined ? undefined : this.#manager);
        sessions.begin(dataPath, reports);
      },
      end: () => {
        this.#world.session(this.id, undefined);
        sessions.end();
      },
    };
  }

  /** What is put is on the disk at once. The dead write nothing. */
  #journal(process: Process): Journal {
    const disk = this.#disk;
    return {
      get: (key) => disk.get(key),
      entries: (prefix) => [...disk].filter(([key]) => key.startsWith(prefix)),
      put: (key, value) => {
        if (process.alive) disk.set(key, value);
      },
      delete: (key) => {
        if (process.alive) disk.delete(key);
      },
      clear: () => {
        if (process.alive) disk.clear();
      },
      flush: nothing,
      close: nothing,
    };
  }

  #connect(process: Process, addr: string): DispatcherClient {
    const { network, find, sabotage } = this.#world;
    const heard: Heard = sabotage?.heard ?? ((message, hear) => hear(message));
    let cancel = (): void => {};
    const session = (): EventEmitter => {
      this.#manager = hostOf(addr);
      const call = new EventEmitter();
      const where = { process, network, addr, find, peer: { nodeId: this.id, role: this.#role } };
      const stream = openStream(
        where,
        ({ dispatcher }, server) => (dispatcher.session as unknown as (call: unknown) => void)(server),
        (message) => heard(message, (instead) => call.emit('data', instead)),
        (error) => (error === undefined ? call.emit('end') : call.emit('error', error)),
      );
      cancel = () => stream.cancel();
      return Object.assign(call, { write: (message: unknown) => stream.write(message), cancel, end: cancel });
    };
    const connected = (): boolean => network.reaches(this.id, hostOf(addr)) && find(addr)?.services !== undefined;
    const channel = { getConnectivityState: () => (connected() ? READY : IDLE) };
    return { session, close: () => cancel(), getChannel: () => channel } as unknown as DispatcherClient;
  }
}

const CLUSTER_ID = 'simulated';

/** `connectivityState` of gRPC. */
const IDLE = 0;
const READY = 2;

async function nothing(): Promise<void> {}
