import { type AnyObject, type Log, type LogEntry, SwarmdError, TABLE_NAMES } from '@swarmd/model';
import { perTable } from './engine/table.js';

/**
 * A log that keeps everything in memory and nothing beyond the process: for simulations, benchmarks and tests.
 * Objects are kept as they are, never serialised. It survives {@link Log.close}: replaying it after that is a restart.
 */
export function createMemoryLog(): Log {
  const tables = perTable(() => new Map<string, AnyObject>());
  let index = 0;
  let closed = false;

  const apply = (entry: LogEntry): void => {
    for (const { table, key, value } of entry.operations) {
      if (value === undefined) tables[table].delete(key);
      else tables[table].set(key, value);
    }
    index = entry.index;
  };

  return {
    async replay(onObject) {
      closed = false;
      for (const table of TABLE_NAMES) for (const [key, value] of tables[table]) onObject(table, key, value);
      return { index };
    },
    async append(entries) {
      if (closed) throw new SwarmdError('unavailable', 'the log is closed');
      for (const entry of entries) apply(entry);
    },
    async close() {
      closed = true;
    },
  };
}
