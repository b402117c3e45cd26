import { compareStates, isTerminal, TASK_STATE_ORDER, type TaskState } from '@swarmd/model';

/** What the engine last said of a task's container. */
export type ContainerFacts =
  /** The engine has not been asked yet. */
  | { kind: 'unknown' }
  /** There is none, and none of this task was ever started. */
  | { kind: 'absent' }
  /** It was started once and somebody removed it. */
  | { kind: 'gone' }
  | { kind: 'created'; id: string }
  | { kind: 'running'; id: string; health: 'none' | 'starting' | 'healthy' | 'unhealthy' }
  /** `reason` is what the engine adds to the exit code: out of memory, why it could not be started. */
  | { kind: 'exited'; id: string; exitCode: number; reason?: string };

/** What an executor does to the engine for a task. */
export type Operation = 'prepare' | 'start' | 'stop' | 'remove';

/**
 * What other nodes are to know of a task on overlay networks before it goes on: that it has its address, before it starts;
 * that nothing new is to be led to it, before it stops.
 */
export type Gate = 'reserved' | 'draining';

/** Monotonic ms. `sinceMs`: the task began to wait at the gate. `settledMs`: others were said to know. */
export interface GateTimes {
  sinceMs?: number;
  settledMs?: number;
}

/** Why the last operation did not succeed. Temporary ones are tried again after {@link RETRY_DELAY_MS}. */
export interface OperationFailure {
  operation: Operation;
  message: string;
  temporary: boolean;
  atMs: number;
}

/** What a task should be. */
export interface TaskWanted {
  desiredState: TaskState;
  /** No longer assigned to this node: it goes, and nobody asks for its status. */
  withdrawn: boolean;
  /** The cluster has seen it end. */
  ended: boolean;
  /** What it needs and this node has not been given yet (specs, secrets, configs, networks), in words. */
  missing: readonly string[];
  /** It is on overlay networks: it passes {@link Gate}s. */
  overlay: boolean;
  /**
   * When the node's own networks were last seen not to be as managers say, so that they may still have led to what is to
   * stop: monotonic ms, now while they are. Long ago when never.
   */
  networksBehindMs: number;
  /** How long it still serves after nothing new is led to it, in ms. */
  drainMs: number;
}

/** What a task is, as far as this node knows. */
export interface TaskObserved {
  state: TaskState;
  message: string;
  container: ContainerFacts;
  /** The operation that is under way. */
  operation?: Operation;
  /** The operation under way has been told to give up. */
  cancelling: boolean;
  failure?: OperationFailure;
  /** The container is being stopped because its health check failed. */
  unhealthy: boolean;
  gates: Readonly<Partial<Record<Gate, GateTimes>>>;
}

/** What a task's surroundings are. */
export interface Surroundings {
  /** The engine answers. */
  engineUp: boolean;
}

/** The one thing to do next for a task. */
export type Step =
  /** Record and report a state; then ask again. */
  | { kind: 'transition'; state: TaskState; message: string; err?: string }
  | { kind: 'prepare' }
  | { kind: 'start' }
  | { kind: 'stop'; because: 'desired' | 'unhealthy' | 'ended' }
  | { kind: 'remove' }
  /** Tell the operation under way to give up. */
  | { kind: 'cancel' }
  /** From now on the task waits at a gate: keep when that began; then ask again. */
  | { kind: 'hold'; gate: Gate }
  /** Nothing until something changes, or until the time given (same clock as `now`). */
  | { kind: 'wait'; untilMs?: number }
  /** Nothing of the task is left: drop it. */
  | { kind: 'forget' };

/** A temporary error is retried after this long in the same state (swarmkit's task manager). */
export const RETRY_DELAY_MS = 1_000;
/**
 * A gate opens by itself after this long. Managers say it after two seconds at the latest, if they are there; when one goes,
 * the next is usually found in time, and tasks that are stopped just then are still being led to.
 */
export const GATE_TIMEOUT_MS = 3_000;
/** The node's own networks are waited for this long: they are behind while swarmd-net starts anew. */
export const OWN_NETWORKS_TIMEOUT_MS = 15_000;
/** While they are behind, they are looked at again after this long. */
const OWN_NETWORKS_RETRY_MS = 100;

const WAIT: Step = { kind: 'wait' };

