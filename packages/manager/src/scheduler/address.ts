/** An IP address as 16 bytes (IPv4 in its mapped form), or `undefined` when `text` is none. */
export function parseAddress(text: string): Uint8Array | undefined {
  if (!text.includes(':')) {
    const v4 = parseIpv4(text);
    return v4 && Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...v4);
  }
  return parseIpv6(text);
}

/** A network in CIDR notation. */
export interface Subnet {
  address: Uint8Array;
  /** Leading bits of the 16-byte form that must agree. */
  bits: number;
}

/** The network that `text` (`10.0.0.0/8`, `2001:db8::/32`) names, or `undefined` when it names none. */
export function parseSubnet(text: string): Subnet | undefined {
  const slash = text.indexOf('/');
  if (slash < 0) return undefined;
  const address = parseAddress(text.slice(0, slash));
  const length = text.slice(slash + 1);
  if (address === undefined || !/^(0|[1-9]\d{0,2})$/.test(length)) return undefined;
  const v4 = !text.includes(':');
  const bits = Number(length) + (v4 ? 96 : 0);
  return bits <= 128 ? { address, bits } : undefined;
}

/** Whether `address` lies in `subnet`. */
export function subnetContains(subnet: Subnet, address: Uint8Array): boolean {
  for (let i = 0; i < 16 && i * 8 < subnet.bits; i++) {
    const rest = subnet.bits - i * 8;
    const mask = rest >= 8 ? 0xff : (0xff << (8 - rest)) & 0xff;
    if (((subnet.address[i]! ^ address[i]!) & mask) !== 0) return false;
  }
  return true;
}

/** Whether two addresses are the same one. */
export function sameAddress(a: Uint8Array, b: Uint8Array): boolean {
  return subnetContains({ address: a, bits: 128 }, b);
}

function parseIpv4(text: string): number[] | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  const bytes = parts.map((part) => (/^(0|[1-9]\d{0,2})$/.test(part) ? Number(part) : 256));
  return bytes.every((byte) => byte <= 255) ? bytes : undefined;
}

function parseIpv6(text: string): Uint8Array | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const head = parseGroups(halves[0]!);
  const tail = halves.length === 2 ? parseGroups(halves[1]!) : [];
  if (head === undefined || tail === undefined) return undefined;
  const missing = 16 - head.length - tail.length;
  if (halves.length === 2 ? missing < 2 : missing !== 0) return undefined;
  return Uint8Array.from([...head, ...new Array<number>(missing).fill(0), ...tail]);
}

/** The bytes of colon-separated groups, of which the last may be an IPv4 address. */
function parseGroups(text: string): number[] | undefined {
  if (text === '') return [];
  const bytes: number[] = [];
  const groups = text.split(':');
  for (const [i, group] of groups.entries()) {
    const v4 = i === groups.length - 1 && group.includes('.') ? parseIpv4(group) : undefined;
    if (v4 !== undefined) bytes.push(...v4);
    else if (/^[0-9a-fA-F]{1,4}$/.test(group))
      bytes.push(Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 255);
    else return undefined;
  }
  return bytes;
}
