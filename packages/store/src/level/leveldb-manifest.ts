import { LevelDbReader } from './leveldb-reader.js';

/** What a LevelDB manifest says is in use. */
export interface LiveFiles {
  /** Size in bytes of each table, by its number. */
  tables: Map<number, number>;
  /** Number of the oldest write-ahead log that counts. */
  firstLog: number;
}

// Tags of the fields of a version edit (LevelDB, `db/version_edit.cc`).
const COMPARATOR = 1;
const LOG_NUMBER = 2;
const NEXT_FILE_NUMBER = 3;
const LAST_SEQUENCE = 4;
const COMPACT_POINTER = 5;
const DELETED_FILE = 6;
const NEW_FILE = 7;
const PREVIOUS_LOG_NUMBER = 9;

/** The files that the version edits of a manifest leave in use. Throws `RangeError` for an edit that makes no sense. */
export function liveFiles(edits: readonly Buffer[]): LiveFiles {
  const live: LiveFiles = { tables: new Map(), firstLog: 0 };
  for (const edit of edits) {
    const reader = new LevelDbReader(edit);
    while (!reader.atEnd) applyField(reader, live);
  }
  return live;
}

function applyField(reader: LevelDbReader, live: LiveFiles): void {
  const tag = reader.number();
  switch (tag) {
    case COMPARATOR:
      reader.slice();
      break;
    case LOG_NUMBER:
      live.firstLog = reader.number();
      break;
    case NEXT_FILE_NUMBER:
    case LAST_SEQUENCE:
    case PREVIOUS_LOG_NUMBER:
      reader.number();
      break;
    case COMPACT_POINTER:
      reader.number();
      reader.slice();
      break;
    case DELETED_FILE:
      reader.number();
      live.tables.delete(reader.number());
      break;
    case NEW_FILE: {
      reader.number();
      const file = reader.number();
      live.tables.set(file, reader.number());
      reader.slice();
      reader.slice();
      break;
    }
    default:
      throw new RangeError(`an unknown field ${tag}`);
  }
}
