import { isIPv4 } from 'node:net';
import type { PortConfig, PublishedService } from '@swarmd/model';
import type { NetworkMembers } from '../parts.js';

/** A port that services publish, and where it leads. */
export interface OpenPort {
  /** Unique among all; also the name of its chain of rules. */
  key: string;
  protocol: 'tcp' | 'udp';
  port: number;
  /** The only address of the node that it answers on; empty for all. */
  hostIp: string;
  targetPort: number;
  /** IPv4 addresses on the ingress network, sorted. */
  backends: readonly string[];
}

/** Why a port is never published, by `protocol/port`. */
export type ReservedPorts = ReadonlyMap<string, string>;

/** A port as people write it: `8080/tcp`, `127.0.0.1:8080/tcp`. */
export function portName(port: Pick<OpenPort, 'protocol' | 'port' | 'hostIp'>): string {
  return `${port.hostIp === '' ? '' : `${port.hostIp}:`}${port.port}/${port.protocol}`;
}

/**
 * What the services publish, with the `ready` tasks of each as backends, and in `refused`, a sentence each, what is not
 * published on any node. Ports without a number yet are left out. Sorted by key.
 */
export function openPorts(
  members: NetworkMembers,
  published: readonly PublishedService[],
  reserved: ReservedPorts,
): { ports: OpenPort[]; refused: string[] } {
  const backends = readyBackends(members);
  const ports = new Map<string, OpenPort>();
  const refused: string[] = [];
  for (const service of published) {
    for (const config of service.ports) {
      const outcome = openPort(config, backends.get(service.serviceId) ?? [], reserved);
      if (typeof outcome === 'string') refused.push(outcome);
      else if (outcome !== undefined && ports.has(outcome.key))
        refused.push(`port ${portName(outcome)} is published by two services: only one of them answers`);
      else if (outcome !== undefined) ports.set(outcome.key, outcome);
    }
  }
  return { ports: [...ports.values()].sort((a, b) => (a.key < b.key ? -1 : 1)), refused };
}

/** Every IPv4 address that a connection to a published port may still go to: of tasks that are ready or draining. */
export function reachable(members: NetworkMembers, published: readonly PublishedService[]): Set<string> {
  const services = new Set(published.map((service) => service.serviceId));
  const addresses = new Set<string>();
  for (const endpoint of members.endpoints.values()) {
    if (endpoint.phase === 'reserved' || !services.has(endpoint.serviceId)) continue;
    const address = endpoint.addresses.find(isIPv4);
    if (address !== undefined) addresses.add(address);
  }
  return addresses;
}

function readyBackends(members: NetworkMembers): Map<string, string[]> {
  const backends = new Map<string, string[]>();
  for (const endpoint of members.endpoints.values()) {
    const address = endpoint.addresses.find(isIPv4);
    if (endpoint.phase !== 'ready' || endpoint.serviceId === '' || address === undefined) continue;
    const list = backends.get(endpoint.serviceId);
    if (list === undefined) backends.set(endpoint.serviceId, [address]);
    else list.push(address);
  }
  for (const list of backends.values()) list.sort();
  return backends;
}

function openPort(
  config: PortConfig,
  backends: readonly string[],
  reserved: ReservedPorts,
): OpenPort | string | undefined {
  const { TargetPort: targetPort = 0, PublishedPort: port = 0, Protocol: protocol = 'tcp' } = config;
  if (port === 0 || targetPort === 0 || config.PublishMode === 'host') return undefined;
  const hostIp = hostIpOf(config);
  const name = `${hostIp === '' ? '' : `${hostIp}:`}${port}/${protocol}`;
  if (protocol === 'sctp') return `port ${name} is not published: the routing mesh carries tcp and udp`;
  if (hostIp !== '' && !isIPv4(hostIp))
    return `port ${name} is not published: HostIP must be an IPv4 address, as the routing mesh is IPv4 only`;
  const reason = reserved.get(`${protocol}/${port}`);
  if (reason !== undefined) return `port ${name} is not published: ${reason}`;
  const key = `${protocol}-${port}${hostIp === '' ? '' : `-${hostIp}`}`;
  return { key, protocol, port, hostIp, targetPort, backends };
}

/** `HostIP` is no field of Docker's services: it comes from Compose's `host_ip`. */
function hostIpOf(config: PortConfig): string {
  const value = (config as { HostIP?: unknown }).HostIP;
  return typeof value !== 'string' || value === '0.0.0.0' ? '' : value;
}
