import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { PARTIAL_SUFFIX } from '@swarmd/backup';

const NAME = /^swarmd-(?<cluster>[0-9a-z]+)-(?<time>\d{8}T\d{6}Z)\.swmbak$/;

/** A scheduled backup as its name tells of it; milliseconds since the epoch. */
export interface BackupFile {
  path: string;
  createdMs: number;
}

/** The name of a scheduled backup: names sort by time. */
export function backupFileName(clusterId: string, nowMs: number): string {
  const time = new Date(nowMs).toISOString().slice(0, 19).replaceAll(/[-:]/g, '');
  return `swarmd-${clusterId}-${time}Z.swmbak`;
}

/** The scheduled backups of a cluster in a folder, oldest first; none when there is no such folder. Other files do not count. */
export async function listBackups(dir: string, clusterId: string): Promise<BackupFile[]> {
  const found: BackupFile[] = [];
  for (const name of await namesIn(dir)) {
    const { cluster, time } = NAME.exec(name)?.groups ?? {};
    if (cluster !== clusterId || time === undefined) continue;
    const iso = time.replace(/(....)(..)(..)T(..)(..)(..)Z/, '$1-$2-$3T$4:$5:$6Z');
    found.push({ path: join(dir, name), createdMs: Date.parse(iso) });
  }
  return found.sort((a, b) => a.createdMs - b.createdMs);
}

/** Removes all but the newest `keep` scheduled backups of a cluster; resolves with what went. */
export async function pruneBackups(dir: string, clusterId: string, keep: number): Promise<string[]> {
  const surplus = (await listBackups(dir, clusterId)).slice(0, -keep);
  for (const { path } of surplus) await rm(path, { force: true });
  return surplus.map(({ path }) => path);
}

/** Removes what a crash left of scheduled backups of a cluster. */
export async function clearPartial(dir: string, clusterId: string): Promise<void> {
  for (const name of await namesIn(dir)) {
    if (!name.endsWith(PARTIAL_SUFFIX)) continue;
    const whole = name.slice(0, -PARTIAL_SUFFIX.length);
    if (NAME.exec(whole)?.groups?.['cluster'] === clusterId) await rm(join(dir, name), { force: true });
  }
}

async function namesIn(dir: string): Promise<string[]> {
  try {
    return await readdir(dir);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
