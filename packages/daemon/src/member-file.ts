import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { SwarmdError } from '@swarmd/model';
import { writeFileDurably } from '@swarmd/store';
import { z } from 'zod';

const MemberSchema = z.object({
  /** `host:port` that this node listens on when it is a manager. */
  listenAddr: z.string(),
  /** `host:port` under which others reach it. */
  advertiseAddr: z.string(),
  /** The network interface that had the advertised address: then the address follows it. Unset behind a NAT. */
  interface: z.string().optional(),
  /** IP or network interface of the data path, if it was named; else the advertised address. */
  dataPathAddr: z.string().optional(),
  /** Managers known at the last start, `host:port`. */
  managers: z.array(z.string()),
  /** While an init, a join or a leave is under way: what a crash leaves of it is cleared away at the next start. */
  unfinished: z.enum(['joining', 'leaving']).optional(),
});

/** What a node keeps of its membership besides its identity. */
export type Member = z.infer<typeof MemberSchema>;

const FILE_NAME = 'member.json';

/** Keeps `member` in `dataDir`, synced, all or nothing. */
export async function saveMember(dataDir: string, member: Member): Promise<void> {
  await writeFileDurably(join(dataDir, FILE_NAME), Buffer.from(`${JSON.stringify(member, null, 2)}\n`), 'replace');
}

/** What {@link saveMember} kept; `undefined` when this node is in no cluster. `damaged` when it cannot be read. */
export async function loadMember(dataDir: string): Promise<Member | undefined> {
  const path = join(dataDir, FILE_NAME);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    return MemberSchema.parse(JSON.parse(text));
  } catch (error) {
    const advice = 'restore it from a backup, or remove the data directory and join again';
    throw new SwarmdError('damaged', `${path} cannot be read: ${advice}`, { cause: error });
  }
}

/** Forgets the membership: the last thing to go, so that what it says of the rest stays true. */
export async function removeMember(dataDir: string): Promise<void> {
  await rm(join(dataDir, FILE_NAME), { force: true });
}
