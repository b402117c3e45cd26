import {
  CLUSTER_KEY,
  DEFAULTS,
  isTerminal,
  linesDigest,
  memberLines,
  type Network,
  type NetworkEndpoint,
  type NetworkService,
  type Node,
  type NodeBlocks,
  type ReadView,
} from '@swarmd/model';
import { NetworkEndpoint_Phase, type NetworkEndpoint as WireEndpoint } from '@swarmd/wire';
import { isAssigned } from '../dispatcher/assignments.js';
import { foreignEndpoints, networkService, nodeBlocks, taskEndpoint } from '../dispatcher/endpoints/endpoint-set.js';
import { taskLabel } from './service-endpoints.js';

/** A network as every node that has it should know it. */
export interface ExpectedNetwork {
  network: Network & { Allocation: NonNullable<Network['Allocation']> };
  /** `memberLines` of what nodes are told. */
  lines: string[];
  digest: string;
}

/** What a node should have, by the state of the store. */
export interface ExpectedNode {
  node: Node;
  /** By ID. */
  networks: Map<string, ExpectedNetwork>;
  /** Data path addresses of all other nodes, sorted. */
  peers(): string[];
  /** UDP. */
  port: number;
  /** Tasks that run there, with their first address on each network. */
  running: { taskId: string; name: string; networkId: string; address: string }[];
}

const PHASES: Readonly<Partial<Record<NetworkEndpoint_Phase, NetworkEndpoint['phase']>>> = {
  [NetworkEndpoint_Phase.PHASE_RESERVED]: 'reserved',
  [NetworkEndpoint_Phase.PHASE_READY]: 'ready',
  [NetworkEndpoint_Phase.PHASE_DRAINING]: 'draining',
};

/** What each of `nodes` should have. One walk over all tasks, however many networks there are. */
export function expectedNodes(view: ReadView, nodes: readonly Node[]): ExpectedNode[] {
  const wanted = new Set(nodes.map(({ ID }) => ID));
  const networks = expectedNetworks(view);
  const everywhere = [...networks.values()].filter(({ network }) => network.Spec.Attachable || network.Spec.Ingress);
  const held = new Map<string, Map<string, ExpectedNetwork>>();
  const running = new Map<string, ExpectedNode['running']>();
  for (const { ID } of nodes) {
    held.set(ID, new Map(everywhere.map((expected) => [expected.network.ID, expected])));
    running.set(ID, []);
  }
  for (const task of view.all('task')) {
    if (!wanted.has(task.NodeID) || isTerminal(task.Status.State) || !isAssigned(task)) continue;
    for (const {
      Network: { ID },
      Addresses,
    } of task.NetworksAttachments ?? []) {
      const expected = networks.get(ID);
      if (expected === undefined) continue;
      held.get(task.NodeID)?.set(ID, expected);
      if (task.Status.State !== 'running') continue;
      const about = { taskId: task.ID, name: taskLabel(view, task), networkId: ID };
      running.get(task.NodeID)?.push({ ...about, address: withoutPrefix(Addresses[0] ?? '') });
    }
  }
  const paths = [...view.all('node')].flatMap(({ ID, DataPath }) => (DataPath ? [{ ID, addr: DataPath.Addr }] : []));
  paths.sort((a, b) => (a.addr < b.addr ? -1 : 1));
  const port = view.get('cluster', CLUSTER_KEY)?.DataPathPort || DEFAULTS.dataPathPort;
  return nodes.map((node) => ({
    ...{ node, port, networks: held.get(node.ID)!, running: running.get(node.ID)! },
    peers: () => paths.flatMap(({ ID, addr }) => (ID === node.ID ? [] : [addr])),
  }));
}

/** What nodes are told of each network that has addresses. */
export function expectedNetworks(view: ReadView): Map<string, ExpectedNetwork> {
  const members = new Map<string, Members>();
  for (const { ID, Allocation } of view.all('network')) {
    if (Allocation !== undefined) members.set(ID, { endpoints: [], services: [], blocks: [], present: new Set() });
  }
  for (const task of view.all('task')) {
    for (const {
      Network: { ID },
    } of task.NetworksAttachments ?? []) {
      const endpoint = taskEndpoint(view, task, ID);
      if (endpoint === undefined) continue;
      members.get(ID)?.endpoints.push(toModel(endpoint));
      members.get(ID)?.present.add(endpoint.serviceId);
    }
  }
  for (const node of view.all('node')) addNode(node, members);
  for (const { ID } of view.all('service')) {
    for (const [networkId, { services, present }] of members) {
      const service = networkService(view, ID, networkId, present.has(ID));
      if (service === undefined) continue;
      const { id, name, aliases, virtualIps } = service;
      services.push({ id, name, aliases, virtualIps });
    }
  }
  const networks = new Map<string, ExpectedNetwork>();
  for (const [id, { endpoints, services, blocks }] of members) {
    const lines = memberLines(endpoints, services, blocks);
    networks.set(id, {
      network: view.get('network', id) as ExpectedNetwork['network'],
      lines,
      digest: linesDigest(lines),
    });
  }
  return networks;
}

interface Members {
  endpoints: NetworkEndpoint[];
  services: NetworkService[];
  blocks: NodeBlocks[];
  /** Services with an endpoint. */
  present: Set<string>;
}

function addNode(node: Node, members: ReadonlyMap<string, Members>): void {
  const attached = (node.Attachments ?? []).map(({ NetworkID }) => NetworkID);
  for (const id of new Set([...attached, ...Object.keys(node.AddressBlocks ?? {})])) {
    const of = members.get(id);
    of?.endpoints.push(...foreignEndpoints(node, id).map(toModel));
    const blocks = nodeBlocks(node, id);
    if (blocks !== undefined) of?.blocks.push(blocks);
  }
}

function toModel({ id, serviceId, nodeAddr, addresses, phase, names }: WireEndpoint): NetworkEndpoint {
  return { id, serviceId, nodeAddr, addresses, phase: PHASES[phase] ?? 'reserved', names };
}

function withoutPrefix(address: string): string {
  return address.split('/')[0]!;
}
