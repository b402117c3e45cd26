import {
  type AnyObject,
  CLUSTER_KEY,
  type Clock,
  type Cluster,
  DEFAULTS,
  durationMs,
  idFromBytes,
  isStandby,
  type Node,
  type NodeDescription,
  type Random,
  type RestoreReport,
  rfc3339,
  type StoredObject,
  SwarmdError,
  type TableName,
  withVote,
} from '@swarmd/model';
import { type Identity, parseIdentity } from '@swarmd/wire';
import { createKeyAndCsr, createRootCa, issueCertificate } from '../ca/certificate.js';
import { createJoinTokens } from '../ca/join-token.js';
import type { CertificateAndKey } from '../ca/signer.js';
import {
  type BackedUp,
  backedUpCluster,
  newClusterWords,
  placeOf,
  type RestoringHost,
  restoredIndex,
  sameClusterWords,
} from './restore-plan.js';

/** How {@link prepareRestore} prepares. */
export interface RestoreOptions extends RestoringHost {
  clock: Clock;
  random: Random;
  description: NodeDescription;
  /** A new cluster with what the backup describes, instead of the same one. */
  asNew: boolean;
}

/** A restore that is ready to be written. */
export interface PreparedRestore {
  identity: Identity;
  /** What the store is to hold, with its versions and times. */
  objects: readonly { table: TableName; object: AnyObject }[];
  /** The index that the store is to have. */
  index: number;
  report: RestoreReport;
}

/**
 * Prepares the restore of a backup on one manager; nothing is written. Rejects with `failed-precondition` when the same
 * cluster is asked for and the backup has no root key, and as {@link placeOf} does.
 */
export async function prepareRestore(backup: BackedUp, options: RestoreOptions): Promise<PreparedRestore> {
  const now = options.clock.now();
  const index = restoredIndex(backup.index, Date.parse(backup.createdAt), now);
  const stamp = { Version: { Index: index }, CreatedAt: rfc3339(now), UpdatedAt: rfc3339(now) };
  const made = options.asNew
    ? await newCluster(backup, options, stamp)
    : await sameCluster(backup, options, stamp, placeOf(backup, options));
  const counts: Record<string, number> = {};
  for (const { table } of made.objects) counts[table] = (counts[table] ?? 0) + 1;
  return {
    identity: made.identity,
    objects: made.objects,
    index,
    report: {
      ClusterID: made.identity.clusterId,
      NodeID: made.identity.nodeId,
      Index: backup.index,
      CreatedAt: backup.createdAt,
      Counts: counts,
      Steps: made.words.steps,
      Warnings: made.words.warnings,
    },
  };
}

type Stamp = Omit<StoredObject, 'ID'>;
type Made = Pick<PreparedRestore, 'identity' | 'objects'> & { words: { steps: string[]; warnings: string[] } };
type TableObjects = Partial<Record<TableName, readonly AnyObject[]>>;

async function sameCluster(
  backup: BackedUp,
  options: RestoreOptions,
  stamp: Stamp,
  place: Node | undefined,
): Promise<Made> {
  // The store that the backup was made of had other data keys.
  const { DataKey: _, ...cluster } = backedUpCluster(backup);
  if (cluster.RootCA.Key === '')
    throw new SwarmdError(
      'failed-precondition',
      'the backup has no key of the root certificate, so that this host cannot get a certificate: restore with --as-new',
    );
  const nodeId = place?.ID ?? idFromBytes(options.random.bytes(17));
  const others = backup.nodes.filter(({ ID }) => ID !== nodeId).map((node) => demoted(node, stamp));
  const self = place === undefined ? newNode(nodeId, options, stamp) : returned(place, options, stamp);
  const objects = flatten({ ...unchanged(backup), cluster: [cluster], node: [self, ...others], task: backup.tasks });
  return {
    identity: await ownIdentity(cluster, nodeId, options),
    objects,
    words: sameClusterWords(backup, options, place),
  };
}

