import { execFile } from 'node:child_process';
import { chmod, chown, mkdir, readdir, rename, rm, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { SwarmdError } from '@swarmd/model';
import type { PayloadFile } from '../convert/payload-files.js';
import type { MountedFile } from '../convert/request.js';

const TMPFS_MAGIC = 0x01021994;
/** Bit of a file's mode. */
const READ_BY_OTHERS = 0o004;
/** Room for payloads when the agent mounts its own tmpfs; only what is used takes memory. */
const TMPFS_SIZE = '256m';

/** Keeps the secret and config files of tasks in memory: on a tmpfs, each bind-mounted on its own into its container. */
export interface PayloadStore {
  /** Where the files of a task will be, before they are written: known from the task alone. */
  paths(taskId: string, files: readonly PayloadFile[]): MountedFile[];
  /**
   * Writes a task's files; nothing of them reaches a disk. Throws `failed-precondition` when there is no tmpfs to be had,
   * or when they are to be another user's and this process may not make them so.
   */
  write(taskId: string, files: readonly PayloadFile[]): Promise<void>;
  /** Whether a task's files are there. */
  has(taskId: string, count: number): Promise<boolean>;
  /** Removes a task's files. */
  remove(taskId: string): Promise<void>;
  /** Removes the files of all tasks but those that `keep` wants. */
  sweep(keep: (taskId: string) => boolean): Promise<void>;
}

/**
 * A {@link PayloadStore} in `directory`/tasks. A directory that is not on a tmpfs gets one mounted. `ownerOffset` is
 * added to user and group IDs, for engines that remap users.
 */
export function createPayloadStore(directory: string, options: { ownerOffset?: () => number } = {}): PayloadStore {
  const root = join(directory, 'tasks');
  const ownerOffset = options.ownerOffset ?? (() => 0);
  let ready: Promise<void> | undefined;

  const folder = (taskId: string) => {
    if (!/^[A-Za-z0-9_.-]+$/.test(taskId) || taskId.startsWith('.')) {
      throw new SwarmdError('invalid-argument', 'not a task ID');
    }
    return join(root, taskId);
  };
  const path = (taskId: string, index: number) => join(folder(taskId), String(index));

  return {
    paths: (taskId, files) => files.map((file, index) => ({ hostPath: path(taskId, index), target: file.target })),
    async write(taskId, files) {
      if (files.length === 0) return;
      // Refused before anything is written.
      for (const file of files) ownerOf(file, ownerOffset());
      ready ??= ensureTmpfs(root);
      try {
        await ready;
      } catch (thrown) {
        ready = undefined;
        throw thrown;
      }
      await mkdir(folder(taskId), { recursive: true, mode: 0o700 });
      await Promise.all(
        files.map(async (file, index) => {
          const target = path(taskId, index);
          // Renamed into place: a container that starts meanwhile sees all of it or none.
          await writeFile(`${target}.new`, file.data, { mode: 0o600 });
          const owner = ownerOf(file, ownerOffset());
          if (owner !== undefined) await chown(`${target}.new`, owner.uid, owner.gid);
          await chmod(`${target}.new`, file.mode & 0o7777);
          await rename(`${target}.new`, target);
        }),
      );
    },
    has: async (taskId, count) => {
      const present = await readdir(folder(taskId)).catch(() => []);
      return present.filter((name) => /^\d+$/.test(name)).length === count;
    },
    remove: (taskId) => rm(folder(taskId), { recursive: true, force: true }),
    async sweep(keep) {
      const present = await readdir(root).catch(() => []);
      await Promise.all(
        present.filter((id) => !keep(id)).map((id) => rm(join(root, id), { recursive: true, force: true })),
      );
    },
  };
}

/**
 * Who a file is to belong to; `undefined`: nobody else than this process, which is not root. Root's files, which are those
 * that name no user, may then stay our own: root in a container reads whatever the engine mounts, unless users are
 * remapped, and the others by the file's mode.
 */
function ownerOf(
  { uid, gid, kind, target, mode }: PayloadFile,
  offset: number,
): { uid: number; gid: number } | undefined {
  const [ownUid, ownGid] = [process.geteuid?.() ?? 0, process.getegid?.() ?? 0];
  if (ownUid === 0) return { uid: uid + offset, gid: gid + offset };
  const isReadable = offset === 0 || (mode & READ_BY_OTHERS) !== 0;
  const isOwn = (id: number, own: number): boolean => id + offset === own || (id === 0 && isReadable);
  if (isOwn(uid, ownUid) && isOwn(gid, ownGid)) return undefined;
  const wanted = `user ${uid} and group ${gid}${offset === 0 ? '' : ' of remapped users'}`;
  throw new SwarmdError(
    'failed-precondition',
    `${kind} ${target} for ${wanted} needs swarmd to run as root on this node`,
  );
}

async function ensureTmpfs(root: string): Promise<void> {
  await mkdir(root, { recursive: true, mode: 0o700 });
  if ((await statfs(root)).type === TMPFS_MAGIC) return;
  try {
    const options = `size=${TMPFS_SIZE},mode=0700,nosuid,nodev,noexec`;
    await promisify(execFile)('mount', ['-t', 'tmpfs', '-o', options, 'swarmd', root]);
  } catch (thrown) {
    const problem = `secrets and configs need a tmpfs at ${root}, and none could be mounted`;
    const advice = ': swarmd needs to run as root, or its socket (--host) to lie on a tmpfs';
    throw new SwarmdError('failed-precondition', process.geteuid?.() === 0 ? problem : problem + advice, {
      cause: thrown,
    });
  }
}
