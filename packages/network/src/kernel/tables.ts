import { isIP } from 'node:net';
import type { NodeNetwork } from '@swarmd/model';
import { SwarmdError } from '@swarmd/model';
import type { NetworkMembers } from '../parts.js';
import { canonicalAddress, familyOf, macAddressFor } from './addresses.js';
import { type RangeEntry, type RangeTable, rangeTable } from './ranges.js';
import { baseRules } from './rules.js';

/** What follows from the members of a network and stands in the kernel, inside its namespace. */
export interface NetworkTables {
  /** Forwarding table of `vx0`: MAC address → node's address. */
  tunnels: Map<string, string>;
  /** MAC addresses that the bridge sends to `vx0`. */
  bridged: Set<string>;
  /** Neighbours of `vx0`, for which it answers ARP: address → MAC address. */
  neighbours: Map<string, string>;
  /**
   * Neighbours of `br0`: address of a backend → MAC address. They could be asked for; but all namespaces of a host
   * together have room for 1,024 of those (`gc_thresh3`), and for any number of these.
   */
  backends: Map<string, string>;
  /** Addresses of `br0` that are no gateways. */
  virtualIps: Set<string>;
  /** Chain of a service → addresses of its backends in order. */
  chains: Map<string, readonly string[]>;
  /** Virtual IP → chain. */
  dispatch: Map<string, string>;
  /** Backends on this node: they may reach themselves. */
  selves: Set<string>;
  /**
   * What the ranges of other nodes lead to, beyond all above, but for MAC addresses of this node's containers (`own`);
   * absent without ranges, and in what was read: there it is among the rest.
   */
  ranges?: { table: RangeTable; own: ReadonlySet<string> };
  /** Digest of the rules that do not depend on members; empty unless they are all there. */
  base: string;
}

/** Nothing at all: what stands in a namespace just made. */
export function emptyTables(): NetworkTables {
  return {
    tunnels: new Map(),
    bridged: new Set(),
    neighbours: new Map(),
    backends: new Map(),
    virtualIps: new Set(),
    chains: new Map(),
    dispatch: new Map(),
    selves: new Set(),
    base: '',
  };
}

/**
 * What should stand in the kernel of the node with the data path address `ownAddr`. `previous`: of the same network, what
 * followed from its ranges lately.
 */
export function tablesFor(
  network: NodeNetwork,
  members: NetworkMembers,
  ownAddr: string,
  previous?: RangeTable,
): NetworkTables {
  const tables = emptyTables();
  tables.base = baseRules(network).digest;
  const own = ownAddresses(members, ownAddr);
  addRemotes(tables, members, ownAddr, own);
  const table = rangeTable(members.blocks ?? new Map(), ownAddr, previous);
  if (table.entries.size > 0) tables.ranges = { table, own };
  addServices(tables, members, ownAddr);
  return tables;
}

/** MAC addresses of the containers of this node. */
function ownAddresses(members: NetworkMembers, ownAddr: string): Set<string> {
  const own = new Set<string>();
  const add = (addresses: readonly string[]): void => {
    const mac = macAddressFor(addresses);
    if (mac !== undefined) own.add(mac);
  };
  for (const endpoint of members.endpoints.values()) if (endpoint.nodeAddr === ownAddr) add(endpoint.addresses);
  for (const address of members.here ?? []) add([address]);
  return own;
}

function addRemotes(tables: NetworkTables, members: NetworkMembers, ownAddr: string, own: ReadonlySet<string>): void {
  for (const endpoint of members.endpoints.values()) {
    const mac = macAddressFor(endpoint.addresses);
    // A container that is here is here, whoever else is still said to have had its address.
    if (endpoint.nodeAddr === ownAddr || endpoint.nodeAddr === '' || mac === undefined || own.has(mac)) continue;
    // A device sends by one version of IP: nodes of the other one are out of its reach.
    if (familyOf(endpoint.nodeAddr, 'nodeAddr') !== isIP(ownAddr)) continue;
    tables.tunnels.set(mac, canonicalAddress(endpoint.nodeAddr));
    tables.bridged.add(mac);
    for (const address of endpoint.addresses) {
      familyOf(address, 'addresses');
      tables.neighbours.set(canonicalAddress(address), mac);
    }
  }
}

