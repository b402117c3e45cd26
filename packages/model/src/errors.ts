/**
 * What kind of failure an error is. Everything that crosses a boundary (HTTP, gRPC, CLI exit code) is decided from
 * this code alone, never from message text.
 */
export const ERROR_CODES = [
  'invalid-argument',
  'unauthenticated',
  'permission-denied',
  'not-found',
  'already-exists',
  'failed-precondition',
  'incompatible',
  'out-of-sequence',
  'in-use',
  'unavailable',
  'not-leader',
  'locked',
  'deadline-exceeded',
  'unimplemented',
  'damaged',
  'aborted',
  'internal',
] as const;

/** One of {@link ERROR_CODES}. */
export type ErrorCode = (typeof ERROR_CODES)[number];

/** How each code looks outside: `http` status (Docker Engine API), `grpc` status number and `grpcName` (as swarmkit prefixes messages). */
export const ERROR_TABLE: Readonly<Record<ErrorCode, { http: number; grpc: number; grpcName: string }>> = {
  'invalid-argument': { http: 400, grpc: 3, grpcName: 'InvalidArgument' },
  unauthenticated: { http: 401, grpc: 16, grpcName: 'Unauthenticated' },
  'permission-denied': { http: 403, grpc: 7, grpcName: 'PermissionDenied' },
  'not-found': { http: 404, grpc: 5, grpcName: 'NotFound' },
  'already-exists': { http: 409, grpc: 6, grpcName: 'AlreadyExists' },
  'failed-precondition': { http: 400, grpc: 9, grpcName: 'FailedPrecondition' },
  // The two sides are of versions too far apart, or the state is of a newer one: one of them must be upgraded first.
  incompatible: { http: 503, grpc: 9, grpcName: 'FailedPrecondition' },
  'out-of-sequence': { http: 500, grpc: 2, grpcName: 'Unknown' },
  'in-use': { http: 400, grpc: 3, grpcName: 'InvalidArgument' },
  unavailable: { http: 503, grpc: 14, grpcName: 'Unavailable' },
  // The writer is another manager, or none yet: surely nothing was written, so that trying again is harmless.
  'not-leader': { http: 503, grpc: 14, grpcName: 'Unavailable' },
  // Sealed with an unlock key that was not given, or with another one.
  locked: { http: 503, grpc: 9, grpcName: 'FailedPrecondition' },
  'deadline-exceeded': { http: 504, grpc: 4, grpcName: 'DeadlineExceeded' },
  unimplemented: { http: 501, grpc: 12, grpcName: 'Unimplemented' },
  damaged: { http: 500, grpc: 15, grpcName: 'DataLoss' },
  aborted: { http: 409, grpc: 10, grpcName: 'Aborted' },
  internal: { http: 500, grpc: 13, grpcName: 'Internal' },
};

/** The one error class: a code that machines act on, a message that people read, and the field that was wrong, if one was. */
export class SwarmdError extends Error {
  readonly code: ErrorCode;
  /** Dotted path of the offending input field, such as `TaskTemplate.ContainerSpec.Image`. */
  readonly field: string | undefined;
  /** Whether `message` already carries the `rpc error: code = … desc = …` form that Docker clients match on. */
  readonly rpc: boolean;

  constructor(code: ErrorCode, message: string, options: { field?: string; cause?: unknown; rpc?: boolean } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'SwarmdError';
    this.code = code;
    this.field = options.field;
    this.rpc = options.rpc ?? false;
  }

  /**
   * The message as Docker Swarm's API shows errors that come from its store:
   * `rpc error: code = AlreadyExists desc = …`. Scripts match on this form.
   */
  get apiMessage(): string {
    return this.rpc ? `rpc error: code = ${ERROR_TABLE[this.code].grpcName} desc = ${this.message}` : this.message;
  }
}

/** The `SwarmdError` for any thrown value: itself, or `internal` with the value as its cause. */
export function asSwarmdError(thrown: unknown): SwarmdError {
  if (thrown instanceof SwarmdError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new SwarmdError('internal', message, { cause: thrown });
}

/** Whether `thrown` is a {@link SwarmdError} with one of `codes`. */
export function isErrorCode(thrown: unknown, ...codes: ErrorCode[]): thrown is SwarmdError {
  return thrown instanceof SwarmdError && codes.includes(thrown.code);
}
