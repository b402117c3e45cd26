import { type Clock, isTerminal, SwarmdError, specKey, type TaskStatus } from '@swarmd/model';
import type { AssignmentChange, Assignments } from '@swarmd/wire';
import type { Logger } from 'pino';
import { wantedNetworks } from '../convert/networks.js';
import { missingPayloads, type Payloads } from '../convert/payload-files.js';
import type { EngineClient } from '../engine/client.js';
import type { PayloadStore } from '../engine/payload-store.js';
import type { TaskEngine } from '../engine/task-engine.js';
import type { EngineWatchHandlers, ListedContainer } from '../engine/watch.js';
import type { NetworkProvider } from '../network/overlay-networks.js';
import type { AssignedNetwork, AssignedSpec, Assignment } from '../task/assignment.js';
import { TaskRunner } from '../task/runner.js';
import type { Gate } from '../task/step.js';
import { type AssignmentSet, EMPTY_SET, takeAssignments } from './assignment-set.js';
import { Changes } from './changes.js';
import { Leftovers, type Wanted } from './leftovers.js';
import type { AgentState } from './state.js';

/** Gates of tasks that are not assigned yet are kept up to this number. */
const MAX_EARLY_GATES = 1_000;

/** What a {@link Worker} needs. */
export interface WorkerDeps {
  engine: TaskEngine;
  networks: NetworkProvider;
  payloadStore: PayloadStore;
  state: AgentState;
  containerName(assignment: Assignment): string;
  /** A task's status changed. */
  onStatus(taskId: string, status: TaskStatus): void;
  clock: Clock;
  logger: Logger;
}

/** Keeps this node's tasks as they are assigned. */
export class Worker implements EngineWatchHandlers, Payloads {
  readonly #deps: WorkerDeps;
  readonly #leftovers: Leftovers;
  readonly #runners = new Map<string, TaskRunner>();
  #set: AssignmentSet = EMPTY_SET;
  #parts: readonly AssignmentChange[] = [];
  #client: EngineClient | undefined;
  /** Containers by task as the engine listed them when it last came up, for tasks that are assigned later. */
  #listed = new Map<string, string>();
  #complete = false;
  /** Gates that opened before their tasks were assigned. */
  readonly #early = new Map<string, Gate>();
  readonly #changes = new Changes();

  constructor(deps: WorkerDeps) {
    this.#deps = deps;
    this.#leftovers = new Leftovers(deps);
  }

