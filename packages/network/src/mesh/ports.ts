import { isIP } from 'node:net';
import type { PortConfig, PublishedService } from '@swarmd/model';
import { canonicalAddress, macAddressFor } from '../kernel/addresses.js';
import type { NetworkMembers } from '../parts.js';
import type { Family } from './addresses.js';

/** A port that services publish by one version of IP, and where it leads. */
export interface OpenPort {
  /** Unique among all; also the name of its chain of rules. */
  key: string;
  family: Family;
  protocol: 'tcp' | 'udp';
  port: number;
  /** The only address of the node that it answers on; empty for all of the family. */
  hostIp: string;
  targetPort: number;
  /** Addresses on the ingress network, sorted. */
  backends: readonly string[];
}

/** Why a port is never published, by `protocol/port`. */
export type ReservedPorts = ReadonlyMap<string, string>;

/** A port as people write it: `8080/tcp`, `127.0.0.1:8080/tcp`, `[::]:8080/tcp`. */
export function portName(port: { protocol: string; port: number; hostIp: string; family?: Family }): string {
  const address = port.hostIp === '' && port.family === 6 ? '::' : port.hostIp;
  const host = address.includes(':') ? `[${address}]:` : address === '' ? '' : `${address}:`;
  return `${host}${port.port}/${port.protocol}`;
}

/**
 * What the services publish by the versions `families` of IP, with the `ready` tasks of each as backends, and in
 * `refused`, a sentence each, what is not published on any node. Ports without a number yet are left out. Sorted by key.
 */
export function openPorts(
  members: NetworkMembers,
  published: readonly PublishedService[],
  reserved: ReservedPorts,
  families: readonly Family[] = [4],
): { ports: OpenPort[]; refused: string[] } {
  const backends = readyBackends(members);
  const ports = new Map<string, OpenPort>();
  const refused = new Set<string>();
  for (const service of published) {
    for (const config of service.ports) {
      const outcome = openPort(config, backends.get(service.serviceId) ?? [], reserved, families);
      if (typeof outcome === 'string') refused.add(outcome);
      else
        for (const port of outcome) {
          if (ports.has(port.key))
            refused.add(
              `port ${portName({ ...port, family: 4 })} is published by two services: only one of them answers`,
            );
          else ports.set(port.key, port);
        }
    }
  }
  return { ports: [...ports.values()].sort((a, b) => (a.key < b.key ? -1 : 1)), refused: [...refused] };
}

/** Where a connection to a published port may still go to, tasks that are ready or draining: address → MAC address. */
export function reachable(members: NetworkMembers, published: readonly PublishedService[]): Map<string, string> {
  const services = new Set(published.map((service) => service.serviceId));
  const neighbours = new Map<string, string>();
  for (const endpoint of members.endpoints.values()) {
    const mac = macAddressFor(endpoint.addresses);
    if (endpoint.phase === 'reserved' || !services.has(endpoint.serviceId) || mac === undefined) continue;
    for (const address of endpoint.addresses) neighbours.set(canonicalAddress(address), mac);
  }
  return neighbours;
}

function readyBackends(members: NetworkMembers): Map<string, string[]> {
  const backends = new Map<string, string[]>();
  for (const endpoint of members.endpoints.values()) {
    if (endpoint.phase !== 'ready' || endpoint.serviceId === '') continue;
    const addresses = ([4, 6] as const).flatMap(
      (family) => endpoint.addresses.find((address) => isIP(address) === family) ?? [],
    );
    const list = backends.get(endpoint.serviceId) ?? [];
    backends.set(endpoint.serviceId, list);
    list.push(...addresses.map(canonicalAddress));
  }
  for (const list of backends.values()) list.sort();
  return backends;
}

function openPort(
  config: PortConfig,
  backends: readonly string[],
  reserved: ReservedPorts,
  families: readonly Family[],
): OpenPort[] | string {
  const { TargetPort: targetPort = 0, PublishedPort: port = 0, Protocol: protocol = 'tcp' } = config;
  if (port === 0 || targetPort === 0 || config.PublishMode === 'host') return [];
  const { hostIp, family: only } = hostIpOf(config);
  const name = portName({ hostIp, port, protocol, ...(only === undefined ? {} : { family: only }) });
  if (protocol === 'sctp') return `port ${name} is not published: the routing mesh carries tcp and udp`;
  if (hostIp !== '' && only === undefined) return `port ${name} is not published: HostIP must be an IP address`;
  if (only !== undefined && !families.includes(only))
    return `port ${name} is not published: HostIP must be an IPv4 address, as this node publishes by IPv4 only`;
  if (hostIp === '::1')
    return `port ${name} is not published: no kernel leads connections to ::1 elsewhere, use 127.0.0.1`;
  const reason = reserved.get(`${protocol}/${port}`);
  if (reason !== undefined) return `port ${name} is not published: ${reason}`;
  return families
    .filter((family) => only === undefined || family === only)
    .map((family) => ({
      key: keyOf(family, protocol, port, hostIp),
      ...{ family, protocol, port, hostIp, targetPort },
      backends: backends.filter((address) => isIP(address) === family),
    }));
}

function keyOf(family: Family, protocol: string, port: number, hostIp: string): string {
  const bound = hostIp === '' ? '' : `-${hostIp.replaceAll(':', '_')}`;
  return `${protocol}-${port}${family === 6 ? '-v6' : ''}${bound}`;
}

/** `HostIP` is no field of Docker's services: it comes from Compose's `host_ip`. */
function hostIpOf(config: PortConfig): { hostIp: string; family?: Family } {
  const value = (config as { HostIP?: unknown }).HostIP;
  if (typeof value !== 'string' || value === '') return { hostIp: '' };
  const family = isIP(value);
  if (family !== 4 && family !== 6) return { hostIp: value };
  const hostIp = canonicalAddress(value);
  return { hostIp: hostIp === '0.0.0.0' || hostIp === '::' ? '' : hostIp, family };
}
