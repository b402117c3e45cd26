import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import { DEFAULTS, SwarmdError } from '@swarmd/model';

/** A host and a port; the host is an IP address. */
export interface HostPort {
  host: string;
  port: number;
}

/**
 * Reads `IP`, `IP:PORT`, `INTERFACE` or `INTERFACE:PORT`, as `docker swarm init` takes them; the port is `defaultPort`
 * unless given. `invalid-argument` names `field` and what is allowed.
 */
export function parseAddress(text: string, field: string, defaultPort: number = DEFAULTS.clusterPort): HostPort {
  const match = /^(?:\[(?<six>[^\]]+)\]|(?<name>[^:]*)|(?<bare>.*:.*:.*))(?::(?<port>\d+))?$/.exec(text);
  const name = match?.groups?.['six'] ?? match?.groups?.['name'] ?? match?.groups?.['bare'] ?? '';
  const port = match?.groups?.['port'] === undefined ? defaultPort : Number(match.groups['port']);
  const host = isIP(name) !== 0 ? name : addressOfInterface(name);
  if (host === undefined || port < 1 || port > 65_535) {
    throw new SwarmdError(
      'invalid-argument',
      `invalid ${field} "${text}": it must be an IP address or a network interface, with an optional port`,
      { field },
    );
  }
  return { host, port };
}

/** Reads `IP` or `INTERFACE`, as Docker takes a data path's; an interface is its first address. Errors as {@link parseAddress}'s. */
export function parseHost(text: string, field: string): string {
  const host = isIP(text) !== 0 ? text : addressOfInterface(text);
  if (host !== undefined) return host;
  throw new SwarmdError(
    'invalid-argument',
    `invalid ${field} "${text}": it must be an IP address or a network interface, without a port`,
    { field },
  );
}

/** `host:port`, with brackets around IPv6. */
export function formatAddress({ host, port }: HostPort): string {
  return isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`;
}

/**
 * The address that other nodes reach this machine at when nobody said: the only one that is not loopback, link-local or
 * a Docker bridge. Several: `invalid-argument`, in Docker's words. None: loopback, which does for one node.
 */
export function guessAdvertiseHost(): string {
  const found: { name: string; address: string }[] = [];
  for (const [name, addresses] of Object.entries(networkInterfaces())) {
    if (/^(docker|br-|veth|lo$)/.test(name)) continue;
    for (const address of addresses ?? []) {
      if (address.family === 'IPv4' && !address.internal) found.push({ name, address: address.address });
    }
  }
  if (found.length > 1) {
    const list = found.map(({ name, address }) => `${address} on ${name}`).join(', ');
    throw new SwarmdError(
      'failed-precondition',
      `could not choose an IP address to advertise since this system has multiple addresses (${list}) - specify one with --advertise-addr`,
      { field: 'AdvertiseAddr' },
    );
  }
  return found[0]?.address ?? '127.0.0.1';
}

/** The name of this machine's network interface that has the address `host`; `undefined` when none has. */
export function interfaceOf(host: string): string | undefined {
  const found = Object.entries(networkInterfaces()).find(([, addresses]) =>
    addresses?.some(({ address }) => address === host),
  );
  return found?.[0];
}

/** The first address of an interface, of the family of `like`; `undefined` when it has none or is not there. */
export function addressLike(name: string, like: string): string | undefined {
  const family = isIP(like) === 6 ? 'IPv6' : 'IPv4';
  return networkInterfaces()[name]?.find((entry) => entry.family === family)?.address;
}

function addressOfInterface(name: string): string | undefined {
  const addresses = networkInterfaces()[name] ?? [];
  return (addresses.find(({ family }) => family === 'IPv4') ?? addresses[0])?.address;
}
