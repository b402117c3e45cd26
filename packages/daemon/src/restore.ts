import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { readBackup } from '@swarmd/backup';
import { type BackedUp, type PreparedRestore, prepareRestore } from '@swarmd/manager';
import {
  type Cluster,
  type LogEntry,
  type NodeDescription,
  type RestoreRequest,
  SwarmdError,
  TABLE_NAMES,
  type TableName,
  type TableTypes,
} from '@swarmd/model';
import { openLevelLog, parseUnlockKey, type UnlockKey, type Vault } from '@swarmd/store';
import { DataKeys } from './lock/data-keys.js';
import { managerFiles } from './manager/manager-files.js';
import type { NodePorts } from './node-ports.js';

/** Objects written with one sync: enough to be fast, few enough to be held twice. */
const OBJECTS_PER_ENTRY = 5_000;

/** The local host, as a restore needs to know it. */
export interface RestoreHost {
  advertiseAddr: string;
  description: NodeDescription;
}

/** Reads a whole backup, checks it, and prepares its restore on this host; nothing is written. Errors as `readBackup` has them. */
export async function readForRestore(
  request: RestoreRequest,
  file: AsyncIterable<Uint8Array>,
  host: RestoreHost,
  { clock, random }: NodePorts,
): Promise<PreparedRestore> {
  const found = Object.fromEntries(TABLE_NAMES.map((table) => [table, []])) as unknown as {
    [T in TableName]: TableTypes[T][];
  };
  const { index, createdAt } = await readBackup(file, {
    secret: () => request.Secret,
    // The table decides the object's type, which the reader cannot know.
    onObject: (table, object) => void (found[table] as unknown[]).push(object),
  });
  const backup: BackedUp = {
    index,
    createdAt,
    clusters: found.cluster,
    nodes: found.node,
    services: found.service,
    specs: found.spec,
    tasks: found.task,
    secrets: found.secret,
    configs: found.config,
    networks: found.network,
  };
  return prepareRestore(backup, {
    ...host,
    clock,
    random,
    hostname: host.description.Hostname,
    wanted: request.Node,
    asNew: request.AsNew ?? false,
  });
}

/**
 * Writes what was prepared to a new embedded store, whose key lies in `vault`. `failed-precondition` when there is a store already. A crash leaves a
 * part of it: the membership clears that away, as it does after a join that was cut off.
 */
export async function writeRestored(
  dataDir: string,
  { logger }: NodePorts,
  restored: PreparedRestore,
  vault: Vault,
): Promise<void> {
  const { directory, level: storeDir, dataKey: keyFile } = managerFiles(dataDir);
  if (existsSync(storeDir)) throw new SwarmdError('failed-precondition', `there is a store in ${storeDir} already`);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const child = logger.child({ component: 'store' });
  const { cipher } = await DataKeys.open({ path: keyFile, vault, logger: child });
  const log = await openLevelLog({ dir: storeDir, dataKey: cipher, logger: child });
  try {
    await log.replay(() => {});
    for (const entry of entriesOf(restored)) await log.append([entry]);
  } finally {
    await log.close();
  }
}

/** The unlock key of a restored cluster that locks its managers: nothing of it is to be on the disk in the clear. */
export function restoredUnlockKey({ objects }: PreparedRestore): UnlockKey | undefined {
  const found = objects.find(({ table }) => table === 'cluster')?.object as Cluster | undefined;
  return found?.UnlockKey === undefined ? undefined : parseUnlockKey(found.UnlockKey);
}

/** All objects in some entries, the last of which has the index that the store is to have. */
function* entriesOf({ objects, index }: PreparedRestore): Generator<LogEntry> {
  const entries = Math.ceil(objects.length / OBJECTS_PER_ENTRY);
  for (let number = 0; number < entries; number++) {
    const some = objects.slice(number * OBJECTS_PER_ENTRY, (number + 1) * OBJECTS_PER_ENTRY);
    const operations = some.map(({ table, object }) => ({ table, key: object.ID, value: object }));
    yield { index: index - (entries - 1 - number), operations };
  }
}
