import { existsSync } from 'node:fs';
import { readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { SwarmdError } from '@swarmd/model';
import { loadSecret, saveSecret, syncDirectory, type Vault, writeFileDurably } from '@swarmd/store';
import type { Logger } from 'pino';
import { z } from 'zod';

/**
 * Which log a manager's store is on: `level` while it is the only manager, `etcd` from the second one on, `external` when
 * swarmd is told to use an etcd that somebody else runs.
 */
export type StoreDriver = (typeof DRIVERS)[number];

const DRIVERS = ['level', 'etcd', 'external'] as const;

const EtcdMembershipSchema = z.object({
  /** `https://IP:port`: where this host's etcd listens for other members, and where they reach it. */
  listenPeerUrl: z.string(),
  advertisePeerUrl: z.string(),
  /** All members as of the first start, this one too. */
  initialCluster: z.array(z.object({ name: z.string(), peerUrl: z.string() })),
  initialClusterState: z.enum(['new', 'existing']),
  tls: z.object({ caPem: z.string(), certificatePem: z.string(), keyPem: z.string() }),
});

/** What a manager keeps of its etcd member besides etcd's own data. */
export type EtcdMembership = z.infer<typeof EtcdMembershipSchema>;

/** The folder of a manager's state under the data directory. */
export function managerDir(dataDir: string): string {
  return join(dataDir, 'manager');
}

/** The folder of a former manager's state that could not be read, under the data directory. */
export function damagedDir(dataDir: string): string {
  return join(dataDir, 'manager.damaged');
}

/** The files and folders of a manager. */
export function managerFiles(dataDir: string) {
  return filesIn(managerDir(dataDir));
}

/** The secrets of what {@link setManagerAside} kept: they are sealed and opened as those in use. */
export function damagedSecrets(dataDir: string): string[] {
  const { dataKey, etcdMembership } = filesIn(damagedDir(dataDir));
  return [dataKey, etcdMembership];
}

function filesIn(directory: string) {
  return {
    directory,
    driver: join(directory, 'driver'),
    dataKey: join(directory, 'data.key'),
    level: join(directory, 'store'),
    standby: join(directory, 'standby'),
    etcdMembership: join(directory, 'etcd.json'),
    etcdData: join(directory, 'etcd'),
  };
}

/** The driver of the store that is there; `undefined` when there is none. `damaged` when the file says neither. */
export async function loadDriver(dataDir: string): Promise<StoreDriver | undefined> {
  const text = (await readIfThere(managerFiles(dataDir).driver))?.trim();
  // The file is written when the store leaves the embedded log for the first time.
  if (text === undefined) return existsSync(managerFiles(dataDir).level) ? 'level' : undefined;
  const driver = DRIVERS.find((name) => name === text);
  if (driver !== undefined) return driver;
  throw new SwarmdError('damaged', `${managerFiles(dataDir).driver} says none of ${DRIVERS.join(', ')}`);
}

/** From the moment that this resolves, the next start opens the store on `driver`. */
export async function saveDriver(dataDir: string, driver: StoreDriver): Promise<void> {
  await writeFileDurably(managerFiles(dataDir).driver, Buffer.from(`${driver}\n`), 'replace');
}

/** What {@link saveEtcdMembership} kept; `undefined` without a file. `damaged` when it cannot be read. */
export async function loadEtcdMembership(dataDir: string, vault: Vault): Promise<EtcdMembership | undefined> {
  const path = managerFiles(dataDir).etcdMembership;
  const content = await loadSecret(path, vault.key);
  if (content === undefined) return undefined;
  try {
    return EtcdMembershipSchema.parse(JSON.parse(content.toString()));
  } catch (cause) {
    throw new SwarmdError('damaged', `${path} cannot be read: restore it from a backup, or leave and join again`, {
      cause,
    });
  }
}

/** Keeps `membership`, synced, all or nothing, for root alone, sealed as the vault says. */
export async function saveEtcdMembership(dataDir: string, membership: EtcdMembership, vault: Vault): Promise<void> {
  const text = `${JSON.stringify(membership, null, 2)}\n`;
  await vault.write((keys) => saveSecret(managerFiles(dataDir).etcdMembership, Buffer.from(text), keys));
}

/**
 * Removes the embedded store that the cluster's state has moved away from: nothing leads back to it, and it is sealed with
 * data keys that are replaced. Never rejects: what stays is removed at the next start.
 */
export async function removeLeftBehind(dataDir: string, logger: Logger): Promise<void> {
  const { level } = managerFiles(dataDir);
  try {
    await rm(level, { recursive: true, force: true });
  } catch (error) {
    logger.warn({ err: error, level }, 'the embedded store that nothing needs any more was not removed');
  }
}

/** Whether this host's member of etcd was let in as a standby's, and was not seen to have a vote since. */
export function isMarkedStandby(dataDir: string): boolean {
  return existsSync(managerFiles(dataDir).standby);
}

/** From the moment that this resolves, the next start keeps a copy of the state without a vote; or serves again. */
export async function markStandby(dataDir: string, isOne: boolean): Promise<void> {
  const { standby } = managerFiles(dataDir);
  if (isOne) await writeFileDurably(standby, Buffer.from(''), 'replace');
  else await rm(standby, { force: true });
}

/** Removes all that is left of an etcd member, a running one excepted. */
export async function removeEtcd(dataDir: string): Promise<void> {
  const { etcdData, etcdMembership } = managerFiles(dataDir);
  await rm(etcdMembership, { force: true });
  await rm(etcdData, { recursive: true, force: true });
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/**
 * Moves all that a manager kept on this host out of the way, durably: until a manager serves here again it may be the last
 * copy of something. What was set aside before stays, and what came after it is removed: that was a copy of the others'.
 */
export async function setManagerAside(dataDir: string, vault: Vault): Promise<void> {
  const [directory, aside] = [managerDir(dataDir), damagedDir(dataDir)];
  await vault.write(async () => {
    if (existsSync(aside)) return removeState(dataDir);
    if (existsSync(directory)) await rename(directory, aside);
    await syncDirectory(dirname(aside));
  });
}

/** Removes what {@link setManagerAside} kept. Never rejects: what stays is removed when the next manager serves. */
export async function removeAside(dataDir: string, vault: Vault, logger: Logger): Promise<void> {
  const aside = damagedDir(dataDir);
  if (!existsSync(aside)) return;
  try {
    await vault.write(() => rm(aside, { recursive: true, force: true }));
    logger.info({ aside }, 'the damaged data is removed: this manager has all from the others');
  } catch (error) {
    logger.warn({ err: error, aside }, 'the damaged data that nothing needs any more was not removed');
  }
}

/** Removes the state of the manager on this host; what was set aside stays. */
export async function removeState(dataDir: string): Promise<void> {
  await rm(managerDir(dataDir), { recursive: true, force: true });
}

/** Removes all that a manager kept on this host, and what was set aside. */
export async function removeManager(dataDir: string): Promise<void> {
  await removeState(dataDir);
  await rm(damagedDir(dataDir), { recursive: true, force: true });
}
