/**
 * A task's states in the order they can be reached; observed state only ever moves forward
 * (numbers as in swarmkit's TaskState, so that gaps and order stay familiar).
 */
export const TASK_STATE_ORDER = {
  new: 0,
  pending: 64,
  assigned: 192,
  accepted: 256,
  preparing: 320,
  ready: 384,
  starting: 448,
  running: 512,
  complete: 576,
  shutdown: 640,
  failed: 704,
  rejected: 768,
  remove: 800,
  orphaned: 832,
} as const;

/** A task's observed or desired state, as the Docker Engine API spells it. `remove` is only ever desired. */
export type TaskState = keyof typeof TASK_STATE_ORDER;

/** All states, lowest first. */
export const TASK_STATES = Object.keys(TASK_STATE_ORDER) as readonly TaskState[];

/** Negative, zero or positive as `a` is before, at or after `b` on the ladder. */
export function compareStates(a: TaskState, b: TaskState): number {
  return TASK_STATE_ORDER[a] - TASK_STATE_ORDER[b];
}

/** Whether a task in `state` has ended: it is past `running` and will never run again. */
export function isTerminal(state: TaskState): boolean {
  return TASK_STATE_ORDER[state] > TASK_STATE_ORDER.running;
}

/** The later of two states. */
export function laterState(a: TaskState, b: TaskState): TaskState {
  return TASK_STATE_ORDER[a] >= TASK_STATE_ORDER[b] ? a : b;
}

/** Whether a task holds its node's resources: assigned and not yet ended. */
export function holdsResources(state: TaskState): boolean {
  return TASK_STATE_ORDER[state] >= TASK_STATE_ORDER.assigned && TASK_STATE_ORDER[state] <= TASK_STATE_ORDER.running;
}
