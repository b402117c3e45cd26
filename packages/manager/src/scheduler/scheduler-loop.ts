import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Clock, isErrorCode, type Store } from '@swarmd/model';
import type { Logger } from 'pino';
import { ClusterMirror } from './mirror.js';
import type { Decision } from './place-group.js';
import { planPass } from './plan.js';
import { writeDecisions } from './write-back.js';

/** What the scheduler needs from outside. */
export interface SchedulerDependencies {
  store: Store;
  clock: Clock;
  logger: Logger;
}

/** A running scheduler. */
export interface Scheduler {
  /** Ends it; resolves when all that it has decided is written or given up. */
  stop(): Promise<void>;
  /** Forgets its account of the cluster and starts over from the store. */
  resync(): void;
}

/** Decisions per transaction: some milliseconds to apply and to publish. The store syncs several transactions at once. */
const BATCH_SIZE = 1_000;
/** Transactions that may wait for the log while placing goes on. */
const MAX_IN_FLIGHT = 8;
/** After a failed pass or write, the next try comes this much later, doubling to the maximum. */
const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 5_000;
/** Waiting tasks are tried again, and explained anew, this often, so that a forgotten hint heals. */
const SWEEP_MS = 60_000;

/**
 * Starts the scheduler: it assigns pending tasks to nodes, confirms those that come with a node, and tells in
 * `Status.Err` why a task waits.
 *
 * It does not use the shared loop runner: that hands over dirty keys without the events, whereas the scheduler's account
 * of what every node holds must follow each event, and its passes go on while their writes are under way. The rules are
 * the same: no debounce, one pass at a time, short steps, retries with back-off, a sweep that heals.
 */
export function startScheduler(dependencies: SchedulerDependencies): Scheduler {
  const loop = new SchedulerLoop(dependencies);
  loop.start();
  return loop;
}

class SchedulerLoop implements Scheduler {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #mirror: ClusterMirror;
  readonly #abort = new AbortController();
  readonly #writes = new Set<Promise<void>>();
  #unwatch: () => void = () => {};
  #cancelSweep: () => void = () => {};
  #cancelRetry: (() => void) | undefined;
  #running: Promise<void> | undefined;
  #scheduled = false;
  #resyncWanted = false;
  #retryMs = RETRY_MIN_MS;

  constructor({ store, clock, logger }: SchedulerDependencies) {
    this.#store = store;
    this.#clock = clock;
    this.#log = logger.child({ component: 'scheduler' });
    this.#mirror = new ClusterMirror(() => store.view);
  }

  start(): void {
    this.#mirror.rebuild();
    this.#unwatch = this.#store.watch((commit) => {
      this.#mirror.apply(commit);
      this.#kick();
    });
    this.#planSweep();
    this.#kick();
  }

  resync(): void {
    this.#resyncWanted = true;
    this.#kick();
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    this.#unwatch();
    this.#cancelSweep();
    this.#cancelRetry?.();
    await this.#running;
    await this.#settled();
  }

  #planSweep(): void {
    this.#cancelSweep = this.#clock.after(SWEEP_MS, () => {
      this.#mirror.pending.markAll();
      this.#kick();
      this.#planSweep();
    });
  }

  #kick(): void {
    if (this.#scheduled || this.#running !== undefined || this.#cancelRetry !== undefined) return;
    if (this.#abort.signal.aborted || !(this.#resyncWanted || this.#mirror.pending.hasWork)) return;
    this.#scheduled = true;
    // Lets the other watchers of the commit hear of it first.
    queueMicrotask(() => {
      this.#scheduled = false;
      if (this.#abort.signal.aborted) return;
      this.#running = this.#pass().finally(() => {
        this.#running = undefined;
        this.#kick();
      });
    });
  }

  async #pass(): Promise<void> {
    try {
      if (this.#resyncWanted) {
        this.#resyncWanted = false;
        await this.#settled();
        this.#mirror.rebuild();
      }
      await this.#placeAll();
    } catch (error) {
      this.#resyncWanted = true;
      this.#retryLater(error);
    }
  }

  async #placeAll(): Promise<void> {
    let batch: Decision[] = [];
    const plan = planPass(this.#mirror, this.#clock.now(), (decision) => batch.push(decision));
    for (let done = false; !done; ) {
      done = plan.next().done === true;
      while (batch.length >= BATCH_SIZE || (done && batch.length > 0)) {
        const head = batch.slice(0, BATCH_SIZE);
        batch = batch.slice(BATCH_SIZE);
        await this.#write(head);
        if (batch.length >= BATCH_SIZE) await nextTurn();
      }
      if (this.#abort.signal.aborted) return;
      if (!done) await nextTurn();
    }
  }

  /** Starts a transaction; waits only for room among those under way. */
  async #write(decisions: readonly Decision[]): Promise<void> {
    const write = this.#writeBack(decisions).finally(() => this.#writes.delete(write));
    this.#writes.add(write);
    while (this.#writes.size >= MAX_IN_FLIGHT && !this.#abort.signal.aborted) await Promise.race(this.#writes);
  }

  async #writeBack(decisions: readonly Decision[]): Promise<void> {
    try {
      const { refused, seenIndex } = await this.#store.update((tx) => writeDecisions(tx, decisions));
      this.#retryMs = RETRY_MIN_MS;
      this.#report(decisions, refused.length);
      if (refused.length === 0) return;
      // What stood in the way may not be published yet; deciding again before that would end the same.
      await this.#store.waitFor(seenIndex, this.#abort.signal);
      for (const { taskId, hold } of refused) this.#mirror.undo(taskId, hold);
    } catch (error) {
      if (this.#abort.signal.aborted) return;
      // What was decided and not written is only in the mirror: only a new one can be right.
      this.#resyncWanted = true;
      this.#retryLater(error);
    }
    this.#kick();
  }

  #report(decisions: readonly Decision[], refused: number): void {
    let assigned = 0;
    for (const decision of decisions) if (decision.kind === 'assign') assigned++;
    this.#log.debug({ assigned: assigned - refused, refused, waiting: decisions.length - assigned }, 'wrote decisions');
  }

  #retryLater(error: unknown): void {
    if (this.#abort.signal.aborted || this.#cancelRetry !== undefined) return;
    const level = isErrorCode(error, 'unavailable') ? 'warn' : 'error';
    this.#log[level]({ err: error, retryMs: this.#retryMs }, 'scheduling failed; will try again');
    this.#cancelRetry = this.#clock.after(this.#retryMs, () => {
      this.#cancelRetry = undefined;
      this.#kick();
    });
    this.#retryMs = Math.min(RETRY_MAX_MS, this.#retryMs * 2);
  }

  async #settled(): Promise<void> {
    while (this.#writes.size > 0) await Promise.allSettled(this.#writes);
  }
}
