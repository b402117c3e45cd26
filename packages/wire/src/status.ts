import { Metadata, type ServiceError, type StatusObject, status } from '@grpc/grpc-js';
import { asSwarmdError, ERROR_CODES, ERROR_TABLE, type ErrorCode, SwarmdError } from '@swarmd/model';

const CODE_KEY = 'swarmd-code';
const FIELD_KEY = 'swarmd-field';
const RPC_KEY = 'swarmd-rpc';

/** What each gRPC status means when its sender gave no code of ours (a proxy, grpc-js itself). */
const CODE_OF_STATUS: Readonly<Partial<Record<status, ErrorCode>>> = {
  [status.CANCELLED]: 'aborted',
  [status.UNKNOWN]: 'internal',
  [status.INVALID_ARGUMENT]: 'invalid-argument',
  [status.DEADLINE_EXCEEDED]: 'deadline-exceeded',
  [status.NOT_FOUND]: 'not-found',
  [status.ALREADY_EXISTS]: 'already-exists',
  [status.PERMISSION_DENIED]: 'permission-denied',
  [status.RESOURCE_EXHAUSTED]: 'unavailable',
  [status.FAILED_PRECONDITION]: 'failed-precondition',
  [status.ABORTED]: 'aborted',
  [status.OUT_OF_RANGE]: 'invalid-argument',
  [status.UNIMPLEMENTED]: 'unimplemented',
  [status.INTERNAL]: 'internal',
  [status.UNAVAILABLE]: 'unavailable',
  [status.DATA_LOSS]: 'damaged',
  [status.UNAUTHENTICATED]: 'unauthenticated',
};

/**
 * The gRPC status for any thrown value. What gRPC has no place for (our code, the field, the form of the message)
 * travels in the metadata: {@link fromGrpcError} gives it back.
 */
export function toGrpcStatus(thrown: unknown): StatusObject & Error {
  const error = asSwarmdError(thrown);
  const metadata = new Metadata();
  metadata.set(CODE_KEY, error.code);
  if (error.field !== undefined) metadata.set(FIELD_KEY, encodeURIComponent(error.field));
  if (error.rpc) metadata.set(RPC_KEY, '1');
  const details = error.message;
  return Object.assign(new Error(details), { code: ERROR_TABLE[error.code].grpc, details, metadata });
}

/** The {@link SwarmdError} for what a gRPC call failed with. */
export function fromGrpcError(thrown: unknown): SwarmdError {
  if (thrown instanceof SwarmdError) return thrown;
  const { code, details, metadata, message } = thrown as Partial<ServiceError>;
  if (typeof code !== 'number') return asSwarmdError(thrown);
  const told = metadata?.get(CODE_KEY)[0];
  const field = metadata?.get(FIELD_KEY)[0];
  const known = ERROR_CODES.find((candidate) => candidate === told) ?? CODE_OF_STATUS[code] ?? 'internal';
  return new SwarmdError(known, details || message || `gRPC status ${code}`, {
    cause: thrown,
    rpc: metadata?.get(RPC_KEY)[0] === '1',
    ...(typeof field === 'string' ? { field: decodeURIComponent(field) } : {}),
  });
}
