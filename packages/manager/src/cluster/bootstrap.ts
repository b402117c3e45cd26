import {
  CLUSTER_KEY,
  type Clock,
  type ClusterSpec,
  DEFAULTS,
  durationMs,
  idFromBytes,
  type Node,
  type NodeDescription,
  NS_PER_MS,
  type Random,
  rfc3339,
  type Store,
  SwarmdError,
} from '@swarmd/model';
import { type Identity, parseIdentity } from '@swarmd/wire';
import { createKeyAndCsr, createRootCa, issueCertificate } from '../ca/certificate.js';
import { issuerName } from '../ca/issuing-root.js';
import { createJoinTokens } from '../ca/join-token.js';
import type { CertificateAndKey } from '../ca/signer.js';
import { parseClusterSpec, unlockKeyFor } from '../control/cluster.js';

/** What a user may choose when a cluster is made. */
export interface BootstrapOptions {
  clock: Clock;
  random: Random;
  /** Where other nodes reach this manager: `host:port`. */
  advertiseAddr: string;
  spec?: ClusterSpec;
  availability?: Node['Spec']['Availability'];
  description?: NodeDescription;
  defaultAddrPool?: readonly string[];
  subnetSize?: number;
  dataPathPort?: number;
  /** The unlock key, `SWMKEY-1-…`, that this manager's secrets are sealed with if the spec turns the lock on; else a new one. */
  unlockKey?: string;
}

/** The spec that Docker Swarm gives a new cluster, with what the user chose in place of it. */
export function defaultClusterSpec(chosen: ClusterSpec = {}): ClusterSpec {
  return {
    ...chosen,
    Name: 'default',
    Labels: chosen.Labels ?? {},
    Orchestration: { TaskHistoryRetentionLimit: DEFAULTS.taskHistoryRetentionLimit, ...chosen.Orchestration },
    Raft: {
      SnapshotInterval: 10_000,
      KeepOldSnapshots: 0,
      LogEntriesForSlowFollowers: 500,
      ElectionTick: 10,
      HeartbeatTick: 1,
      ...chosen.Raft,
    },
    Dispatcher: { HeartbeatPeriod: DEFAULTS.heartbeatPeriodNs, ...chosen.Dispatcher },
    CAConfig: { NodeCertExpiry: DEFAULTS.nodeCertExpiryMs * NS_PER_MS, ...chosen.CAConfig },
    TaskDefaults: { ...chosen.TaskDefaults },
    EncryptionConfig: { AutoLockManagers: false, ...chosen.EncryptionConfig },
  };
}

/**
 * Makes a cluster in an empty store: root certificate, join tokens, cluster object, and this node as its first manager,
 * in one transaction. Resolves with this node's identity. `failed-precondition` when the store holds a cluster already,
 * `invalid-argument` for a spec that no cluster can have.
 */
export async function bootstrapCluster(store: Store, options: BootstrapOptions): Promise<Identity> {
  const { clock, random, advertiseAddr } = options;
  const clusterId = idFromBytes(random.bytes(17));
  const nodeId = idFromBytes(random.bytes(17));
  const spec = defaultClusterSpec(parseClusterSpec(options.spec));
  const root = await createRootCa(clock.now(), random);
  const validityMs = durationMs(spec.CAConfig?.NodeCertExpiry, DEFAULTS.nodeCertExpiryMs);
  const identity = await issueOwn(root, { nodeId, clusterId, nowMs: clock.now(), validityMs }, random);
  await store.update((tx) => {
    if (tx.get('cluster', CLUSTER_KEY) !== undefined) {
      throw new SwarmdError('failed-precondition', 'the store holds a cluster already');
    }
    tx.create('cluster', {
      ID: CLUSTER_KEY,
      ClusterID: clusterId,
      Spec: spec,
      RootCA: { Certificate: root.certificatePem, Key: root.keyPem },
      JoinTokens: createJoinTokens(root.certificatePem, random),
      DefaultAddrPool: [...(options.defaultAddrPool ?? ['10.0.0.0/8'])],
      SubnetSize: options.subnetSize ?? 24,
      DataPathPort: options.dataPathPort ?? DEFAULTS.dataPathPort,
      RemovedNodes: {},
      ...unlockKeyFor(spec, options.unlockKey),
    });
    tx.create('node', {
      ID: nodeId,
      Spec: { Role: 'manager', Availability: options.availability ?? 'active', Labels: {} },
      ...(options.description === undefined ? {} : { Description: options.description }),
      Status: { State: 'unknown', Addr: advertiseAddr.replace(/:\d+$/, '') },
      ManagerStatus: { Leader: true, Reachability: 'reachable', Addr: advertiseAddr },
      CertificateRole: 'manager',
      Certificate: {
        Issuer: issuerName(root.certificatePem),
        NotBefore: rfc3339(identity.notBefore),
        NotAfter: rfc3339(identity.notAfter),
      },
    });
  });
  return identity;
}

async function issueOwn(
  root: CertificateAndKey,
  names: { nodeId: string; clusterId: string; nowMs: number; validityMs: number },
  random: Random,
): Promise<Identity> {
  const { keyPem, csrPem } = await createKeyAndCsr();
  const certificatePem = await issueCertificate({ root, csrPem, role: 'manager', ...names }, random);
  return parseIdentity({ certificatePem, keyPem, rootPem: root.certificatePem });
}
