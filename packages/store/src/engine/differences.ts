import { type AnyObject, type Log, type LogOperation, type ReadView, TABLE_NAMES } from '@swarmd/model';
import { perTable } from './table.js';

/** Replays the log beside a state and tells what leads from the state to the log. */
export async function differences(
  view: ReadView,
  log: Log,
): Promise<{ index: number; operations: readonly LogOperation[] }> {
  const read = perTable(() => new Map<string, AnyObject>());
  const { index } = await log.replay((table, key, value) => read[table].set(key, value));
  const operations: LogOperation[] = [];
  for (const table of TABLE_NAMES) {
    for (const { ID } of view.all(table))
      if (!read[table].has(ID)) operations.push({ table, key: ID, value: undefined });
    for (const [key, value] of read[table]) {
      const known = view.get(table, key);
      if (JSON.stringify(known) !== JSON.stringify(value)) operations.push({ table, key, value });
    }
  }
  return { index, operations };
}