/**
 * The next step of one task: a pure function of what is wanted, what is observed and its surroundings
 * (`now`: monotonic ms). States only go forward; a failure before `starting` rejects the task, later ones fail it
 * (swarmkit, `agent/exec/controller.go` `Do`).
 */
export function nextStep(
  wanted: TaskWanted,
  observed: TaskObserved,
  { engineUp }: Surroundings,
  { now }: { now: number },
): Step {
  const stopping =
    wanted.withdrawn || wanted.ended || TASK_STATE_ORDER[wanted.desiredState] >= TASK_STATE_ORDER.shutdown;
  if (observed.operation !== undefined) {
    return stopping && observed.operation === 'prepare' && !observed.cancelling ? { kind: 'cancel' } : WAIT;
  }
  const step = isTerminal(observed.state)
    ? cleanUp(wanted, observed, now)
    : stopping
      ? shutDown(wanted, observed, now)
      : advance(wanted, observed, now);
  return isOperation(step) && !engineUp ? WAIT : step;
}

function isOperation(step: Step): boolean {
  return step.kind === 'prepare' || step.kind === 'start' || step.kind === 'stop' || step.kind === 'remove';
}

/** `step`, unless its operation has just failed: then once the retry delay is over. */
function unlessJustFailed(step: Step & { kind: Operation }, observed: TaskObserved, now: number): Step {
  const { failure } = observed;
  if (failure?.operation !== step.kind) return step;
  const untilMs = failure.atMs + RETRY_DELAY_MS;
  return now >= untilMs ? step : { kind: 'wait', untilMs };
}

/**
 * What to do instead of passing a gate; `undefined` when it may be passed, `graceMs` after it opened. It opens when
 * others know, or when it has been waited for long enough: without a manager too, as the next one may be there at once.
 * The node's own networks are to know as well, which takes longer when swarmd-net is just being started anew.
 */
function held(gate: Gate, wanted: TaskWanted, { gates }: TaskObserved, now: number, graceMs = 0): Step | undefined {
  if (!wanted.overlay) return undefined;
  const { sinceMs, settledMs = Number.POSITIVE_INFINITY } = gates[gate] ?? {};
  const { networksBehindMs: behindMs } = wanted;
  if (sinceMs === undefined) {
    return settledMs <= now && graceMs === 0 && behindMs < now ? undefined : { kind: 'hold', gate };
  }
  const latestMs = sinceMs + OWN_NETWORKS_TIMEOUT_MS;
  if (behindMs >= now && now < latestMs) {
    return { kind: 'wait', untilMs: Math.min(now + OWN_NETWORKS_RETRY_MS, latestMs) };
  }
  const openMs = Math.max(Math.min(settledMs, sinceMs + GATE_TIMEOUT_MS), Math.min(behindMs, latestMs));
  const untilMs = openMs + graceMs;
  return now >= untilMs ? undefined : { kind: 'wait', untilMs };
}

function cleanUp(wanted: TaskWanted, observed: TaskObserved, now: number): Step {
  const unwanted = wanted.withdrawn || wanted.desiredState === 'remove';
  switch (observed.container.kind) {
    case 'running':
      return unlessJustFailed({ kind: 'stop', because: 'ended' }, observed, now);
    case 'created':
    case 'exited':
      return unwanted ? unlessJustFailed({ kind: 'remove' }, observed, now) : WAIT;
    case 'unknown':
      return WAIT;
    case 'absent':
    case 'gone':
      return wanted.withdrawn ? { kind: 'forget' } : WAIT;
  }
}

function shutDown(wanted: TaskWanted, observed: TaskObserved, now: number): Step {
  const { container } = observed;
  if (container.kind === 'unknown') return WAIT;
  if (container.kind === 'running') {
    // Nothing is led to what has not run yet, is not well, or is no longer known to the cluster.
    const serves = observed.state === 'running' && container.health !== 'unhealthy' && !observed.unhealthy;
    const waits = serves && !wanted.withdrawn && !wanted.ended;
    const wait = waits ? held('draining', wanted, observed, now, wanted.drainMs) : undefined;
    return wait ?? unlessJustFailed({ kind: 'stop', because: 'desired' }, observed, now);
  }
  return { kind: 'transition', state: 'shutdown', message: 'shutdown' };
}

