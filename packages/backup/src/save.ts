import { link, open, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type BackupSecret, SwarmdError } from '@swarmd/model';
import type { BackupSummary } from './content.js';
import { readBackup } from './read.js';

/** What a file's name ends with until it is whole. */
export const PARTIAL_SUFFIX = '.partial';

/**
 * Saves a backup as `path` and reads it back on the way: the file appears under its name once it is known to be whole
 * and synced. `already-exists` when there is such a file; other errors as `readBackup` has them. Nothing is left of a
 * backup that fails.
 */
export async function saveBackup(
  path: string,
  stream: AsyncIterable<Uint8Array>,
  secret: BackupSecret,
): Promise<BackupSummary> {
  const partial = path + PARTIAL_SUFFIX;
  await rm(partial, { force: true });
  const file = await open(partial, 'wx', 0o600);
  try {
    try {
      const summary = await checkBackup(stream, secret, async (piece) => void (await file.writeFile(piece)));
      await file.sync();
      await linkNew(partial, path);
      return summary;
    } finally {
      await file.close();
    }
  } finally {
    await rm(partial, { force: true });
    await syncDirectory(dirname(path));
  }
}

/** Passes a backup on to `write`, piece by piece, and checks all of it on the way as `readBackup` does. */
export function checkBackup(
  stream: AsyncIterable<Uint8Array>,
  secret: BackupSecret,
  write: (piece: Uint8Array) => Promise<void>,
): Promise<BackupSummary> {
  async function* passed(): AsyncGenerator<Uint8Array> {
    for await (const piece of stream) {
      await write(piece);
      yield piece;
    }
  }
  return readBackup(passed(), { secret: () => secret });
}

async function linkNew(partial: string, path: string): Promise<void> {
  try {
    // Unlike a rename, a link does not replace what is there.
    await link(partial, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    throw new SwarmdError('already-exists', `there is a file ${path} already`, { cause: error });
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
