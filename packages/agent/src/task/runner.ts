import {
  type Clock,
  type ContainerStatus,
  compareStates,
  DEFAULTS,
  durationMs,
  isTerminal,
  type PortConfig,
  rfc3339,
  type TaskState,
  type TaskStatus,
} from '@swarmd/model';
import type { Logger } from 'pino';
import type { Inspection } from '../engine/container-facts.js';
import { engineError, isTemporary } from '../engine/errors.js';
import type { TaskEngine, TaskWork } from '../engine/task-engine.js';
import type { AssignedSpec, Assignment } from './assignment.js';
import {
  nextStep,
  type Operation,
  type OperationFailure,
  RETRY_DELAY_MS,
  type Step,
  type TaskObserved,
} from './step.js';

/** What a {@link TaskRunner} asks of its surroundings. */
export interface TaskRunnerDeps {
  engine: TaskEngine;
  /** Whether the engine answers. */
  engineUp(): boolean;
  /** Name of the task's container. */
  containerName(assignment: Assignment): string;
  /** What the task needs and this node does not have yet, in words. */
  missing(assignment: Assignment, spec: AssignedSpec | undefined): string[];
  /** The status changed; of several changes in a row only the last is told. */
  onStatus(taskId: string, status: TaskStatus): void;
  /** Nothing of the task is left. */
  onForgotten(taskId: string): void;
  clock: Clock;
  logger: Logger;
}

/** One function for each kind of step, so that a new kind does not compile until something executes it. `true`: ask again. */
type StepExecutors = { readonly [K in Step['kind']]: (step: Extract<Step, { kind: K }>) => boolean };

/** Carries one task through its life: asks {@link nextStep} whenever something changes, and does what it says. */
export class TaskRunner {
  readonly id: string;
  readonly #deps: TaskRunnerDeps;
  readonly #logger: Logger;
  #assignment: Assignment;
  #spec: AssignedSpec | undefined;
  #withdrawn = false;
  #status: TaskStatus;
  #statusChanged = false;
  #observed: TaskObserved;
  /** The container has run: if it is not there any more, somebody removed it. */
  #ran = false;
  #dirty = false;
  #inspections = 0;
  #applied = 0;
  #giveUp: AbortController | undefined;
  #cancelTimer: () => void = () => {};
  #closed = false;

