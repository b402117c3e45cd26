import {
  linesDigest,
  type Network,
  type NetworkAudit,
  type Node,
  type Store,
  type Task,
  type TaskState,
} from '@swarmd/model';
import { createMemoryLog, openStore } from '@swarmd/store';
import { buildNode, buildServiceSpec, buildTask, createService, manualClock } from '@swarmd/testkit';
import { pino } from 'pino';
import { expectedNodes } from '../src/doctor/expected.js';

/** Data path address of node `h<n>`. */
export const addrOf = (node: string): string => `192.0.2.${node.slice(1)}`;

/** A node of the data path. */
export function dataPathNode(id: string, over: Partial<Node> = {}) {
  return buildNode(id, { DataPath: { Addr: addrOf(id), MTU: 1500 }, ...over });
}

/** A network with the subnet `10.<n>.0.0/24`. */
export function overlay(
  id: string,
  n: number,
  over: Partial<Network['Spec']> = {},
): Pick<Network, 'ID' | 'Spec' | 'Allocation'> {
  const Subnets = [{ Subnet: `10.${n}.0.0/24`, Gateway: `10.${n}.0.1` }];
  return {
    ID: id,
    Spec: { Name: id, Driver: 'overlay', ...over },
    Allocation: { VNI: 2 ** 20 + n, Subnets, MTU: 1450 },
  };
}

/** A task to make: its service is made with it. */
export interface WorldTask {
  service: string;
  node: string;
  /** On network `front`, or others. */
  address: string;
  network?: string;
  state?: TaskState;
  over?: Partial<Task>;
}

/** A store with nodes, networks `front` (10.1.0.0/24) and `back` (10.2.0.0/24), and tasks with virtual IPs `10.1.0.<200+n>`. */
export async function doctorStore(nodes: readonly string[], tasks: readonly WorldTask[]): Promise<Store> {
  const store = await openStore({ log: createMemoryLog(), clock: manualClock(), logger: pino({ level: 'silent' }) });
  await store.update((tx) => {
    for (const id of nodes) tx.create('node', dataPathNode(id));
    tx.create('network', overlay('front', 1));
    tx.create('network', overlay('back', 2));
    for (const [n, name] of [...new Set(tasks.map(({ service }) => service))].entries()) {
      const mine = tasks.filter(({ service }) => service === name);
      const networks = [...new Set(mine.map(({ network = 'front' }) => network))];
      const spec = buildServiceSpec(name, mine.length);
      const Networks = networks.map((Target) => ({ Target, Aliases: [`${name}-alias`] }));
      const service = createService(tx, name, { ...spec, TaskTemplate: { ...spec.TaskTemplate, Networks } });
      const VirtualIPs = networks.map((NetworkID) => {
        return { NetworkID, Addr: `10.${NetworkID === 'front' ? 1 : 2}.0.${200 + n}/24` };
      });
      tx.put('service', { ...service, Endpoint: { Spec: { Mode: 'vip' }, VirtualIPs, Ports: [] } });
      for (const [i, { node, address, network = 'front', state = 'running', over = {} }] of mine.entries()) {
        const NetworksAttachments = [{ Network: { ID: network }, Addresses: [`${address}/24`] }];
        const Status = { Timestamp: tx.now, State: state, Message: '' };
        const about = { NodeID: node, Slot: i + 1, Status, NetworksAttachments };
        tx.create('task', buildTask(service, `${name}${i + 1}`, { ...about, ...over }));
      }
    }
  });
  return store;
}

/** What a node in order answers. */
export function soundAudit(store: Pick<Store, 'view'>, nodeId: string, over: Partial<NetworkAudit> = {}): NetworkAudit {
  const node = store.view.get('node', nodeId)!;
  const [expected] = expectedNodes(store.view, [node]);
  const { networks, port, running } = expected!;
  const peers = expected!.peers();
  return {
    protocol: 1,
    version: '0.1.0',
    clockMs: 1_000,
    dataPath: { addr: node.DataPath?.Addr ?? '', port, peers: peers.length, peersDigest: linesDigest(peers) },
    networks: [...networks.values()].map(({ network: { ID, Allocation }, digest }) => ({
      ...{ id: ID, vni: Allocation.VNI, mtu: Allocation.MTU, endpoints: 0, services: 0, digest },
      subnets: Allocation.Subnets.map(({ Subnet }) => Subnet),
    })),
    locals: running.map(({ networkId, address, taskId }) => ({ networkId, address, taskId })),
    findings: [],
    ...over,
  };
}
