import type { Clock, TaskStatus } from '@swarmd/model';
import type { Logger } from 'pino';
import type { TaskEngine } from '../engine/task-engine.js';
import type { AssignedSpec, Assignment } from './assignment.js';
import type { Step } from './step.js';

/** What a task's runner asks of its surroundings. */
export interface TaskRunnerDeps {
  engine: TaskEngine;
  /** Whether the engine answers. */
  engineUp(): boolean;
  /** Whether the task's networks are not yet on this node as managers say. */
  networksBehind(assignment: Assignment): boolean;
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
export type StepExecutors = { readonly [K in Step['kind']]: (step: Extract<Step, { kind: K }>) => boolean };
