import { type AnyObject, type Log, type LogOperation, TABLE_NAMES } from '@swarmd/model';
import type { StoreState } from './state.js';
import { perTable } from './table.js';

/** Replays the log beside a state and tells what leads from the one to the other. */
export async function differences(
  state: StoreState,
  log: Log,
): Promise<{ index: number; operations: readonly LogOperation[] }> {
  const read = perTable(() => new Map<string, AnyObject>());
  const { index } = await log.replay((table, key, value) => read[table].set(key, value));
  const operations: LogOperation[] = [];
  for (const table of TABLE_NAMES) {
    for (const key of state.keys(table)) if (!read[table].has(key)) operations.push({ table, key, value: undefined });
    for (const [key, value] of read[table]) {
      const known = state.view.get(table, key);
      if (JSON.stringify(known) !== JSON.stringify(value)) operations.push({ table, key, value });
    }
  }
  return { index, operations };
}
