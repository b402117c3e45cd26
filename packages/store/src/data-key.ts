import { createHash, randomBytes } from 'node:crypto';
import { open } from 'node:fs/promises';
import { SwarmdError } from '@swarmd/model';
import { DATA_KEY_BYTES } from './cipher.js';
import { isSystemError, writeFileDurably } from './durable-file.js';

/** A data key file: a line that says what it is, 64 hexadecimal digits, and a check of the two. */
const DATA_KEY_LINE = /^(swarmd data key ([0-9a-f]{64})) ([0-9a-f]{8})\n$/;

/**
 * The data key in the file at `path`; without a file, a new random one, written there (mode 0600, synced) first.
 * Rejects with `damaged` when the file does not hold a whole key, `failed-precondition` when others may read it.
 */
export async function loadOrCreateDataKey(path: string): Promise<Uint8Array> {
  const known = await loadDataKey(path);
  if (known !== undefined) return known;
  const dataKey = randomBytes(DATA_KEY_BYTES);
  try {
    await saveDataKey(path, dataKey);
    return dataKey;
  } catch (error) {
    if (!isErrorExists(error)) throw error;
  }
  // Another process was faster; both must use the one key that is there.
  const theirs = await loadDataKey(path);
  if (theirs === undefined) throw new SwarmdError('aborted', `the data key file ${path} came and went`);
  return theirs;
}

/** Writes a data key, as a joining manager receives it, to a new file: mode 0600, synced. `already-exists` if there is one. */
export async function saveDataKey(path: string, dataKey: Uint8Array): Promise<void> {
  const line = `swarmd data key ${Buffer.from(dataKey).toString('hex')}`;
  try {
    await writeFileDurably(path, Buffer.from(`${line} ${checkOf(line)}\n`), 'create');
  } catch (error) {
    if (!isSystemError(error, 'EEXIST')) throw error;
    throw new SwarmdError('already-exists', `there is a data key file at ${path}`, { cause: error });
  }
}

/** The data key in the file at `path`, or `undefined` when there is no file. Errors as {@link loadOrCreateDataKey}. */
export async function loadDataKey(path: string): Promise<Uint8Array | undefined> {
  const content = await readPrivately(path);
  if (content === undefined) return undefined;
  const match = DATA_KEY_LINE.exec(content);
  if (match === null || checkOf(match[1]!) !== match[3])
    throw new SwarmdError(
      'damaged',
      `the data key file ${path} is damaged: without the key the store cannot be read. Put back a copy of the file`,
    );
  return Buffer.from(match[2]!, 'hex');
}

async function readPrivately(path: string): Promise<string | undefined> {
  const file = await open(path, 'r').catch((error: unknown) => {
    if (isSystemError(error, 'ENOENT')) return undefined;
    throw error;
  });
  if (file === undefined) return undefined;
  try {
    const { mode } = await file.stat();
    if ((mode & 0o077) !== 0)
      throw new SwarmdError(
        'failed-precondition',
        `the data key file ${path} can be read by others than its owner: chmod 600 it, if they are to be trusted`,
      );
    return await file.readFile('utf8');
  } finally {
    await file.close();
  }
}

function checkOf(line: string): string {
  return createHash('sha256').update(line).digest('hex').slice(0, 8);
}

function isErrorExists(error: unknown): boolean {
  return error instanceof SwarmdError && error.code === 'already-exists';
}
