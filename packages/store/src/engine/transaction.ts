import {
  type AnyObject,
  type IndexName,
  type NewObject,
  SwarmdError,
  type TableName,
  type TableTypes,
  type Version,
  type WriteTx,
} from '@swarmd/model';
import { overlayObjects, overlayObjectsByKey } from './head-iteration.js';
import type { Overlay, PendingOperation } from './overlay.js';
import { walk } from './table.js';
import { checkSize } from './value-size.js';

/** A transaction on the head of the store: writes go straight into the overlay and are taken back by {@link abort}. */
export class Transaction implements WriteTx {
  readonly index: number;
  readonly now: string;
  readonly #overlay: Overlay;
  readonly #version: Version;
  #operations: PendingOperation[] = [];
  /** What stood in the overlay where this transaction has written over an earlier one's operation. */
  readonly #older = new Map<PendingOperation, PendingOperation>();
  #hasVoid = false;
  #ended = false;

  constructor(overlay: Overlay, index: number, now: string) {
    this.#overlay = overlay;
    this.index = index;
    this.now = now;
    this.#version = { Index: index };
  }

  get<T extends TableName>(table: T, id: string): TableTypes[T] | undefined {
    return this.#overlay[table].get(id) as TableTypes[T] | undefined;
  }

  all<T extends TableName>(table: T): Iterable<TableTypes[T]> {
    const own = this.#operations;
    return walk(() => overlayObjects(this.#overlay[table], own) as Iterator<TableTypes[T]>);
  }

  count(table: TableName): number {
    return this.#overlay[table].count;
  }

  find<T extends TableName>(table: T, index: IndexName<T>, key: string): Iterable<TableTypes[T]> {
    const own = this.#operations;
    return walk(() => overlayObjectsByKey(this.#overlay[table], index, key, own) as Iterator<TableTypes[T]>);
  }

  create<T extends TableName>(table: T, object: NewObject<TableTypes[T]>): TableTypes[T] {
    const id = (object as TableTypes[T]).ID;
    if (this.#overlay[table].get(id) !== undefined) throw new SwarmdError('already-exists', `${table} ${id} exists`);
    const stored = stamped(object as TableTypes[T], this.#version, this.now, this.now);
    this.#write(table, id, undefined, stored);
    return stored;
  }

  put<T extends TableName>(table: T, object: TableTypes[T]): TableTypes[T] {
    const previous: AnyObject | undefined = this.#overlay[table].get(object.ID);
    if (previous === undefined) throw new SwarmdError('not-found', `${table} ${object.ID} not found`);
    const version = specChanged(previous, object) ? this.#version : previous.Version;
    const stored = stamped(object, version, previous.CreatedAt, this.now);
    this.#write(table, object.ID, previous, stored);
    return stored;
  }

  delete(table: TableName, id: string): boolean {
    const previous = this.#overlay[table].get(id);
    if (previous === undefined) return false;
    this.#write(table, id, previous, undefined);
    return true;
  }

  /** Throws as {@link checkSize} for the first object written here that is larger than `limit` bytes. */
  checkSizes(limit: number): void {
    for (const { table, key, value } of this.#operations) if (value) checkSize(table, key, value, limit);
  }

  /** Ends the transaction and returns what it did, one operation for each object. */
  end(): PendingOperation[] {
    this.#ended = true;
    const operations = this.#operations;
    if (!this.#hasVoid) return operations;
    // An object that was created and deleted again leaves no trace.
    for (const operation of operations) if (isVoid(operation)) this.#takeBack(operation);
    return operations.filter((operation) => !isVoid(operation));
  }

  /** Ends the transaction and takes back all that it did. */
  abort(): void {
    this.#ended = true;
    for (const operation of this.#operations.reverse()) this.#takeBack(operation);
    this.#operations = [];
  }

  #write(table: TableName, key: string, before: AnyObject | undefined, value: AnyObject | undefined): void {
    if (this.#ended) throw new SwarmdError('internal', 'write in a transaction that has ended');
    const overlay = this.#overlay[table];
    if (value !== undefined) overlay.durable.indexes.probe(value);
    const pending = overlay.operations.get(key);
    if (pending !== undefined && this.#operations[pending.position] === pending) {
      overlay.amend(pending, value);
      if (isVoid(pending)) this.#hasVoid = true;
      return;
    }
    const replaced = pending !== undefined;
    const operation: PendingOperation = { table, key, value, before, position: this.#operations.length, replaced };
    this.#operations.push(operation);
    if (pending !== undefined) this.#older.set(operation, pending);
    overlay.push(operation, pending);
  }

  #takeBack(operation: PendingOperation): void {
    this.#overlay[operation.table].pop(operation, this.#older.get(operation));
  }
}

/**
 * A stamped copy. Fields that V8 sees added behind a spread (`{ ...object, Version }`) cost 3 µs and 400 bytes an object,
 * a hidden class of its own each: so they come first, and once more in case the object brought its own.
 */
function stamped<O extends AnyObject>(object: O, version: Version, createdAt: string, updatedAt: string): O {
  const copy = { ID: '', Version: version, CreatedAt: createdAt, UpdatedAt: updatedAt, ...(object as object) };
  copy.Version = version;
  copy.CreatedAt = createdAt;
  copy.UpdatedAt = updatedAt;
  return copy as unknown as O;
}

function isVoid(operation: PendingOperation): boolean {
  return operation.before === undefined && operation.value === undefined;
}

/** Tasks have no spec of their own, so that each write counts. Loops compare versions, never specs. */
function specChanged(previous: AnyObject, next: AnyObject): boolean {
  if (!('Spec' in previous) || !('Spec' in next)) return true;
  return previous.Spec !== next.Spec;
}
