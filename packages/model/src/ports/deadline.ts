import { SwarmdError } from '../errors.js';
import type { Clock } from './clock.js';

/**
 * Runs `attempt` with a signal that fires after `ms` of `clock`, with `deadline-exceeded` as its reason, or with `outer`,
 * and settles as `attempt` does: it is for `attempt` to end when its signal fires. No timer is left behind.
 */
export async function withDeadline<T>(
  clock: Clock,
  ms: number,
  outer: AbortSignal | undefined,
  attempt: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = new AbortController();
  const cancel = clock.after(ms, () =>
    late.abort(new SwarmdError('deadline-exceeded', `it took longer than ${ms} ms`)),
  );
  try {
    return await attempt(outer === undefined ? late.signal : AbortSignal.any([outer, late.signal]));
  } finally {
    cancel();
  }
}