function advance(wanted: TaskWanted, observed: TaskObserved, now: number): Step {
  const mayPass = compareStates(observed.state, wanted.desiredState) < 0;
  switch (observed.state) {
    case 'new':
    case 'pending':
    case 'assigned':
      return mayPass ? { kind: 'transition', state: 'accepted', message: 'accepted' } : WAIT;
    case 'accepted':
      return mayPass ? { kind: 'transition', state: 'preparing', message: 'preparing' } : WAIT;
    case 'preparing':
      return prepare(wanted, observed, now);
    case 'ready':
      return mayPass ? { kind: 'transition', state: 'starting', message: 'starting' } : WAIT;
    case 'starting':
      return start(wanted, observed, now);
    case 'running':
      return watch(observed, now);
    default:
      return WAIT;
  }
}

function prepare(wanted: TaskWanted, observed: TaskObserved, now: number): Step {
  const { container, failure } = observed;
  if (container.kind === 'unknown') return WAIT;
  if (container.kind !== 'absent' && container.kind !== 'gone') {
    return { kind: 'transition', state: 'ready', message: 'prepared' };
  }
  if (failure?.operation === 'prepare' && !failure.temporary) {
    return { kind: 'transition', state: 'rejected', message: observed.message, err: failure.message };
  }
  return missingFirst(wanted, observed) ?? unlessJustFailed({ kind: 'prepare' }, observed, now);
}

/** While something is missing: the wait for it, said once in the status's message. */
function missingFirst(wanted: TaskWanted, observed: TaskObserved): Step | undefined {
  if (wanted.missing.length === 0) return undefined;
  const message = `waiting for ${wanted.missing.join(', ')}`;
  return observed.message === message ? WAIT : { kind: 'transition', state: observed.state, message };
}

function start(wanted: TaskWanted, observed: TaskObserved, now: number): Step {
  const { container, failure } = observed;
  switch (container.kind) {
    case 'unknown':
      return WAIT;
    case 'gone':
      return failed(observed, 'the container was removed');
    case 'absent':
      // Removed while it waited to be started: it is made again.
      if (failure?.operation === 'prepare' && !failure.temporary) return failed(observed, failure.message);
      return missingFirst(wanted, observed) ?? unlessJustFailed({ kind: 'prepare' }, observed, now);
    case 'created':
      if (failure?.operation === 'start' && !failure.temporary) return failed(observed, failure.message);
      return (
        missingFirst(wanted, observed) ??
        held('reserved', wanted, observed, now) ??
        unlessJustFailed({ kind: 'start' }, observed, now)
      );
    case 'running':
      if (container.health === 'starting' && !observed.unhealthy) return WAIT;
      if (container.health === 'unhealthy' || observed.unhealthy) return stopUnhealthy(observed, now);
      return { kind: 'transition', state: 'running', message: 'started' };
    case 'exited':
      return ended(observed, container);
  }
}

function watch(observed: TaskObserved, now: number): Step {
  const { container } = observed;
  switch (container.kind) {
    case 'unknown':
      return WAIT;
    case 'running':
      return container.health === 'unhealthy' || observed.unhealthy ? stopUnhealthy(observed, now) : WAIT;
    case 'exited':
      return ended(observed, container);
    case 'created':
      return failed(observed, 'the container is not running');
    case 'absent':
    case 'gone':
      return failed(observed, 'the container was removed');
  }
}

function stopUnhealthy(observed: TaskObserved, now: number): Step {
  return unlessJustFailed({ kind: 'stop', because: 'unhealthy' }, observed, now);
}

function ended(observed: TaskObserved, container: Extract<ContainerFacts, { kind: 'exited' }>): Step {
  if (container.exitCode === 0 && !observed.unhealthy && container.reason === undefined) {
    return { kind: 'transition', state: 'complete', message: 'finished' };
  }
  // The wording is Docker Swarm's: scripts look for it.
  const reason = observed.unhealthy ? 'dockerexec: unhealthy container' : container.reason;
  const exit = container.exitCode === 0 ? 'task' : `task: non-zero exit (${container.exitCode})`;
  return failed(observed, reason === undefined ? exit : `${exit}: ${reason}`);
}

function failed(observed: TaskObserved, err: string): Step {
  return { kind: 'transition', state: 'failed', message: observed.message, err };
}