  /** A runner for `assignment`, of which `status` was the last that this node knew. */
  constructor(assignment: Assignment, spec: AssignedSpec | undefined, deps: TaskRunnerDeps, status?: TaskStatus) {
    this.id = assignment.id;
    this.#deps = deps;
    this.#logger = deps.logger.child({ taskId: assignment.id, service: assignment.serviceName });
    this.#assignment = assignment;
    this.#spec = spec;
    this.#status = status ?? { Timestamp: rfc3339(deps.clock.now()), State: 'assigned', Message: 'assigned' };
    this.#ran = compareStates(this.#status.State, 'running') >= 0 && this.#status.ContainerStatus !== undefined;
    this.#observed = {
      state: this.#status.State,
      message: this.#status.Message,
      container: { kind: 'unknown' },
      cancelling: false,
      unhealthy: false,
    };
  }

  get assignment(): Assignment {
    return this.#assignment;
  }

  get spec(): AssignedSpec | undefined {
    return this.#spec;
  }

  get status(): TaskStatus {
    return this.#status;
  }

  get withdrawn(): boolean {
    return this.#withdrawn;
  }

  /** ID of the task's container, when there is one. */
  get containerId(): string | undefined {
    const { container } = this.#observed;
    return 'id' in container ? container.id : undefined;
  }

  /** What the engine last said of the container. */
  get container(): TaskObserved['container'] {
    return this.#observed.container;
  }

  /** The task was assigned (again). Desired states never go back. */
  assign(assignment: Assignment, spec: AssignedSpec | undefined): void {
    const ahead = compareStates(this.#assignment.desiredState, assignment.desiredState) > 0;
    this.#assignment = ahead ? { ...assignment, desiredState: this.#assignment.desiredState } : assignment;
    this.#spec = spec ?? this.#spec;
    this.#withdrawn = false;
    this.poke();
  }

  /** The task is no longer this node's: it stops and goes. */
  withdraw(): void {
    this.#withdrawn = true;
    this.poke();
  }

  /** The engine has listed its containers; `containerId` is the task's, if it has one. */
  listed(containerId: string | undefined): void {
    if (containerId !== undefined) {
      this.changed();
      return;
    }
    this.#applied = ++this.#inspections;
    this.#observed.container = { kind: this.#ran ? 'gone' : 'absent' };
    this.poke();
  }

  /** Something happened to the container: it is looked at, at once or when the operation under way is over. */
  changed(): void {
    this.#dirty = true;
    if (this.#observed.operation === undefined) this.#spawn(this.#refresh());
  }

  /** Stops all that this runner does; the container stays as it is. */
  close(): void {
    this.#closed = true;
    this.#cancelTimer();
    this.#giveUp?.abort();
  }

  /** Asks for the next step and takes it, until there is something to wait for. */
  poke(): void {
    this.#cancelTimer();
    for (let again = true; again && !this.#closed; ) {
      const step = nextStep(
        {
          desiredState: this.#assignment.desiredState,
          withdrawn: this.#withdrawn,
          ended: this.#assignment.ended,
          missing: this.#deps.missing(this.#assignment, this.#spec),
        },
        this.#observed,
        { up: this.#deps.engineUp() },
        { now: this.#deps.clock.monotonic() },
      );
      again = (this.#executors[step.kind] as (step: Step) => boolean)(step);
    }
    if (this.#statusChanged) {
      this.#statusChanged = false;
      if (!this.#withdrawn) this.#deps.onStatus(this.id, this.#status);
    }
  }

  readonly #executors: StepExecutors = {
    transition: (step) => this.#transition(step.state, step.message, step.err),
    wait: (step) => {
      if (step.untilMs !== undefined) this.#pokeAfter(step.untilMs - this.#deps.clock.monotonic());
      return false;
    },
    cancel: () => {
      this.#observed.cancelling = true;
      this.#giveUp?.abort();
      return false;
    },
    prepare: () => this.#operate('prepare', (work, signal) => this.#deps.engine.prepare(work, signal)),
    start: () => this.#operate('start', (work) => this.#deps.engine.start(work, this.containerId ?? '')),
    stop: (step) => {
      if (step.because === 'unhealthy') this.#observed.unhealthy = true;
      this.#spawn(this.#deps.engine.release(this.id));
      return this.#operate('stop', () => this.#deps.engine.stop(this.containerId ?? '', this.#graceMs()));
    },
    remove: () => this.#operate('remove', () => this.#deps.engine.remove(this.containerId ?? '')),
    forget: () => {
      this.close();
      this.#spawn(this.#deps.engine.release(this.id));
      this.#deps.onForgotten(this.id);
      return false;
    },
  };

  #transition(state: TaskState, message: string, err: string | undefined): boolean {
    const { ContainerStatus, PortStatus } = this.#status;
    this.#logger.debug({ from: this.#observed.state, to: state, err }, 'state');
    this.#observed.state = state;
    this.#observed.message = message;
    this.#status = {
      Timestamp: rfc3339(this.#deps.clock.now()),
      State: state,
      Message: message,
      ...(err === undefined ? {} : { Err: err }),
      ...(ContainerStatus ? { ContainerStatus } : {}),
      ...(PortStatus && state === 'running' ? { PortStatus } : {}),
    };
    this.#statusChanged = true;
    if (isTerminal(state)) {
      if (err !== undefined) this.#logger.warn({ state, err }, 'the task ended');
      this.#spawn(this.#deps.engine.release(this.id));
    }
    return true;
  }

  /** Starts an operation; when it is over the container is looked at and the next step asked for. */
  #operate(operation: Operation, act: (work: TaskWork, signal: AbortSignal) => Promise<void>): boolean {
    const giveUp = new AbortController();
    this.#giveUp = giveUp;
    this.#observed.operation = operation;
    this.#observed.cancelling = false;
    delete this.#observed.failure;
    const needsSpec = operation === 'prepare' || operation === 'start';
    const finish = async () => {
      try {
        if (needsSpec && this.#spec === undefined) return;
        await act({ assignment: this.#assignment, spec: this.#spec as AssignedSpec }, giveUp.signal);
      } catch (thrown) {
        this.#failed(operation, thrown, giveUp.signal.aborted);
      }
      if (this.#closed) return;
      await this.#inspect();
      if (!giveUp.signal.aborted && !this.#tookEffect(operation)) {
        this.#observed.failure ??= this.#failure(operation, 'it had no effect', true);
      }
      delete this.#observed.operation;
      this.#observed.cancelling = false;
      if (this.#dirty) this.#spawn(this.#refresh());
      this.poke();
    };
    this.#spawn(finish());
    return false;
  }

  #failed(operation: Operation, thrown: unknown, gaveUp: boolean): void {
    if (gaveUp) return;
    const error = engineError(thrown);
    // Docker's words for a start that failed; without them nobody would know which step it was.
    const message = operation === 'start' ? `starting container failed: ${error.message}` : error.message;
    this.#logger.info({ operation, code: error.code, reason: error.message }, 'an operation failed');
    this.#observed.failure = this.#failure(operation, message, isTemporary(error));
  }

  #failure(operation: Operation, message: string, temporary: boolean): OperationFailure {
    return { operation, message, temporary, atMs: this.#deps.clock.monotonic() };
  }

  /** An operation that changed nothing must wait like a failed one, or it would be repeated without a pause. */
  #tookEffect(operation: Operation): boolean {
    const { kind } = this.#observed.container;
    const effects: Record<Operation, readonly (typeof kind)[]> = {
      prepare: ['created', 'running', 'exited'],
      start: ['running', 'exited', 'gone'],
      stop: ['created', 'exited', 'absent', 'gone'],
      remove: ['absent', 'gone'],
    };
    return effects[operation].includes(kind);
  }

  async #refresh(): Promise<void> {
    await this.#inspect();
    this.poke();
  }

  /** Looks at the container; the newest look counts. When the engine does not answer, what was known stays. */
  async #inspect(): Promise<void> {
    const turn = ++this.#inspections;
    this.#dirty = false;
    try {
      const target = this.containerId ?? this.#deps.containerName(this.#assignment);
      const found = await this.#deps.engine.inspect(target);
      if (turn > this.#applied) {
        this.#applied = turn;
        this.#learn(found);
      }
    } catch (thrown) {
      this.#logger.debug({ reason: engineError(thrown).message }, 'the container could not be looked at');
      this.#dirty = true;
      if (this.#deps.engineUp()) {
        this.#deps.clock.after(RETRY_DELAY_MS, () => {
          if (this.#dirty && !this.#closed) this.changed();
        });
      }
    }
  }

  #learn(found: Inspection | undefined): void {
    if (found === undefined) {
      this.#observed.container = { kind: this.#ran ? 'gone' : 'absent' };
      return;
    }
    this.#observed.container = found.facts;
    if (found.facts.kind !== 'created') this.#ran = true;
    const ports = this.#hostPorts(found.ports);
    if (isTerminal(this.#observed.state)) return;
    this.#setContainerStatus(found.status);
    if (ports.length > 0) this.#status = { ...this.#status, PortStatus: { Ports: ports } };
  }

  #setContainerStatus(status: ContainerStatus): void {
    this.#status = { ...this.#status, ContainerStatus: status };
  }

  /** Of the ports that the engine bound those in host mode: the others are the cluster's. */
  #hostPorts(bound: readonly PortConfig[]): PortConfig[] {
    const wanted = [...this.#assignment.ports, ...(this.#spec?.spec.EndpointSpec?.Ports ?? [])];
    return bound.filter((port) =>
      wanted.some(
        (one) =>
          one.PublishMode === 'host' && one.TargetPort === port.TargetPort && (one.Protocol ?? 'tcp') === port.Protocol,
      ),
    );
  }

  #graceMs(): number {
    const grace = this.#spec?.spec.TaskTemplate?.ContainerSpec?.StopGracePeriod;
    return durationMs(grace, DEFAULTS.stopGracePeriodMs);
  }

  #pokeAfter(delayMs: number): void {
    this.#cancelTimer = this.#deps.clock.after(Math.max(0, delayMs), () => this.poke());
  }

  /** Keeps a promise from floating: what fails here is a defect, and said. */
  #spawn(work: Promise<unknown>): void {
    work.catch((error: unknown) => this.#logger.error({ err: error }, 'a task step failed unexpectedly'));
  }
}
