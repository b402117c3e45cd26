import { mkdir, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrorCode, SwarmdError } from '@swarmd/model';
import { Level } from 'level';
import type { ValueCipher } from '../cipher.js';
import { isSystemError, syncDirectory } from '../durable-file.js';
import { formatLogState, type LogState, RecordDigest } from '../records/digest.js';
import { damaged } from './damage.js';
import { readFormatFile, writeFormatFile } from './format-file.js';
import { HeadFile } from './head-file.js';
import { verifyFiles } from './verify-files.js';

/** LevelDB as this log uses it: keys as text, values as bytes. */
export type Database = Level<string, Buffer>;

/** The record that every batch updates with the state of the log after it. */
export const STATE_KEY = '!state';

/** A store directory in use by this process. */
export interface OpenDirectory {
  db: Database;
  head: HeadFile;
}

const EMPTY: LogState = { index: 0, digest: new RecordDigest() };

/**
 * Opens, or makes, the store directory: LevelDB, locked against others, and the head file. Rejects with `damaged`
 * (found before LevelDB has touched anything where possible: it drops what it cannot read and tidies up),
 * `failed-precondition` for a directory in use, of a newer format or made with another data key.
 */
export async function openDirectory(dir: string, cipher: ValueCipher): Promise<OpenDirectory> {
  await mkdir(join(dir, 'db'), { recursive: true, mode: 0o700 });
  try {
    const format = await readFormatFile(dir);
    if (format === undefined) return await createDirectory(dir, cipher);
    return await openExisting(dir, cipher, format.keyId);
  } catch (error) {
    // Files that someone else is writing look damaged.
    if (isErrorCode(error, 'damaged') && (await isLocked(join(dir, 'db', 'LOCK')))) throw inUse(dir, error);
    throw error;
  }
}

async function openExisting(dir: string, cipher: ValueCipher, keyId: string): Promise<OpenDirectory> {
  if (!cipher.keyIds.includes(keyId))
    throw new SwarmdError(
      'failed-precondition',
      `the store in ${dir} was made with data key ${keyId}, and the data key given is ${cipher.keyIds.join(', ')}: ` +
        'put back the data key file that belongs to it',
    );
  await verifyFiles(dir);
  const db = await openDatabase(dir, false);
  try {
    // Read only now that no other process writes it.
    const head = await HeadFile.open(dir, cipher);
    if (head === undefined) throw damaged(dir, 'head', 'the file is missing');
    return { db, head };
  } catch (error) {
    await db.close();
    throw error;
  }
}

/** Makes a store; goes over what an interrupted attempt has left, but never over a store that only lacks its FORMAT. */
async function createDirectory(dir: string, cipher: ValueCipher): Promise<OpenDirectory> {
  const lost = damaged(dir, 'FORMAT', 'the file is missing');
  const old = await HeadFile.open(dir, cipher);
  await old?.close();
  if (old !== undefined && old.state.index > 0) throw lost;
  const files = await readdir(join(dir, 'db'));
  // LevelDB writes CURRENT before anything that could hold a record.
  if (!files.includes('CURRENT') && files.some((name) => /\.(ldb|log)$/.test(name))) throw lost;
  const db = await openDatabase(dir, true);
  try {
    for (const key of await db.keys({ limit: 2 }).all()) if (key !== STATE_KEY) throw lost;
    await db.put(STATE_KEY, cipher.seal(STATE_KEY, EMPTY.index, formatLogState(EMPTY)), { sync: true });
    await HeadFile.create(dir, cipher, EMPTY);
    await syncDirectory(join(dir, 'db'));
    await writeFormatFile(dir, cipher.keyId);
    return { db, head: (await HeadFile.open(dir, cipher)) as HeadFile };
  } catch (error) {
    await db.close();
    throw error;
  }
}

async function openDatabase(dir: string, createIfMissing: boolean): Promise<Database> {
  // Ciphertext does not compress.
  const options = { keyEncoding: 'utf8', valueEncoding: 'buffer', compression: false, createIfMissing } as const;
  const db: Database = new Level<string, Buffer>(join(dir, 'db'), options);
  try {
    await db.open();
    return db;
  } catch (error) {
    throw openingFailed(dir, error);
  }
}

function openingFailed(dir: string, error: unknown): SwarmdError {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : (error as Error);
  if (isSystemError(cause, 'LEVEL_LOCKED')) return inUse(dir, cause);
  if (isSystemError(cause, 'LEVEL_CORRUPTION')) return damaged(dir, 'db', cause.message, cause);
  return new SwarmdError('unavailable', `the store in ${dir} cannot be opened: ${cause.message}`, { cause });
}

function inUse(dir: string, cause: unknown): SwarmdError {
  return new SwarmdError('failed-precondition', `the store in ${dir} is in use by another process`, { cause });
}

/** Whether a process holds a lock on the file, as Linux tells. */
async function isLocked(path: string): Promise<boolean> {
  try {
    const [{ ino }, locks] = await Promise.all([stat(path), readFile('/proc/locks', 'utf8')]);
    return locks.split('\n').some((line) => line.split(/\s+/).some((word) => word.endsWith(`:${ino}`)));
  } catch {
    return false;
  }
}
