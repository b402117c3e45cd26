import { type AnyObject, TABLE_INDEXES, type TableName } from '@swarmd/model';

type KeyOf = (object: AnyObject) => string | undefined;

/** The IDs under one index key: the bare ID while there is one. A set for each would cost more than the objects do. */
export type IdsOfKey = string | ReadonlySet<string> | undefined;

/** A secondary index: for each key the IDs of the objects that have it. */
export class SecondaryIndex {
  /** The key of an object, or `undefined` when the index leaves it out. */
  readonly keyOf: KeyOf;
  readonly #idsByKey = new Map<string, string | Set<string>>();

  constructor(keyOf: KeyOf) {
    this.keyOf = keyOf;
  }

  /** The IDs under `key`; the set is the index's own, so it changes with it. */
  ids(key: string): IdsOfKey {
    return this.#idsByKey.get(key);
  }

  /** Follows an object from its state `before` to its state `after`; `undefined` is absence. */
  move(id: string, before: AnyObject | undefined, after: AnyObject | undefined): void {
    const oldKey = before === undefined ? undefined : this.keyOf(before);
    const newKey = after === undefined ? undefined : this.keyOf(after);
    if (oldKey === newKey) return;
    if (oldKey !== undefined) this.#remove(oldKey, id);
    if (newKey !== undefined) this.#add(newKey, id);
  }

  #add(key: string, id: string): void {
    const held = this.#idsByKey.get(key);
    if (held === undefined) this.#idsByKey.set(key, id);
    else if (typeof held === 'string') this.#idsByKey.set(key, new Set([held, id]));
    else held.add(id);
  }

  #remove(key: string, id: string): void {
    const held = this.#idsByKey.get(key);
    if (held === undefined) return;
    if (typeof held === 'string') {
      if (held === id) this.#idsByKey.delete(key);
      return;
    }
    held.delete(id);
    if (held.size > 1) return;
    const [last] = held;
    if (last === undefined) this.#idsByKey.delete(key);
    else this.#idsByKey.set(key, last);
  }
}

/** All secondary indexes of one table, by name, as `TABLE_INDEXES` defines them. */
export class TableIndexes {
  readonly #indexes: ReadonlyMap<string, SecondaryIndex>;
  readonly #list: readonly SecondaryIndex[];

  constructor(table: TableName) {
    // Each function takes its own table's objects, and only those ever reach it.
    const keys = Object.entries(TABLE_INDEXES[table]) as [string, KeyOf][];
    this.#indexes = new Map(keys.map(([name, keyOf]) => [name, new SecondaryIndex(keyOf)]));
    this.#list = [...this.#indexes.values()];
  }

  /** The index called `name`. Asking for one that the table does not have is a broken invariant. */
  named(name: string): SecondaryIndex {
    const index = this.#indexes.get(name);
    if (index === undefined) throw new TypeError(`no such index: ${name}`);
    return index;
  }

  /** Computes every key of an object and drops them: throws now for one that could not be indexed later. */
  probe(object: AnyObject): void {
    for (const index of this.#list) index.keyOf(object);
  }

  /** Follows an object through all indexes. */
  move(id: string, before: AnyObject | undefined, after: AnyObject | undefined): void {
    for (const index of this.#list) index.move(id, before, after);
  }
}
