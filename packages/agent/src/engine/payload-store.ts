import { execFile } from 'node:child_process';
import { chmod, chown, mkdir, readdir, rename, rm, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { SwarmdError } from '@swarmd/model';
import type { PayloadFile } from '../convert/payload-files.js';
import type { MountedFile } from '../convert/request.js';

const TMPFS_MAGIC = 0x01021994;
/** Room for payloads when the agent mounts its own tmpfs; only what is used takes memory. */
const TMPFS_SIZE = '256m';

/** Keeps the secret and config files of tasks in memory: on a tmpfs, each bind-mounted on its own into its container. */
export interface PayloadStore {
  /** Where the files of a task will be, before they are written: known from the task alone. */
  paths(taskId: string, files: readonly PayloadFile[]): MountedFile[];
  /** Writes a task's files; nothing of them reaches a disk. Throws `failed-precondition` when there is no tmpfs to be had. */
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
          await chown(`${target}.new`, file.uid + ownerOffset(), file.gid + ownerOffset());
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

async function ensureTmpfs(root: string): Promise<void> {
  await mkdir(root, { recursive: true, mode: 0o700 });
  if ((await statfs(root)).type === TMPFS_MAGIC) return;
  try {
    const options = `size=${TMPFS_SIZE},mode=0700,nosuid,nodev,noexec`;
    await promisify(execFile)('mount', ['-t', 'tmpfs', '-o', options, 'swarmd', root]);
  } catch (thrown) {
    throw new SwarmdError('failed-precondition', `secrets need a tmpfs at ${root}, and none could be mounted`, {
      cause: thrown,
    });
  }
}
