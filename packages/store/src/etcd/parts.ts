import { SwarmdError } from '@swarmd/model';
import type { SealedRecords } from './log-position.js';
import type { TxnLimits } from './txn-limits.js';

/** In place of a value's length: the record is deleted. */
const DELETED = 0xffff_ffff;
/** What a record takes in a part besides key and value: their lengths. */
const FRAME_BYTES = 6;

/** Splits records into groups that each fit into one transaction. Throws `invalid-argument` for a record that never does. */
export function splitRecords(records: SealedRecords, limits: TxnLimits): SealedRecords[] {
  const groups: Map<string, Buffer | undefined>[] = [];
  let group = new Map<string, Buffer | undefined>();
  let bytes = 0;
  for (const [key, sealed] of records) {
    const size = Buffer.byteLength(key) + (sealed?.length ?? 0) + FRAME_BYTES;
    if (size > limits.bytes)
      throw new SwarmdError(
        'invalid-argument',
        `${key} is too large for etcd: ${size} bytes of ${limits.bytes}. Raise etcd's --max-request-bytes`,
      );
    if (group.size > 0 && (bytes + size > limits.bytes || group.size >= limits.operations)) {
      groups.push(group);
      group = new Map();
      bytes = 0;
    }
    group.set(key, sealed);
    bytes += size;
  }
  if (group.size > 0) groups.push(group);
  return groups;
}

/** Records as the bytes of one part: for each its key's length (2 bytes), its value's (4), key, value. */
export function encodePart(records: SealedRecords): Buffer {
  const pieces: Buffer[] = [];
  for (const [text, sealed] of records) {
    const key = Buffer.from(text);
    const frame = Buffer.allocUnsafe(FRAME_BYTES);
    frame.writeUInt16BE(key.length, 0);
    frame.writeUInt32BE(sealed?.length ?? DELETED, 2);
    pieces.push(frame, key, sealed ?? Buffer.alloc(0));
  }
  return Buffer.concat(pieces);
}

/** The inverse of {@link encodePart}. Throws what `damaged` makes of the finding when the bytes are none of a part. */
export function decodePart(part: Buffer, damaged: () => Error): SealedRecords {
  const records = new Map<string, Buffer | undefined>();
  let at = 0;
  while (at < part.length) {
    if (at + FRAME_BYTES > part.length) throw damaged();
    const keyEnd = at + FRAME_BYTES + part.readUInt16BE(at);
    const length = part.readUInt32BE(at + 2);
    const end = keyEnd + (length === DELETED ? 0 : length);
    if (end > part.length) throw damaged();
    const key = part.toString('utf8', at + FRAME_BYTES, keyEnd);
    records.set(key, length === DELETED ? undefined : part.subarray(keyEnd, end));
    at = end;
  }
  return records;
}
