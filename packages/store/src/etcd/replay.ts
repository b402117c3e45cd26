import { setImmediate as turn } from 'node:timers/promises';
import { type KeyValue, prefixEnd, rangeOp, rangeResult } from '@swarmd/etcd';
import { type AnyObject, isErrorCode, SwarmdError, type TableName } from '@swarmd/model';
import { RecordDigest, sameLogState } from '../records/digest.js';
import { decodeRecord } from '../records/record.js';
import { damaged } from './layout.js';
import type { LogContext } from './log-context.js';
import { type LogPosition, startPosition } from './log-position.js';
import { readPending } from './read-pending.js';
import { openState, parseFence } from './state-record.js';

/** Records decoded before other work gets a turn: some milliseconds. */
const RECORDS_PER_TURN = 500;
/** Answers are kept near this size, whatever the size of the objects. */
const PAGE_BYTES = 4 << 20;
const PAGE_KEYS = { first: 1_000, most: 10_000 } as const;

type OnObject = (table: TableName, key: string, value: AnyObject) => void;

/** Reads and authenticates the whole log as of one revision. Rejects as `Log.replay` does. */
export async function replayLog(context: LogContext, onObject: OnObject): Promise<LogPosition> {
  try {
    const position = await readHead(context);
    compareWithState(context, position, await readObjects(context, position, onObject));
    return position;
  } catch (error) {
    if (!isErrorCode(error, 'out-of-sequence')) throw error;
    throw new SwarmdError('unavailable', 'etcd was compacted while the store was read from it', { cause: error });
  }
}

async function readHead(context: LogContext): Promise<LogPosition> {
  const { client, layout, cipher } = context;
  const single = [layout.leader, layout.state, layout.pending].map((key) => rangeOp(key));
  const response = await client.txn({ success: single });
  const [leader, state, pending] = [0, 1, 2].map((index) => rangeResult(response, index)[0]);
  const position = startPosition();
  position.revision = response.header?.revision ?? 0;
  position.leader = parseFence(layout, leader);
  if (state !== undefined) {
    position.state = openState(layout, cipher, state.value);
    position.stateRevision = state.modRevision;
  }
  for await (const kv of pages(context, layout.parts, position.revision))
    for (const { key, value } of kv) position.parts.set(key.toString(), value);
  if (pending !== undefined) position.pending = readPending(context, pending, position.parts);
  return position;
}

/** Resolves with the digest of what was found. */
async function readObjects(context: LogContext, position: LogPosition, onObject: OnObject): Promise<RecordDigest> {
  const { layout, cipher } = context;
  const overlay = new Map(position.pending?.records);
  let untilTurn = RECORDS_PER_TURN;
  let digest = new RecordDigest();
  const take = (key: string, sealed: Buffer): void => {
    const record = decodeRecord(cipher, key, sealed, (finding) => damaged(layout, finding));
    position.versions[record.table].set(record.id, record.version);
    digest = digest.with(key, record.version);
    onObject(record.table, record.id, record.value);
  };
  for await (const kvs of pages(context, layout.objects, position.revision)) {
    for (const kv of kvs) {
      const key = kv.key.toString('utf8', Buffer.byteLength(layout.objects));
      const sealed = overlay.has(key) ? overlay.get(key) : kv.value;
      overlay.delete(key);
      if (sealed !== undefined) take(key, sealed);
      if (--untilTurn > 0) continue;
      untilTurn = RECORDS_PER_TURN;
      await turn();
    }
  }
  for (const [key, sealed] of overlay) if (sealed !== undefined) take(key, sealed);
  return digest;
}

/**
 * All keys under a prefix at one revision (0: each page as it is then), in order; the next page is under way while one is
 * worked on.
 */
export async function* pages(
  { client }: Pick<LogContext, 'client'>,
  prefix: string,
  revision: number,
): AsyncGenerator<readonly KeyValue[], void, void> {
  const rangeEnd = prefixEnd(prefix);
  const read = (key: Buffer, limit: number) => {
    const page = client.range({ key, rangeEnd, limit, revision }, { timeoutMs: 30_000 });
    // Whoever stops reading does not hear of it.
    page.catch(() => {});
    return page;
  };
  let limit: number = PAGE_KEYS.first;
  let next = read(Buffer.from(prefix), limit);
  for (;;) {
    const { kvs, more } = await next;
    const last = kvs.at(-1);
    if (last === undefined) return;
    if (more) {
      const bytes = kvs.reduce((sum, { value }) => sum + value.length, 0);
      limit = Math.ceil(Math.min(PAGE_KEYS.most, limit * 4, (kvs.length * PAGE_BYTES) / Math.max(bytes, 1)));
      next = read(Buffer.concat([last.key, Buffer.alloc(1)]), limit);
    }
    yield kvs;
    if (!more) return;
  }
}

function compareWithState({ layout }: LogContext, position: LogPosition, digest: RecordDigest): void {
  const { state, stateRevision } = position;
  if (stateRevision === 0 && digest.count > 0) throw damaged(layout, 'the record of its state is missing');
  if (sameLogState({ index: state.index, digest }, state)) return;
  const { count } = state.digest;
  const what = count === digest.count ? `${count} records, not the` : `${digest.count} records, not`;
  throw damaged(layout, `it holds ${what} ${count} that index ${state.index} left: some are lost or altered`);
}
