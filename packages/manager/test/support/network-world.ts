import type { Network, NewObject, Node, NodeDataPath, Service, Task, TaskState, WriteTx } from '@swarmd/model';
import { buildServiceSpec, buildTask, createService } from '@swarmd/testkit';

/** A network with addresses: `10.<n>.0.0/16`. */
export function buildNetwork(id: string, n: number, spec: Partial<Network['Spec']> = {}): NewObject<Network> {
  const Subnets = [{ Subnet: `10.${n}.0.0/16`, Gateway: `10.${n}.0.1` }];
  return {
    ID: id,
    Spec: { Name: id, Driver: 'overlay', ...spec },
    Allocation: { VNI: 2 ** 20 + n, Subnets, MTU: 1450 },
  };
}

/** A node's end of the overlays, with an address that follows from a number. */
export function dataPathOf(n: number): NodeDataPath {
  return { Addr: `192.168.0.${n}`, MTU: 1500 };
}

/** A service on networks, with a virtual IP on each. */
export function createServiceOn(tx: WriteTx, id: string, networkIds: readonly string[]): Service {
  const Networks = networkIds.map((Target) => ({ Target, Aliases: [`${id}-alias`] }));
  const spec = buildServiceSpec(id, 1);
  spec.TaskTemplate = { ...spec.TaskTemplate, Networks };
  const VirtualIPs = networkIds.map((NetworkID, i) => ({ NetworkID, Addr: `10.${i}.255.1/16` }));
  return createService(tx, id, spec, { Endpoint: { Spec: { Mode: 'vip' }, VirtualIPs } });
}

/** A task of a service on networks, with an address on each that follows from a number. */
export function createTaskOn(
  tx: WriteTx,
  service: Service,
  { id, nodeId, networkIds, n = 2, state = 'assigned' }: TaskOn,
): Task {
  const Status = { Timestamp: tx.now, State: state, Message: '' };
  const NetworksAttachments = networkIds.map((ID) => ({ Network: { ID }, Addresses: [`10.1.0.${n}/16`] }));
  return tx.create('task', buildTask(service, id, { NodeID: nodeId, Slot: n, Status, NetworksAttachments }));
}

/** What {@link createTaskOn} needs. */
export interface TaskOn {
  id: string;
  nodeId: string;
  networkIds: readonly string[];
  n?: number;
  state?: TaskState;
}

/** Changes fields of a node. */
export function changeNode(tx: WriteTx, id: string, change: Partial<Node>): void {
  tx.put('node', { ...tx.get('node', id)!, ...change });
}
