import {
  type Clock,
  type LogEntry,
  MAX_ADVANCED_INDEX,
  MAX_INDEX_JUMP,
  rfc3339,
  SwarmdError,
  type WriteTx,
} from '@swarmd/model';
import type { PendingOperation } from './overlay.js';
import type { StoreState } from './state.js';
import { Transaction } from './transaction.js';

/**
 * A transaction that has run and waits to be durable. Without operations it only waits for those before it, or raises
 * the index to its own.
 */
export interface PendingTransaction {
  index: number;
  raises: boolean;
  operations: readonly PendingOperation[];
  done: () => void;
  failed: (reason: unknown) => void;
}

/** More transactions than a sync or two can carry mean that the log does not keep up: better to refuse than to grow. */
const MAX_PENDING_TRANSACTIONS = 65_536;
/** Bounds what one append holds in memory and how long it takes; one transaction may be larger. */
const MAX_OPERATIONS_PER_APPEND = 10_000;

/** What a {@link Writer} needs. */
export interface WriterDependencies {
  state: StoreState;
  clock: Clock;
  append(entries: readonly LogEntry[]): Promise<void>;
  /** Resolves when nobody else has written anything up to now. Rejects with `not-leader` when that cannot be told. */
  confirm(): Promise<void>;
  /** See `SharedLog.largestObject`. */
  largestObject?(): number | undefined;
  /** An append failed: nothing more is written. `inFlight` was being appended, `queued` had not begun; neither is settled. */
  onFailure(error: unknown, inFlight: readonly PendingTransaction[], queued: readonly PendingTransaction[]): void;
}

/** Runs transactions one after another on the head of the state and makes them durable in groups. */
export class Writer {
  readonly #deps: WriterDependencies;
  #headIndex: number;
  #queue: PendingTransaction[] = [];
  #inTransaction = false;
  #pump: Promise<void> | undefined;
  #refusal: SwarmdError | undefined;
  /** Resolves when transactions may run again. */
  #pause: Promise<void> | undefined;

  constructor(deps: WriterDependencies) {
    this.#deps = deps;
    this.#headIndex = deps.state.index;
  }

  /** See `Store.update`. */
  async update<R>(fn: (tx: WriteTx) => R): Promise<R> {
    while (this.#pause !== undefined) await this.#pause;
    this.#mustTakeWrites();
    let ran: { result: R; operations: PendingOperation[] };
    try {
      ran = this.#run(fn);
    } catch (error) {
      // It may have thrown for what it saw, and whoever hears of that must then find it.
      await this.#stand();
      throw error;
    }
    const { result, operations } = ran;
    if (operations.length === 0) {
      await this.#stand();
      return result;
    }
    this.#headIndex++;
    await this.#enqueue(this.#headIndex, true, operations);
    return result;
  }

  /** See `Store.advance`. */
  async advance(index: number): Promise<void> {
    while (this.#pause !== undefined) await this.#pause;
    if (index <= this.#deps.state.index) return;
    this.#mustTakeWrites();
    const ahead = index - this.#headIndex;
    if (!Number.isSafeInteger(index) || ahead > MAX_INDEX_JUMP || index > MAX_ADVANCED_INDEX)
      throw new SwarmdError(
        'invalid-argument',
        `index ${index} is no later state of this store, which is at ${this.#headIndex}`,
      );
    if (ahead > 0) this.#headIndex = index;
    await this.#enqueue(this.#headIndex, ahead > 0, []);
  }

  /**
   * Lets no transaction run until the returned function is called; resolves when all that have run are durable. The state
   * may then be moved on, and later transactions go on from where it is.
   */
  async pause(): Promise<() => void> {
    let resume = (): void => {};
    this.#pause = new Promise((resolve) => {
      resume = resolve;
    });
    await this.#pump;
    return () => {
      this.#headIndex = this.#deps.state.index;
      this.#pause = undefined;
      resume();
    };
  }

  /** Refuses everything from now on with `refusal`; resolves when what was pending is durable or has failed. */
  async end(refusal: SwarmdError): Promise<void> {
    this.#refusal ??= refusal;
    await this.#pump;
  }

  #mustTakeWrites(): void {
    if (this.#refusal !== undefined) throw this.#refusal;
    if (this.#inTransaction) throw new SwarmdError('internal', 'a transaction was started inside another');
    if (this.#queue.length >= MAX_PENDING_TRANSACTIONS)
      throw new SwarmdError('unavailable', 'too many writes wait for the disk: try again later');
  }

  /**
   * Resolves when what a transaction saw that wrote nothing was the state, for everyone: what it saw is durable, and
   * nobody had written anything else. An ex-leader that was paused would refuse by what it knew before.
   */
  async #stand(): Promise<void> {
    if (this.#pump !== undefined) await this.#enqueue(this.#headIndex, false, []);
    await this.#deps.confirm();
  }

  #enqueue(index: number, raises: boolean, operations: readonly PendingOperation[]): Promise<void> {
    return new Promise((done, failed) => {
      this.#queue.push({ index, raises, operations, done, failed });
      this.#pump ??= this.#drain();
    });
  }

  #run<R>(fn: (tx: WriteTx) => R): { result: R; operations: PendingOperation[] } {
    const { state, clock } = this.#deps;
    const tx = new Transaction(state.overlay, this.#headIndex + 1, rfc3339(clock.now()));
    this.#inTransaction = true;
    try {
      const result = fn(tx);
      if (result instanceof Promise) {
        // What it does later comes to nothing; its rejection says so and must not count as unhandled.
        result.catch(() => {});
        throw new SwarmdError('internal', 'a transaction must be synchronous');
      }
      const largest = this.#deps.largestObject?.();
      if (largest !== undefined) tx.checkSizes(largest);
      return { result, operations: tx.end() };
    } catch (error) {
      tx.abort();
      throw error;
    } finally {
      this.#inTransaction = false;
    }
  }

  /** Makes what is queued durable, in groups, until nothing is left. Never rejects. */
  async #drain(): Promise<void> {
    // Lets the other transactions of this turn share the sync.
    await Promise.resolve();
    while (this.#queue.length > 0) {
      const group = this.#takeGroup();
      try {
        const entries = group.filter(({ raises }) => raises);
        if (entries.length > 0) await this.#deps.append(entries);
      } catch (error) {
        this.#fail(error, group);
        break;
      }
      this.#publish(group);
    }
    this.#pump = undefined;
  }

  #takeGroup(): PendingTransaction[] {
    let operations = 0;
    let size = 0;
    while (size < this.#queue.length) {
      operations += this.#queue[size]!.operations.length;
      if (size > 0 && operations > MAX_OPERATIONS_PER_APPEND) break;
      size++;
    }
    if (size < this.#queue.length) return this.#queue.splice(0, size);
    const all = this.#queue;
    this.#queue = [];
    return all;
  }

  #publish(group: readonly PendingTransaction[]): void {
    for (const [i, tx] of group.entries()) {
      const isLastPending = i === group.length - 1 && this.#queue.length === 0;
      if (tx.raises) this.#deps.state.settle(tx.index, tx.operations, isLastPending);
      tx.done();
    }
  }

  #fail(error: unknown, inFlight: readonly PendingTransaction[]): void {
    const queued = this.#queue;
    this.#queue = [];
    this.#refusal ??= new SwarmdError('not-leader', 'this manager can no longer write');
    this.#deps.state.dropHead();
    this.#deps.onFailure(error, inFlight, queued);
  }
}
