import { open } from 'node:fs/promises';
import { SwarmdError } from '@swarmd/model';
import { createRecoveryKey, parseRecoveryKey } from './recovery-key.js';

/**
 * The recovery key in the file at `path`; `undefined` when there is none. `failed-precondition` when others than its
 * owner may read it, `invalid-argument` when it holds no key.
 */
export async function loadKeyFile(path: string): Promise<string | undefined> {
  const file = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (file === undefined) return undefined;
  try {
    const { mode } = await file.stat();
    if ((mode & 0o077) !== 0)
      throw new SwarmdError('failed-precondition', `the key file ${path} can be read by others: chmod 600 it`);
    const text = (await file.readFile('utf8')).trim();
    parseRecoveryKey(text);
    return text;
  } finally {
    await file.close();
  }
}

/** Writes a new recovery key to a file of its own, synced, for its owner alone; resolves with it. Rejects when there is one. */
export async function createKeyFile(path: string): Promise<string> {
  const file = await open(path, 'wx', 0o600);
  try {
    const key = createRecoveryKey();
    await file.writeFile(`${key}\n`);
    await file.sync();
    return key;
  } finally {
    await file.close();
  }
}
