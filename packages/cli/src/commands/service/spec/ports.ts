import { isIP } from 'node:net';
import type { PortConfig } from '@swarmd/model';
import { csvPairs } from '../../../text/csv.js';

type Protocol = NonNullable<PortConfig['Protocol']>;
const PROTOCOLS: readonly string[] = ['tcp', 'udp', 'sctp'] satisfies Protocol[];

/** Accepts an IP address; throws an Error otherwise. */
export function checkIp(value: string): string {
  const address = value.trim();
  if (isIP(address) === 0) throw new Error(`IP address is not correctly formatted: ${value}`);
  return address;
}

/** Ports of `8080:80`, `8080-8082:80-82/udp`, `80`, or `target=80,published=8080,protocol=tcp,mode=host`. */
export function parsePorts(text: string): PortConfig[] {
  return text.includes('=') ? [parseLongPort(text)] : parseShortPorts(text);
}

function parseLongPort(text: string): PortConfig {
  const port: PortConfig = { Protocol: 'tcp', TargetPort: 0, PublishMode: 'ingress' };
  for (const [key, value] of csvPairs(text)) {
    switch (key) {
      case 'protocol':
        port.Protocol = parseProtocol(value);
        break;
      case 'mode':
        if (value !== 'ingress' && value !== 'host') throw new Error(`invalid publish mode (${value}) specified`);
        port.PublishMode = value;
        break;
      case 'target':
        port.TargetPort = parsePort(value, 'target');
        break;
      case 'published':
        port.PublishedPort = parsePort(value, 'published');
        break;
      default:
        throw new Error(`invalid field key ${key}`);
    }
  }
  if (port.TargetPort === 0) throw new Error('missing mandatory field "target"');
  return port;
}

function parsePort(value: string, name: string): number {
  const number = Number(value);
  if (!/^\d+$/.test(value) || number > 65535)
    throw new Error(`invalid ${name} port (${value}): value must be an integer`);
  return number;
}

function parseProtocol(value: string): Protocol {
  const protocol = value.toLowerCase();
  if (!PROTOCOLS.includes(protocol)) throw new Error(`invalid protocol value (${value})`);
  return protocol as Protocol;
}

function parseShortPorts(text: string): PortConfig[] {
  const [, address, published, target, protocol = 'tcp'] =
    /^(?:(?:(.*):)?([^:]*):)?([^:/]+)(?:\/(.+))?$/.exec(text) ?? [];
  if (target === undefined) throw new Error(`invalid containerPort: ${text}`);
  if (address !== undefined && address !== '') {
    if (isIP(address.replace(/^\[(.*)\]$/, '$1')) === 0) throw new Error(`invalid IP address: ${address}`);
    throw new Error('published ports of services have no host address: they listen on all of them');
  }
  const targets = portRange(target, `invalid containerPort: ${target}`);
  const publisheds =
    published === undefined || published === '' ? [] : portRange(published, `invalid hostPort: ${published}`);
  if (publisheds.length > 0 && publisheds.length !== targets.length) {
    throw new Error(`invalid ranges specified for container and host Ports: ${target} and ${published}`);
  }
  return targets.map((TargetPort, index) => ({
    Protocol: parseProtocol(protocol),
    TargetPort,
    ...(publisheds.length === 0 ? {} : { PublishedPort: publisheds[index]! }),
    PublishMode: 'ingress',
  }));
}

function portRange(text: string, message: string): number[] {
  const match = /^(\d+)(?:-(\d+))?$/.exec(text);
  const first = Number(match?.[1]);
  const last = Number(match?.[2] ?? match?.[1]);
  if (match === null || first === 0 || last > 65535 || last < first) throw new Error(message);
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

const key = ({ PublishedPort = 0, TargetPort, Protocol = 'tcp', PublishMode }: PortConfig): string =>
  `${PublishedPort}:${TargetPort}/${Protocol}/${PublishMode || 'ingress'}`;

/** The ports without those removed (by target port, protocol and mode), then those added, each once and sorted. */
export function changePorts(
  current: readonly PortConfig[],
  { added, removed }: { added: readonly PortConfig[]; removed: readonly PortConfig[] },
): PortConfig[] {
  const matches = (port: PortConfig, pattern: PortConfig): boolean =>
    port.TargetPort === pattern.TargetPort &&
    (port.Protocol ?? 'tcp') === (pattern.Protocol ?? 'tcp') &&
    (port.PublishMode || 'ingress') === (pattern.PublishMode || 'ingress');
  const kept = current.filter((port) => !removed.some((pattern) => matches(port, pattern)));
  const byKey = new Map([...kept, ...added].map((port) => [key(port), port]));
  return [...byKey.values()].toSorted((a, b) => (key(a) < key(b) ? -1 : 1));
}
