import { createEtcdCa, createEtcdKeyAndCsr, type EtcdCa, issueEtcdCertificate } from '@swarmd/etcd';
import { CLUSTER_KEY, type Random, type SharedStore, SwarmdError } from '@swarmd/model';
import { moveLog, type ValueCipher } from '@swarmd/store';
import type { ExternalEtcdConfig } from '../store-url.js';
import { type DriverFlip, driverFlip } from './driver-flip.js';
import { type EtcdHost, startEtcdHost } from './etcd-host.js';
import { openExternalEtcd } from './external-etcd.js';
import { type EtcdMembership, removeEtcd, saveEtcdMembership } from './manager-files.js';
import { peerIp, peerUrl } from './peer-url.js';
import type { StoreHostDependencies } from './store-host.js';

/** Certificates of etcd's members; the CA lives longer. */
export const ETCD_CERTIFICATE_MS = 10 * 365 * 24 * 3_600_000;
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
  const { config, ports } = deps;
  await removeEtcd(config.dataDir);
  const ca = await etcdCa(store, ports.clock.now(), ports.random);
  const membership = await firstMembership(deps, ca);
  await saveEtcdMembership(config.dataDir, membership, deps.vault);
  const onMoved = (): void => deps.onFailure(new SwarmdError('unavailable', 'etcd had to take another port'));
  const etcd = await startEtcdHost({ ...deps, membership, onMoved });
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

/** The CA of the cluster's etcd members, made if there is none. */
async function etcdCa(store: SharedStore, nowMs: number, random: Random): Promise<EtcdCa> {
  const made = await createEtcdCa(nowMs, random);
  const { Certificate, Key } = await store.update((tx) => {
    const cluster = tx.get('cluster', CLUSTER_KEY);
    if (cluster === undefined) throw new SwarmdError('unavailable', 'this manager has no cluster yet');
    if (cluster.EtcdCA !== undefined) return cluster.EtcdCA;
    const EtcdCA = { Certificate: made.certificatePem, Key: made.keyPem };
    tx.put('cluster', { ...cluster, EtcdCA });
    return EtcdCA;
  });
  return { certificatePem: Certificate, keyPem: Key };
}

async function firstMembership(deps: StoreHostDependencies, ca: EtcdCa): Promise<EtcdMembership> {
  const { ports, nodeId, member } = deps;
  const { keyPem, csrPem } = await createEtcdKeyAndCsr();
  const advertisePeerUrl = peerUrl(member.advertiseAddr);
  const certificatePem = await issueEtcdCertificate(
    {
      ...{ ca, csrPem, nodeId, ips: [peerIp(advertisePeerUrl)] },
      ...{ nowMs: ports.clock.now(), validityMs: ETCD_CERTIFICATE_MS },
    },
    ports.random,
  );
  return {
    listenPeerUrl: peerUrl(member.listenAddr),
    advertisePeerUrl,
    initialCluster: [{ name: nodeId, peerUrl: advertisePeerUrl }],
    initialClusterState: 'new',
    tls: { caPem: ca.certificatePem, certificatePem, keyPem },
  };
}
