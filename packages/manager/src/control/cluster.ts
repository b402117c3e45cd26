import {
  type ApiObject,
  CLUSTER_KEY,
  type Cluster,
  type ClusterSpec,
  ClusterSpecSchema,
  type Control,
  SwarmdError,
} from '@swarmd/model';
import { createUnlockKey } from '@swarmd/store';
import { dataKeyRotation } from '../cluster/data-key.js';
import type { ControlDependencies } from './dependencies.js';
import { invalid, outOfSequence, rpcError } from './errors.js';
import { parseBody } from './parse.js';
import { checkExternalCas, prepareRootChange, withoutRoots } from './root-rotation.js';
import { createTlsInfoReader, type TlsInfoReader } from './tls-info.js';

const HOUR_NS = 3_600_000_000_000;

/** The cluster object: inspect, update, rotation of the root, of join tokens and of the unlock key. */
export function clusterControl(
  deps: ControlDependencies,
): Pick<Control, 'getCluster' | 'getUnlockKey' | 'updateCluster'> {
  const { store, tokens } = deps;
  const tlsInfo = createTlsInfoReader();
  return {
    async getCluster() {
      const cluster = clusterToApi(existing(store.view.get('cluster', CLUSTER_KEY)), tlsInfo);
      const rotation = dataKeyRotation(store.view);
      return rotation === undefined ? cluster : { ...cluster, DataKeyRotation: rotation };
    },
    async getUnlockKey() {
      return { UnlockKey: existing(store.view.get('cluster', CLUSTER_KEY)).UnlockKey ?? '' };
    },
    async updateCluster(version, body, rotate) {
      const spec = parseBody(ClusterSpecSchema, body);
      const now = existing(store.view.get('cluster', CLUSTER_KEY));
      if (now.Version.Index === version) checkChange(now.Spec, spec);
      // Of an older version nothing comes but its refusal, or the first answer to a call that is made again.
      const roots = now.Version.Index === version ? await prepareRootChange(now, spec.CAConfig, deps) : undefined;
      await store.update((tx) => {
        const cluster = existing(tx.get('cluster', CLUSTER_KEY));
        if (cluster.Version.Index !== version) throw outOfSequence();
        const { Worker, Manager } = cluster.JoinTokens;
        const { UnlockKey: before, ...rest } = cluster;
        const Spec = merge(cluster.Spec, withoutRoots(spec));
        tx.put('cluster', {
          ...(roots === undefined ? rest : withRoots(rest, roots(cluster))),
          ...unlockKeyFor(Spec, rotate.managerUnlockKey ? undefined : before),
          Spec,
          JoinTokens: {
            Worker: rotate.workerToken ? tokens.rotateJoinToken('worker') : Worker,
            Manager: rotate.managerToken ? tokens.rotateJoinToken('manager') : Manager,
          },
        });
      });
    },
  };
}

/** The spec of a cluster that is to be made, from a request body: checked as a change of one is. */
export function parseClusterSpec(body: unknown): ClusterSpec {
  const spec = parseBody(ClusterSpecSchema, body);
  checkChange({}, spec);
  if (spec.CAConfig?.SigningCACert || spec.CAConfig?.SigningCAKey) {
    const message = 'a cluster begins with a root CA of its own: rotate to another one once it is there';
    throw rpcError('unimplemented', message, 'CAConfig.SigningCACert');
  }
  return withoutRoots(spec);
}

/** The unlock key of a cluster with this spec: the one that it has, a new one, or none while the lock is off. */
export function unlockKeyFor(spec: ClusterSpec, before?: string): Pick<Cluster, 'UnlockKey'> {
  if (spec.EncryptionConfig?.AutoLockManagers !== true) return {};
  return { UnlockKey: before ?? createUnlockKey() };
}

/** A rotation that is over is no field without a value: it is gone. */
function withRoots<C extends Pick<Cluster, 'RootCA' | 'RootRotation'>>(
  { RootRotation: _before, ...cluster }: C,
  roots: Pick<Cluster, 'RootCA' | 'RootRotation'>,
) {
  return { ...cluster, ...roots };
}

function existing(cluster: Cluster | undefined): Cluster {
  if (cluster === undefined) throw new SwarmdError('not-found', 'no cluster found');
  return cluster;
}

const SECTIONS = ['Orchestration', 'Raft', 'Dispatcher', 'CAConfig', 'TaskDefaults', 'EncryptionConfig'] as const;

/** The spec with a client's changes: what it leaves out stays as it was (Docker's `MergeSwarmSpecToGRPC`). */
function merge(old: ClusterSpec, change: ClusterSpec): ClusterSpec {
  checkChange(old, change);
  const merged: ClusterSpec = { ...old, Labels: change.Labels ?? old.Labels ?? {} };
  for (const section of SECTIONS) {
    const given = Object.entries(change[section] ?? {}).filter(([, value]) => value !== null && value !== undefined);
    merged[section] = { ...old[section], ...Object.fromEntries(given) };
  }
  return merged;
}

function checkChange(old: ClusterSpec, change: ClusterSpec): void {
  const name = change.Name ?? '';
  if (name !== '' && name !== (old.Name ?? 'default')) {
    throw invalid('modification of cluster name is not allowed', 'Name');
  }
  const expiry = change.CAConfig?.NodeCertExpiry;
  if (expiry && expiry < HOUR_NS)
    throw invalid('minimum certificate expiry time is: 1h0m0s', 'CAConfig.NodeCertExpiry');
  if ((change.Dispatcher?.HeartbeatPeriod ?? 0) < 0) {
    throw invalid('heartbeat time period cannot be a negative duration', 'Dispatcher.HeartbeatPeriod');
  }
  checkExternalCas(change.CAConfig ?? {});
}

/** The cluster in the API's JSON, join tokens included: `GET /swarm` shows them, `GET /info` does not. */
function clusterToApi(cluster: Cluster, tlsInfo: TlsInfoReader): ApiObject {
  const {
    ClusterID: ID,
    Version,
    CreatedAt,
    UpdatedAt,
    Spec,
    DefaultAddrPool,
    SubnetSize,
    DataPathPort,
    JoinTokens,
  } = cluster;
  return {
    ID,
    Version,
    CreatedAt,
    UpdatedAt,
    Spec: { ...Spec, Labels: Spec.Labels ?? {} },
    TLSInfo: tlsInfo(cluster) ?? {},
    RootRotationInProgress: cluster.RootRotation !== undefined,
    DefaultAddrPool: DefaultAddrPool.length > 0 ? DefaultAddrPool : null,
    SubnetSize,
    DataPathPort,
    JoinTokens,
  };
}
