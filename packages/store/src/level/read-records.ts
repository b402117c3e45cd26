import type { SwarmdError } from '@swarmd/model';
import type { ValueCipher } from '../cipher.js';
import { isSystemError } from '../durable-file.js';
import { type LogState, RecordDigest } from '../records/digest.js';
import { decodeRecord, type LoadedRecord } from '../records/record.js';
import { damaged } from './damage.js';
import { type Database, STATE_KEY } from './open-directory.js';

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
        const record = decodeRecord(cipher, key, sealed, (finding) => damaged(dir, 'db', finding));
        digest = digest.with(key, record.version);
        index = Math.max(index, record.version);
        onRecord(record);
      }
    }
  } finally {
    await iterator.close();
  }
}

function readingFailed(dir: string, error: unknown): SwarmdError {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : (error as Error);
  const part = isSystemError(cause, 'LEVEL_CORRUPTION') ? 'it does not read' : 'it cannot be read';
  return damaged(dir, 'db', `${part}: ${cause.message}`, cause);
}