/** Adds what the ranges lead to, of `only` these MAC addresses when given; a container and an endpoint go before a range. */
function withRanges(tables: NetworkTables, only?: ReadonlySet<string>): NetworkTables {
  if (tables.ranges === undefined) return tables;
  const { table, own } = tables.ranges;
  const { ranges: _added, ...rest } = tables;
  const tunnels = new Map(tables.tunnels);
  const bridged = new Set(tables.bridged);
  const neighbours = new Map(tables.neighbours);
  const add = (mac: string, { address, node }: RangeEntry): void => {
    if (own.has(mac) || tables.tunnels.has(mac)) return;
    tunnels.set(mac, node);
    bridged.add(mac);
    neighbours.set(address, mac);
  };
  if (only === undefined) for (const [mac, entry] of table.entries) add(mac, entry);
  for (const mac of only ?? []) {
    const entry = table.entries.get(mac);
    if (entry !== undefined) add(mac, entry);
  }
  return { ...rest, tunnels, bridged, neighbours };
}

/**
 * The tables to be compared, with what the ranges lead to among the rest. Where both have the same ranges only those
 * addresses of them are there that may differ.
 */
export function comparable(from: NetworkTables, to: NetworkTables): [NetworkTables, NetworkTables] {
  if (from.ranges?.table !== to.ranges?.table) return [withRanges(from), withRanges(to)];
  const only = new Set<string>();
  for (const { tunnels, ranges } of [from, to]) {
    for (const mac of tunnels.keys()) only.add(mac);
    for (const mac of ranges?.own ?? []) only.add(mac);
  }
  return [withRanges(from, only), withRanges(to, only)];
}

function addServices(tables: NetworkTables, members: NetworkMembers, ownAddr: string): void {
  const backends = new Map<string, string[]>();
  const macs = new Map<string, string>();
  const own = new Set<string>();
  for (const endpoint of members.endpoints.values()) {
    if (endpoint.phase !== 'ready' || endpoint.serviceId === '') continue;
    const mac = macAddressFor(endpoint.addresses);
    for (const family of [4, 6]) {
      const address = endpoint.addresses.find((candidate) => isIP(candidate) === family);
      if (address === undefined) continue;
      const key = chainName(endpoint.serviceId, family);
      const canonical = canonicalAddress(address);
      if (mac !== undefined) macs.set(canonical, mac);
      const list = backends.get(key);
      if (list) list.push(canonical);
      else backends.set(key, [canonical]);
      if (endpoint.nodeAddr === ownAddr) own.add(canonical);
    }
  }
  for (const service of members.services.values()) {
    for (const virtualIp of service.virtualIps) {
      const family = familyOf(virtualIp, 'virtualIps');
      const address = canonicalAddress(virtualIp);
      tables.virtualIps.add(address);
      const chain = chainName(service.id, family);
      const list = backends.get(chain);
      if (!list) continue;
      tables.chains.set(chain, [...new Set(list)].sort());
      tables.dispatch.set(address, chain);
      for (const backend of list) {
        if (own.has(backend)) tables.selves.add(backend);
        const mac = macs.get(backend);
        if (mac !== undefined) tables.backends.set(backend, mac);
      }
    }
  }
}

function chainName(serviceId: string, family: number): string {
  if (!/^[a-zA-Z0-9_-]{1,64}$/.test(serviceId)) {
    throw new SwarmdError('invalid-argument', `invalid service ID '${serviceId}': must be letters and digits`, {
      field: 'serviceId',
    });
  }
  return `service_${serviceId}_${family}`;
}
