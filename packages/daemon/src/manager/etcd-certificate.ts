import { createEtcdCa, issueEtcdCertificate } from '@swarmd/etcd';
import { CLUSTER_KEY, type Clock, type Random, type SharedStore, SwarmdError } from '@swarmd/model';
import { peerIp } from './peer-url.js';

/** Certificates of etcd's members; the CA lives longer. */
const ETCD_CERTIFICATE_MS = 10 * 365 * 24 * 3_600_000;

/** The certificate of the CA of the cluster's etcd members, which is made and kept in the store if there is none. */
export async function ensureEtcdCa(store: SharedStore, clock: Clock, random: Random): Promise<string> {
  const made = await createEtcdCa(clock.now(), random);
  return store.update((tx) => {
    const cluster = tx.get('cluster', CLUSTER_KEY);
    if (cluster === undefined) throw new SwarmdError('unavailable', 'this manager has no cluster yet');
    if (cluster.EtcdCA !== undefined) return cluster.EtcdCA.Certificate;
    tx.put('cluster', { ...cluster, EtcdCA: { Certificate: made.certificatePem, Key: made.keyPem } });
    return made.certificatePem;
  });
}

/** A certificate for etcd's member of `nodeId` at `peerUrl`, from the CA in the store. `internal` without one. */
export async function memberCertificate(
  store: SharedStore,
  { nodeId, peerUrl, csrPem }: { nodeId: string; peerUrl: string; csrPem: string },
  clock: Clock,
  random: Random,
): Promise<string> {
  const { EtcdCA } = store.view.get('cluster', CLUSTER_KEY) ?? {};
  if (EtcdCA === undefined) throw new SwarmdError('internal', 'the cluster has no CA for etcd');
  const ca = { certificatePem: EtcdCA.Certificate, keyPem: EtcdCA.Key };
  const names = { ca, csrPem, nodeId, ips: [peerIp(peerUrl)] };
  return issueEtcdCertificate({ ...names, nowMs: clock.now(), validityMs: ETCD_CERTIFICATE_MS }, random);
}
