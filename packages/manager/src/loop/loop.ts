import type { Clock, Commit, Store, StoreEvent } from '@swarmd/model';
import type { Logger } from 'pino';

/** What one loop does. `K` names a thing to reconcile (a service ID, a node ID, …). */
export interface LoopDefinition<K> {
  /** Component name for logs. */
  name: string;
  /** Keys that an event makes dirty. Events only hint: a full resync must reach the same result. */
  dirtiedBy(event: StoreEvent, mark: (key: K) => void): void;
  /** Every key, for the first pass and for resyncs. */
  allKeys(): Iterable<K>;
  /**
   * Reconciles some dirty keys on the present state: decides synchronously, then applies in transactions that check
   * again. Keys it could not finish may be marked again. `signal` fires when the loop stops.
   */
  pass(keys: ReadonlySet<K>, context: PassContext<K>): Promise<void>;
}

/** What a pass is given. */
export interface PassContext<K> {
  /** Wall time of the pass, milliseconds since the epoch. */
  now: number;
  signal: AbortSignal;
  /** Reconciles `key` again at the next pass. */
  mark(key: K): void;
  /** Reconciles `key` again after `delayMs` at the latest; a nearer wake-up of the same key is kept. */
  wakeAfter(key: K, delayMs: number): void;
}

/** A running loop. */
export interface Loop {
  /** Reconciles everything again, as after a lost event. */
  resync(): void;
  /** Ends the loop; resolves when no pass is under way. */
  stop(): Promise<void>;
}

/** What `startLoop` needs from outside. */
export interface LoopDependencies {
  store: Store;
  clock: Clock;
  logger: Logger;
}

/** After a failed pass its keys are tried again this long after, doubling to the maximum. */
const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 5_000;
/** Everything is looked at again this often, so that a forgotten hint heals. */
const RESYNC_MS = 60_000;

/**
 * The one loop runner: watches the store, collects dirty keys, and runs one pass at a time. A change flows at once
 * when nothing is under way; changes that arrive during a pass are batched into the next. No debounce timers.
 */
export function startLoop<K>(definition: LoopDefinition<K>, { store, clock, logger }: LoopDependencies): Loop {
  const log = logger.child({ component: definition.name });
  const abort = new AbortController();
  const wakes = new Map<K, { at: number; cancel: () => void }>();
  let dirty = new Set<K>(definition.allKeys());
  let running: Promise<void> | undefined;
  let scheduled = false;
  let retryMs = RETRY_MIN_MS;

  const mark = (key: K): void => {
    dirty.add(key);
    schedule();
  };
  const markAll = (): void => {
    for (const key of definition.allKeys()) dirty.add(key);
    schedule();
  };
  const wakeAfter = (key: K, delayMs: number): void => {
    const at = clock.monotonic() + delayMs;
    const planned = wakes.get(key);
    if (planned !== undefined && planned.at <= at) return;
    planned?.cancel();
    const cancel = clock.after(Math.max(0, delayMs), () => {
      wakes.delete(key);
      mark(key);
    });
    wakes.set(key, { at, cancel });
  };

  const runOnce = async (): Promise<void> => {
    const keys = dirty;
    dirty = new Set();
    try {
      await definition.pass(keys, { now: clock.now(), signal: abort.signal, mark, wakeAfter });
      retryMs = RETRY_MIN_MS;
    } catch (error) {
      if (abort.signal.aborted) return;
      log.error({ err: error, retryMs }, 'pass failed; will try again');
      for (const key of keys) wakeAfter(key, retryMs);
      retryMs = Math.min(RETRY_MAX_MS, retryMs * 2);
    }
  };

  function schedule(): void {
    if (scheduled || running !== undefined || abort.signal.aborted || dirty.size === 0) return;
    scheduled = true;
    // Not a microtask: a pass that keeps finding work must not starve timers and sockets.
    setImmediate(() => {
      scheduled = false;
      if (abort.signal.aborted || running !== undefined) return;
      running = runOnce().finally(() => {
        running = undefined;
        schedule();
      });
    });
  }

  const onCommit = (commit: Commit): void => {
    for (const event of commit.events) definition.dirtiedBy(event, (key) => dirty.add(key));
    schedule();
  };
  const unwatch = store.watch(onCommit);
  let cancelResync = (): void => {};
  const planResync = (): void => {
    cancelResync = clock.after(RESYNC_MS, () => {
      markAll();
      planResync();
    });
  };
  planResync();
  schedule();

  return {
    resync: markAll,
    stop: async () => {
      abort.abort();
      unwatch();
      cancelResync();
      for (const wake of wakes.values()) wake.cancel();
      await running;
    },
  };
}
