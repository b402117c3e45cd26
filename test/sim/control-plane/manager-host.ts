import {
  assembleManager,
  type Manager,
  type ManagerNetwork,
  type StartManagerLoop,
  startAllocator,
  startConstraintEnforcer,
  startOrchestrator,
  startReaper,
  startScheduler,
} from '@swarmd/manager';
import type { Clock, Commit, Random, SharedLog, SharedStore } from '@swarmd/model';
import { openSharedStore } from '@swarmd/store';
import type { ManualClock } from '@swarmd/testkit';
import type { Logger } from 'pino';
import { type FindManager, PORT, type ServingManager, simulatedNetwork } from './manager-network.js';
import type { Network } from './network.js';
import { type Process, startProcess } from './process.js';

/** Certificates are left out: keys come from the machine's randomness and would not be the same twice. */
const LOOPS: readonly StartManagerLoop[] = [
  startOrchestrator,
  startAllocator,
  startScheduler,
  startConstraintEnforcer,
  startReaper,
];

const RETRY_MS = 500;

/** What a {@link ManagerHost} needs of the simulation. */
export interface ManagerWorld {
  clock: ManualClock;
  random: Random;
  logger: Logger;
  network: Network;
  openLog(process: Process): SharedLog;
  find: FindManager;
  /** A life of a manager has opened its store: from here on it is watched. */
  opened(host: string, store: SharedStore): void;
  committed(host: string, store: SharedStore, commit: Commit): void;
  /** Breaks the time that allocators go by, on purpose. */
  allocatorClock?: (clock: Clock) => Clock;
  /** Breaks the calls between managers, on purpose. */
  sabotage?: (network: ManagerNetwork) => ManagerNetwork;
}

/** A host's manager over all its lives: the real parts of swarmd, on simulated ports. */
export class ManagerHost implements ServingManager {
  readonly id: string;
  readonly #world: ManagerWorld;
  process: Process;
  services: ServingManager['services'];
  store: SharedStore | undefined;
  manager: Manager | undefined;
  #wallOffsetMs = 0;
  #stopping = false;

  constructor(id: string, world: ManagerWorld) {
    this.id = id;
    this.#world = world;
    this.process = startProcess(id, world.clock);
    this.#start();
  }

  /** Whether clients can ask it now. */
  get serves(): boolean {
    return this.services !== undefined && this.process.alive && !this.process.paused && !this.#stopping;
  }

  /** Dies at once, and remembers nothing. */
  crash(): void {
    this.process.kill();
    this.services = undefined;
    this.store = undefined;
    this.manager = undefined;
  }

  /** Is started again, if it does not run. */
  boot(): void {
    if (this.process.alive) return;
    this.process = startProcess(this.id, this.#world.clock, this.#wallOffsetMs);
    this.#stopping = false;
    this.#start();
  }

  /** Stops as on SIGTERM: hands leadership over first. */
  stop(): void {
    const { process, manager, store } = this;
    if (manager === undefined || store === undefined || this.#stopping) return;
    this.#stopping = true;
    void manager
      .stop()
      .then(() => store.close())
      .finally(() => {
        if (process.alive && this.process === process) this.crash();
      });
  }

  jumpWall(ms: number): void {
    this.#wallOffsetMs += ms;
    this.process.jumpWall(ms);
  }

  #start(): void {
    const { process } = this;
    const { logger, network, random, find, openLog, opened, committed, sabotage, allocatorClock } = this.#world;
    const startOther: StartManagerLoop = (deps) =>
      startAllocator(allocatorClock === undefined ? deps : { ...deps, clock: allocatorClock(deps.clock) });
    const begin = async (): Promise<void> => {
      const store = await openSharedStore({ log: openLog(process), clock: process.clock, logger });
      if (!process.alive) return;
      this.store = store;
      opened(this.id, store);
      store.watch((commit) => {
        if (process.alive) committed(this.id, store, commit);
      });
      // It serves for as long as the process it was started in lives.
      const serving: ServingManager = {
        process,
        get services() {
          return undefined;
        },
        set services(services) {
          if (process.alive) host.services = services;
        },
      };
      const host = this;
      const calls = simulatedNetwork(serving, network, find);
      this.manager = assembleManager({
        ...{ store, clock: process.clock, random, logger, nodeId: this.id },
        network: sabotage === undefined ? calls : sabotage(calls),
        advertiseAddr: `${this.id}:${PORT}`,
        loops: LOOPS.map((start) => (start === startAllocator ? startOther : start)),
      });
      await this.manager.start();
    };
    const attempt = (): void => {
      begin().catch((error: unknown) => {
        logger.warn({ err: error }, 'a manager did not start');
        process.clock.after(RETRY_MS, attempt);
      });
    };
    process.clock.after(0, attempt);
  }
}
