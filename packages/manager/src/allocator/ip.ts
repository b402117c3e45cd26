import { parseAddress } from '../scheduler/address.js';

/** An IP address as a number. */
export interface Ip {
  family: 4 | 6;
  value: bigint;
}

/** A network in CIDR notation: `base` is its lowest address, `bits` its prefix length. */
export interface Cidr {
  family: 4 | 6;
  base: bigint;
  bits: number;
}

const WIDTH = { 4: 32, 6: 128 } as const;

/** The address that `text` is (without a prefix length), or `undefined`. */
export function parseIp(text: string): Ip | undefined {
  if (!text.includes(':')) {
    const value = ipv4Number(text);
    return value < 0 ? undefined : { family: 4, value: BigInt(value) };
  }
  const bytes = parseAddress(text);
  return bytes && { family: 6, value: BigInt(`0x${Buffer.from(bytes).toString('hex')}`) };
}

const [ZERO, DOT, SLASH] = [48, 46, 47] as const;

/** The IPv4 address at the start of `text`, up to its end or a slash, as a number; -1 when it is none. */
export function ipv4Number(text: string): number {
  let [value, part, digits, dots] = [0, 0, 0, 0];
  for (let at = 0; ; at++) {
    const code = at < text.length ? text.charCodeAt(at) : SLASH;
    if (code === DOT || code === SLASH) {
      if (digits === 0) return -1;
      value = value * 256 + part;
      if (code === SLASH) return dots === 3 ? value : -1;
      [part, digits] = [0, 0];
      if (++dots > 3) return -1;
      continue;
    }
    const digit = code - ZERO;
    part = part * 10 + digit;
    // Leading zeros mean octal to some.
    if (digit < 0 || digit > 9 || part > 255 || (digits > 0 && part < 10)) return -1;
    digits++;
  }
}

/** `text` as a network, `undefined` when it is none. `strict`: also when it has bits beyond its prefix length. */
export function parseCidr(text: string, { strict = false } = {}): Cidr | undefined {
  const slash = text.indexOf('/');
  const ip = slash < 0 ? undefined : parseIp(text.slice(0, slash));
  const length = text.slice(slash + 1);
  if (ip === undefined || !/^(0|[1-9]\d{0,2})$/.test(length)) return undefined;
  const bits = Number(length);
  if (bits > WIDTH[ip.family]) return undefined;
  const base = (ip.value >> BigInt(hostBits(ip.family, bits))) << BigInt(hostBits(ip.family, bits));
  return strict && base !== ip.value ? undefined : { family: ip.family, base, bits };
}

/** How many bits of addresses tell hosts of a network apart. */
export function hostBits(family: 4 | 6, bits: number): number {
  return WIDTH[family] - bits;
}

/** The last address of a network. */
export function lastOf({ family, base, bits }: Cidr): bigint {
  return base + (1n << BigInt(hostBits(family, bits))) - 1n;
}

/** Whether an address lies in a network. */
export function contains(cidr: Cidr, { family, value }: Ip): boolean {
  return family === cidr.family && value >= cidr.base && value <= lastOf(cidr);
}

/** Whether two networks have an address in common. */
export function overlap(a: Cidr, b: Cidr): boolean {
  return a.family === b.family && a.base <= lastOf(b) && b.base <= lastOf(a);
}

/** `value` as people write it; IPv6 as RFC 5952 has it. */
export function formatIp({ family, value }: Ip): string {
  if (family === 4) {
    const number = Number(value);
    return `${number >>> 24}.${(number >>> 16) & 255}.${(number >>> 8) & 255}.${number & 255}`;
  }
  const groups = Array.from({ length: 8 }, (_, i) => Number((value >> BigInt(112 - 16 * i)) & 0xffffn));
  const gap = longestZeros(groups);
  const text = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(':');
  return gap.length < 2
    ? text(groups)
    : `${text(groups.slice(0, gap.start))}::${text(groups.slice(gap.start + gap.length))}`;
}

/** A network in CIDR notation. */
export function formatCidr({ family, base, bits }: Cidr): string {
  return `${formatIp({ family, value: base })}/${bits}`;
}

function longestZeros(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  for (let start = 0; start < groups.length; start++) {
    let length = 0;
    while (groups[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
  }
  return best;
}
