import type { TaskState, UpdateStatus } from '@swarmd/model';

/** A task to create for a service, with the service's current spec. */
export interface CreateTask {
  kind: 'create-task';
  /** 1…n for replicated services, 0 for global ones. */
  slot: number;
  /** Set for global services, whose tasks belong to their node from the start. */
  nodeId: string;
  desired: TaskState;
  /** RFC 3339; the restart delay's end, if there is one. */
  startAfter?: string;
  jobIteration?: number;
  reason: string;
}

/** A task's desired state to raise; it never goes down. */
export interface SetDesired {
  kind: 'set-desired';
  taskId: string;
  desired: TaskState;
  reason: string;
}

/** Where the service's update stands now; `undefined` parts are removed. */
export interface SetUpdate {
  kind: 'set-update';
  status: UpdateStatus | undefined;
  progress: { StartedAt: string; TotalSlots: number } | undefined;
}

/** Puts the previous spec back, because an update failed. */
export interface RollBack {
  kind: 'roll-back';
  status: UpdateStatus;
}

/** What the orchestrator can decide, as plain data. */
export type Action = CreateTask | SetDesired | SetUpdate | RollBack;

/** A pass over one service: what to do, and when to look again although nothing happened (ms since the epoch). */
export interface Plan {
  actions: Action[];
  wakeAtMs: number | undefined;
}

/** The earlier of two wake-up times. */
export function earlier(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined) return b;
  return b === undefined ? a : Math.min(a, b);
}
