import { randomBytes } from 'node:crypto';
import { link, open, rename, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Writes a whole file so that after a crash it is there entirely or not at all: synced beside its place, then moved.
 * With `mode: 'create'` an existing file is kept and the call rejects with `EEXIST`.
 */
export async function writeFileDurably(path: string, content: Uint8Array, mode: 'create' | 'replace'): Promise<void> {
  const beside = `${path}.${randomBytes(4).toString('hex')}.new`;
  const file = await open(beside, 'w', 0o600);
  try {
    await file.writeFile(content);
    await file.sync();
  } catch (error) {
    // On a full disk what is left of each attempt would keep it full.
    await unlink(beside).catch(() => {});
    throw error;
  } finally {
    await file.close();
  }
  if (mode === 'replace') {
    await rename(beside, path);
  } else {
    try {
      await link(beside, path);
    } finally {
      await unlink(beside);
    }
  }
  await syncDirectory(dirname(path));
}

/** Makes the names in a directory durable. */
export async function syncDirectory(dir: string): Promise<void> {
  const handle = await open(dir, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Whether a failed file operation failed with one of the given system codes, such as `ENOENT`. */
export function isSystemError(thrown: unknown, ...codes: string[]): boolean {
  return thrown instanceof Error && 'code' in thrown && codes.includes(String(thrown.code));
}
