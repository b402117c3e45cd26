import type { AnyObject, TableName, Version } from '@swarmd/model';

/** Strings that many tasks have in common. */
const SHARED_TASK_FIELDS = ['CreatedAt', 'UpdatedAt', 'ServiceID', 'ServiceName', 'NodeID'] as const;

/**
 * Makes objects read from a log share what they shared when they were written: the version, times and references of a
 * transaction's tasks. Parsed one by one, each would carry copies of its own, a third of its size. Used while replaying.
 */
export class ReplaySharing {
  readonly #versions = new Map<number, Version>();
  readonly #strings = new Map<string, string>();

  /** The object, its repeated parts replaced by the first equal ones seen. The object is changed in place. */
  share(table: TableName, object: AnyObject): AnyObject {
    object.Version = shared(this.#versions, object.Version.Index, object.Version);
    if (table !== 'task') return object;
    const task = object as unknown as Record<(typeof SHARED_TASK_FIELDS)[number], string>;
    for (const field of SHARED_TASK_FIELDS) task[field] = shared(this.#strings, task[field], task[field]);
    return object;
  }
}

function shared<K, V>(seen: Map<K, V>, key: K, value: V): V {
  const known = seen.get(key);
  if (known !== undefined) return known;
  seen.set(key, value);
  return value;
}
