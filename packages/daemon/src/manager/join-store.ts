import { mkdir, rm } from 'node:fs/promises';
import { createEtcdKeyAndCsr } from '@swarmd/etcd';
import { parseUnlockKey, saveDataKeys } from '@swarmd/store';
import { askLeader, type JoinStoreOptions } from './ask-leader.js';
import {
  type EtcdMembership,
  loadEtcdMembership,
  managerFiles,
  removeEtcd,
  saveDriver,
  saveEtcdMembership,
} from './manager-files.js';
import { parseAdded } from './members.js';
import { peerUrl } from './peer-url.js';

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
  const { keyPem, csrPem } = await createEtcdKeyAndCsr();
  const advertisePeerUrl = peerUrl(member.advertiseAddr);
  const request = { nodeId: identity.current.nodeId, peerUrl: advertisePeerUrl, csrPem };
  const added = parseAdded(await askLeader(options, 'managers.add', request, ADD_TIMEOUT_MS));
  // Before anything of it is on the disk.
  await vault.rekey(added.unlockKey === undefined ? undefined : parseUnlockKey(added.unlockKey));
  const bytes = Buffer.from(added.dataKey, 'base64');
  const madeUnder = vault.key?.id ?? '';
  await vault.write((keys) => saveDataKeys(files.dataKey, [{ bytes, uses: 0, madeUnder }], keys));
  const membership: EtcdMembership = {
    listenPeerUrl: peerUrl(member.listenAddr),
    advertisePeerUrl,
    initialCluster: added.initialCluster,
    initialClusterState: 'existing',
    tls: { caPem: added.caPem, certificatePem: added.certificatePem, keyPem },
  };
  await saveEtcdMembership(config.dataDir, membership, vault);
  await saveDriver(config.dataDir, 'etcd');
}

/** Has the leader give this host's etcd its vote, once it has caught up. Nothing to do when it has one. */
export async function askForVote(options: JoinStoreOptions): Promise<void> {
  const membership = await loadEtcdMembership(options.config.dataDir, options.vault);
  const request = { nodeId: options.identity.current.nodeId, peerUrl: membership?.advertisePeerUrl ?? '' };
  await askLeader(options, 'managers.promote', request, PROMOTE_TIMEOUT_MS);
}
