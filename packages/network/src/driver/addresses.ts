import { isIP } from 'node:net';

/** An IP address as a number. */
export interface Address {
  family: 4 | 6;
  value: bigint;
}

/** A range of addresses in CIDR notation: `first` and `last` belong to it. */
export interface AddressRange {
  family: 4 | 6;
  first: bigint;
  last: bigint;
  prefixLength: number;
}

/** Reads an IP address, with a prefix length or without; `undefined` when it is none. */
export function parseAddress(text: string): Address | undefined {
  const [address = ''] = text.split('/');
  const family = isIP(address);
  if (family === 4) {
    const value = address.split('.').reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
    return { family, value };
  }
  return family === 6 ? { family, value: sixValue(address) } : undefined;
}

function sixValue(address: string): bigint {
  const plain = address.split('%')[0]!;
  const four = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(plain);
  const groups = four ? `${four[1]}${fourAsGroups(four[2]!)}` : plain;
  const [head = '', tail] = groups.split('::');
  const before = head.split(':').filter(Boolean);
  const after = (tail ?? '').split(':').filter(Boolean);
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => '0');
  return [...before, ...zeros, ...after].reduce((sum, group) => sum * 65_536n + BigInt(`0x${group}`), 0n);
}

function fourAsGroups(four: string): string {
  const { value } = parseAddress(four)!;
  return `${(value >> 16n).toString(16)}:${(value & 0xffffn).toString(16)}`;
}

/** Reads a range in CIDR notation, whatever its host bits; `undefined` when it is none. */
export function parseRange(text: string): AddressRange | undefined {
  const address = parseAddress(text);
  const length = /^[^/]+\/(\d{1,3})$/.exec(text)?.[1];
  if (address === undefined || length === undefined) return undefined;
  const bits = address.family === 4 ? 32 : 128;
  const prefixLength = Number(length);
  if (prefixLength > bits) return undefined;
  const size = 1n << BigInt(bits - prefixLength);
  const first = (address.value / size) * size;
  return { family: address.family, first, last: first + size - 1n, prefixLength };
}

/** Whether the address lies in the range. */
export function inRange(range: AddressRange, address: Address): boolean {
  return range.family === address.family && address.value >= range.first && address.value <= range.last;
}

/** The address in its usual form: IPv6 in lower case, its longest run of zeros left out. */
export function formatAddress({ family, value }: Address): string {
  if (family === 4) return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 0xffn).join('.');
  const groups = Array.from({ length: 8 }, (_, index) => ((value >> BigInt(112 - 16 * index)) & 0xffffn).toString(16));
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}

/** The range in CIDR notation. */
export function formatRange({ family, first, prefixLength }: AddressRange): string {
  return `${formatAddress({ family, value: first })}/${prefixLength}`;
}

/** An address in its usual form, without prefix length; as it came when it is none. */
export function plainAddress(text: string): string {
  const address = parseAddress(text);
  return address === undefined ? text : formatAddress(address);
}
