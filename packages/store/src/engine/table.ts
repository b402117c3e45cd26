import {
  type AnyObject,
  type IndexName,
  type ReadView,
  TABLE_NAMES,
  type TableName,
  type TableTypes,
} from '@swarmd/model';
import { TableIndexes } from './indexes.js';

/** One table's durable objects with their indexes. */
export class Table {
  readonly objects = new Map<string, AnyObject>();
  readonly indexes: TableIndexes;

  constructor(name: TableName) {
    this.indexes = new TableIndexes(name);
  }

  /** Brings the object from its state `before`, which must be the present one, to `after`; `undefined` is absence. */
  apply(id: string, before: AnyObject | undefined, after: AnyObject | undefined): void {
    if (after === undefined) this.objects.delete(id);
    else this.objects.set(id, after);
    this.indexes.move(id, before, after);
  }
}

/** One value of type `V` for each table. */
export type PerTable<V> = Readonly<Record<TableName, V>>;

/** A value for each table, made by `make`. */
export function perTable<V>(make: (name: TableName) => V): PerTable<V> {
  return Object.fromEntries(TABLE_NAMES.map((name) => [name, make(name)])) as Record<TableName, V>;
}

/** An iterable that starts `iterate` anew each time it is walked, as a collection would and a generator would not. */
export function walk<V>(iterate: () => Iterator<V>): Iterable<V> {
  return { [Symbol.iterator]: iterate };
}

/** Reads of the durable tables. */
export class DurableView implements ReadView {
  readonly #tables: PerTable<Table>;

  constructor(tables: PerTable<Table>) {
    this.#tables = tables;
  }

  get<T extends TableName>(table: T, id: string): TableTypes[T] | undefined {
    return this.#tables[table].objects.get(id) as TableTypes[T] | undefined;
  }

  all<T extends TableName>(table: T): Iterable<TableTypes[T]> {
    const { objects } = this.#tables[table];
    return walk(() => objects.values() as Iterator<TableTypes[T]>);
  }

  count(table: TableName): number {
    return this.#tables[table].objects.size;
  }

  find<T extends TableName>(table: T, index: IndexName<T>, key: string): Iterable<TableTypes[T]> {
    const { objects, indexes } = this.#tables[table];
    const ids = indexes.named(index).ids(key);
    if (ids === undefined) return [];
    if (typeof ids === 'string') return [objects.get(ids) as TableTypes[T]];
    return walk(() => objectsOf(objects, ids) as Iterator<TableTypes[T]>);
  }
}

function* objectsOf(objects: ReadonlyMap<string, AnyObject>, ids: ReadonlySet<string>): Generator<AnyObject> {
  for (const id of ids) {
    const object = objects.get(id);
    if (object !== undefined) yield object;
  }
}
