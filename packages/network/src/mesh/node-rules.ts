import type { OpenPort } from './ports.js';

/** Our tables' name, in the host's namespace, the ingress network's and the containers'. */
export const TABLE = 'swarmd_mesh';
/** The host's end of the pair of interfaces that leads into the ingress network. */
export const HOST_LINK = 'swarmd-mesh';

/** What the rules need to know of the node. */
export interface NodeRulesOptions {
  /** Own address that connections from 127.0.0.0/8 get on the ingress network; `undefined`: the kernel chooses. */
  source: string | undefined;
  /** All clients' addresses are replaced by it. */
  masquerade: boolean;
}

/** Commands of nft that replace all our rules in the host's namespace at once. */
export function nodeTable(options: NodeRulesOptions, ports: Iterable<OpenPort>): string[] {
  const whose = options.masquerade ? '' : 'ip saddr 127.0.0.0/8 ';
  const become = options.source === undefined ? 'masquerade' : `snat to ${options.source}`;
  return [
    `table ip ${TABLE}`,
    `delete table ip ${TABLE}`,
    `table ip ${TABLE} {`,
    '  map ports { type inet_proto . inet_service : verdict; }',
    '  map bound { type ipv4_addr . inet_proto . inet_service : verdict; }',
    '  set held { type inet_proto . inet_service; }',
    '  set held_bound { type ipv4_addr . inet_proto . inet_service; }',
    ...chain('published', '', [
      'ip daddr . meta l4proto . th dport vmap @bound',
      'meta l4proto . th dport vmap @ports',
    ]),
    // With route_localnet on this link the kernel no longer keeps packets for 127/8 out by itself.
    ...chain('loopback_guard', 'type filter hook prerouting priority raw;', [
      `iifname "${HOST_LINK}" ip daddr 127.0.0.0/8 drop`,
    ]),
    // The ingress network answers to what came from here; it opens nothing on this host or through it.
    ...chain('answers_only', 'type filter hook prerouting priority mangle;', [
      `iifname "${HOST_LINK}" ct direction original drop`,
    ]),
    // From outside, 127/8 must be left for the kernel to drop: that happens after this.
    ...chain('prerouting', 'type nat hook prerouting priority -101;', [
      'ip daddr != 127.0.0.0/8 fib daddr type local jump published',
    ]),
    ...chain('output', 'type nat hook output priority -101;', ['fib daddr type local jump published']),
    ...chain('postrouting', 'type nat hook postrouting priority 99;', [`oifname "${HOST_LINK}" ${whose}${become}`]),
    // What was led nowhere would reach the placeholder, which never answers.
    ...chain('refused', 'type filter hook input priority -1;', [
      'ct direction original meta l4proto . th dport @held jump refuse',
      'ct direction original ip daddr . meta l4proto . th dport @held_bound jump refuse',
    ]),
    ...chain('refuse', '', ['meta l4proto tcp reject with tcp reset', 'reject with icmp type port-unreachable']),
    '}',
    ...[...ports].flatMap(added),
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
    else if (target(known) !== target(port)) lines.push(`flush chain ip ${TABLE} ${key}`, ...led(port));
  }
  return lines;
}

function chain(name: string, hook: string, rules: readonly string[]): string[] {
  return [`  chain ${name} {`, ...(hook === '' ? [] : [`    ${hook}`]), ...rules.map((rule) => `    ${rule}`), '  }'];
}

function added(port: OpenPort): string[] {
  return [
    `add chain ip ${TABLE} ${port.key}`,
    ...led(port),
    `add element ip ${TABLE} ${port.hostIp === '' ? 'held' : 'held_bound'} { ${lookup(port)} }`,
    `add element ip ${TABLE} ${port.hostIp === '' ? 'ports' : 'bound'} { ${lookup(port)} : goto ${port.key} }`,
  ];
}

function removed(port: OpenPort): string[] {
  return [
    `delete element ip ${TABLE} ${port.hostIp === '' ? 'ports' : 'bound'} { ${lookup(port)} : goto ${port.key} }`,
    `delete element ip ${TABLE} ${port.hostIp === '' ? 'held' : 'held_bound'} { ${lookup(port)} }`,
    `flush chain ip ${TABLE} ${port.key}`,
    `delete chain ip ${TABLE} ${port.key}`,
  ];
}

function led(port: OpenPort): string[] {
  const rule = target(port);
  return rule === '' ? [] : [`add rule ip ${TABLE} ${port.key} ${rule}`];
}

function target(port: OpenPort): string {
  if (port.backends.length === 0) return '';
  const choices = port.backends.map((address, index) => `${index} : ${address} . ${port.targetPort}`);
  return `meta l4proto ${port.protocol} dnat ip to numgen random mod ${choices.length} map { ${choices.join(', ')} }`;
}

function lookup(port: OpenPort): string {
  return `${port.hostIp === '' ? '' : `${port.hostIp} . `}${port.protocol} . ${port.port}`;
}
