import type { AnyObject, LogOperation, TableName } from '@swarmd/model';
import { type SecondaryIndex, TableIndexes } from './indexes.js';
import { type PerTable, perTable, type Table } from './table.js';

/** An operation of a transaction that has run and is not durable yet. */
export interface PendingOperation extends LogOperation {
  /** The object as the transaction found it. */
  before: AnyObject | undefined;
  /** Place among the transaction's operations. */
  position: number;
  /** Whether an earlier transaction's operation on the same object was still pending. */
  replaced: boolean;
}

/** One table's pending operations over its durable objects; together they are the head of the table. */
export class OverlayTable {
  readonly durable: Table;
  readonly operations = new Map<string, PendingOperation>();
  /** Objects at the head. */
  count: number;
  readonly #name: TableName;
  #indexes: TableIndexes | undefined;

  constructor(name: TableName, durable: Table) {
    this.#name = name;
    this.durable = durable;
    this.count = durable.objects.size;
  }

  /** The object at the head. */
  get(id: string): AnyObject | undefined {
    if (this.operations.size === 0) return this.durable.objects.get(id);
    const operation = this.operations.get(id);
    return operation === undefined ? this.durable.objects.get(id) : operation.value;
  }

  /** Makes `operation` the newest word on its object. `older` is the one it stands before, if any is pending. */
  push(operation: PendingOperation, older: PendingOperation | undefined): void {
    this.operations.set(operation.key, operation);
    this.#indexes?.move(operation.key, older?.value, operation.value);
    this.count += presence(operation.value) - presence(operation.before);
  }

  /** Changes what a pending operation leaves behind: its own transaction writes the same object again. */
  amend(operation: PendingOperation, value: AnyObject | undefined): void {
    this.#indexes?.move(operation.key, operation.value, value);
    this.count += presence(value) - presence(operation.value);
    operation.value = value;
  }

  /** Undoes {@link push}. */
  pop(operation: PendingOperation, older: PendingOperation | undefined): void {
    if (older === undefined) this.operations.delete(operation.key);
    else this.operations.set(operation.key, older);
    this.#indexes?.move(operation.key, operation.value, older?.value);
    this.count -= presence(operation.value) - presence(operation.before);
  }

  /** Forgets an operation that has become durable, unless a later one stands before it. */
  settle(operation: PendingOperation): void {
    if (this.operations.get(operation.key) !== operation) return;
    this.operations.delete(operation.key);
    this.#indexes?.move(operation.key, operation.value, undefined);
  }

  /** Forgets everything pending: it is all durable, or all lost. */
  clear(): void {
    this.operations.clear();
    this.#indexes = undefined;
    this.count = this.durable.objects.size;
  }

  /** A secondary index over the pending objects alone. Built on first use: most bulk writes never ask. */
  index(name: string): SecondaryIndex {
    if (this.#indexes === undefined) {
      this.#indexes = new TableIndexes(this.#name);
      for (const { key, value } of this.operations.values()) this.#indexes.move(key, undefined, value);
    }
    return this.#indexes.named(name);
  }
}

/** The head of the store: durable tables with what is pending above them. */
export type Overlay = PerTable<OverlayTable>;

/** An empty overlay above `tables`. */
export function overlayOf(tables: PerTable<Table>): Overlay {
  return perTable((name) => new OverlayTable(name, tables[name]));
}

function presence(object: AnyObject | undefined): 0 | 1 {
  return object === undefined ? 0 : 1;
}
