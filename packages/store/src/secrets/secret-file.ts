import { open } from 'node:fs/promises';
import { basename } from 'node:path';
import { SwarmdError } from '@swarmd/model';
import { isSystemError, writeFileDurably } from '../durable-file.js';
import { isSealed, openSecret, sealedFor, sealSecret } from './sealed-secret.js';
import type { UnlockKey } from './unlock-key.js';

/**
 * Writes a secret to the file at `path` (mode 0600, synced, all or nothing): sealed so that each of `keys` opens it, in
 * the clear without any. Its file name is part of what is sealed. With `mode: 'create'` it rejects with `already-exists`
 * when there is a file.
 */
export async function saveSecret(
  path: string,
  secret: Uint8Array,
  keys: readonly UnlockKey[] = [],
  mode: 'create' | 'replace' = 'replace',
): Promise<void> {
  const content = keys.length === 0 ? secret : Buffer.from(sealSecret(basename(path), secret, keys));
  try {
    await writeFileDurably(path, content, mode);
  } catch (error) {
    if (!isSystemError(error, 'EEXIST')) throw error;
    throw new SwarmdError('already-exists', `there is a file at ${path}`, { cause: error });
  }
}

/**
 * The secret in the file at `path`, or `undefined` when there is no file. Rejects with `locked` when it is sealed and
 * `key` does not open it, `damaged` when it is sealed and was altered, `failed-precondition` when others than its owner
 * may read the file.
 */
export async function loadSecret(path: string, key?: UnlockKey): Promise<Buffer | undefined> {
  const content = await readPrivately(path);
  if (content === undefined || !isSealed(content.toString('latin1'))) return content;
  return openSecret(basename(path), content.toString('latin1'), key);
}

/** The IDs of the unlock keys that open the secret at `path`: none in the clear; `undefined` when there is no file. */
export async function secretSealedFor(path: string): Promise<string[] | undefined> {
  const content = (await readPrivately(path))?.toString('latin1');
  if (content === undefined) return undefined;
  return isSealed(content) ? sealedFor(basename(path), content) : [];
}

async function readPrivately(path: string): Promise<Buffer | undefined> {
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
        `${path} can be read by others than its owner: chmod 600 it, if they are to be trusted`,
      );
    return await file.readFile();
  } finally {
    await file.close();
  }
}
