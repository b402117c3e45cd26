import { engineError, isTemporary } from '../engine/errors.js';
import type { ContainerFacts, Operation, OperationFailure } from './step.js';

/** What a container can be once an operation has done its work. */
const EFFECTS: Readonly<Record<Operation, readonly ContainerFacts['kind'][]>> = {
  prepare: ['created', 'running', 'exited'],
  start: ['running', 'exited', 'gone'],
  stop: ['created', 'exited', 'absent', 'gone'],
  remove: ['absent', 'gone'],
};

/** Whether an operation has done its work. One that changed nothing must wait like a failed one before it is repeated. */
export function tookEffect(operation: Operation, container: ContainerFacts): boolean {
  return EFFECTS[operation].includes(container.kind);
}

/** The failure that an operation ended in (`atMs`: monotonic): its words are what users see of it. */
export function failureOf(operation: Operation, thrown: unknown, atMs: number): OperationFailure {
  const error = engineError(thrown);
  // Docker's words for a start that failed; without them nobody would know which step it was.
  const message = operation === 'start' ? `starting container failed: ${error.message}` : error.message;
  return { operation, message, temporary: isTemporary(error), atMs };
}

/** The failure of an operation that the engine said was done and was not. */
export function noEffect(operation: Operation, atMs: number): OperationFailure {
  return { operation, message: 'it had no effect', temporary: true, atMs };
}
