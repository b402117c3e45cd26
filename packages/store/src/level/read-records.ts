import { type AnyObject, type SwarmdError, TABLE_NAMES, type TableName } from '@swarmd/model';
import type { ValueCipher } from '../cipher.js';
import { isSystemError } from '../durable-file.js';
import { damaged } from './damage.js';
import { type LogState, RecordDigest } from './digest.js';
import { type Database, STATE_KEY } from './open-directory.js';

/** An object as read from the log, with the index of the transaction that wrote it. */
export interface LoadedRecord {
  table: TableName;
  id: string;
  version: number;
  value: AnyObject;
}

const RECORDS_PER_READ = 1000;

/**
 * Reads and authenticates every record. Resolves with the digest of what was found and the highest version in it as
 * index. Rejects with `damaged`.
 */
export async function readRecords(
  dir: string,
  db: Database,
  cipher: ValueCipher,
  onRecord: (record: LoadedRecord) => void,
): Promise<LogState> {
  let digest = new RecordDigest();
  let index = 0;
  const iterator = db.iterator();
  try {
    for (;;) {
      const entries = await iterator.nextv(RECORDS_PER_READ).catch((error: unknown) => {
        throw readingFailed(dir, error);
      });
      if (entries.length === 0) return { index, digest };
      for (const [key, sealed] of entries) {
        if (key === STATE_KEY) continue;
        const record = decodeRecord(dir, cipher, key, sealed);
        digest = digest.with(key, record.version);
        index = Math.max(index, record.version);
        onRecord(record);
      }
    }
  } finally {
    await iterator.close();
  }
}

/** The content of a sealed record. Throws `damaged`: the directory's format has already said that the key fits. */
export function openSealed(dir: string, cipher: ValueCipher, key: string, sealed: Buffer) {
  const opened = cipher.open(key, sealed);
  if (!('problem' in opened)) return opened;
  const finding = opened.problem === 'altered' ? 'was altered' : 'is encrypted with another data key';
  throw damaged(dir, 'db', `the record ${printable(key)} ${finding}`);
}

function decodeRecord(dir: string, cipher: ValueCipher, key: string, sealed: Buffer): LoadedRecord {
  const { version, plaintext } = openSealed(dir, cipher, key, sealed);
  const slash = key.indexOf('/');
  const table = key.slice(0, slash) as TableName;
  // Authentic, so written by a version that knew more tables: the format should have been raised for that.
  if (!TABLE_NAMES.includes(table)) throw damaged(dir, 'db', `the record ${printable(key)} is of no known table`);
  const value = JSON.parse(plaintext.toString()) as AnyObject;
  const id = key.slice(slash + 1);
  // The same string twice would be kept twice.
  return { table, id: value.ID === id ? value.ID : id, version, value };
}

function readingFailed(dir: string, error: unknown): SwarmdError {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : (error as Error);
  const part = isSystemError(cause, 'LEVEL_CORRUPTION') ? 'it does not read' : 'it cannot be read';
  return damaged(dir, 'db', `${part}: ${cause.message}`, cause);
}

/** Altered keys may hold anything; messages go to terminals. */
function printable(key: string): string {
  return JSON.stringify(key.slice(0, 120));
}
