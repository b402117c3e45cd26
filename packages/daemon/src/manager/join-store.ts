import { mkdir, rm } from 'node:fs/promises';
import { createEtcdKeyAndCsr } from '@swarmd/etcd';
import { SwarmdError, VERSIONS } from '@swarmd/model';
import { parseUnlockKey, saveDataKeys } from '@swarmd/store';
import type { DataKeys } from '../lock/data-keys.js';
import { keysFromWire, syncKeys } from '../lock/key-exchange.js';
import { askLeader, type JoinStoreOptions } from './ask-leader.js';
import {
  type EtcdMembership,
  loadEtcdMembership,
  managerFiles,
  markStandby,
  removeEtcd,
  saveDriver,
  saveEtcdMembership,
} from './manager-files.js';
import { parseAdded } from './members.js';
import { peerUrl } from './peer-url.js';
import { type StandbyOrders, StandbySchema } from './standby-members.js';

/** Moving a large store to etcd, when the second manager joins, takes its time. */
const ADD_TIMEOUT_MS = 120_000;
const PROMOTE_TIMEOUT_MS = 15_000;

/**
 * Has the leader let this host's etcd in, and keeps all that is needed to start it. What was there of an earlier member is
 * removed: it would be another one. Repeated after a crash it begins anew.
 */
export async function enterStore(options: JoinStoreOptions): Promise<void> {
  const { config, identity, member, vault } = options;
  const files = managerFiles(config.dataDir);
  await removeEtcd(config.dataDir);
  await rm(files.driver, { force: true });
  await rm(files.level, { recursive: true, force: true });
  await mkdir(files.directory, { recursive: true, mode: 0o700 });
  const own = config.store === undefined ? await createEtcdKeyAndCsr() : undefined;
  const advertisePeerUrl = peerUrl(member.advertiseAddr);
  const { swarmd, stateFormat } = VERSIONS;
  const request = {
    ...{ nodeId: identity.current.nodeId, swarmd, stateFormat },
    ...(own === undefined ? {} : { member: { peerUrl: advertisePeerUrl, csrPem: own.csrPem } }),
  };
  const added = parseAdded(await askLeader(options, 'managers.add', request, ADD_TIMEOUT_MS));
  // Before anything of it is on the disk.
  await vault.rekey(added.unlockKey === undefined ? undefined : parseUnlockKey(added.unlockKey));
  const madeUnder = vault.key?.id ?? '';
  const [first, ...others] = keysFromWire(added.dataKeys ?? [{ bytes: added.dataKey, madeUnder }]);
  if (first === undefined) throw new SwarmdError('internal', 'the leader gave no data key');
  await vault.write((keys) => saveDataKeys(files.dataKey, [first, ...others], keys));
  if (own === undefined || added.member === undefined) return saveDriver(config.dataDir, 'external');
  const { initialCluster, caPem, certificatePem } = added.member;
  const membership: EtcdMembership = {
    listenPeerUrl: peerUrl(member.listenAddr),
    advertisePeerUrl,
    initialCluster,
    initialClusterState: 'existing',
    tls: { caPem, certificatePem, keyPem: own.keyPem },
  };
  await saveEtcdMembership(config.dataDir, membership, vault);
  await markStandby(config.dataDir, added.standby);
  await saveDriver(config.dataDir, 'etcd');
}

/**
 * Fetches the data keys that this host lacks, as one does that was put back to an earlier state. Resolves with whether
 * there were any.
 */
export async function fetchKeys(options: JoinStoreOptions, dataKeys: DataKeys): Promise<boolean> {
  const call = (method: string, args: unknown) => askLeader(options, method, args, PROMOTE_TIMEOUT_MS);
  return syncKeys(dataKeys, options.identity.current.nodeId, call);
}

/**
 * Has the leader give this host's etcd its vote, once it has caught up. Nothing to do when it has one, or is not ours.
 * Resolves with what the leader says to a standby, which gets none.
 */
export async function askForVote(options: JoinStoreOptions): Promise<StandbyOrders | undefined> {
  if (options.config.store !== undefined) return undefined;
  const membership = await loadEtcdMembership(options.config.dataDir, options.vault);
  const request = { nodeId: options.identity.current.nodeId, peerUrl: membership?.advertisePeerUrl ?? '' };
  return StandbySchema.parse(await askLeader(options, 'managers.promote', request, PROMOTE_TIMEOUT_MS))?.standby;
}
