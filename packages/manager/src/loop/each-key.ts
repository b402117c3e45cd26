import { setImmediate as nextTurn } from 'node:timers/promises';
import type { PassContext } from './loop.js';

/** Deciding goes on for this long before timers and sockets get their turn. */
const SLICE_MS = 20;
/** Keys whose transactions may be under way together: the store syncs them as one. */
const MAX_IN_FLIGHT = 1_000;
/** A key whose reconciliation takes longer than this … */
const COSTLY_MS = 2;
/** … rests for that many times as long: a service of 10,000 tasks is not looked at for each of them. */
const REST_FACTOR = 3;

/**
 * A pass that reconciles keys one by one, each in a transaction of its own: one that fails is tried again alone, long
 * passes are cut into slices, and keys that are costly to look at are looked at less often. `reconcile` must start its
 * transaction synchronously.
 */
export function eachKey<K>(
  reconcile: (key: K, context: PassContext<K>) => Promise<void>,
): (keys: ReadonlySet<K>, context: PassContext<K>) => Promise<void> {
  return async (keys, context) => {
    const failed = new Map<unknown, K[]>();
    let underWay: Promise<void>[] = [];
    const noteFailure = (key: K, error: unknown): void => {
      const others = failed.get(error);
      if (others === undefined) failed.set(error, [key]);
      else others.push(key);
    };
    const settle = async (): Promise<void> => {
      await Promise.all(underWay);
      underWay = [];
      // A store that cannot be written to fails all with the same error.
      for (const [error, together] of failed) context.failed(together, error);
      failed.clear();
    };
    let sliceStart = context.monotonic();
    for (const key of keys) {
      if (context.signal.aborted) break;
      const start = context.monotonic();
      underWay.push(reconcile(key, context).catch((error: unknown) => noteFailure(key, error)));
      const end = context.monotonic();
      if (end - start > COSTLY_MS) context.rest(key, (end - start) * REST_FACTOR);
      if (underWay.length >= MAX_IN_FLIGHT) await settle();
      if (end - sliceStart < SLICE_MS) continue;
      await nextTurn();
      sliceStart = context.monotonic();
    }
    await settle();
  };
}
