import { canonicalAddress } from '../kernel/addresses.js';
import { type Family, protocolOf } from './addresses.js';
import { TABLE } from './node-rules.js';

/** The ingress network's end of the pair of interfaces, a port of its bridge. */
export const BRIDGE_PORT = 'mesh0';
/** A connection tracking zone has 16 bits, and 0 is everybody's. */
const maxIndex = 65_535;

/**
 * A number for every MAC address: the one it has in `known`, else the least free one, so that connections which carry
 * one keep leading to their node.
 */
export function assignIndexes(known: ReadonlyMap<string, number>, macs: Iterable<string>): Map<string, number> {
  const indexes = new Map<string, number>();
  const fresh: string[] = [];
  const taken = new Set<number>();
  for (const mac of new Set(macs)) {
    const index = known.get(mac);
    if (index === undefined || index < 1 || index > maxIndex || taken.has(index)) fresh.push(mac);
    else {
      indexes.set(mac, index);
      taken.add(index);
    }
  }
  let next = 1;
  for (const mac of fresh.sort()) {
    while (taken.has(next)) next++;
    if (next > maxIndex) break;
    indexes.set(mac, next++);
  }
  return indexes;
}

/**
 * Commands of nft that replace our rules in the ingress network's namespace. A connection remembers which node it came
 * by (`ct mark`), and answers are sent to that node's MAC address, whatever the container addressed. The zone keeps equal
 * addresses and ports of a client that come by two nodes apart: the empty NAT chain gives the later another port.
 */
export function ingressTables(indexes: ReadonlyMap<string, number>, families: readonly Family[]): string[] {
  const entries = [...indexes];
  const byMac = entries.map(([mac, index]) => `${mac} : ${index}`);
  const remembering = (ip: string): string[] => [
    `table ${ip} ${TABLE}`,
    `delete table ${ip} ${TABLE}`,
    `table ${ip} ${TABLE} {`,
    `  map zones { typeof ether saddr : ct zone; ${elements(byMac)} }`,
    `  map marks { type ether_addr : mark; ${elements(byMac)} }`,
    '  chain zone {',
    '    type filter hook prerouting priority raw;',
    '    ct original zone set ether saddr map @zones',
    '  }',
    '  chain remember {',
    '    type filter hook prerouting priority mangle;',
    '    ct direction original ct mark set ether saddr map @marks',
    '    ct direction reply meta mark set ct mark',
    '  }',
    '  chain apart {',
    '    type nat hook postrouting priority srcnat;',
    '  }',
    '}',
  ];
  return [
    ...families.map(protocolOf).flatMap(remembering),
    `table bridge ${TABLE}`,
    `delete table bridge ${TABLE}`,
    `table bridge ${TABLE} {`,
    `  map nodes { type mark : ether_addr; ${elements(entries.map(([mac, index]) => `${index} : ${mac}`))} }`,
    // The first bytes of nodes' MAC addresses: no container may pass for a node.
    '  chain no_pretending {',
    '    type filter hook prerouting priority -310;',
    `    iifname != { "vx0", "${BRIDGE_PORT}" } ether saddr & fb:00:00:00:00:00 == 0a:00:00:00:00:00 drop`,
    '  }',
    '  chain back {',
    '    type filter hook prerouting priority 10;',
    '    meta mark != 0 ether daddr set meta mark map @nodes',
    '  }',
    '}',
  ];
}

/** Commands of nft that lead from the tables of `before` to those of `after`; none when they are equal. */
export function ingressDifference(
  before: ReadonlyMap<string, number>,
  after: ReadonlyMap<string, number>,
  families: readonly Family[],
): string[] {
  const gone = [...before].filter(([mac, index]) => after.get(mac) !== index);
  const fresh = [...after].filter(([mac, index]) => before.get(mac) !== index);
  const change = (verb: 'add' | 'delete', entries: readonly (readonly [string, number])[]): string[] => {
    if (entries.length === 0) return [];
    const byMac = entries.map(([mac, index]) => `${mac} : ${index}`).join(', ');
    const byIndex = entries.map(([mac, index]) => `${index} : ${mac}`).join(', ');
    return [
      ...families
        .map(protocolOf)
        .flatMap((ip) => [
          `${verb} element ${ip} ${TABLE} zones { ${byMac} }`,
          `${verb} element ${ip} ${TABLE} marks { ${byMac} }`,
        ]),
      `${verb} element bridge ${TABLE} nodes { ${byIndex} }`,
    ];
  };
  return [...change('delete', gone), ...change('add', fresh)];
}

/** Where the bridge's forwarding tables lead to, as `bridge -j fdb show dev vx0` says. */
interface ForwardingEntry {
  mac: string;
  dst?: string;
  master?: string;
  state?: string;
}

/** The ways to other nodes: by VXLAN, MAC address → data path address, and to the VXLAN device. */
export interface PeerWays {
  tunnels: ReadonlyMap<string, string>;
  bridged: ReadonlySet<string>;
}

/** All the ways that there are to be to `peers` (MAC address → data path address). */
export function waysTo(peers: ReadonlyMap<string, string>): PeerWays {
  const tunnels = new Map([...peers].map(([mac, address]) => [mac, canonicalAddress(address)] as const));
  return { tunnels, bridged: new Set(peers.keys()) };
}

/** The ways to nodes in what `bridge -j fdb show dev vx0` says; those to containers are none of the mesh's. */
export function parseWays(listing: string): PeerWays {
  const tunnels = new Map<string, string>();
  const bridged = new Set<string>();
  for (const { mac, dst, master, state } of JSON.parse(listing) as ForwardingEntry[]) {
    if (!/^0[ae]:/.test(mac)) continue;
    if (dst !== undefined) tunnels.set(mac, canonicalAddress(dst));
    else if (master !== undefined && state === 'static') bridged.add(mac);
  }
  return { tunnels, bridged };
}

/** Lines of `bridge` that lead from the ways `from` to the ways `to`. */
export function wayChanges(from: PeerWays, to: PeerWays): string[] {
  const lines: string[] = [];
  for (const [mac, address] of to.tunnels) {
    if (from.tunnels.get(mac) !== address) lines.push(`fdb replace ${mac} dev vx0 dst ${address} self permanent`);
    if (!from.bridged.has(mac)) lines.push(`fdb replace ${mac} dev vx0 master static`);
  }
  for (const mac of from.tunnels.keys()) if (!to.tunnels.has(mac)) lines.push(`-fdb del ${mac} dev vx0 self`);
  for (const mac of from.bridged) if (!to.bridged.has(mac)) lines.push(`-fdb del ${mac} dev vx0 master`);
  return lines;
}

/** What `nft -j list map` says of the map `zones`; empty when it is of another form. */
export function parseIndexes(json: string): Map<string, number> {
  const indexes = new Map<string, number>();
  let listing: { nftables?: { map?: { elem?: unknown[] } }[] };
  try {
    listing = JSON.parse(json);
  } catch {
    return indexes;
  }
  for (const { map } of listing.nftables ?? []) {
    for (const element of map?.elem ?? []) {
      if (!Array.isArray(element)) continue;
      const [mac, index] = element as unknown[];
      if (typeof mac === 'string' && typeof index === 'number') indexes.set(mac, index);
    }
  }
  return indexes;
}

function elements(list: readonly string[]): string {
  return list.length === 0 ? '' : `elements = { ${list.join(', ')} };`;
}
