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
   * again. Keys it could not finish may be marked again. `signal` fires when the loop stops. A rejection counts as the
   * failure of every key; see `eachKey` for keys that stand and fall alone.
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
  /** Reconciles `key` again after `delayMs`, or an hour, at the latest; a nearer wake-up of the same key is kept. */
  wakeAfter(key: K, delayMs: number): void;
  /** Leaves `key` alone for `ms`, whatever marks it meanwhile, then reconciles it if it was marked. */
  rest(key: K, ms: number): void;
  /** Logs `error` once and reconciles `keys` again after a time that doubles with every failure in a row of the same key. */
  failed(keys: readonly K[], error: unknown): void;
  /** Monotonic milliseconds. */
  monotonic(): number;
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

/** After a failure a key is tried again this long after, doubling to the maximum. */
const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 5_000;
/** Keys that a message about a failure names: a store that cannot be written to fails them all. */
const LOGGED_KEYS = 10;
/** Timers cannot wait for weeks: who asks for that is woken early, and asks again. */
const MAX_WAKE_MS = 3_600_000;
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
  /** Until when a key is left alone, and how often it has failed in a row. */
  const rests = new Map<K, number>();
  const failures = new Map<K, number>();
  let dirty = new Set<K>(definition.allKeys());
  let running: Promise<void> | undefined;
  let scheduled = false;

  const add = (key: K): void => {
    const restMs = (rests.get(key) ?? 0) - clock.monotonic();
    if (restMs > 0) wakeAfter(key, restMs);
    else dirty.add(key);
  };
  const mark = (key: K): void => {
    add(key);
    schedule();
  };
  const markAll = (): void => {
    for (const key of definition.allKeys()) add(key);
    schedule();
  };
  const wakeAfter = (key: K, delayMs: number): void => {
    const waitMs = Math.min(Math.max(0, delayMs), MAX_WAKE_MS);
    const at = clock.monotonic() + waitMs;
    const planned = wakes.get(key);
    if (abort.signal.aborted || (planned !== undefined && planned.at <= at)) return;
    planned?.cancel();
    const cancel = clock.after(waitMs, () => {
      wakes.delete(key);
      mark(key);
    });
    wakes.set(key, { at, cancel });
  };
  const rest = (key: K, ms: number): void => {
    const until = clock.monotonic() + ms;
    rests.set(key, until);
    clock.after(ms, () => {
      if (rests.get(key) === until) rests.delete(key);
    });
  };
  const failed = (keys: readonly K[], error: unknown): void => {
    if (abort.signal.aborted) return;
    log.error({ err: error, keys: keys.slice(0, LOGGED_KEYS), count: keys.length }, 'not reconciled; will try again');
    for (const key of keys) {
      const times = failures.get(key) ?? 0;
      failures.set(key, times + 1);
      wakeAfter(key, Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** times));
    }
  };

  const runOnce = async (): Promise<void> => {
    const keys = dirty;
    dirty = new Set();
    const before = new Map(failures);
    try {
      const { monotonic } = clock;
      await definition.pass(keys, { now: clock.now(), signal: abort.signal, mark, wakeAfter, rest, failed, monotonic });
    } catch (error) {
      failed([...keys], error);
    }
    for (const [key, times] of before) if (keys.has(key) && failures.get(key) === times) failures.delete(key);
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
    try {
      for (const event of commit.events) definition.dirtiedBy(event, add);
    } catch (error) {
      log.error({ err: error, index: commit.index }, 'a commit was not understood; looking at everything');
      for (const key of definition.allKeys()) add(key);
    }
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
