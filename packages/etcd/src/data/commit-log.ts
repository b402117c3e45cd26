import { open } from 'node:fs/promises';
import { type EtcdLogEnd, readLogEnd } from './inspect.js';
import { encodePromotion, encodeState } from './wal.js';

/**
 * Declares everything in the log of the data directory `dir` committed, so that a start with `forceNewCluster` keeps it.
 * By itself such a start throws away what the member did not yet know to be committed, and that can have been
 * acknowledged. For recovery, on the member whose log is furthest; it must not be running. Returns how many entries it
 * saved. Errors as `inspectEtcdData` has them.
 */
export async function commitEtcdLog(dir: string): Promise<number> {
  const log = await readLogEnd(dir);
  if (log.lastIndex <= log.commitIndex) return 0;
  const { term, vote, lastIndex: commit } = log;
  await append(log, encodeState({ term, vote, commit }, log.end.checksum).bytes);
  return Number(log.lastIndex - log.commitIndex);
}

/**
 * Gives the member of the data directory `dir` its vote if it is a learner, as the last, committed entry of its log: a
 * start with `forceNewCluster` removes all other members, and etcd panics when no voter is left. A member that has its
 * vote takes no notice. For recovery, after {@link commitEtcdLog}. Errors as `inspectEtcdData` has them.
 */
export async function takeVote(dir: string): Promise<void> {
  const log = await readLogEnd(dir);
  const { term, vote } = log;
  const commit = log.lastIndex + 1n;
  const memberId = BigInt(`0x${log.memberId}`);
  const entry = encodePromotion({ term, index: commit, memberId }, log.end.checksum);
  const state = encodeState({ term, vote, commit }, entry.checksum);
  await append(log, Buffer.concat([entry.bytes, state.bytes]));
}

async function append({ file: path, end }: EtcdLogEnd, records: Uint8Array): Promise<void> {
  const file = await open(path, 'r+');
  try {
    // What is left of a record that was being written must not stand behind ours.
    const { size } = await file.stat();
    if (end.isTorn) await file.write(Buffer.alloc(size - end.offset), 0, undefined, end.offset);
    await file.write(records, 0, records.length, end.offset);
    await file.datasync();
  } finally {
    await file.close();
  }
}
