import { isIP } from 'node:net';
import { type Family, protocolOf } from './addresses.js';
import type { OpenPort } from './ports.js';

/** Our tables' name, in the host's namespace, the ingress network's and the containers'. */
export const TABLE = 'swarmd_mesh';
/** The host's end of the pair of interfaces that leads into the ingress network. */
export const HOST_LINK = 'swarmd-mesh';

/** What the rules need to know of the node. */
export interface NodeRulesOptions {
  /** Versions of IP that ports are published by. */
  families: readonly Family[];
  /**
   * Own address that connections from 127.0.0.0/8 (all, to `masquerade`) get on the ingress network, if it is of that
   * version: any does, as answers find this node by its MAC address. Else the kernel chooses one.
   */
  source: string;
  /** All clients' addresses are replaced by it. */
  masquerade: boolean;
}

/** What rules of the versions of IP have in different words. */
const WORDS = {
  4: { loopback: '127.0.0.0/8', fromOutside: '127.0.0.0/8', byItself: '', unreachable: 'icmp type port-unreachable' },
  // No kernel leads ::1, and what is link-local, out of their link: they are refused.
  6: {
    ...{ loopback: '::1', fromOutside: '{ ::1, fe80::/10 }', byItself: 'ip6 daddr != { ::1, fe80::/10 } ' },
    unreachable: 'icmpv6 type port-unreachable',
  },
} as const;

/** Commands of nft that replace all our rules in the host's namespace at once. */
export function nodeTable(options: NodeRulesOptions, ports: Iterable<OpenPort>): string[] {
  return [...options.families.flatMap((family) => familyTable(family, options)), ...[...ports].flatMap(added)];
}

function familyTable(family: Family, options: NodeRulesOptions): string[] {
  const ip = protocolOf(family);
  const { loopback, fromOutside, byItself, unreachable } = WORDS[family];
  const whose = options.masquerade ? '' : `${ip} saddr ${loopback} `;
  const become = isIP(options.source) === family ? `snat to ${options.source}` : 'masquerade';
  return [
    `table ${ip} ${TABLE}`,
    `delete table ${ip} ${TABLE}`,
    `table ${ip} ${TABLE} {`,
    '  map ports { type inet_proto . inet_service : verdict; }',
    `  map bound { type ipv${family}_addr . inet_proto . inet_service : verdict; }`,
    '  set held { type inet_proto . inet_service; }',
    `  set held_bound { type ipv${family}_addr . inet_proto . inet_service; }`,
    ...chain('published', '', [
      `${ip} daddr . meta l4proto . th dport vmap @bound`,
      'meta l4proto . th dport vmap @ports',
    ]),
    // With route_localnet on this link the kernel no longer keeps packets for 127/8 out by itself.
    ...chain('loopback_guard', 'type filter hook prerouting priority raw;', [
      `iifname "${HOST_LINK}" ${ip} daddr ${loopback} drop`,
    ]),
    // The ingress network answers to what came from here; it opens nothing on this host or through it.
    ...chain('answers_only', 'type filter hook prerouting priority mangle;', [
      `iifname "${HOST_LINK}" ct direction original drop`,
      // Routers and neighbours that make themselves known.
      ...(family === 4 ? [] : [`iifname "${HOST_LINK}" ct state untracked drop`]),
    ]),
    // From outside, 127/8 must be left for the kernel to drop: that happens after this.
    ...chain('prerouting', 'type nat hook prerouting priority -101;', [
      `${ip} daddr != ${fromOutside} fib daddr type local jump published`,
    ]),
    ...chain('output', 'type nat hook output priority -101;', [`${byItself}fib daddr type local jump published`]),
    ...chain('postrouting', 'type nat hook postrouting priority 99;', [`oifname "${HOST_LINK}" ${whose}${become}`]),
    // What was led nowhere would reach the placeholder, which never answers.
    ...chain('refused', 'type filter hook input priority -1;', [
      'ct direction original meta l4proto . th dport @held jump refuse',
      `ct direction original ${ip} daddr . meta l4proto . th dport @held_bound jump refuse`,
    ]),
    ...chain('refuse', '', ['meta l4proto tcp reject with tcp reset', `reject with ${unreachable}`]),
    '}',
  ];
}

/** Commands of nft that lead from the ports in `before` to those in `after` (both by key); none when nothing differs. */
export function nodeDifference(before: ReadonlyMap<string, OpenPort>, after: ReadonlyMap<string, OpenPort>): string[] {
  const lines: string[] = [];
  for (const [key, port] of before) {
    if (!after.has(key)) lines.push(...removed(port));
  }
  for (const [key, port] of after) {
    const known = before.get(key);
    if (known === undefined) lines.push(...added(port));
    else if (target(known) !== target(port)) lines.push(`flush chain ${tableOf(port)} ${key}`, ...led(port));
  }
  return lines;
}

function chain(name: string, hook: string, rules: readonly string[]): string[] {
  return [`  chain ${name} {`, ...(hook === '' ? [] : [`    ${hook}`]), ...rules.map((rule) => `    ${rule}`), '  }'];
}

function added(port: OpenPort): string[] {
  return [
    `add chain ${tableOf(port)} ${port.key}`,
    ...led(port),
    `add element ${tableOf(port)} ${port.hostIp === '' ? 'held' : 'held_bound'} { ${lookup(port)} }`,
    `add element ${tableOf(port)} ${port.hostIp === '' ? 'ports' : 'bound'} { ${lookup(port)} : goto ${port.key} }`,
  ];
}

function removed(port: OpenPort): string[] {
  return [
    `delete element ${tableOf(port)} ${port.hostIp === '' ? 'ports' : 'bound'} { ${lookup(port)} : goto ${port.key} }`,
    `delete element ${tableOf(port)} ${port.hostIp === '' ? 'held' : 'held_bound'} { ${lookup(port)} }`,
    `flush chain ${tableOf(port)} ${port.key}`,
    `delete chain ${tableOf(port)} ${port.key}`,
  ];
}

function led(port: OpenPort): string[] {
  const rule = target(port);
  return rule === '' ? [] : [`add rule ${tableOf(port)} ${port.key} ${rule}`];
}

function target(port: OpenPort): string {
  if (port.backends.length === 0) return '';
  const choices = port.backends.map((address, index) => `${index} : ${address} . ${port.targetPort}`);
  return `meta l4proto ${port.protocol} dnat ${protocolOf(port.family)} to numgen random mod ${choices.length} map { ${choices.join(', ')} }`;
}

function tableOf({ family }: OpenPort): string {
  return `${protocolOf(family)} ${TABLE}`;
}

function lookup(port: OpenPort): string {
  return `${port.hostIp === '' ? '' : `${port.hostIp} . `}${port.protocol} . ${port.port}`;
}
