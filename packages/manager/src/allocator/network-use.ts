import type { ReadView } from '@swarmd/model';
import { AddressIndex } from './address-index.js';
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

/** How full each network is, by ID: counted from the store alone. */
export function networkUse(view: ReadView): Map<string, SubnetUse[]> {
  const index = new AddressIndex();
  index.rebuild(view, 0);
  const use = new Map<string, SubnetUse[]>();
  for (const id of index.networkIds()) {
    const pools = index.network(id)?.pools ?? [];
    use.set(
      id,
      pools.map((pool) => ({
        subnet: formatCidr(pool.cidr),
        inUse: pool.used + pool.reserved,
        available: Math.max(0, pool.total - pool.used),
      })),
    );
  }
  return use;
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
