import { type Cluster, DEFAULTS, type Node, type ReadView } from '@swarmd/model';
import type { ClusterUpdate, ManagerPeer } from '@swarmd/wire';
import { trustedRoots } from '../ca/issuing-root.js';

/** What an agent is to know of its cluster. */
export interface ClusterFacts {
  managers: readonly ManagerPeer[];
  rootPem: string;
  /** JSON of the node's own object, as far as it concerns the agent. */
  node: string;
  renewCertificate: boolean;
  /** JSON of the log driver of tasks whose spec names none; empty for the engine's own. */
  taskLogDriver: string;
  dataPath: DataPathFacts;
}

/** What an agent is to know of the overlays' UDP port. */
export interface DataPathFacts {
  port: number;
  /** Data path addresses of all other nodes, sorted. */
  peers: readonly string[];
}

/** The managers of a cluster and where agents reach them, by node ID. */
export function managerPeers(view: ReadView): readonly ManagerPeer[] {
  const managers: ManagerPeer[] = [];
  for (const { ID, Spec, ManagerStatus } of view.all('node')) {
    const addr = ManagerStatus?.Addr ?? '';
    if (Spec.Role === 'manager' && addr !== '') managers.push({ nodeId: ID, addr });
  }
  return managers.sort((a, b) => (a.nodeId < b.nodeId ? -1 : 1));
}

/** Where the nodes' ends of the overlays are: by node ID, their addresses. */
export type DataPathAddresses = ReadonlyMap<string, string>;

/** The data path addresses of all nodes of a cluster, by node ID. */
export function dataPathAddresses(view: ReadView): DataPathAddresses {
  const addresses = new Map<string, string>();
  for (const { ID, DataPath } of view.all('node')) if (DataPath !== undefined) addresses.set(ID, DataPath.Addr);
  return addresses;
}

/** What an agent whose certificate says `role` is to know of its node and cluster. */
export function clusterFacts({
  node,
  cluster,
  managers,
  role,
  dataPaths,
}: {
  node: Node | undefined;
  cluster: Cluster | undefined;
  managers: readonly ManagerPeer[];
  role: 'worker' | 'manager';
  dataPaths: DataPathAddresses;
}): ClusterFacts {
  const { ID, Version, Spec, Description, Status } = node ?? {};
  return {
    managers,
    rootPem: cluster === undefined ? '' : trustedRoots(cluster),
    taskLogDriver: taskLogDriver(cluster),
    dataPath: {
      port: cluster?.DataPathPort || DEFAULTS.dataPathPort,
      peers: [...dataPaths].flatMap(([id, addr]) => (id === ID ? [] : [addr])).sort(),
    },
    node: node === undefined ? '' : JSON.stringify({ ID, Version, Spec, Description, Status: { Addr: Status?.Addr } }),
    renewCertificate: node !== undefined && (node.Spec.Role !== role || mustRenew(node)),
  };
}

/** Whether the node was asked for a certificate of another root than the one it uses. */
function mustRenew({ RenewFrom, Certificate }: Node): boolean {
  return RenewFrom !== undefined && RenewFrom !== Certificate?.Issuer;
}

/** JSON of a cluster's default log driver; empty when it has none. */
export function taskLogDriver(cluster: Cluster | undefined): string {
  const driver = cluster?.Spec.TaskDefaults?.LogDriver;
  return driver?.Name ? JSON.stringify(driver) : '';
}

/** The message that brings an agent from `told` to `facts`, with only the parts that changed; `undefined` when none did. */
export function clusterUpdate(told: ClusterFacts | undefined, facts: ClusterFacts): ClusterUpdate | undefined {
  const managers =
    told?.managers !== facts.managers && JSON.stringify(told?.managers) !== JSON.stringify(facts.managers);
  const root = told?.rootPem !== facts.rootPem;
  const node = told?.node !== facts.node;
  const renew = facts.renewCertificate && !told?.renewCertificate;
  const driver = (told?.taskLogDriver ?? '') !== facts.taskLogDriver;
  const dataPath = JSON.stringify(told?.dataPath) !== JSON.stringify(facts.dataPath);
  if (!managers && !root && !node && !renew && !driver && !dataPath) return undefined;
  return {
    managers: managers ? [...facts.managers] : [],
    rootCertificatePem: Buffer.from(root ? facts.rootPem : ''),
    node: Buffer.from(node ? facts.node : ''),
    renewCertificate: facts.renewCertificate,
    ...(driver ? { taskLogDriver: Buffer.from(facts.taskLogDriver) } : {}),
    dataPathPort: dataPath ? facts.dataPath.port : 0,
    dataPathPeers: dataPath ? [...facts.dataPath.peers] : [],
  };
}
