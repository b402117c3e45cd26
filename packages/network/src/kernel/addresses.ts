import { isIP, SocketAddress } from 'node:net';
import { SwarmdError } from '@swarmd/model';

/** Version of an IP address; `invalid-argument` that names `field` for anything else. */
export function familyOf(address: string, field: string): 4 | 6 {
  const family = isIP(address);
  if ((family !== 4 && family !== 6) || address.includes('%')) {
    throw new SwarmdError('invalid-argument', `invalid ${field} '${address}': must be an IP address`, { field });
  }
  return family;
}

/** The one form of an address that the kernel's tools print too. */
export function canonicalAddress(address: string): string {
  return isIP(address) === 6 ? new SocketAddress({ address, family: 'ipv6' }).address : address;
}

/** `02:42:` and the four bytes of an IPv4 address: what every node derives alike. */
export function macAddressOf(ipv4: string): string {
  const bytes = ipv4.split('.').map((part) => Number(part).toString(16).padStart(2, '0'));
  return ['02', '42', ...bytes].join(':');
}

/** The MAC address of whoever has these addresses; `undefined` without an IPv4 address among them. */
export function macAddressFor(addresses: readonly string[]): string | undefined {
  const ipv4 = addresses.find((address) => isIP(address) === 4);
  return ipv4 === undefined ? undefined : macAddressOf(ipv4);
}

/** More addresses than a node's range of a network ever has. */
const MAX_RANGE = 256;

/** All IPv4 addresses of a range in CIDR notation; none of one of IPv6. `invalid-argument` for what is no such range. */
export function addressesOf(range: string): string[] {
  const [first = '', prefix = ''] = range.split('/');
  const family = isIP(first);
  const size = 2 ** ((family === 4 ? 32 : 128) - Number(prefix));
  const known = family !== 0 && /^\d{1,3}$/.test(prefix) && size >= 1;
  if (!known || (family === 4 && size > MAX_RANGE)) {
    const allowed = `must be in CIDR notation, with ${MAX_RANGE} addresses at most`;
    throw new SwarmdError('invalid-argument', `invalid range '${range}': ${allowed}`, { field: 'ranges' });
  }
  if (family === 6) return [];
  const value = first.split('.').reduce((sum, byte) => sum * 256 + Number(byte), 0);
  const start = value - (value % size);
  return Array.from({ length: size }, (_, at) =>
    [24, 16, 8, 0].map((shift) => Math.floor((start + at) / 2 ** shift) % 256).join('.'),
  );
}

/** A subnet with its gateway. */
export interface Subnet {
  family: 4 | 6;
  /** In CIDR notation. */
  subnet: string;
  gateway: string;
  prefix: number;
}

/** A network's subnets, checked. */
export function subnetsOf(subnets: readonly { subnet: string; gateway: string }[]): Subnet[] {
  return subnets.map(({ subnet, gateway }) => {
    const family = familyOf(gateway, 'gateway');
    const match = /^([0-9a-fA-F.:]+)\/(\d{1,3})$/.exec(subnet);
    const prefix = Number(match?.[2]);
    if (!match || isIP(match[1]!) !== family || prefix > (family === 4 ? 32 : 128)) {
      throw new SwarmdError(
        'invalid-argument',
        `invalid subnet '${subnet}': must be one of IPv${family} like its gateway`,
        {
          field: 'subnet',
        },
      );
    }
    return { family, subnet, gateway: canonicalAddress(gateway), prefix };
  });
}
