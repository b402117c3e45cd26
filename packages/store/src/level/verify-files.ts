import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isSystemError } from '../durable-file.js';
import { damaged } from './damage.js';
import { readLogFile } from './leveldb-log-file.js';
import { type LiveFiles, liveFiles } from './leveldb-manifest.js';
import { tableDefect } from './leveldb-table.js';

/**
 * Checks LevelDB's files in `dir/db` before LevelDB sees them. On opening it makes a new database where CURRENT is
 * missing, drops what it cannot read of its log and deletes the log, and compacts tables without looking at their
 * checksums; a key that is out of order there ends the process. Rejects with `damaged`; nothing has been touched then.
 * What is cut off at the end of the log is left to the log's own state to find: a crash may leave that too.
 */
export async function verifyFiles(dir: string): Promise<void> {
  const { tables, firstLog } = await readManifest(dir);
  for (const [number, size] of tables) {
    const name = fileName(number, 'ldb');
    const table = await read(dir, name);
    if (table === undefined) throw damaged(dir, `db/${name}`, 'the file is missing');
    if (table.length !== size)
      throw damaged(dir, `db/${name}`, `the file has ${table.length} bytes instead of ${size}`);
    const defect = tableDefect(table);
    if (defect !== undefined) throw damaged(dir, `db/${name}`, defect);
  }
  for (const name of await readdir(join(dir, 'db'))) {
    const number = Number(/^(\d+)\.log$/.exec(name)?.[1] ?? -1);
    if (number < firstLog) continue;
    const { defect, continues } = readLogFile((await read(dir, name)) ?? Buffer.alloc(0));
    if (continues) throw damaged(dir, `db/${name}`, `the file was altered at ${defect}, before its end`);
  }
}

async function readManifest(dir: string): Promise<LiveFiles> {
  const current = await read(dir, 'CURRENT');
  if (current === undefined) throw damaged(dir, 'db/CURRENT', 'the file is missing');
  const name = /^(MANIFEST-\d+)\n$/.exec(current.toString('latin1'))?.[1];
  if (name === undefined) throw damaged(dir, 'db/CURRENT', 'the file was altered or cut');
  const manifest = await read(dir, name);
  if (manifest === undefined) throw damaged(dir, `db/${name}`, 'the file is missing');
  const { records, defect, continues } = readLogFile(manifest);
  if (continues) throw damaged(dir, `db/${name}`, `the file was altered at ${defect}, before its end`);
  try {
    return liveFiles(records);
  } catch (error) {
    throw damaged(dir, `db/${name}`, 'it does not read', error);
  }
}

async function read(dir: string, name: string): Promise<Buffer | undefined> {
  try {
    return await readFile(join(dir, 'db', name));
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return undefined;
    throw error;
  }
}

function fileName(number: number, extension: string): string {
  return `${String(number).padStart(6, '0')}.${extension}`;
}
