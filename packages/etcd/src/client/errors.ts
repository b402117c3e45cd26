import { type ServiceError, status } from '@grpc/grpc-js';
import { type ErrorCode, SwarmdError } from '@swarmd/model';

/**
 * What each status of etcd means here; all others are `unavailable`: nobody can tell what became of the request.
 * `out-of-sequence` is a revision that was compacted or does not exist yet.
 */
const CODE_OF_STATUS: Readonly<Partial<Record<status, ErrorCode>>> = {
  [status.INVALID_ARGUMENT]: 'invalid-argument',
  [status.NOT_FOUND]: 'not-found',
  [status.FAILED_PRECONDITION]: 'failed-precondition',
  [status.OUT_OF_RANGE]: 'out-of-sequence',
  [status.PERMISSION_DENIED]: 'permission-denied',
  [status.UNAUTHENTICATED]: 'unauthenticated',
  [status.UNIMPLEMENTED]: 'unimplemented',
  [status.DATA_LOSS]: 'damaged',
};

/** Codes with which etcd refuses a request before it does anything. */
const REFUSALS: readonly ErrorCode[] = [
  'invalid-argument',
  'not-found',
  'failed-precondition',
  'out-of-sequence',
  'permission-denied',
  'unauthenticated',
  'unimplemented',
];

/**
 * What etcd says with status UNAVAILABLE or RESOURCE_EXHAUSTED when it has not even proposed a request: whole texts, the
 * only thing that tells these from the others of the same status, as in etcd's own client (`rpctypes/error.go`). "No
 * space" is not among them: etcd says so after having done what was asked.
 */
const NOT_PROPOSED: readonly string[] = [
  'etcdserver: no leader',
  'etcdserver: not capable',
  'etcdserver: rpc not supported for learner',
  'etcdserver: too many requests',
];

/** How everything begins that etcd itself says; what else comes with its statuses is from gRPC. */
const ETCD_SAYS = 'etcdserver: ';

/** The cause of errors of calls that never left this process. */
class NotSentError extends Error {}

/** The error for a call that never left this process. */
export function notSent(code: 'aborted' | 'unavailable', message: string): SwarmdError {
  return new SwarmdError(code, message, { cause: new NotSentError(message) });
}

/** The {@link SwarmdError} for what a call to etcd failed with; `aborted` when the caller gave it up. */
export function fromEtcdError(error: ServiceError, givenUp: boolean): SwarmdError {
  if (givenUp) return new SwarmdError('aborted', 'the call was given up', { cause: error });
  return new SwarmdError(codeOf(error), error.details || error.message, { cause: error });
}

/**
 * Whether the request that failed with `error` surely changed nothing: it was never sent, or etcd refused it. Otherwise it
 * may be done already, or be done later still.
 */
export function surelyNotApplied(error: unknown): boolean {
  if (!(error instanceof SwarmdError)) return false;
  if (error.cause instanceof NotSentError || REFUSALS.includes(error.code)) return true;
  const { details } = (error.cause ?? {}) as Partial<ServiceError>;
  return typeof details === 'string' && NOT_PROPOSED.includes(details);
}

function codeOf({ code, details }: ServiceError): ErrorCode {
  // A message over gRPC's own limit, which lies some way above etcd's.
  if (code === status.RESOURCE_EXHAUSTED && !details.startsWith(ETCD_SAYS)) return 'invalid-argument';
  return CODE_OF_STATUS[code] ?? 'unavailable';
}
