import { isTerminal, type ReadView } from '@swarmd/model';
import type { AddressPool } from './address-pool.js';
import { claimsOfNode, claimsOfService, poolsFor } from './holders.js';
import { formatCidr } from './ip.js';

/** How full a subnet of a network is, in addresses. */
export interface SubnetUse {
  /** CIDR. */
  subnet: string;
  /** Somebody's, or the subnet's own. */
  inUse: number;
  /** That tasks can still have, including those that nodes have ranges for and do not use. */
  available: number;
}

/** From this part of its addresses on, a network is worth a warning. */
const FULL_PART = 0.8;

/** How full each network is, by ID: counted from the store alone, in which nobody has the same address twice. */
export function networkUse(view: ReadView): Map<string, SubnetUse[]> {
  const networks = new Map<string, { pools: AddressPool[]; used: number[] }>();
  for (const network of view.all('network')) {
    const pools = poolsFor(network);
    networks.set(network.ID, { pools, used: pools.map(() => 0) });
  }
  const count = (networkId: string, address: string): void => {
    const network = networks.get(networkId);
    if (network === undefined) return;
    const { pools, used } = network;
    // Where an address lies needs no looking at where there is but one place for it.
    const at = pools.length === 1 ? 0 : pools.findIndex((pool) => pool.offsetOfText(address) !== undefined);
    if (at >= 0) used[at]!++;
  };
  for (const task of view.all('task')) {
    if (task.NetworksAttachments === undefined || isTerminal(task.Status.State)) continue;
    for (const { Network, Addresses } of task.NetworksAttachments)
      for (const address of Addresses ?? []) count(Network.ID, address);
  }
  for (const service of view.all('service'))
    for (const { networkId, address } of claimsOfService(service)) if (address !== undefined) count(networkId, address);
  for (const node of view.all('node'))
    for (const { networkId, address } of claimsOfNode(node)) if (address !== undefined) count(networkId, address);
  const use = ({ pools, used }: { pools: AddressPool[]; used: number[] }): SubnetUse[] =>
    pools.map((pool, at) => ({
      subnet: formatCidr(pool.cidr),
      inUse: used[at]! + pool.reserved,
      available: Math.max(0, pool.total - used[at]!),
    }));
  return new Map([...networks].map(([id, network]) => [id, use(network)]));
}

/** What users should know of how full a network is: nothing below 80 %. */
export function fullnessWarning(name: string, subnets: readonly SubnetUse[]): string | undefined {
  const v4 = subnets.filter(({ subnet }) => !subnet.includes(':'));
  const available = v4.reduce((sum, { available }) => sum + available, 0);
  const total = v4.reduce((sum, { inUse, available }) => sum + inUse + available, 0);
  if (v4.length === 0 || available > total * (1 - FULL_PART)) return undefined;
  const subnet = v4.map(({ subnet }) => subnet).join(', ');
  return available === 0
    ? `network ${name} has no address left (${subnet}): new tasks wait`
    : `network ${name} has ${available} of ${total} addresses left (${subnet}): move services to a larger one in time`;
}
