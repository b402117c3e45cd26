import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { SwarmdError } from '@swarmd/model';
import { Level } from 'level';

/** Holds a data directory until released or the process ends, however it ends. */
export interface DataDirLock {
  release(): Promise<void>;
}

/**
 * Takes `dataDir` for this process. Node has no file locks of its own; LevelDB holds a kernel lock (fcntl) on its
 * directory that dies with the process, so an empty database serves as the lock.
 * Rejects with `failed-precondition` when another swarmd holds it.
 */
export async function lockDataDir(dataDir: string): Promise<DataDirLock> {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const level = new Level(join(dataDir, 'lock'));
  try {
    await level.open();
  } catch (error) {
    const cause = (error as { cause?: { code?: string; message?: string } }).cause;
    throw cause?.code === 'LEVEL_LOCKED'
      ? new SwarmdError('failed-precondition', `another swarmd is running on the data directory ${dataDir}`)
      : new SwarmdError('internal', `cannot lock the data directory ${dataDir}: ${cause?.message ?? String(error)}`, {
          cause: error,
        });
  }
  return { release: () => level.close() };
}
