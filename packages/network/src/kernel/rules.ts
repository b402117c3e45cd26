import { createHash } from 'node:crypto';
import { isIP } from 'node:net';
import type { NodeNetwork } from '@swarmd/model';
import { NAME_PORTS } from '../parts.js';
import { subnetsOf } from './addresses.js';
import { ipv6Groups } from './sockets.js';

/** Table in the namespace of every network. */
export const TABLE = 'inet swarmd';
/** Chains that hold the rules of {@link baseRules}. */
export const BASE_CHAINS: readonly string[] = ['prerouting', 'postrouting', 'input', 'output'];

/** Chain that nothing passes: the comment of its only rule tells which rules there are. */
export const MARK_CHAIN = 'applied';

/** What makes up a table before anybody is on the network. */
export interface BaseRules {
  /** Commands of nft for a table that is not there. */
  lines: string[];
  /** In the comment of each rule, with their number: tells whether all are there as they should be. */
  digest: string;
}

/**
 * What a host sends back as not reachable repeats the packet that it is about: where the address and the port that this
 * was for stand in it, in bits.
 */
const REPEATED = {
  4: { icmp: 'icmp', address: [8 * (8 + 16), 32], port: [8 * (8 + 20 + 2), 16] },
  6: { icmp: 'icmpv6', address: [8 * (8 + 24), 128], port: [8 * (8 + 40 + 2), 16] },
} as const;

/**
 * Connections to a virtual IP are given a backend before they are routed, and keep their own address but for a task that
 * reaches itself. What still asks for a virtual IP after that found no backends: it is refused, so that it need not wait.
 * Questions for names are not: while nobody answers them, because swarmd-net starts anew, they are asked again.
 */
export function baseRules(network: NodeNetwork): BaseRules {
  const subnets = subnetsOf(network.subnets);
  const rules = [
    'prerouting meta l4proto { tcp, udp, sctp } ip daddr vmap @vips4',
    'prerouting meta l4proto { tcp, udp, sctp } ip6 daddr vmap @vips6',
    ...subnets.map(({ family, subnet, gateway }) => {
      const ip = protocolOf(family);
      return `postrouting ${ip} saddr ${subnet} ${ip} saddr . ${ip} daddr @self${family} snat ${ip} to ${gateway}`;
    }),
    ...([4, 6] as const).flatMap((family) => {
      const gateways = subnets.filter((subnet) => subnet.family === family).map(({ gateway }) => gateway);
      if (gateways.length === 0) return [];
      // Of br0's addresses all that are no gateways are virtual IPs.
      const match = `input iifname "br0" ${protocolOf(family)} daddr != { ${gateways.join(', ')} }`;
      return [
        `${match} meta l4proto tcp reject with tcp reset`,
        `${match} meta l4proto { udp, sctp } reject with icmpx type port-unreachable`,
      ];
    }),
    ...subnets.map(({ family, gateway }) => {
      const { icmp, address, port } = REPEATED[family];
      const asked = `@th,${address.join()} ${hexAddress(gateway)} @th,${port.join()} { ${Object.values(NAME_PORTS).join(', ')} }`;
      return `output ${icmp} type destination-unreachable ${icmp} code port-unreachable ${asked} drop`;
    }),
  ];
  const digest = `${createHash('sha256').update(rules.join('\n')).digest('hex').slice(0, 16)}/${rules.length}`;
  return {
    digest,
    lines: [
      `add table ${TABLE}`,
      `add map ${TABLE} vips4 { type ipv4_addr : verdict; }`,
      `add map ${TABLE} vips6 { type ipv6_addr : verdict; }`,
      `add set ${TABLE} self4 { type ipv4_addr . ipv4_addr; }`,
      `add set ${TABLE} self6 { type ipv6_addr . ipv6_addr; }`,
      `add chain ${TABLE} prerouting { type nat hook prerouting priority -100; }`,
      `add chain ${TABLE} postrouting { type nat hook postrouting priority 100; }`,
      `add chain ${TABLE} ${MARK_CHAIN}`,
      `add chain ${TABLE} input { type filter hook input priority 0; }`,
      `add chain ${TABLE} output { type filter hook output priority 0; }`,
      ...rules.map((rule) => `add rule ${TABLE} ${rule} comment "${digest}"`),
    ],
  };
}

/** An address as a number of nft. */
function hexAddress(address: string): string {
  const v6 = isIP(address) === 6;
  const [parts, digits] = v6 ? [ipv6Groups(address), 4] : [address.split('.').map(Number), 2];
  return `0x${parts.map((part) => part.toString(16).padStart(digits, '0')).join('')}`;
}

/** The only rule of a service's chain: one of `backends` by chance. */
export function serviceRule(chain: string, backends: readonly string[]): string {
  const ip = protocolOf(isIP(backends[0]!));
  const target =
    backends.length === 1
      ? backends[0]
      : `numgen random mod ${backends.length} map { ${backends.map((address, index) => `${index} : ${address}`).join(', ')} }`;
  return `add rule ${TABLE} ${chain} dnat ${ip} to ${target}`;
}

/** Commands of nft that replace the mark. */
export function markLines(mark: string): string[] {
  return [`flush chain ${TABLE} ${MARK_CHAIN}`, `add rule ${TABLE} ${MARK_CHAIN} return comment "${mark}"`];
}

/** `ip` or `ip6`. */
export function protocolOf(family: number): 'ip' | 'ip6' {
  return family === 4 ? 'ip' : 'ip6';
}
