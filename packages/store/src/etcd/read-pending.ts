import type { KeyValue } from '@swarmd/etcd';
import { damaged, partKey } from './layout.js';
import type { LogContext } from './log-context.js';
import type { PendingEntry } from './log-position.js';
import { decodePart } from './parts.js';
import { openPending } from './state-record.js';

/** The pending entry that `kv`, the value under the key for it, announces. Throws `damaged` when a part is missing. */
export function readPending(
  { layout, cipher }: LogContext,
  kv: KeyValue,
  parts: ReadonlyMap<string, Buffer>,
): PendingEntry {
  const { index, count } = openPending(layout, cipher, kv.value);
  const records = new Map<string, Buffer | undefined>();
  for (let n = 0; n < count; n++) {
    const key = partKey(layout, index, n);
    const finding = (what: string) => damaged(layout, `part ${n + 1} of ${count} of entry ${index} ${what}`);
    const part = parts.get(key);
    if (part === undefined) throw finding('is missing');
    for (const [record, sealed] of decodePart(part, () => finding('was altered'))) records.set(record, sealed);
  }
  return { revision: kv.modRevision, records };
}
