import {
  asSwarmdError,
  type Clock,
  type Commit,
  type Log,
  type ReadView,
  type Store,
  SwarmdError,
  type WriteTx,
} from '@swarmd/model';
import type { Logger } from 'pino';
import { ReplaySharing } from './replay-sharing.js';
import { StoreState } from './state.js';
import { perTable, Table } from './table.js';
import { type PendingTransaction, Writer } from './writer.js';

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
 * Opens the store on a log: reads all that the log holds, then serves it from memory (see `Store` in the model).
 * Rejects as the log does, with `damaged` when it is. A log that cannot be read is closed again.
 */
export async function openStore(options: StoreOptions): Promise<Store> {
  return new SoleStore(options, await readState(options.log, options.logger));
}

/** The state that a log holds. A log that cannot be read is closed again. */
export async function readState(log: Log, logger: Logger | undefined): Promise<StoreState> {
  const tables = perTable((name) => new Table(name));
  const sharing = new ReplaySharing();
  try {
    const { index } = await log.replay((table, key, value) => {
      tables[table].apply(key, undefined, sharing.share(table, value));
    });
    return new StoreState(tables, index, logger);
  } catch (error) {
    await log.close();
    throw error;
  }
}

/** A store whose process alone writes its log. */
class SoleStore implements Store {
  readonly view: ReadView;
  readonly #log: Log;
  readonly #logger: Logger | undefined;
  readonly #onFailure: StoreOptions['onFailure'];
  readonly #state: StoreState;
  readonly #writer: Writer;
  /** Why nothing more may be written. */
  #refusal: SwarmdError | undefined;

  constructor({ log, clock, logger, onFailure }: StoreOptions, state: StoreState) {
    this.#log = log;
    this.#logger = logger;
    this.#onFailure = onFailure;
    this.#state = state;
    this.view = state.view;
    this.#writer = new Writer({
      state,
      clock,
      append: (entries) => log.append(entries),
      onFailure: (error, inFlight, queued) => this.#fail(error, [...inFlight, ...queued]),
    });
  }

  get index(): number {
    return this.#state.index;
  }

  async update<R>(fn: (tx: WriteTx) => R): Promise<R> {
    if (this.#refusal !== undefined) throw this.#refusal;
    return this.#writer.update(fn);
  }

  async advance(index: number): Promise<void> {
    if (index <= this.index) return;
    if (this.#refusal !== undefined) throw this.#refusal;
    await this.#writer.advance(index);
  }

  watch(onCommit: (commit: Commit) => void): () => void {
    return this.#state.watch(onCommit);
  }

  async waitFor(index: number, signal: AbortSignal): Promise<void> {
    if (this.index >= index) return;
    if (this.#refusal !== undefined) throw this.#refusal;
    await this.#state.waiters.wait(index, signal);
  }

  async close(): Promise<void> {
    this.#refusal ??= new SwarmdError('unavailable', 'the store is closed');
    await this.#writer.end(this.#refusal);
    this.#state.waiters.fail(this.#refusal);
    await this.#log.close();
  }

  #fail(error: unknown, lost: readonly PendingTransaction[]): void {
    const cause = asSwarmdError(error);
    this.#logger?.error({ err: cause }, 'the log of the store failed: nothing more can be written');
    const refusal = new SwarmdError('unavailable', `the store cannot write: ${cause.message}`, { cause });
    this.#refusal = refusal;
    for (const tx of lost) tx.failed(refusal);
    this.#state.waiters.fail(refusal);
    this.#onFailure?.(refusal);
  }
}
