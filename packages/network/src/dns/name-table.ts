import { isIPv4, isIPv6, SocketAddress } from 'node:net';
import type { NameSource, NetworkMembers } from '../parts.js';

/** What a name leads to; with neither it is known all the same. */
export interface NamedAddresses {
  v4: readonly string[];
  v6: readonly string[];
}

/** All names of one network. Keys are in lower case. */
export interface NameTable {
  names: ReadonlyMap<string, NamedAddresses>;
  /** The name that an address, in its canonical form, is called by; as it is written. */
  nameOf(address: string): string | undefined;
}

/** Tables of networks by ID, as of now. */
export interface NameTables {
  network: NameSource['network'];
  table(networkId: string): NameTable | undefined;
}

/** `name` as it is compared: DNS knows no difference of case in ASCII, and none else. */
export function foldName(name: string): string {
  const rootless = name.endsWith('.') ? name.slice(0, -1) : name;
  return rootless.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
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
  const found = new Map<string, string[]>();
  const add = (name: string, more: readonly string[]): void => {
    const known = found.get(name);
    if (known === undefined) found.set(name, [...more]);
    else known.push(...more);
  };
  const ready = readyAddresses(members);
  for (const service of members.services.values()) {
    const tasks = ready.get(service.id) ?? [];
    for (const name of new Set([service.name, ...service.aliases].map(foldName))) {
      add(name, service.virtualIps.length > 0 ? service.virtualIps : tasks);
      add(`tasks.${name}`, tasks);
    }
  }
  const ofServices = new Set(found.keys());
  for (const endpoint of members.endpoints.values()) {
    const reachable = endpoint.phase === 'draining' ? [] : endpoint.addresses;
    for (const name of endpoint.names.map(foldName)) if (!ofServices.has(name)) add(name, reachable);
  }
  // Reverse names are asked for seldom: most tables are replaced before one is.
  let called: Map<string, string> | undefined;
  return {
    names: new Map([...found].map(([name, all]) => [name, byFamily(all)])),
    nameOf: (address) => {
      called ??= namesByAddress(members);
      return called.get(address);
    },
  };
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

function namesByAddress({ services, endpoints }: NetworkMembers): Map<string, string> {
  const called = new Map<string, string>();
  const call = (address: string, name: string): void => {
    const canonical = canonicalAddress(address);
    if (canonical !== undefined && !called.has(canonical) && isWritable(name)) called.set(canonical, name);
  };
  for (const { virtualIps, name } of services.values()) for (const address of virtualIps) call(address, name);
  for (const { names, phase, addresses } of endpoints.values()) {
    const [first] = names;
    if (first !== undefined && phase !== 'draining') for (const address of addresses) call(address, first);
  }
  return called;
}

/** The engine takes names of containers that no DNS packet can hold; room is left for the network's name. */
function isWritable(name: string): boolean {
  return name.length <= 180 && name.split('.').every((label) => /^[\x21-\x7e]{1,63}$/.test(label));
}

function byFamily(addresses: readonly string[]): NamedAddresses {
  const all = addresses.length > 1 ? [...new Set(addresses)] : addresses;
  return { v4: all.filter((address) => !address.includes(':')), v6: all.filter((address) => address.includes(':')) };
}
