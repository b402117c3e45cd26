import { type Clock, pause } from '@swarmd/model';

/** The first attempt to open the store may take this long: without a quorum it waits. */
const OPEN_MIN_MS = 30_000;
/** A host that takes longer to have all of a large store over a slow link is too slow to be a manager. */
const OPEN_MAX_MS = 10 * 60_000;
/** Between two times that something is asked for. */
const ASK_PAUSE_MS = 2_000;

/**
 * How long attempt number `attempt`, from 0, to open the shared store may take, in milliseconds: longer each time, as
 * what ends etcd while it loads a snapshot has it begin anew.
 */
export function openTimeoutMs(attempt: number): number {
  return Math.min(OPEN_MAX_MS, OPEN_MIN_MS * 2 ** attempt);
}

/** Calls `ask` until it resolves or `signal` is aborted, telling `onRefused` why it did not. Never rejects. */
export async function keepAsking(
  ask: () => Promise<void>,
  clock: Pick<Clock, 'after'>,
  signal: AbortSignal,
  onRefused: (error: unknown) => void,
): Promise<void> {
  while (!signal.aborted) {
    try {
      return await ask();
    } catch (error) {
      if (!signal.aborted) onRefused(error);
    }
    await pause(clock, ASK_PAUSE_MS, signal);
  }
}
