import type { ValueCipher } from '../cipher.js';
import { openSealed } from '../records/record.js';
import { damaged } from './damage.js';
import type { Database } from './open-directory.js';

/** Records sealed anew in one batch: some milliseconds of work. */
const RECORDS_AT_ONCE = 250;
/** Before and beyond every key: tables' names and `!state` are printable ASCII. */
const FIRST_KEY = ' ';
const LAST_KEY = '\u{10ffff}';

/** The keys of all records, the log's state among them, in the portions in which they are to be sealed anew. */
export async function resealableKeys(db: Database): Promise<string[][]> {
  const keys = await db.keys().all();
  const portions: string[][] = [];
  for (let i = 0; i < keys.length; i += RECORDS_AT_ONCE) portions.push(keys.slice(i, i + RECORDS_AT_ONCE));
  return portions;
}

/** Seals those of the records that another key has sealed with the cipher's present key: same version, same value. */
export async function resealRecords(
  dir: string,
  db: Database,
  cipher: ValueCipher,
  keys: readonly string[],
): Promise<void> {
  const found = await db.getMany([...keys]);
  const writes: { type: 'put'; key: string; value: Buffer }[] = [];
  keys.forEach((key, i) => {
    const sealed = found[i];
    if (sealed === undefined || cipher.isCurrent(sealed)) return;
    const { version, plaintext } = openSealed(cipher, key, sealed, (finding) => damaged(dir, 'db', finding));
    writes.push({ type: 'put', key, value: cipher.seal(key, version, plaintext.toString()) });
  });
  if (writes.length > 0) await db.batch(writes, { sync: true });
}

/**
 * Rewrites LevelDB's files, so that none holds a value that was replaced. What it flushes from memory may come to lie
 * below every level that it then compacts, both values of a record in it; deletions of two keys that do not exist, at
 * either end, are a file that overlaps all others, and so have all of them merged.
 */
export async function compactAll(db: Database): Promise<void> {
  const compact = (): Promise<void> =>
    (db as unknown as { compactRange(start: string, end: string): Promise<void> }).compactRange(FIRST_KEY, LAST_KEY);
  await compact();
  await db.batch([
    { type: 'del', key: FIRST_KEY },
    { type: 'del', key: LAST_KEY },
  ]);
  await compact();
}