async function newCluster(backup: BackedUp, options: RestoreOptions, stamp: Stamp): Promise<Made> {
  const { clock, random } = options;
  const { Spec, DefaultAddrPool, SubnetSize, DataPathPort } = backedUpCluster(backup);
  const root = await createRootCa(clock.now(), random);
  const cluster: Cluster = {
    ...stamp,
    ID: CLUSTER_KEY,
    ClusterID: idFromBytes(random.bytes(17)),
    // The key that would unlock its managers belongs to the other cluster.
    Spec: { ...Spec, EncryptionConfig: { ...Spec.EncryptionConfig, AutoLockManagers: false } },
    RootCA: { Certificate: root.certificatePem, Key: root.keyPem },
    JoinTokens: createJoinTokens(root.certificatePem, random),
    ...{ DefaultAddrPool, SubnetSize, DataPathPort, RemovedNodes: {} },
  };
  const nodeId = idFromBytes(random.bytes(17));
  const services = backup.services.filter(({ PendingDelete }) => PendingDelete !== true);
  const kept = new Set(services.map(({ ID }) => ID));
  const jobs = new Set(services.filter(({ Spec: { Mode } }) => Mode?.ReplicatedJob).map(({ ID }) => ID));
  const objects = flatten({
    ...unchanged(backup),
    cluster: [cluster],
    node: [newNode(nodeId, options, stamp)],
    // What was being updated has no old tasks any more: all start with the present spec.
    service: services.map(({ UpdateStatus: _, UpdateProgress: __, ...service }) => service),
    spec: backup.specs.filter(({ ServiceID }) => kept.has(ServiceID)),
    task: backup.tasks.filter((task) => jobs.has(task.ServiceID) && task.Status.State === 'complete'),
  });
  return { identity: await ownIdentity(cluster, nodeId, options), objects, words: newClusterWords(backup, options) };
}

function unchanged({ networks, secrets, configs, services, specs }: BackedUp): TableObjects {
  return { network: networks, secret: secrets, config: configs, service: services, spec: specs };
}

function flatten(tables: TableObjects): PreparedRestore['objects'] {
  return (Object.keys(tables) as TableName[]).flatMap((table) =>
    (tables[table] ?? []).map((object) => ({ table, object })),
  );
}

/** This host's node where the backup has none for it. */
function newNode(ID: string, options: RestoreOptions, stamp: Stamp): Node {
  const Spec = { Role: 'manager' as const, Availability: 'active' as const, Labels: {} };
  return { ...stamp, ID, Spec, ...asManager(options), Description: options.description };
}

/** The backed-up node whose place this host takes. */
function returned(node: Node, options: RestoreOptions, stamp: Stamp): Node {
  // It gets another certificate now; what is written of the one that it had could end a rotation too early.
  const { Certificate: _had, RenewFrom: _asked, ...rest } = node;
  const Spec = isStandby(node) ? withVote(node.Spec) : node.Spec;
  return { ...rest, Spec, ...asManager(options), UpdatedAt: stamp.UpdatedAt, Description: options.description };
}

function asManager({ advertiseAddr }: RestoreOptions): Pick<Node, 'Status' | 'ManagerStatus' | 'CertificateRole'> {
  return {
    Status: { State: 'unknown', Addr: advertiseAddr.replace(/:\d+$/, '') },
    ManagerStatus: { Leader: true, Reachability: 'reachable', Addr: advertiseAddr },
    CertificateRole: 'manager',
  };
}

/** A node as it is when it manages no more; a worker as it was. */
function demoted(node: Node, stamp: Stamp): Node {
  if (node.Spec.Role !== 'manager' && node.ManagerStatus === undefined) return node;
  const { ManagerStatus: _, ...rest } = node;
  if (node.Spec.Role !== 'manager') return rest;
  const { Version, UpdatedAt } = stamp;
  return { ...rest, Version, UpdatedAt, Spec: { ...node.Spec, Role: 'worker' } };
}

async function ownIdentity(cluster: Cluster, nodeId: string, { clock, random }: RestoreOptions): Promise<Identity> {
  const root: CertificateAndKey = { certificatePem: cluster.RootCA.Certificate, keyPem: cluster.RootCA.Key };
  const { keyPem, csrPem } = await createKeyAndCsr();
  const validityMs = durationMs(cluster.Spec.CAConfig?.NodeCertExpiry, DEFAULTS.nodeCertExpiryMs);
  const names = { nodeId, clusterId: cluster.ClusterID, role: 'manager' as const };
  const certificatePem = await issueCertificate({ root, csrPem, ...names, nowMs: clock.now(), validityMs }, random);
  return parseIdentity({ certificatePem, keyPem, rootPem: root.certificatePem });
}
