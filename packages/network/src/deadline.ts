import { type Clock, SwarmdError } from '@swarmd/model';

/**
 * What `work` comes to within `ms`; rejects with `deadline-exceeded` after that, and `work` goes on: what it works on is
 * brought about again by the next call. `what` names it, for people. `onLate` gets what it failed with too late.
 */
export async function within<T>(
  clock: Clock,
  ms: number,
  what: string,
  work: Promise<T>,
  onLate: (error: unknown) => void,
): Promise<T> {
  let cancel = (): void => {};
  const late = new Promise<never>((_, reject) => {
    cancel = clock.after(ms, () => {
      work.catch(onLate);
      reject(new SwarmdError('deadline-exceeded', `${what} takes longer than ${ms} ms; it goes on: try again`));
    });
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    cancel();
  }
}
