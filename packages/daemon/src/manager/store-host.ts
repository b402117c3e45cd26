import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { findEtcd, type GoneReason } from '@swarmd/etcd';
import { asSwarmdError, type ResealableLog, type SharedStore, SwarmdError, steadyClock } from '@swarmd/model';
import { openLevelLog, openSharedStore, openStore, type ValueCipher, Vault } from '@swarmd/store';
import type { DaemonConfig } from '../config.js';
import { DataKeys } from '../lock/data-keys.js';
import type { Member } from '../member-file.js';
import type { NodePorts } from '../node-ports.js';
import { type EtcdHost, startEtcdHost } from './etcd-host.js';
import { loadEtcdMembership, managerFiles } from './manager-files.js';
import { peerUrl } from './peer-url.js';
import { moveOwnMember } from './readdress.js';
import { shareStore } from './share-store.js';

/** What a {@link StoreHost} needs. */
export interface StoreHostDependencies {
  config: DaemonConfig;
  ports: NodePorts;
  nodeId: string;
  clusterId: string;
  member: Member;
  /** What this node keeps its secrets in. */
  vault: Vault;
  /** The store can no longer write: only a new start can tell what is on the disk. */
  onFailure(reason: SwarmdError): void;
  /** This host's etcd cannot go on with the data that it has. */
  onGone(reason: GoneReason): void;
}

/** The store of this manager, with the etcd beneath it if the cluster has had several managers. */
export interface StoreHost {
  readonly store: SharedStore;
  readonly etcd: EtcdHost | undefined;
  readonly dataKeys: DataKeys;
  /** Moves the store to etcd, if it is not there yet, while it goes on. Resolves with this host's etcd. */
  share(): Promise<EtcdHost>;
  /** Why no other manager can be taken in: this host has no etcd. */
  refuseManager(): Promise<SwarmdError | undefined>;
  close(): Promise<void>;
}

/**
 * Opens the embedded store of this node, making it when there is none. Its data keys lie in `vault`, which is that of a
 * manager without a lock when there is none. See `openLevelLog` for its errors.
 */
export async function openEmbedded(
  dataDir: string,
  { clock, logger }: NodePorts,
  options: { mustExist?: boolean; onFailure?: (reason: SwarmdError) => void; vault?: Vault } = {},
): Promise<{ store: SharedStore; log: ResealableLog; dataKeys: DataKeys }> {
  const { mustExist = false, onFailure, vault } = options;
  const { directory, dataKey: keyFile, level: dir } = managerFiles(dataDir);
  if (mustExist && !existsSync(dir)) {
    const advice = 'restore it from a backup, or remove the data directory and make a new cluster';
    throw new SwarmdError('damaged', `the store of this manager in ${directory} is missing: ${advice}`);
  }
  await mkdir(directory, { recursive: true, mode: 0o700 });
  if (existsSync(dir) && !existsSync(keyFile)) {
    const advice = 'restore it from a backup; without it the store cannot be read';
    throw new SwarmdError('damaged', `the data key ${keyFile} of the store in ${dir} is missing: ${advice}`);
  }
  const child = logger.child({ component: 'store' });
  const dataKeys = await DataKeys.open({ path: keyFile, vault: vault ?? (await Vault.open([])), logger: child });
  const log = await openLevelLog({ dir, dataKey: dataKeys.cipher, logger: child });
  dataKeys.attach(log);
  const failure = onFailure ? { onFailure } : {};
  return { store: await openStore({ log, clock: steadyClock(clock), logger: child, ...failure }), log, dataKeys };
}

/** Opens the store of the only manager. */
export async function openLevelHost(deps: StoreHostDependencies): Promise<StoreHost> {
  const { config, ports, onFailure, vault } = deps;
  const { store, log, dataKeys } = await openEmbedded(config.dataDir, ports, { mustExist: true, onFailure, vault });
  let etcd: EtcdHost | undefined;
  let sharing: Promise<EtcdHost> | undefined;
  return {
    ...{ store, dataKeys },
    get etcd() {
      return etcd;
    },
    refuseManager: () => missingEtcd(config),
    share: () => {
      sharing ??= dataKeys
        .freeze()
        .then(() => shareStore(deps, store, dataKeys.cipher))
        .then(
          async (started) => {
            etcd = started;
            // It stays where it is, as a copy of how things were.
            await log.close();
            return started;
          },
          (error: unknown) => {
            sharing = undefined;
            dataKeys.attach(log);
            throw error;
          },
        );
      return sharing;
    },
    close: async () => {
      await store.close();
      await etcd?.stop();
    },
  };
}

/**
 * Opens the store of one of several managers: starts etcd and waits until a quorum of them is there. Tells the others
 * when this host has another address. `forceNewCluster`: makes this member the only one, with the data that it has.
 */
export async function openEtcdHost(
  deps: StoreHostDependencies,
  signal: AbortSignal,
  options: { forceNewCluster?: boolean } = {},
): Promise<StoreHost> {
  const { config, ports, vault, member } = deps;
  const membership = await loadEtcdMembership(config.dataDir, vault);
  const { directory, dataKey: path } = managerFiles(config.dataDir);
  if (membership === undefined || !existsSync(path)) {
    throw new SwarmdError(
      'damaged',
      `etcd.json or data.key is missing in ${directory}: restore it, or leave and join again`,
    );
  }
  const dataKeys = await DataKeys.open({ path, vault, logger: ports.logger });
  const onMoved = (): void => deps.onFailure(new SwarmdError('unavailable', 'etcd had to take another port'));
  const listening = { ...membership, listenPeerUrl: peerUrl(member.listenAddr) };
  const etcd = await startEtcdHost({ ...deps, ...options, membership: listening, onMoved });
  try {
    const store = await openReplica(etcd, dataKeys.cipher, ports, signal);
    try {
      await moveOwnMember({ ...deps, membership: listening, etcd, store });
    } catch (error) {
      await store.close();
      throw error;
    }
    return {
      ...{ store, etcd, dataKeys },
      refuseManager: () => missingEtcd(config),
      share: async () => etcd,
      close: async () => {
        await store.close();
        await etcd.stop();
      },
    };
  } catch (error) {
    await etcd.stop();
    throw error;
  }
}

async function openReplica(
  etcd: EtcdHost,
  cipher: ValueCipher,
  { clock, logger }: NodePorts,
  signal: AbortSignal,
): Promise<SharedStore> {
  const log = await etcd.openLog(cipher, signal);
  return openSharedStore({ log, clock: steadyClock(clock), logger: logger.child({ component: 'store' }) });
}

async function missingEtcd(config: DaemonConfig): Promise<SwarmdError | undefined> {
  try {
    await findEtcd(config.etcd);
    return undefined;
  } catch (error) {
    return asSwarmdError(error);
  }
}
