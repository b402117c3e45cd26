import { FIRST_VNI, type Network, type NetworkAllocation, type NetworkSpec, type NetworkSubnet } from '@swarmd/model';
import { type Cidr, formatCidr, formatIp, hostBits, lastOf, overlap, parseCidr, parseIp } from './ip.js';

/** What the allocation of a network came to. */
export type NetworkAllocationResult = { allocation: NetworkAllocation } | { error: string };

/** What there is besides a network that wants to be allocated. */
export interface NetworkSurroundings {
  /** All others. */
  networks: readonly Network[];
  /** Identifiers that are no network's any more, and that hosts may still have. */
  retiredVnis: ReadonlySet<number>;
  /** Where networks without subnets of their own get them from, in CIDR notation, and how large these are. */
  addrPool: readonly string[];
  subnetSize: number;
  /** The cluster's: its IPv6 subnets follow from it. */
  clusterId: string;
  /** What nodes have of the networks' bottom: the addresses of hosts are no subnet's, and their MTU limits ours. */
  nodes: readonly { addrs: readonly string[]; mtu?: number }[];
}

/** The option that sets a network's MTU, in bytes. */
export const MTU_OPTION = 'com.docker.network.driver.mtu';
/** Of a network of which no node has said what its links carry: Ethernet's, less the VXLAN header. */
const DEFAULT_MTU = 1450;
/** What a packet needs around it, by the family of the hosts' addresses. */
const VXLAN_HEADER = { 4: 50, 6: 70 } as const;
/** What IPsec (ESP) adds to that at most. */
const ENCRYPTION_HEADER = 40;
/** What one node says of itself must not make networks useless: less than this no IPv4 host has. */
const MIN_MTU = 576;
/** Links with less carry no IPv6. The hosts send larger packets in pieces then. */
const MIN_IPV6_MTU = 1280;
/** Of the local addresses (RFC 4193) each cluster has this much, and each network of it this much. */
const CLUSTER_PREFIX = 48;
const IPV6_SUBNET_BITS = 64;
/** Every node is on the ingress network and many tasks: it is made this large (prefix length) where the pool allows. */
const INGRESS_BITS = 16;
/** Docker Swarm's own. */
const DEFAULT_POOL = ['10.0.0.0/8'];
/** VXLAN identifiers have 24 bits. */
const MAX_VNI = 2 ** 24 - 1;

/** Whether a network is one that the cluster spans over nodes, as against those that every engine has by itself. */
export function isOverlay({ Spec }: Network): boolean {
  return (Spec.Driver || 'overlay') === 'overlay';
}

/** Identifier, subnets and MTU for a network; an error says what cannot be had. Pure. */
export function allocateNetwork(network: Network, around: NetworkSurroundings): NetworkAllocationResult {
  const vni = freeVni(around);
  if (vni === undefined) return { error: 'every VXLAN network identifier is in use' };
  const taken = around.networks.flatMap((other) => subnetsOf(other).map((cidr) => ({ cidr, name: other.Spec.Name })));
  const asked = askedSubnets(network.Spec);
  for (const { cidr } of asked) {
    const other = taken.find((known) => overlap(known.cidr, cidr));
    if (other !== undefined)
      return { error: `subnet ${formatCidr(cidr)} overlaps with ${formatCidr(other.cidr)} of network ${other.name}` };
  }
  const v4 = asked.filter(({ cidr }) => cidr.family === 4);
  const v6 = network.Spec.EnableIPv6 ? asked.filter(({ cidr }) => cidr.family === 6) : [];
  if (v4.length === 0) {
    const cidr = freeSubnet(network.Spec.Ingress === true, around, [...taken.map((known) => known.cidr)]);
    if (cidr === undefined) return { error: `no free subnet is left in the address pool ${poolOf(around).join(', ')}` };
    v4.push({ cidr, gateway: undefined });
  }
  if (network.Spec.EnableIPv6 && v6.length === 0) {
    const cidr = freeIpv6Subnet(around, taken);
    if (cidr === undefined)
      return { error: `no free subnet is left in ${formatCidr(clusterPrefix(around.clusterId))}` };
    v6.push({ cidr, gateway: undefined });
  }
  const Subnets = [...v4, ...v6].map(
    ({ cidr, gateway }): NetworkSubnet => ({
      Subnet: formatCidr(cidr),
      Gateway: gateway ?? formatIp({ family: cidr.family, value: cidr.base + 1n }),
    }),
  );
  return { allocation: { VNI: vni, Subnets, MTU: mtuFor(network.Spec, around.nodes) } };
}

/** The MTU of a network's interfaces: the option's, else the least that all hosts carry. */
export function mtuFor(spec: NetworkSpec, nodes: NetworkSurroundings['nodes']): number {
  const wanted = Number(spec.Options?.[MTU_OPTION]);
  if (Number.isInteger(wanted) && wanted > 0) return wanted;
  const known = nodes.flatMap(({ mtu, addrs }) =>
    mtu ? [mtu - VXLAN_HEADER[addrs.some((addr) => addr.includes(':')) ? 6 : 4]] : [],
  );
  const least = known.length === 0 ? DEFAULT_MTU : Math.min(...known);
  return Math.max(spec.EnableIPv6 ? MIN_IPV6_MTU : MIN_MTU, least - (isEncrypted(spec) ? ENCRYPTION_HEADER : 0));
}

