import { CLUSTER_KEY, type Network, type WriteTx } from '@swarmd/model';
import type { AllocatorState } from './allocator-loop.js';
import { allocateNetwork, isOverlay, mtuFor, type NetworkSurroundings } from './network-allocation.js';

/**
 * Allocates a network in a transaction, once. While nobody is on it, its MTU still follows when a node turns out to carry
 * less: the ingress network is older than the first node's registration.
 */
export function allocateNetworkIn(tx: WriteTx, id: string, { index, waiting }: AllocatorState, nowMs: number): void {
  const network = tx.get('network', id);
  if (network === undefined || !isOverlay(network)) {
    waiting.setNetwork(id, false);
    return;
  }
  const around = surroundings(tx, network, index.retiredVnis(nowMs));
  if (network.Allocation !== undefined) {
    const MTU = mtuFor(network.Spec, around.nodes);
    if (MTU < network.Allocation.MTU && index.users(id) === 0)
      tx.put('network', { ...network, Allocation: { ...network.Allocation, MTU } });
    return;
  }
  const result = allocateNetwork(network, around);
  waiting.setNetwork(id, 'error' in result);
  if ('allocation' in result) tx.put('network', { ...network, Allocation: result.allocation });
}

function surroundings(tx: WriteTx, network: Network, retiredVnis: ReadonlySet<number>): NetworkSurroundings {
  const cluster = tx.get('cluster', CLUSTER_KEY);
  const nodes = [...tx.all('node')].map(({ Status, DataPath }) => ({
    addrs: DataPath === undefined ? [Status.Addr] : [DataPath.Addr, Status.Addr],
    ...(DataPath === undefined ? {} : { mtu: DataPath.MTU }),
  }));
  return {
    networks: [...tx.all('network')].filter(({ ID }) => ID !== network.ID),
    retiredVnis,
    addrPool: cluster?.DefaultAddrPool ?? [],
    subnetSize: cluster?.SubnetSize || 24,
    clusterId: cluster?.ClusterID ?? '',
    nodes,
  };
}
