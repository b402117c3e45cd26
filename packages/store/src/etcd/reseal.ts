import { type LoadedText, openText } from '../records/record.js';
import { damaged } from './layout.js';
import type { LogContext } from './log-context.js';
import { pages } from './replay.js';
import type { TxnLimits } from './txn-limits.js';

/** Records sealed anew in one transaction, if their size allows: appends wait for some milliseconds. */
const RECORDS_AT_ONCE = 100;
/** A transaction is left room for the state. */
const FILLED = 0.5;

/** A record that another key than the present one has sealed. */
export type OpenedRecord = LoadedText;

/**
 * Has `write` seal anew, in portions that each fit into one transaction, all records that another key than the present one
 * has sealed. What is written meanwhile is sealed with the present key already, so one pass sees everything.
 */
export async function resealAll(
  context: LogContext,
  limits: TxnLimits,
  write: (records: readonly OpenedRecord[]) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const { layout, cipher } = context;
  // What was being written when the key changed is in etcd after this, and nothing is in parts any more.
  await write([]);
  const most = { records: Math.min(RECORDS_AT_ONCE, limits.operations - 1), bytes: limits.bytes * FILLED };
  let portion: OpenedRecord[] = [];
  let bytes = 0;
  const flush = async (): Promise<void> => {
    signal.throwIfAborted();
    if (portion.length > 0) await write(portion);
    portion = [];
    bytes = 0;
  };
  for await (const kvs of pages(context, layout.objects, 0)) {
    for (const { key: at, value } of kvs) {
      if (cipher.isCurrent(value)) continue;
      const key = at.toString('utf8', Buffer.byteLength(layout.objects));
      if (portion.length >= most.records || (portion.length > 0 && bytes + value.length > most.bytes)) await flush();
      portion.push(openText(cipher, key, value, (finding) => damaged(layout, finding)));
      bytes += at.length + value.length;
    }
    await flush();
  }
  // Also the proof that this process has led all the while.
  await write([]);
}
