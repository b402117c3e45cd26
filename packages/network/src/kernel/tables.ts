import { isIP } from 'node:net';
import type { NodeNetwork } from '@swarmd/model';
import { SwarmdError } from '@swarmd/model';
import type { NetworkMembers } from '../parts.js';
import { addressesOf, canonicalAddress, familyOf, macAddressFor, macAddressOf } from './addresses.js';
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

/** What should stand in the kernel of the node with the data path address `ownAddr`. */
export function tablesFor(network: NodeNetwork, members: NetworkMembers, ownAddr: string): NetworkTables {
  const tables = emptyTables();
  tables.base = baseRules(network).digest;
  const own = ownAddresses(members, ownAddr);
  addRemotes(tables, members, ownAddr, own);
  addRanges(tables, members, ownAddr, own);
  addServices(tables, members, ownAddr);
  return tables;
}

/** MAC addresses of the containers of this node. */
function ownAddresses(members: NetworkMembers, ownAddr: string): Set<string | undefined> {
  const own = new Set<string | undefined>();
  for (const endpoint of members.endpoints.values()) {
    if (endpoint.nodeAddr === ownAddr) own.add(macAddressFor(endpoint.addresses));
  }
  for (const address of members.here ?? []) own.add(macAddressFor([address]));
  return own;
}

function addRemotes(
  tables: NetworkTables,
  members: NetworkMembers,
  ownAddr: string,
  own: ReadonlySet<string | undefined>,
): void {
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

/** What no endpoint has in the ranges of other nodes leads to those nodes. IPv6 tells no MAC address: it is left out. */
function addRanges(
  tables: NetworkTables,
  members: NetworkMembers,
  ownAddr: string,
  own: ReadonlySet<string | undefined>,
): void {
  for (const { nodeAddr, ranges } of members.blocks?.values() ?? []) {
    if (nodeAddr === ownAddr || nodeAddr === '') continue;
    if (familyOf(nodeAddr, 'nodeAddr') !== isIP(ownAddr)) continue;
    const node = canonicalAddress(nodeAddr);
    for (const range of ranges) {
      for (const address of addressesOf(range)) {
        const mac = macAddressOf(address);
        if (own.has(mac) || tables.tunnels.has(mac)) continue;
        tables.tunnels.set(mac, node);
        tables.bridged.add(mac);
        tables.neighbours.set(address, mac);
      }
    }
  }
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
