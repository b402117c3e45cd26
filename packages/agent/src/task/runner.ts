import {
  compareStates,
  DEFAULTS,
  drainGraceMs,
  durationMs,
  isOnOverlay,
  isTerminal,
  SwarmdError,
  type TaskStatus,
} from '@swarmd/model';
import type { Logger } from 'pino';
import { engineError } from '../engine/errors.js';
import type { TaskWork } from '../engine/task-engine.js';
import type { AssignedSpec, Assignment } from './assignment.js';
import { ContainerView } from './container-view.js';
import { failureOf, noEffect, tookEffect } from './operation.js';
import type { StepExecutors, TaskRunnerDeps } from './runner-deps.js';
import { firstStatus, statusAfter, statusWith } from './status.js';
import { type Gate, nextStep, type Operation, RETRY_DELAY_MS, type Step, type TaskObserved } from './step.js';

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
  readonly #view: ContainerView;
  #giveUp: AbortController | undefined;
  #cancelTimer: () => void = () => {};
  /** When the node's networks were last seen to lack something of the task's. */
  #networksBehindMs = Number.NEGATIVE_INFINITY;
  #closed = false;

  /** A runner for `assignment`, of which `status` was the last that this node knew. */
  constructor(assignment: Assignment, spec: AssignedSpec | undefined, deps: TaskRunnerDeps, status?: TaskStatus) {
    this.id = assignment.id;
    this.#deps = deps;
    this.#logger = deps.logger.child({ taskId: assignment.id, service: assignment.serviceName });
    this.#assignment = assignment;
    this.#spec = spec;
    this.#status = status ?? firstStatus(deps.clock.now());
    const ran = compareStates(this.#status.State, 'running') >= 0 && this.#status.ContainerStatus !== undefined;
    this.#view = new ContainerView(
      () => deps.engine.inspect(this.#view.id ?? deps.containerName(this.#assignment)),
      ran,
    );
    this.#observed = {
      state: this.#status.State,
      message: this.#status.Message,
      container: this.#view.facts,
      cancelling: false,
      unhealthy: false,
      gates: {},
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
    return this.#view.id;
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
    this.#view.isMissing();
    this.#observed.container = this.#view.facts;
    this.poke();
  }

  /** Something happened to the container: it is looked at, at once or when the operation under way is over. */
  changed(): void {
    this.#view.dirty = true;
    if (this.#observed.operation === undefined) this.#spawn(this.#refresh());
  }

  /** Other nodes know of this phase of the task. */
  settled(gate: Gate): void {
    const { gates } = this.#observed;
    if (gates[gate]?.settledMs !== undefined) return;
    this.#observed.gates = { ...gates, [gate]: { ...gates[gate], settledMs: this.#deps.clock.monotonic() } };
    this.poke();
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
      // One moment for all that follows: what is behind now is behind at the moment of the step.
      const now = this.#deps.clock.monotonic();
      if (this.#deps.networksBehind(this.#assignment)) this.#networksBehindMs = now;
      const step = nextStep(
        {
          desiredState: this.#assignment.desiredState,
          withdrawn: this.#withdrawn,
          ended: this.#assignment.ended,
          missing: this.#deps.missing(this.#assignment, this.#spec),
          overlay: isOnOverlay(this.#assignment.networks),
          networksBehindMs: this.#networksBehindMs,
          drainMs: (this.#spec && drainGraceMs(this.#spec.spec)) ?? 0,
        },
        this.#observed,
        { engineUp: this.#deps.engineUp() },
        { now },
      );
      again = (this.#executors[step.kind] as (step: Step) => boolean)(step);
    }
    if (this.#statusChanged) {
      this.#statusChanged = false;
      if (!this.#withdrawn) this.#deps.onStatus(this.id, this.#status);
    }
  }

  readonly #executors: StepExecutors = {
    transition: (step) => this.#transition(step),
    wait: (step) => {
      if (step.untilMs !== undefined) this.#pokeAfter(step.untilMs - this.#deps.clock.monotonic());
      return false;
    },
    cancel: () => {
      this.#observed.cancelling = true;
      this.#giveUp?.abort();
      return false;
    },
    hold: ({ gate }) => {
      const { gates } = this.#observed;
      this.#observed.gates = { ...gates, [gate]: { ...gates[gate], sinceMs: this.#deps.clock.monotonic() } };
      return true;
    },
    prepare: () => this.#operate('prepare', async (signal) => this.#deps.engine.prepare(this.#work(), signal)),
    start: () => this.#operate('start', async () => this.#deps.engine.start(this.#work(), this.containerId ?? '')),
    stop: (step) => {
      if (step.because === 'unhealthy') this.#observed.unhealthy = true;
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

  #transition(step: Extract<Step, { kind: 'transition' }>): boolean {
    const { state, message, err } = step;
    this.#logger.debug({ from: this.#observed.state, to: state, err }, 'state');
    this.#observed.state = state;
    this.#observed.message = message;
    this.#status = statusAfter(this.#status, step, this.#deps.clock.now());
    this.#statusChanged = true;
    if (isTerminal(state)) {
      if (err !== undefined) this.#logger.warn({ state, err }, 'the task ended');
      this.#spawn(this.#deps.engine.release(this.id));
    }
    return true;
  }

  /** Starts an operation; when it is over the container is looked at and the next step asked for. */
  #operate(operation: Operation, act: (signal: AbortSignal) => Promise<void>): boolean {
    const giveUp = new AbortController();
    this.#giveUp = giveUp;
    this.#observed.operation = operation;
    this.#observed.cancelling = false;
    delete this.#observed.failure;
    const finish = async () => {
      try {
        await act(giveUp.signal);
      } catch (thrown) {
        if (!giveUp.signal.aborted) {
          this.#observed.failure = failureOf(operation, thrown, this.#deps.clock.monotonic());
          this.#logger.info({ operation, reason: this.#observed.failure.message }, 'an operation failed');
        }
      }
      if (this.#closed) return;
      await this.#look();
      if (!giveUp.signal.aborted && !tookEffect(operation, this.#observed.container)) {
        this.#observed.failure ??= noEffect(operation, this.#deps.clock.monotonic());
      }
      delete this.#observed.operation;
      this.#observed.cancelling = false;
      if (this.#view.dirty) this.#spawn(this.#refresh());
      this.poke();
    };
    this.#spawn(finish());
    return false;
  }

  async #refresh(): Promise<void> {
    await this.#look();
    this.poke();
  }

  /** Looks at the container. When the engine does not answer, what was known stays and another look is taken later. */
  async #look(): Promise<void> {
    try {
      const found = await this.#view.look();
      this.#observed.container = this.#view.facts;
      if (found !== undefined && !isTerminal(this.#observed.state)) {
        this.#status = statusWith(this.#status, found, this.#assignment, this.#spec);
      }
    } catch (thrown) {
      this.#logger.debug({ reason: engineError(thrown).message }, 'the container could not be looked at');
      // A failing connection ends in the engine's coming up anew, which looks at everything.
      if (!this.#deps.engineUp()) return;
      this.#deps.clock.after(RETRY_DELAY_MS, () => {
        if (this.#view.dirty && !this.#closed) this.changed();
      });
    }
  }

  #work(): TaskWork {
    if (this.#spec === undefined) throw new SwarmdError('failed-precondition', 'the spec is not on this node');
    return { assignment: this.#assignment, spec: this.#spec };
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
