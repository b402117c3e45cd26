import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import type { GoneReason } from '@swarmd/etcd';
import { isErrorCode, type ResealableLog, type SharedStore, SwarmdError, steadyClock } from '@swarmd/model';
import { openLevelLog, openSharedStore, openStore, type ValueCipher, Vault } from '@swarmd/store';
import type { DaemonConfig } from '../config.js';
import { DataKeys } from '../lock/data-keys.js';
import { followDataKey } from '../lock/key-rotation.js';
import type { Member } from '../member-file.js';
import type { NodePorts } from '../node-ports.js';
import { type EtcdHost, startEtcdHost } from './etcd-host.js';
import { openExternalEtcd } from './external-etcd.js';
import { loadDriver, loadEtcdMembership, managerDir, managerFiles, removeLeftBehind } from './manager-files.js';
import { missingEtcd } from './missing-etcd.js';
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
  /** The store is sealed with a data key that this host does not hold: fetches it. Resolves with whether there was one. */
  lacksKeys?(dataKeys: DataKeys): Promise<boolean>;
  /** This host's etcd cannot go on with the data that it has. */
  onGone(reason: GoneReason): void;
}

/** The store of this manager, with the etcd beneath it if the cluster has had several managers. */
export interface StoreHost {
  readonly store: SharedStore;
  readonly etcd: EtcdHost | undefined;
  readonly dataKeys: DataKeys;
  /** Whether the store is, or is to be, in an etcd that somebody else runs. */
  readonly isExternal: boolean;
  /** Moves the store to etcd, if it is not there yet, while it goes on. Resolves with this host's etcd. */
  share(): Promise<EtcdHost>;
  /**
   * Why no other manager can be taken in: this host has no etcd, or the newcomer, if it has said so, is told of another
   * kind of store.
   */
  refuseManager(newcomer?: { externalStore: boolean }): Promise<SwarmdError | undefined>;
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
  followDataKey(store, dataKeys);
  return {
    ...{ store, dataKeys, isExternal: config.store !== undefined },
    get etcd() {
      return etcd;
    },
    refuseManager: (newcomer) => whyNotAnother(config, config.store !== undefined, newcomer),
    share: () => {
      sharing ??= dataKeys
        .freeze()
        .then(() => shareStore(deps, store, dataKeys.cipher))
        .then(
          async (started) => {
            etcd = started;
            await log.close();
            await removeLeftBehind(config.dataDir, ports.logger);
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
 * Opens the store that several managers can share: waits until a quorum of its etcd is there. Tells the others when this
 * host has another address. `forceNewCluster`: makes this host's member the only one, with the data that it has.
 * `running`: this host's etcd, which was started before; it is stopped where this fails.
 */
export async function openEtcdHost(
  deps: StoreHostDependencies,
  signal: AbortSignal,
  options: { forceNewCluster?: boolean; running?: EtcdHost } = {},
): Promise<StoreHost> {
  const { config, ports } = deps;
  const isExternal = (await loadDriver(config.dataDir)) === 'external';
  const dataKeys = await heldKeys(deps).catch(async (error: unknown) => {
    await options.running?.stop();
    throw error;
  });
  const start = () => (isExternal ? connectExternal(deps) : startOwnEtcd(deps, options));
  const etcd = options.running ?? (await start());
  try {
    const open = () => openReplica(etcd, dataKeys.cipher, ports, signal);
    const store = await open().catch(async (error: unknown) => {
      if (!isErrorCode(error, 'failed-precondition') || !(await deps.lacksKeys?.(dataKeys))) throw error;
      return open();
    });
    await moveOwnMember({ ...deps, etcd, store }).catch(async (error: unknown) => {
      await store.close();
      throw error;
    });
    followDataKey(store, dataKeys);
    await removeLeftBehind(config.dataDir, ports.logger);
    const unwatch = isExternal ? retireByRole(store, deps) : () => {};
    return {
      ...{ store, etcd, dataKeys, isExternal },
      refuseManager: (newcomer) => whyNotAnother(config, isExternal, newcomer),
      share: async () => etcd,
      close: async () => {
        unwatch();
        await store.close();
        await etcd.stop();
      },
    };
  } catch (error) {
    await etcd.stop();
    throw error;
  }
}

function heldKeys({ config, ports, vault }: StoreHostDependencies): Promise<DataKeys> {
  const { directory, dataKey: path } = managerFiles(config.dataDir);
  if (!existsSync(path)) return Promise.reject(incomplete('data.key', directory));
  return DataKeys.open({ path, vault, logger: ports.logger });
}

/** Starts the etcd of this host with the data that is there. `damaged` without its membership. */
export async function startOwnEtcd(
  deps: StoreHostDependencies,
  options: { forceNewCluster?: boolean; quotaBytes?: number } = {},
): Promise<EtcdHost> {
  const { dataDir } = deps.config;
  const membership = await loadEtcdMembership(dataDir, deps.vault);
  if (membership === undefined) throw incomplete('etcd.json', managerDir(dataDir));
  const listening = { ...membership, listenPeerUrl: peerUrl(deps.member.listenAddr) };
  return startEtcdHost({ ...deps, ...options, membership: listening });
}

async function connectExternal({ config, ports, clusterId }: StoreHostDependencies): Promise<EtcdHost> {
  if (config.store === undefined) throw storeMismatch(true, false);
  const etcd = await openExternalEtcd({ store: config.store, ports, clusterId });
  try {
    await etcd.settle();
    return etcd;
  } catch (error) {
    await etcd.stop();
    throw error;
  }
}

/** No member of an etcd of somebody else is taken away from a manager that is demoted: it sees by itself that it is. */
function retireByRole(store: SharedStore, { nodeId, onGone }: StoreHostDependencies): () => void {
  let gone = false;
  const look = (): void => {
    if (gone || store.leads || store.view.get('node', nodeId)?.Spec.Role === 'manager') return;
    gone = true;
    onGone({ kind: 'removed', detail: 'this node is no manager any more' });
  };
  const ends = [store.watch(look), store.onLeadership(look)];
  return () => {
    gone = true;
    for (const end of ends) end();
  };
}

/** Why a store of one kind and a swarmd told of the other do not go together; `undefined` when they do. */
export function storeMismatch(isExternal: boolean, toldExternal: boolean): SwarmdError | undefined {
  if (isExternal === toldExternal) return undefined;
  const message = isExternal
    ? 'this cluster keeps its state in an etcd that others run: start swarmd on this host with the same --store'
    : 'this cluster keeps its state in an etcd of its own: start swarmd on this host without --store';
  return new SwarmdError('failed-precondition', message);
}

function incomplete(file: string, directory: string): SwarmdError {
  return new SwarmdError('damaged', `${file} is missing in ${directory}: restore it, or leave and join again`);
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

async function whyNotAnother(
  config: DaemonConfig,
  isExternal: boolean,
  newcomer: { externalStore: boolean } | undefined,
): Promise<SwarmdError | undefined> {
  const mismatch = newcomer && storeMismatch(isExternal, newcomer.externalStore);
  return mismatch ?? missingEtcd(config);
}
