import type { Network, NetworkSpec, ReadView } from '@swarmd/model';
import { type Cidr, contains, formatCidr, formatIp, overlap, parseCidr, parseIp } from '../allocator/ip.js';
import { isEncrypted, isOverlay, MTU_OPTION, subnetsOf } from '../allocator/network-allocation.js';
import { invalid, rpcError } from './errors.js';

/** Smaller ones have no room beside network, gateway and broadcast address. */
const LONGEST_PREFIX = { 4: 30, 6: 126 } as const;
/** What IPv4, or IPv6 where it is enabled, needs at least; and what fits a packet. */
const MTU_RANGE = { min: 68, minIpv6: 1280, max: 65_535 } as const;
/** Of IPv6: the host itself, link-local, multicast. */
const NO_SUBNETS = ['::/127', 'fe80::/10', 'ff00::/8'].map((text) => parseCidr(text)!);
const VNI_OPTION = 'com.docker.network.driver.overlay.vxlanid_list';

/**
 * Checks a network's spec by itself, in Docker Swarm's words where it has any. Throws `invalid-argument` naming the
 * field. Returns what its user should know.
 */
export function checkNetworkSpec(spec: NetworkSpec): string[] {
  const driver = spec.Driver || 'overlay';
  if (driver !== 'overlay')
    throw invalid(`networks of the cluster have the driver overlay, not ${driver}: it is the only one`, 'Driver');
  if (spec.Ingress && spec.Attachable) throw invalid('ingress network cannot be attachable', 'Attachable');
  if (spec.Ingress && spec.Internal) throw invalid('ingress network cannot be internal', 'Internal');
  const ipamDriver = spec.IPAM?.Driver || 'default';
  if (ipamDriver !== 'default')
    throw invalid(`IPAM driver ${ipamDriver} is not there: the only one is default`, 'IPAM.Driver');
  if ((spec as { EnableIPv4?: unknown }).EnableIPv4 === false)
    throw invalid('networks of the cluster have IPv4: IPv6 can stand beside it (--ipv6), not alone', 'EnableIPv4');
  checkMtu(spec);
  const subnets = checkSubnets(spec);
  const warnings: string[] = [];
  const v6 = subnets.filter(({ family }) => family === 6);
  if (!spec.EnableIPv6)
    for (const cidr of v6) warnings.push(`subnet ${formatCidr(cidr)} is not used: IPv6 is not enabled (--ipv6)`);
  if (spec.Options?.[VNI_OPTION] !== undefined) warnings.push(`option ${VNI_OPTION} is not used: the cluster chooses`);
  return warnings;
}

function checkMtu(spec: NetworkSpec): void {
  const text = spec.Options?.[MTU_OPTION];
  if (text === undefined) return;
  const min = spec.EnableIPv6 ? MTU_RANGE.minIpv6 : MTU_RANGE.min;
  const mtu = Number(text);
  if (/^\d+$/.test(text) && mtu >= min && mtu <= MTU_RANGE.max) return;
  throw invalid(`${MTU_OPTION} must be a whole number from ${min} to ${MTU_RANGE.max}, not "${text}"`, 'Options');
}

function checkSubnets(spec: NetworkSpec): Cidr[] {
  const subnets: Cidr[] = [];
  for (const config of spec.IPAM?.Config ?? []) {
    const cidr = checkSubnet(config);
    const other = subnets.find((known) => overlap(known, cidr));
    if (other !== undefined)
      throw ipamError(`subnets ${formatCidr(other)} and ${formatCidr(cidr)} overlap`, 'IPAM.Config.Subnet');
    subnets.push(cidr);
  }
  return subnets;
}

type IpamConfig = NonNullable<NonNullable<NetworkSpec['IPAM']>['Config']>[number];

