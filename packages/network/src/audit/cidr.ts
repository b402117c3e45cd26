import { BlockList, isIP } from 'node:net';

/** How two ranges lie to each other; `within`: the first is a part of the second, or the same. */
export type Overlap = 'none' | 'within' | 'around';

/** How `range` lies to `other`, both in CIDR notation. What is no range lies nowhere. */
export function overlap(range: string, other: string): Overlap {
  const [a, b] = [parse(range), parse(other)];
  if (a === undefined || b === undefined || a.family !== b.family) return 'none';
  // Ranges in CIDR notation never cross: one holds the other, or they have nothing in common.
  const [inner, outer] = a.prefix >= b.prefix ? [a, b] : [b, a];
  const list = new BlockList();
  list.addSubnet(outer.address, outer.prefix, outer.family);
  if (!list.check(inner.address, inner.family)) return 'none';
  return inner === a ? 'within' : 'around';
}

function parse(range: string): { address: string; prefix: number; family: 'ipv4' | 'ipv6' } | undefined {
  const [address = '', bits = ''] = range.split('/');
  const version = isIP(address);
  const prefix = Number(bits);
  if (version === 0 || bits === '' || !(prefix >= 0 && prefix <= (version === 4 ? 32 : 128))) return undefined;
  return { address, prefix, family: version === 4 ? 'ipv4' : 'ipv6' };
}
