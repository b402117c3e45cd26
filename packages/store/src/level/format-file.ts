import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SwarmdError } from '@swarmd/model';
import { isSystemError, writeFileDurably } from '../durable-file.js';
import { damaged } from './damage.js';

/** The layout of the directory that this version writes. A newer one may differ in anything but the first line of FORMAT. */
export const STORE_FORMAT = 1;

const FORMAT_LINE = /^(swarmd store, format (\d+), data key ([0-9a-f]{8})), check ([0-9a-f]{8})\n$/;

/**
 * The ID of the data key that the store in `dir` was made with, or `undefined` when no store was completed there.
 * Rejects with `damaged`, and with `failed-precondition` when a newer version has written the directory.
 */
export async function readFormatFile(dir: string): Promise<{ keyId: string } | undefined> {
  let content: string;
  try {
    content = await readFile(join(dir, 'FORMAT'), 'utf8');
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return undefined;
    throw error;
  }
  const match = FORMAT_LINE.exec(content);
  if (match === null || checkOf(match[1]!) !== match[4]) throw damaged(dir, 'FORMAT', 'the file was altered or cut');
  const format = Number(match[2]);
  if (format > STORE_FORMAT)
    throw new SwarmdError(
      'failed-precondition',
      `the store in ${dir} has format ${format} and this swarmd knows formats up to ${STORE_FORMAT}: ` +
        'start the newer swarmd that wrote it',
    );
  return { keyId: match[3]! };
}

/** Marks the store in `dir` as complete. */
export async function writeFormatFile(dir: string, keyId: string, format = STORE_FORMAT): Promise<void> {
  const line = `swarmd store, format ${format}, data key ${keyId}`;
  await writeFileDurably(join(dir, 'FORMAT'), Buffer.from(`${line}, check ${checkOf(line)}\n`), 'replace');
}

function checkOf(line: string): string {
  return createHash('sha256').update(line).digest('hex').slice(0, 8);
}
