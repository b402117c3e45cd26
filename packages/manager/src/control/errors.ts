import { type ErrorCode, SwarmdError } from '@swarmd/model';

/** An error that Docker Swarm's API shows with the `rpc error: code = … desc = …` prefix; scripts match on it. */
export function rpcError(code: ErrorCode, message: string, field?: string): SwarmdError {
  return new SwarmdError(code, message, field === undefined ? { rpc: true } : { rpc: true, field });
}

/** A refusal of input, in Docker Swarm's form. `field` is the dotted path of what was wrong. */
export function invalid(message: string, field?: string): SwarmdError {
  return rpcError('invalid-argument', message, field);
}

/** `service web not found`: the form that the docker CLI prints as it is. */
export function notFound(kind: string, ref: string): SwarmdError {
  return new SwarmdError('not-found', `${kind} ${ref} not found`);
}

/** The answer to a write based on an old version of an object (HTTP 500, exactly Docker Swarm's words). */
export function outOfSequence(): SwarmdError {
  return rpcError('out-of-sequence', 'update out of sequence');
}

/** The answer to a second object of the same name. */
export function nameConflict(message: string): SwarmdError {
  return rpcError('already-exists', message, 'Name');
}