function checkSubnet({ Subnet = '', Gateway = '', IPRange = '', AuxiliaryAddresses }: IpamConfig): Cidr {
  const cidr = parseCidr(Subnet);
  if (cidr === undefined) throw ipamError(`invalid subnet ${Subnet}`, 'IPAM.Config.Subnet');
  const whole = formatCidr(cidr);
  if (parseCidr(Subnet, { strict: true }) === undefined)
    throw ipamError(`invalid subnet ${Subnet}: it should be ${whole}`, 'IPAM.Config.Subnet');
  if (cidr.bits > LONGEST_PREFIX[cidr.family])
    throw ipamError(`subnet ${whole} is too small: at most /${LONGEST_PREFIX[cidr.family]}`, 'IPAM.Config.Subnet');
  const special = NO_SUBNETS.find((range) => overlap(range, cidr));
  if (special !== undefined)
    throw ipamError(`subnet ${whole} is for no network: ${formatCidr(special)} is special`, 'IPAM.Config.Subnet');
  if (IPRange !== '') {
    const range = parseCidr(IPRange);
    if (range === undefined) throw ipamError(`invalid range ${IPRange}`, 'IPAM.Config.IPRange');
    if (range.bits < cidr.bits || !contains(cidr, { family: range.family, value: range.base }))
      throw ipamError(`subnet ${whole} does not contain range ${IPRange}`, 'IPAM.Config.IPRange');
  }
  if (Gateway !== '') checkInside(cidr, 'gateway', Gateway, 'IPAM.Config.Gateway');
  for (const address of Object.values((AuxiliaryAddresses ?? {}) as Record<string, unknown>))
    checkInside(cidr, 'auxiliary address', String(address), 'IPAM.Config.AuxiliaryAddresses');
  return cidr;
}

function checkInside(cidr: Cidr, what: string, address: string, field: string): void {
  const ip = parseIp(address);
  if (ip === undefined) throw ipamError(`invalid ${what} ${address}`, field);
  if (!contains(cidr, ip)) throw ipamError(`subnet ${formatCidr(cidr)} does not contain ${what} ${address}`, field);
  const broadcast = cidr.family === 4 && ip.value === cidr.base + 2n ** BigInt(32 - cidr.bits) - 1n;
  if (ip.value === cidr.base || broadcast)
    throw ipamError(`${what} ${formatIp(ip)} is the subnet's own address`, field);
}

function ipamError(what: string, field: string): Error {
  return invalid(`ipam configuration: ${what}`, field);
}

/** Checks a network's spec against all that is there: other networks, and what nodes can do. Returns what its user should know. */
export function checkNetworkAmongOthers(view: ReadView, spec: NetworkSpec): string[] {
  const others = [...view.all('network')].filter(isOverlay);
  const ingress = others.find((network) => network.Spec.Ingress);
  if (spec.Ingress && ingress !== undefined)
    throw rpcError('already-exists', `ingress network (${ingress.ID}) is already present`, 'Ingress');
  const asked = (spec.IPAM?.Config ?? []).flatMap(({ Subnet = '' }) => parseCidr(Subnet) ?? []);
  for (const cidr of asked) checkOverlap(spec.Name, cidr, others);
  if (isEncrypted(spec)) checkEncryption(view);
  return [...view.all('node')].flatMap(({ Status, DataPath, Description, ID }) => {
    const ip = parseIp(DataPath?.Addr ?? Status.Addr);
    const cidr = ip && asked.find((subnet) => contains(subnet, ip));
    if (ip === undefined || cidr === undefined) return [];
    const where = `${Description?.Hostname ?? ID} has the address ${formatIp(ip)}`;
    return [`subnet ${formatCidr(cidr)} is in the way of the nodes' own network: ${where}`];
  });
}

function checkOverlap(name: string, cidr: Cidr, others: readonly Network[]): void {
  for (const other of others) {
    const taken = subnetsOf(other).find((subnet) => overlap(subnet, cidr));
    if (taken === undefined) continue;
    const which = `subnet ${formatCidr(cidr)} of network ${name} and ${formatCidr(taken)} of network ${other.Spec.Name}`;
    throw invalid(`Pool overlaps with other one on this address space: ${which}`, 'IPAM.Config.Subnet');
  }
}

/** Rather no network than one in the clear. */
function checkEncryption(view: ReadView): void {
  const unable = [...view.all('node')].filter(({ DataPath }) => DataPath?.Encryption !== true);
  if (unable.length === 0) return;
  const names = unable.slice(0, 3).map(({ ID, Description }) => Description?.Hostname || ID);
  const more = unable.length > names.length ? ` and ${unable.length - names.length} more` : '';
  throw rpcError(
    'failed-precondition',
    `encrypted networks need IPsec (ESP) in the kernel of every node: ${names.join(', ')}${more} cannot`,
    'Options',
  );
}
