import {
  asSwarmdError,
  type Clock,
  type Commit,
  type Log,
  MAX_ADVANCED_INDEX,
  MAX_INDEX_JUMP,
  type ReadView,
  rfc3339,
  type Store,
  SwarmdError,
  type WriteTx,
} from '@swarmd/model';
import type { Logger } from 'pino';
import { IndexWaiters, Watchers } from './commit.js';
import { type Overlay, overlayOf, type PendingOperation } from './overlay.js';
import { ReplaySharing } from './replay-sharing.js';
import { DurableView, type PerTable, perTable, Table } from './table.js';
import { Transaction } from './transaction.js';

/** What {@link openStore} needs. */
export interface StoreOptions {
  /** Where transactions are made durable. The store owns it from here on and closes it. */
  log: Log;
  clock: Clock;
  /** For watchers that throw and for the failure of the log. */
  logger?: Logger;
  /** The log failed: nothing more can be written until the store is opened anew. Called once, with why. */
  onFailure?: (reason: SwarmdError) => void;
}

/**
 * A transaction that has run and waits to be durable. Without operations it only waits for those before it, or raises
 * the index to its own.
 */
interface PendingTransaction {
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

/**
 * Opens the store on a log: reads all that the log holds, then serves it from memory (see `Store` in the model).
 * Rejects as the log does, with `damaged` when it is. A log that cannot be read is closed again.
 */
export async function openStore(options: StoreOptions): Promise<Store> {
  const tables = perTable((name) => new Table(name));
  const sharing = new ReplaySharing();
  try {
    const { index } = await options.log.replay((table, key, value) => {
      tables[table].apply(key, undefined, sharing.share(table, value));
    });
    return new MemoryStore(options, tables, index);
  } catch (error) {
    await options.log.close();
    throw error;
  }
}

class MemoryStore implements Store {
  readonly view: ReadView;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #logger: Logger | undefined;
  readonly #onFailure: StoreOptions['onFailure'];
  readonly #tables: PerTable<Table>;
  readonly #overlay: Overlay;
  readonly #watchers: Watchers;
  readonly #waiters = new IndexWaiters();
  #index: number;
  #headIndex: number;
  #queue: PendingTransaction[] = [];
  #inFlight: readonly PendingTransaction[] = [];
  #inTransaction = false;
  #pump: Promise<void> | undefined;
  /** Why nothing more may be written. */
  #refusal: SwarmdError | undefined;

  constructor({ log, clock, logger, onFailure }: StoreOptions, tables: PerTable<Table>, index: number) {
    this.#log = log;
    this.#clock = clock;
    this.#logger = logger;
    this.#onFailure = onFailure;
    this.#tables = tables;
    this.#overlay = overlayOf(tables);
    this.#watchers = new Watchers(logger);
    this.#index = index;
    this.#headIndex = index;
    this.view = new DurableView(tables);
  }

  get index(): number {
    return this.#index;
  }

  async update<R>(fn: (tx: WriteTx) => R): Promise<R> {
    this.#mustTakeWrites();
    const { result, operations } = this.#run(fn);
    // Even a transaction that wrote nothing may have seen what is not durable yet, and its result must not tell.
    if (operations.length === 0 && this.#pump === undefined) return result;
    const raises = operations.length > 0;
    if (raises) this.#headIndex++;
    await this.#enqueue(this.#headIndex, raises, operations);
    return result;
  }

  async advance(index: number): Promise<void> {
    if (index <= this.#index) return;
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

  watch(onCommit: (commit: Commit) => void): () => void {
    return this.#watchers.add(onCommit);
  }

  async waitFor(index: number, signal: AbortSignal): Promise<void> {
    if (this.#index >= index) return;
    if (this.#refusal !== undefined) throw this.#refusal;
    await this.#waiters.wait(index, signal);
  }

  async close(): Promise<void> {
    this.#refusal ??= new SwarmdError('unavailable', 'the store is closed');
    await this.#pump;
    this.#waiters.fail(this.#refusal);
    await this.#log.close();
  }

  #mustTakeWrites(): void {
    if (this.#refusal !== undefined) throw this.#refusal;
    if (this.#inTransaction) throw new SwarmdError('internal', 'a transaction was started inside another');
    if (this.#queue.length >= MAX_PENDING_TRANSACTIONS)
      throw new SwarmdError('unavailable', 'too many writes wait for the disk: try again later');
  }

  #enqueue(index: number, raises: boolean, operations: readonly PendingOperation[]): Promise<void> {
    return new Promise((done, failed) => {
      this.#queue.push({ index, raises, operations, done, failed });
      this.#pump ??= this.#drain();
    });
  }

  #run<R>(fn: (tx: WriteTx) => R): { result: R; operations: PendingOperation[] } {
    const tx = new Transaction(this.#overlay, this.#headIndex + 1, rfc3339(this.#clock.now()));
    this.#inTransaction = true;
    try {
      const result = fn(tx);
      if (result instanceof Promise) {
        // What it does later comes to nothing; its rejection says so and must not count as unhandled.
        result.catch(() => {});
        throw new SwarmdError('internal', 'a transaction must be synchronous');
      }
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
      this.#inFlight = this.#takeGroup();
      try {
        const entries = this.#inFlight.filter(({ raises }) => raises);
        if (entries.length > 0) await this.#log.append(entries);
      } catch (error) {
        this.#fail(error);
        break;
      }
      this.#publishGroup();
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

  #publishGroup(): void {
    const group = this.#inFlight;
    this.#inFlight = [];
    for (const [i, tx] of group.entries()) {
      this.#apply(tx, i === group.length - 1 && this.#queue.length === 0);
      tx.done();
    }
  }

  #apply(tx: PendingTransaction, isLastPending: boolean): void {
    if (!tx.raises) return;
    for (const operation of tx.operations) {
      this.#tables[operation.table].apply(operation.key, operation.before, operation.value);
      if (!isLastPending) this.#overlay[operation.table].settle(operation);
    }
    if (isLastPending) for (const table of Object.values(this.#overlay)) table.clear();
    this.#index = tx.index;
    if (tx.operations.length > 0) this.#watchers.tell(tx.index, tx.operations);
    this.#waiters.reached(tx.index);
  }

  #fail(error: unknown): void {
    const cause = asSwarmdError(error);
    this.#logger?.error({ err: cause }, 'the log of the store failed: nothing more can be written');
    const refusal = new SwarmdError('unavailable', `the store cannot write: ${cause.message}`, { cause });
    this.#refusal = refusal;
    const lost = [...this.#inFlight, ...this.#queue];
    this.#inFlight = [];
    this.#queue = [];
    for (const table of Object.values(this.#overlay)) table.clear();
    this.#headIndex = this.#index;
    for (const tx of lost) tx.failed(refusal);
    this.#waiters.fail(refusal);
    this.#onFailure?.(refusal);
  }
}
