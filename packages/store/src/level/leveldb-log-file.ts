import { maskedCrc32c } from './crc32c.js';

const BLOCK_BYTES = 32_768;
const HEADER_BYTES = 7;

/** How a fragment of a record lies in it: all of it, or its first, a middle or the last part. */
const FULL = 1;
const FIRST = 2;
const LAST = 4;

/** What a file in LevelDB's log format (its write-ahead log, its manifest) holds. */
export interface LogFileContent {
  /** The whole records before the first defect. */
  records: Buffer[];
  /** Offset of the first fragment that is not whole. A crash may leave one, of the record that was being written. */
  defect: number | undefined;
  /** Whether another record begins after the defect: then no crash can have left it. */
  continues: boolean;
}

/** Reads a file in LevelDB's log format (LevelDB, `doc/log_format.md`). */
export function readLogFile(file: Buffer): LogFileContent {
  const records: Buffer[] = [];
  let parts: Buffer[] = [];
  let defect: number | undefined;
  for (let block = 0; block < file.length; block += BLOCK_BYTES) {
    const blockEnd = Math.min(block + BLOCK_BYTES, file.length);
    let offset = block;
    // Fewer bytes than a header are padding, where the block has its full size.
    while (blockEnd - offset >= HEADER_BYTES || (blockEnd - block < BLOCK_BYTES && offset < blockEnd)) {
      const fragment = readFragment(file.subarray(offset, blockEnd));
      if (fragment === undefined) {
        defect ??= offset;
        break;
      }
      const starts = fragment.type === FULL || fragment.type === FIRST;
      if (defect !== undefined && starts) return { records, defect, continues: true };
      if (starts !== (parts.length === 0)) defect ??= offset;
      parts.push(fragment.data);
      offset += HEADER_BYTES + fragment.data.length;
      if (fragment.type !== FULL && fragment.type !== LAST) continue;
      if (defect === undefined) records.push(Buffer.concat(parts));
      parts = [];
    }
  }
  if (parts.length > 0) defect ??= file.length;
  return { records, defect, continues: false };
}

function readFragment(rest: Buffer): { type: number; data: Buffer } | undefined {
  if (rest.length < HEADER_BYTES) return undefined;
  const length = rest.readUInt16LE(4);
  const type = rest.readUInt8(6);
  if (type < FULL || type > LAST || HEADER_BYTES + length > rest.length) return undefined;
  const checked = rest.subarray(6, HEADER_BYTES + length);
  if (maskedCrc32c(checked) !== rest.readUInt32LE(0)) return undefined;
  return { type, data: checked.subarray(1) };
}
