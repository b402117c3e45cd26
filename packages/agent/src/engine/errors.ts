import { type ErrorCode, SwarmdError } from '@swarmd/model';

const CODE_BY_STATUS: Readonly<Record<number, ErrorCode>> = {
  400: 'invalid-argument',
  401: 'unauthenticated',
  403: 'permission-denied',
  404: 'not-found',
  409: 'already-exists',
  501: 'unimplemented',
  503: 'unavailable',
};

/** Socket errors that mean: no engine answers there, or it went away in the middle. */
const CONNECTION_ERRORS = new Set(['ECONNREFUSED', 'ECONNRESET', 'ENOENT', 'EPIPE', 'EACCES', 'EAGAIN', 'ETIMEDOUT']);

/**
 * The `SwarmdError` for whatever dockerode threw: the engine's own words as message. `unavailable` and
 * `deadline-exceeded` are temporary, `aborted` means that we gave up ourselves.
 */
export function engineError(thrown: unknown): SwarmdError {
  if (thrown instanceof SwarmdError) return thrown;
  const error = thrown as { statusCode?: number; json?: unknown; code?: string; name?: string; message?: string };
  if (error?.statusCode !== undefined) {
    const said = (error.json as { message?: unknown } | null)?.message;
    // Of streamed answers dockerode keeps only a text of its own around the engine's.
    const message = typeof said === 'string' ? said : (error.message ?? '').replace(/^\(HTTP code \d+\) .*? - /, '');
    const code = CODE_BY_STATUS[error.statusCode] ?? 'internal';
    return new SwarmdError(code, message.trim() || 'the engine failed', { cause: thrown });
  }
  const message = error?.message ?? String(thrown);
  if (error?.name === 'TimeoutError') return new SwarmdError('deadline-exceeded', 'the engine does not answer');
  if (error?.name === 'AbortError') {
    const reason = (thrown as { cause?: { name?: string } }).cause;
    return reason?.name === 'TimeoutError'
      ? new SwarmdError('deadline-exceeded', 'the engine does not answer', { cause: thrown })
      : new SwarmdError('aborted', message, { cause: thrown });
  }
  if (error?.code !== undefined && CONNECTION_ERRORS.has(error.code)) {
    return new SwarmdError('unavailable', `the engine cannot be reached: ${message}`, { cause: thrown });
  }
  return new SwarmdError('internal', message, { cause: thrown });
}

/** Whether the same call may well succeed a little later. */
export function isTemporary(error: SwarmdError): boolean {
  return error.code === 'unavailable' || error.code === 'deadline-exceeded' || error.code === 'aborted';
}
