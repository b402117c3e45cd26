import { maskedCrc32c } from './crc32c.js';
import { LevelDbReader } from './leveldb-reader.js';

const FOOTER_BYTES = 48;
const MAGIC = Buffer.from('57fb808b247547db', 'hex');
/** After each block: how it is compressed (1) and its checksum (4). */
const TRAILER_BYTES = 5;
const UNCOMPRESSED = 0;

interface BlockHandle {
  offset: number;
  size: number;
}

/** What is wrong with a LevelDB table, every block of which is checked (LevelDB, `doc/table_format.md`); `undefined` if nothing is. */
export function tableDefect(table: Buffer): string | undefined {
  const footer = table.subarray(-FOOTER_BYTES);
  if (footer.length < FOOTER_BYTES || !footer.subarray(-MAGIC.length).equals(MAGIC)) return 'its end is not a table’s';
  try {
    const reader = new LevelDbReader(footer);
    for (const directory of [readHandle(reader), readHandle(reader)]) {
      const block = readBlock(table, directory);
      for (const handle of handlesIn(block)) readBlock(table, handle);
    }
    return undefined;
  } catch (error) {
    if (error instanceof RangeError) return error.message;
    throw error;
  }
}

function readHandle(reader: LevelDbReader): BlockHandle {
  return { offset: reader.number(), size: reader.number() };
}

function readBlock(table: Buffer, { offset, size }: BlockHandle): Buffer {
  const end = offset + size;
  if (end + TRAILER_BYTES > table.length) throw new RangeError(`the block at ${offset} lies beyond its end`);
  const checked = table.subarray(offset, end + 1);
  if (maskedCrc32c(checked) !== table.readUInt32LE(end + 1)) throw new RangeError(`the block at ${offset} was altered`);
  if (checked[size] !== UNCOMPRESSED) throw new RangeError(`the block at ${offset} is compressed`);
  return checked.subarray(0, size);
}

/** The handles that are the values of a block's entries: of the data blocks in the index, of filters in the meta index. */
function handlesIn(block: Buffer): BlockHandle[] {
  const restarts = block.readUInt32LE(block.length - 4);
  const reader = new LevelDbReader(block.subarray(0, block.length - 4 * (restarts + 1)));
  const handles: BlockHandle[] = [];
  while (!reader.atEnd) {
    reader.number(); // bytes of the key shared with the one before
    const keyBytes = reader.number();
    const valueBytes = reader.number();
    reader.bytes(keyBytes);
    handles.push(readHandle(new LevelDbReader(reader.bytes(valueBytes))));
  }
  return handles;
}
