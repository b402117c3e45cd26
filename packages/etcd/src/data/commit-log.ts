import { open } from 'node:fs/promises';
import { readLogEnd } from './inspect.js';
import { encodeState } from './wal.js';

/**
 * Declares everything in the log of the data directory `dir` committed, so that a start with `forceNewCluster` keeps it.
 * By itself such a start throws away what the member did not yet know to be committed, and that can have been
 * acknowledged. For recovery, on the member whose log is furthest; it must not be running. Returns how many entries it
 * saved. Errors as `inspectEtcdData` has them.
 */
export async function commitEtcdLog(dir: string): Promise<number> {
  const log = await readLogEnd(dir);
  if (log.lastIndex <= log.commitIndex) return 0;
  const record = encodeState({ term: log.term, vote: log.vote, commit: log.lastIndex }, log.end.checksum);
  const file = await open(log.file, 'r+');
  try {
    // What is left of a record that was being written must not stand behind ours.
    const { size } = await file.stat();
    if (log.end.isTorn) await file.write(Buffer.alloc(size - log.end.offset), 0, undefined, log.end.offset);
    await file.write(record, 0, record.length, log.end.offset);
    await file.datasync();
  } finally {
    await file.close();
  }
  return Number(log.lastIndex - log.commitIndex);
}