/** Whether packets between nodes are to be encrypted; Docker takes the option without a value for yes. */
export function isEncrypted({ Options }: NetworkSpec): boolean {
  const value = Options?.['encrypted'];
  return value !== undefined && !['0', 'f', 'false'].includes(value.toLowerCase());
}

/** The subnets that a network has, or asks for. */
export function subnetsOf(network: Network): Cidr[] {
  if (!isOverlay(network)) return [];
  if (network.Allocation === undefined) return askedSubnets(network.Spec).map(({ cidr }) => cidr);
  return network.Allocation.Subnets.flatMap(({ Subnet }) => parseCidr(Subnet) ?? []);
}

/** The subnets that a spec asks for, and their gateways if it names any; what cannot be read is left out. */
function askedSubnets(spec: NetworkSpec): { cidr: Cidr; gateway: string | undefined }[] {
  return (spec.IPAM?.Config ?? []).flatMap(({ Subnet, Gateway }) => {
    const cidr = Subnet ? parseCidr(Subnet) : undefined;
    const gateway = Gateway ? parseIp(Gateway) : undefined;
    return cidr === undefined ? [] : [{ cidr, gateway: gateway && formatIp(gateway) }];
  });
}

function freeVni({ networks, retiredVnis }: NetworkSurroundings): number | undefined {
  const taken = new Set(retiredVnis);
  for (const { Allocation } of networks) if (Allocation !== undefined) taken.add(Allocation.VNI);
  for (let vni = FIRST_VNI; vni <= MAX_VNI; vni++) if (!taken.has(vni)) return vni;
  return undefined;
}

/** The local IPv6 addresses of a cluster: those that its ID leads to, so that two clusters are unlikely to share them. */
export function clusterPrefix(clusterId: string): Cidr {
  let id = 0n;
  // The ID is random, so any way of taking 40 bits from it is good; this one takes all of it.
  for (const char of clusterId) id = (id * 37n + BigInt(char.charCodeAt(0))) & 0xff_ffff_ffffn;
  const base = ((0xfdn << 40n) | id) << BigInt(128 - CLUSTER_PREFIX);
  return { family: 6, base, bits: CLUSTER_PREFIX };
}

function freeIpv6Subnet(around: NetworkSurroundings, taken: readonly { cidr: Cidr }[]): Cidr | undefined {
  const others = [...taken.map(({ cidr }) => cidr), ...addressesOf(around)];
  return lowestFree(clusterPrefix(around.clusterId), IPV6_SUBNET_BITS, others);
}

function poolOf({ addrPool }: NetworkSurroundings): readonly string[] {
  return addrPool.length === 0 ? DEFAULT_POOL : addrPool;
}

/**
 * The lowest block of the pool that has no address in common with `taken` or with a host. For the ingress network the
 * highest: Docker Swarm's networks lie at the bottom, and whoever comes from there brings their subnets along.
 */
function freeSubnet(ingress: boolean, around: NetworkSurroundings, taken: readonly Cidr[]): Cidr | undefined {
  const hosts = addressesOf(around);
  for (const text of poolOf(around)) {
    const pool = parseCidr(text);
    if (pool === undefined || pool.family !== 4) continue;
    // The ingress network leaves three quarters of a pool to others.
    const large = Math.max(INGRESS_BITS, pool.bits + 2);
    const bits = Math.max(pool.bits, ingress ? Math.min(around.subnetSize, large) : around.subnetSize);
    const found = (ingress ? highestFree : lowestFree)(pool, bits, [...taken, ...hosts]);
    if (found !== undefined) return found;
  }
  return undefined;
}

function addressesOf({ nodes }: NetworkSurroundings): Cidr[] {
  return nodes.flatMap(({ addrs }) =>
    addrs.flatMap((addr): Cidr[] => {
      const ip = parseIp(addr);
      return ip === undefined ? [] : [{ family: ip.family, base: ip.value, bits: ip.family === 4 ? 32 : 128 }];
    }),
  );
}

function lowestFree(pool: Cidr, bits: number, taken: readonly Cidr[]): Cidr | undefined {
  const size = 1n << BigInt(hostBits(pool.family, bits));
  const sorted = taken.filter((cidr) => overlap(cidr, pool)).sort((a, b) => (a.base < b.base ? -1 : 1));
  let base = pool.base;
  for (const cidr of sorted) {
    if (cidr.base >= base + size) break;
    const after = lastOf(cidr) + 1n;
    if (after > base) base = ((after + size - 1n) / size) * size;
  }
  return base + size - 1n <= lastOf(pool) ? { family: pool.family, base, bits } : undefined;
}

function highestFree(pool: Cidr, bits: number, taken: readonly Cidr[]): Cidr | undefined {
  const size = 1n << BigInt(hostBits(pool.family, bits));
  const sorted = taken.filter((cidr) => overlap(cidr, pool)).sort((a, b) => (lastOf(a) > lastOf(b) ? -1 : 1));
  let base = lastOf(pool) + 1n - size;
  for (const cidr of sorted) {
    if (lastOf(cidr) < base) break;
    if (cidr.base < base + size) base = (cidr.base / size) * size - size;
  }
  return base >= pool.base ? { family: pool.family, base, bits } : undefined;
}
