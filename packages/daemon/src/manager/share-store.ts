import { createEtcdKeyAndCsr } from '@swarmd/etcd';
import type { SharedStore } from '@swarmd/model';
import { moveLog, type ValueCipher } from '@swarmd/store';
import type { ExternalEtcdConfig } from '../store-url.js';
import { type DriverFlip, driverFlip } from './driver-flip.js';
import { ensureEtcdCa, memberCertificate } from './etcd-certificate.js';
import { type EtcdHost, startEtcdHost } from './etcd-host.js';
import { openExternalEtcd } from './external-etcd.js';
import { type EtcdMembership, removeEtcd, saveEtcdMembership } from './manager-files.js';
import { peerUrl } from './peer-url.js';
import type { StoreHostDependencies } from './store-host.js';

/** Moving a large store may take this long. */
const SHARE_TIMEOUT_MS = 120_000;

/**
 * Moves this manager's store from the embedded log to the etcd that `--store` names, or to one of its own, while it goes
 * on. What fails leaves the store where it was, and nothing of it behind.
 */
export function shareStore(deps: StoreHostDependencies, store: SharedStore, cipher: ValueCipher): Promise<EtcdHost> {
  return deps.config.store === undefined
    ? shareInOwn(deps, store, cipher)
    : shareExternally(deps, deps.config.store, store, cipher);
}

async function shareInOwn(deps: StoreHostDependencies, store: SharedStore, cipher: ValueCipher): Promise<EtcdHost> {
  const { config } = deps;
  await removeEtcd(config.dataDir);
  const membership = await firstMembership(deps, store);
  await saveEtcdMembership(config.dataDir, membership, deps.vault);
  const etcd = await startEtcdHost({ ...deps, membership });
  const flip = driverFlip(config.dataDir, 'etcd', store, deps.onFailure);
  try {
    await move(deps, store, cipher, etcd, flip);
    return etcd;
  } catch (error) {
    await etcd.stop();
    if (!flip.isUnsure) await removeEtcd(config.dataDir);
    throw error;
  }
}

async function shareExternally(
  deps: StoreHostDependencies,
  config: ExternalEtcdConfig,
  store: SharedStore,
  cipher: ValueCipher,
): Promise<EtcdHost> {
  const { ports, clusterId } = deps;
  const etcd = await openExternalEtcd({ store: config, ports, clusterId });
  let prepared = false;
  const flip = driverFlip(deps.config.dataDir, 'external', store, deps.onFailure);
  try {
    await etcd.prepare();
    prepared = true;
    await move(deps, store, cipher, etcd, flip);
    prepared = false;
    // Where it fails the next start does it.
    await etcd.settle().catch((err: unknown) => ports.logger.warn({ err }, 'the move is not noted in etcd yet'));
    return etcd;
  } catch (error) {
    if (prepared && !flip.isUnsure)
      await etcd.erase().catch((err: unknown) => ports.logger.warn({ err }, 'a copy of the store remains'));
    await etcd.stop();
    throw error;
  }
}

async function move(
  { ports, nodeId, member }: StoreHostDependencies,
  store: SharedStore,
  cipher: ValueCipher,
  etcd: EtcdHost,
  flip: DriverFlip,
): Promise<void> {
  const signal = AbortSignal.timeout(SHARE_TIMEOUT_MS);
  const log = await etcd.openLog(cipher, signal);
  const self = { nodeId, addr: member.advertiseAddr };
  try {
    await moveLog(store, log, self, () => flip.run(), signal);
  } catch (error) {
    await log.close();
    throw error;
  }
  ports.logger.info({ index: store.index }, 'the store has moved to etcd: the cluster can have several managers');
}

async function firstMembership(deps: StoreHostDependencies, store: SharedStore): Promise<EtcdMembership> {
  const { nodeId, member } = deps;
  const { clock, random } = deps.ports;
  const caPem = await ensureEtcdCa(store, clock, random);
  const { keyPem, csrPem } = await createEtcdKeyAndCsr();
  const advertisePeerUrl = peerUrl(member.advertiseAddr);
  const about = { nodeId, peerUrl: advertisePeerUrl, csrPem };
  return {
    listenPeerUrl: peerUrl(member.listenAddr),
    advertisePeerUrl,
    initialCluster: [{ name: nodeId, peerUrl: advertisePeerUrl }],
    initialClusterState: 'new',
    tls: { caPem, certificatePem: await memberCertificate(store, about, clock, random), keyPem },
  };
}