  /** Takes up the tasks that were assigned before swarmd stopped; they are adopted once the engine answers. */
  restore(): void {
    const { state } = this.#deps;
    this.#set = {
      ...EMPTY_SET,
      specs: new Map(state.specs().map((spec) => [specKey(spec.serviceId, spec.specVersion), spec])),
      networks: new Map(state.networks().map((network) => [network.id, network])),
    };
    this.#deps.networks.assigned(undefined, this.#set.networks);
    for (const { assignment, status } of state.tasks()) {
      this.#runners.set(assignment.id, this.#makeRunner(assignment, status));
    }
  }

  /** The engine's client. Throws `unavailable` while no engine answers. */
  client(): EngineClient {
    if (this.#client === undefined) throw new SwarmdError('unavailable', 'the engine cannot be reached');
    return this.#client;
  }

  get engineUp(): boolean {
    return this.#client !== undefined;
  }

  /** Statuses of all tasks, for a manager that has just been connected to. */
  statuses(): [taskId: string, status: TaskStatus][] {
    return [...this.#runners.values()].filter((r) => !r.withdrawn).map((r) => [r.id, r.status]);
  }

  /** A task of this node. */
  task(id: string): TaskRunner | undefined {
    return this.#runners.get(id);
  }

  /**
   * Resolves when `test` holds of a task: at once, or after one of its changes. With `undefined` when the task goes, when
   * it is not this node's, or when `signal` aborts.
   */
  waitFor(id: string, test: (runner: TaskRunner) => boolean, signal: AbortSignal): Promise<TaskRunner | undefined> {
    return this.#changes.until(() => this.#runners.get(id), test, signal);
  }

  secret(id: string) {
    return this.#set.secrets.get(id);
  }

  config(id: string) {
    return this.#set.configs.get(id);
  }

  /** A network that this node was given, by ID or name. */
  network(idOrName: string): AssignedNetwork | undefined {
    const { networks } = this.#set;
    return networks.get(idOrName) ?? [...networks.values()].find((network) => network.spec.Name === idOrName);
  }

  /** Other nodes know of a phase of a task, or have had long enough to. */
  settled(taskId: string, gate: Gate): void {
    const runner = this.#runners.get(taskId);
    if (runner !== undefined) runner.settled(gate);
    else if (this.#early.size < MAX_EARLY_GATES) this.#early.set(taskId, gate);
  }

  /** A new session begins: differences count from its first full set. */
  beginSession(): void {
    this.#parts = [];
    this.#early.clear();
    this.#set = { ...this.#set, sequence: undefined };
  }

  /** Takes a message of assignments. Anything but `taken` means that the session must be opened anew. */
  take(message: Assignments): 'taken' | 'stale' | 'out-of-sequence' {
    const { state, logger } = this.#deps;
    const taken = takeAssignments(this.#set, message, this.#parts, state.seenIndex());
    if (taken.kind === 'stale') {
      const indexes = { index: message.storeIndex, seen: state.seenIndex() };
      logger.warn(indexes, 'a manager sent a set that is older than what this node has seen: it is refused');
      return 'stale';
    }
    if (taken.kind === 'out-of-sequence') return 'out-of-sequence';
    if (taken.kind === 'partial') {
      this.#parts = taken.parts;
      return 'taken';
    }
    this.#parts = [];
    state.sawIndex(message.storeIndex);
    this.#apply(taken.set, taken.complete);
    return 'taken';
  }

  onUp(client: EngineClient, containers: readonly ListedContainer[]): void {
    this.#client = client;
    this.#deps.networks.engineUp(client);
    this.#listed = new Map(containers.map((container) => [container.taskId, container.id]));
    for (const runner of this.#runners.values()) runner.listed(this.#listed.get(runner.id));
    if (this.#complete) this.#sweep();
    this.#releaseNetworks();
  }

  onDown(): void {
    this.#client = undefined;
  }

  onContainer(containerId: string, taskId: string, exists: boolean): void {
    if (exists) this.#listed.set(taskId, containerId);
    else if (this.#listed.get(taskId) === containerId) this.#listed.delete(taskId);
    this.#runners.get(taskId)?.changed();
  }

  /** Ends all work; containers stay as they are. */
  close(): void {
    this.#leftovers.close();
    for (const runner of this.#runners.values()) runner.close();
  }

  /** Stops and removes everything of our cluster on this engine. */
  async leave(containers: readonly ListedContainer[]): Promise<void> {
    this.close();
    await this.#leftovers.removeAll(this.client(), containers);
  }

  #apply(set: AssignmentSet, complete: boolean): void {
    const { state } = this.#deps;
    const previous = this.#set;
    this.#leftovers.networksChanged(previous.networks, set.networks);
    this.#set = set;
    if (!sameEntries(previous.networks, set.networks)) this.#deps.networks.assigned(this.#client, set.networks);
    this.#complete ||= complete;
    // Those that stop come first: they free ports and names for those that start.
    for (const runner of [...this.#runners.values()]) if (!set.tasks.has(runner.id)) runner.withdraw();
    const tasks = [...set.tasks.values()].sort((a, b) => Number(isStopping(b)) - Number(isStopping(a)));
    for (const assignment of tasks) {
      // A difference leaves most tasks alone, but may bring what they wait for.
      if (previous.tasks.get(assignment.id) === assignment) this.#runners.get(assignment.id)?.poke();
      else this.#assign(assignment);
    }
    const used = [...this.#runners.values()].map((r) => specKey(r.assignment.serviceId, r.assignment.specVersion));
    state.setShared(set, new Set(used));
    this.#releaseNetworks();
    if (complete) this.#sweep();
  }

  #assign(assignment: Assignment): void {
    const runner = this.#runners.get(assignment.id);
    if (runner !== undefined) {
      runner.assign(assignment, this.#specOf(assignment));
      this.#remember(runner);
      return;
    }
    const fresh = this.#makeRunner(assignment);
    this.#runners.set(assignment.id, fresh);
    this.#remember(fresh);
    const gate = this.#early.get(assignment.id);
    if (gate !== undefined) fresh.settled(gate);
    this.#early.delete(assignment.id);
    if (this.engineUp) fresh.listed(this.#listed.get(assignment.id));
    else fresh.poke();
  }

  #makeRunner(assignment: Assignment, status?: TaskStatus): TaskRunner {
    const { engine, containerName, clock, logger } = this.#deps;
    return new TaskRunner(
      assignment,
      this.#specOf(assignment),
      {
        engine,
        containerName,
        clock,
        logger,
        engineUp: () => this.engineUp,
        networksBehind: ({ networks }) => this.#deps.networks.behind(networks.map(({ Network }) => Network.ID)),
        missing: (task, spec) => this.#missing(task, spec),
        onStatus: (id, changed) => {
          const runner = this.#runners.get(id);
          if (runner) this.#remember(runner);
          this.#deps.onStatus(id, changed);
          this.#changes.tell();
        },
        onForgotten: (id) => {
          this.#runners.delete(id);
          this.#listed.delete(id);
          this.#deps.state.forgetTask(id);
          this.#changes.tell();
          this.#releaseNetworks();
        },
      },
      status,
    );
  }

  #specOf(assignment: Assignment): AssignedSpec | undefined {
    return this.#set.specs.get(specKey(assignment.serviceId, assignment.specVersion));
  }

  #remember({ assignment, status }: TaskRunner): void {
    this.#deps.state.setTask({ assignment, status });
  }

  #missing(assignment: Assignment, spec: AssignedSpec | undefined): string[] {
    if (spec === undefined) return [`the spec of service ${assignment.serviceName}`];
    const networks = wantedNetworks(assignment.networks, spec.spec)
      .map((network) => network.target)
      .filter((target) => this.network(target) === undefined);
    return [...missingPayloads(spec.spec, this), ...networks.map((target) => `network ${target}`)];
  }

  #releaseNetworks(): void {
    this.#leftovers.releaseNetworks(() => this.#client, this.#wanted());
  }

  /** Removes what is left of tasks that are not this node's: containers, networks, files. */
  #sweep(): void {
    if (this.#client === undefined) return;
    const containers = [...this.#listed].map(([taskId, id]) => ({ id, taskId, state: '' }));
    for (const taskId of this.#leftovers.sweep(this.#client, containers, this.#wanted())) this.#listed.delete(taskId);
  }

  #wanted(): Wanted {
    return {
      tasks: this.#runners,
      networks: this.#set.networks,
      usedNetworks: () => {
        // What has ended is kept for its logs: nothing of its network has to be there for that, and when the network is
        // removed from the cluster, its VNI is free as soon as no task of it runs.
        const runners = [...this.#runners.values()].filter(({ status }) => !isTerminal(status.State));
        return new Set(
          runners.flatMap(({ assignment, spec }) =>
            wantedNetworks(assignment.networks, spec?.spec ?? {}).map((network) => network.target),
          ),
        );
      },
    };
  }
}

function sameEntries<T>(a: ReadonlyMap<string, T>, b: ReadonlyMap<string, T>): boolean {
  return a.size === b.size && [...a].every(([key, value]) => b.get(key) === value);
}

function isStopping(assignment: Assignment): boolean {
  return assignment.desiredState === 'shutdown' || assignment.desiredState === 'remove';
}
