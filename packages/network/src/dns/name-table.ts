import { isIPv4, isIPv6, SocketAddress } from 'node:net';
import type { NetworkService } from '@swarmd/model';
import type { NameSource, NetworkMembers } from '../parts.js';

/** What a name leads to; with neither it is known all the same. */
export interface NamedAddresses {
  v4: readonly string[];
  v6: readonly string[];
}

/** All names of one network. Keys are in lower case. */
export interface NameTable {
  names: ReadonlyMap<string, NamedAddresses>;
  /** By address in its canonical form: the name that it is called by, as it is written. */
  addresses: ReadonlyMap<string, string>;
}

/** Tables of networks by ID, as of now. */
export interface NameTables {
  network: NameSource['network'];
  table(networkId: string): NameTable | undefined;
}

/** `name` as it is compared: DNS knows no difference of case in ASCII, and none else. */
export function foldName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => letter.toLowerCase()).replace(/\.$/, '');
}

/** An IP address in the one form in which it is compared; `undefined` for what is none. */
export function canonicalAddress(address: string): string | undefined {
  if (isIPv4(address)) return address;
  return isIPv6(address) ? new SocketAddress({ address, family: 'ipv6' }).address : undefined;
}

/**
 * Names of a network. A service's name and aliases lead to its virtual IPs, or without any (`dnsrr`) to its ready
 * endpoints; `tasks.<name>` always to those; names of endpoints to themselves unless a service has that name, so that no
 * container can put itself in a service's place. What several share leads to all of them. Endpoints that drain lead
 * nowhere.
 */
export function nameTable(members: NetworkMembers): NameTable {
  const found = new Map<string, Set<string>>();
  const addresses = new Map<string, string>();
  const add = (name: string, more: readonly string[]): void => {
    const known = found.get(name);
    if (known === undefined) found.set(name, new Set(more));
    else for (const address of more) known.add(address);
  };
  const ready = readyAddresses(members);
  for (const service of members.services.values()) {
    const tasks = ready.get(service.id) ?? [];
    for (const name of namesOf(service)) {
      add(name, service.virtualIps.length > 0 ? service.virtualIps : tasks);
      add(`tasks.${name}`, tasks);
    }
    for (const address of service.virtualIps) call(addresses, address, service.name);
  }
  const ofServices = new Set(found.keys());
  for (const endpoint of members.endpoints.values()) {
    const reachable = endpoint.phase === 'draining' ? [] : endpoint.addresses;
    for (const name of endpoint.names.map(foldName)) if (!ofServices.has(name)) add(name, reachable);
    const [first] = endpoint.names;
    if (first !== undefined) for (const address of reachable) call(addresses, address, first);
  }
  return { names: new Map([...found].map(([name, all]) => [name, byFamily(all)])), addresses };
}

/**
 * Tables of `source`, each built when it is first asked for and again when the network's members are another object:
 * `members` must be replaced, not changed in place.
 */
export function createNameTables(source: NameSource): NameTables {
  const built = new WeakMap<NetworkMembers, NameTable>();
  return {
    network: (id) => source.network(id),
    table: (id) => {
      const members = source.members(id);
      if (members === undefined) return undefined;
      let table = built.get(members);
      if (table === undefined) {
        table = nameTable(members);
        built.set(members, table);
      }
      return table;
    },
  };
}

function readyAddresses(members: NetworkMembers): Map<string, string[]> {
  const ready = new Map<string, string[]>();
  for (const { serviceId, phase, addresses } of members.endpoints.values()) {
    if (phase !== 'ready' || serviceId === '') continue;
    const known = ready.get(serviceId);
    if (known === undefined) ready.set(serviceId, [...addresses]);
    else known.push(...addresses);
  }
  return ready;
}

function namesOf(service: NetworkService): Set<string> {
  return new Set([service.name, ...service.aliases].map(foldName));
}

function call(addresses: Map<string, string>, address: string, name: string): void {
  const canonical = canonicalAddress(address);
  if (canonical !== undefined && !addresses.has(canonical) && isWritable(name)) addresses.set(canonical, name);
}

/** The engine takes names of containers that no DNS packet can hold; room is left for the network's name. */
function isWritable(name: string): boolean {
  return name.length <= 180 && name.split('.').every((label) => /^[\x21-\x7e]{1,63}$/.test(label));
}

function byFamily(addresses: Iterable<string>): NamedAddresses {
  const all = [...addresses];
  return { v4: all.filter((address) => isIPv4(address)), v6: all.filter((address) => isIPv6(address)) };
}
