import { EventEmitter } from 'node:events';
import { type AgentCore, assembleAgent, createAgentState, type Journal, type Worker } from '@swarmd/agent';
import type { Random } from '@swarmd/model';
import { buildNode, type ManualClock } from '@swarmd/testkit';
import type { DispatcherClient } from '@swarmd/wire';
import type { Logger } from 'pino';
import type { SimulatedEngine } from './engine.js';
import { type FindManager, hostOf, openStream } from './manager-network.js';
import type { Network } from './network.js';
import { type Process, startProcess } from './process.js';

/** The type that the worker takes for a client of the engine; nothing here uses it. */
type EngineClient = Parameters<Worker['onUp']>[0];

/** What an {@link AgentHost} needs of the simulation. */
export interface AgentWorld {
  clock: ManualClock;
  random: Random;
  logger: Logger;
  network: Network;
  find: FindManager;
  /** Addresses of the managers that an agent is started with. */
  managers: readonly string[];
}

/** A host's agent over all its lives, with the host's engine and what the agent keeps on its disk. */
export class AgentHost {
  readonly id: string;
  readonly engine: SimulatedEngine;
  readonly #role: 'manager' | 'worker';
  readonly #world: AgentWorld;
  readonly #disk = new Map<string, unknown>();
  process: Process;
  #core: AgentCore | undefined;

  constructor(id: string, role: 'manager' | 'worker', engine: SimulatedEngine, world: AgentWorld) {
    this.id = id;
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

  /** swarmd dies; containers go on. */
  crash(): void {
    this.process.kill();
    this.#core?.worker.close();
    this.engine.onContainer = undefined;
  }

  boot(): void {
    if (this.process.alive) return;
    this.process = startProcess(this.id, this.#world.clock);
    this.#start();
  }

  #start(): void {
    const { process, engine } = this;
    const { random, logger, managers } = this.#world;
    const core = assembleAgent({
      engine: engine.api(),
      networks: {
        join: async () => ({ name: '', aliases: [] }),
        release: async () => true,
        sweep: async () => [],
        leave: nothing,
        assigned: () => {},
        engineUp: () => {},
      },
      payloadStore: { paths: () => [], write: nothing, has: async () => true, remove: nothing, sweep: nothing },
      state: createAgentState(this.#journal(process), this.id, 'simulated'),
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
      advertiseAddr: '10.0.0.1',
      ...{ clock: process.clock, random, logger },
    });
    this.#core = core;
    core.worker.restore();
    engine.onContainer = (id, taskId, exists) => {
      process.clock.after(0, () => core.worker.onContainer(id, taskId, exists));
    };
    process.clock.after(0, () => {
      core.worker.onUp({} as EngineClient, engine.containers);
      void core.sessions.run(new AbortController().signal);
    });
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
    const { network, find } = this.#world;
    let cancel = (): void => {};
    const session = (): EventEmitter => {
      const call = new EventEmitter();
      const where = { process, network, addr, find, peer: { nodeId: this.id, role: this.#role } };
      const stream = openStream(
        where,
        ({ dispatcher }, server) => (dispatcher.session as unknown as (call: unknown) => void)(server),
        (message) => call.emit('data', message),
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

/** `connectivityState` of gRPC. */
const IDLE = 0;
const READY = 2;

async function nothing(): Promise<void> {}
