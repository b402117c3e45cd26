import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createManager, MANAGER_LOOPS, perHostNetworkWarnings } from '@swarmd/manager';
import { type Clock, type Control, type Random, type SharedStore, SwarmdError, steadyClock } from '@swarmd/model';
import { openLevelLog, openStore, Vault } from '@swarmd/store';
import type { IdentityHolder } from '@swarmd/wire';
import type { Logger } from 'pino';
import { DataKeys } from './lock/data-keys.js';
import { dataKeyFile } from './lock/secret-files.js';

/** Ports that all parts of a node share. */
export interface NodePorts {
  clock: Clock;
  random: Random;
  logger: Logger;
}

/** A manager of this node, serving. */
export interface ManagerRuntime {
  control: Control;
  /** Stops serving and closes the store. */
  stop(): Promise<void>;
}

/** The folder of a manager's store under the data directory. */
export function managerDir(dataDir: string): string {
  return join(dataDir, 'manager');
}

/** How {@link openClusterStore} opens. */
export interface OpenStoreOptions {
  /** The store of a cluster that exists: one that is not there is `damaged`, and none is made. */
  mustExist?: boolean;
  /** The store can no longer write. */
  onFailure?: (reason: SwarmdError) => void;
  /** The data keys, not opened yet; those of a manager that is not locked without it. */
  dataKeys?: DataKeys;
}

/** Opens the embedded store of this node, making it when there is none. See `openLevelLog` for its errors. */
export async function openClusterStore(
  dataDir: string,
  { clock, logger }: NodePorts,
  { mustExist = false, onFailure, dataKeys: given }: OpenStoreOptions = {},
): Promise<SharedStore> {
  const directory = managerDir(dataDir);
  if (mustExist && !existsSync(join(directory, 'store'))) {
    const advice = 'restore it from a backup, or remove the data directory and make a new cluster';
    throw new SwarmdError('damaged', `the store of this manager in ${directory} is missing: ${advice}`);
  }
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const [keyFile, storeDir] = [dataKeyFile(dataDir), join(directory, 'store')];
  if (existsSync(storeDir) && !existsSync(keyFile)) {
    const advice = 'restore it from a backup; without it the store cannot be read';
    throw new SwarmdError('damaged', `the data key ${keyFile} of the store in ${storeDir} is missing: ${advice}`);
  }
  const child = logger.child({ component: 'store' });
  const dataKeys = given ?? new DataKeys({ path: keyFile, vault: await Vault.open([]), logger: child });
  const log = await openLevelLog({ dir: storeDir, dataKey: await dataKeys.open(), logger: child });
  dataKeys.attach(log);
  return openStore({ log, clock: steadyClock(clock), logger: child, ...(onFailure ? { onFailure } : {}) });
}

/** Starts the manager over an open store that holds a cluster; the store is closed with it. */
export async function startManager(
  store: SharedStore,
  identity: IdentityHolder,
  addresses: { listenAddr: string; advertiseAddr: string },
  ports: NodePorts,
): Promise<ManagerRuntime> {
  const manager = createManager({
    ...{ store, identity, ...addresses, ...ports },
    loops: MANAGER_LOOPS,
    warnings: perHostNetworkWarnings,
  });
  try {
    await manager.start();
  } catch (error) {
    await store.close();
    throw error;
  }
  return {
    control: manager.control,
    stop: async () => {
      await manager.stop();
      await store.close();
    },
  };
}
