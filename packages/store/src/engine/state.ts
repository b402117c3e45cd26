import type { Commit, LogEntry, ReadView } from '@swarmd/model';
import type { Logger } from 'pino';
import { IndexWaiters, Watchers } from './commit.js';
import { type Overlay, overlayOf, type PendingOperation } from './overlay.js';
import { ReplaySharing } from './replay-sharing.js';
import { DurableView, type PerTable, type Table } from './table.js';

/** The durable objects with the head above them, those who watch them, and those who wait for an index. */
export class StoreState {
  readonly view: ReadView;
  readonly overlay: Overlay;
  readonly waiters = new IndexWaiters();
  readonly #tables: PerTable<Table>;
  readonly #watchers: Watchers;
  #index: number;

  constructor(tables: PerTable<Table>, index: number, logger: Logger | undefined) {
    this.#tables = tables;
    this.#index = index;
    this.#watchers = new Watchers(logger);
    this.overlay = overlayOf(tables);
    this.view = new DurableView(tables);
  }

  /** Index of the last durable transaction. */
  get index(): number {
    return this.#index;
  }

  /** See `Store.watch`. */
  watch(onCommit: (commit: Commit) => void): () => void {
    return this.#watchers.add(onCommit);
  }

  /** Makes pending operations durable and public. With `isLastPending` nothing else is pending. */
  settle(index: number, operations: readonly PendingOperation[], isLastPending: boolean): void {
    for (const operation of operations) {
      this.#tables[operation.table].apply(operation.key, operation.before, operation.value);
      if (!isLastPending) this.overlay[operation.table].settle(operation);
    }
    if (isLastPending) this.dropHead();
    this.#publish(index, operations);
  }

  /** Takes a transaction that another process has made durable. Nothing may be pending. */
  take({ index, operations }: LogEntry): void {
    const sharing = new ReplaySharing();
    const changes: PendingOperation[] = [];
    for (const { table, key, value } of operations) {
      const before = this.#tables[table].objects.get(key);
      if (before === undefined && value === undefined) continue;
      const shared = value === undefined ? undefined : sharing.share(table, value);
      this.#tables[table].apply(key, before, shared);
      changes.push({ table, key, value: shared, before, position: changes.length, replaced: false });
    }
    this.dropHead();
    this.#publish(index, changes);
  }

  /** Forgets all that is pending: it is durable, or lost. */
  dropHead(): void {
    for (const table of Object.values(this.overlay)) table.clear();
  }

  #publish(index: number, operations: readonly PendingOperation[]): void {
    this.#index = index;
    if (operations.length > 0) this.#watchers.tell(index, operations);
    this.waiters.reached(index);
  }
}
