import { closeSync } from 'node:fs';
import { isIP } from 'node:net';
import { SwarmdError } from '@swarmd/model';
import { type SystemCalls, succeeded } from './syscalls.js';

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const IPPROTO_IP = 0;
const IP_FREEBIND = 15;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;
const IPV6_FREEBIND = 78;
const BACKLOG = 511;

/**
 * A socket bound to `address` and `port` (0: any) in the namespace that this thread is in, for `listen({ fd })` of
 * `node:net` or `bind({ fd, exclusive: true })` of `node:dgram`. The address need not be there yet. Errors: `in-use`,
 * `invalid-argument`.
 */
export function openSocket(calls: SystemCalls, protocol: 'udp' | 'tcp', address: string, port: number): number {
  const bound = socketAddress(address, port);
  const family = isIP(address);
  const type = (protocol === 'tcp' ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC;
  const what = `${protocol} socket on ${address} port ${port}`;
  const fd = succeeded(calls.socket(family === 4 ? AF_INET : AF_INET6, type, 0), `open a ${what}`);
  try {
    const set = (level: number, option: number) =>
      succeeded(calls.setsockopt(fd, level, option, 1), `set option ${option} of a ${what}`);
    // With it a second UDP socket could take the port too, and half of the packets.
    if (protocol === 'tcp') set(SOL_SOCKET, SO_REUSEADDR);
    if (family === 4) set(IPPROTO_IP, IP_FREEBIND);
    else {
      set(IPPROTO_IPV6, IPV6_V6ONLY);
      set(IPPROTO_IPV6, IPV6_FREEBIND);
    }
    succeeded(calls.bind(fd, bound), `bind a ${what}`);
    return fd;
  } catch (thrown) {
    closeSync(fd);
    throw thrown;
  }
}

/** Like {@link openSocket}; a TCP socket listens too. */
export function openListener(calls: SystemCalls, protocol: 'udp' | 'tcp', address: string, port: number): number {
  const fd = openSocket(calls, protocol, address, port);
  if (protocol === 'udp') return fd;
  try {
    succeeded(calls.listen(fd, BACKLOG), `listen on ${address} port ${port}`);
    return fd;
  } catch (thrown) {
    closeSync(fd);
    throw thrown;
  }
}

/** The kernel's `sockaddr_in` or `sockaddr_in6`. Addresses with a zone are refused. */
export function socketAddress(address: string, port: number): Uint8Array {
  const family = isIP(address);
  if (family === 0 || address.includes('%')) {
    throw new SwarmdError('invalid-argument', `invalid address '${address}': must be an IPv4 or IPv6 address`);
  }
  if (!Number.isInteger(port) || port < 0 || port > 65535) {
    throw new SwarmdError('invalid-argument', `invalid port ${port}: must be 0 to 65535`);
  }
  const bytes = Buffer.alloc(family === 4 ? 16 : 28);
  // The family is in the byte order of the machine; every machine that Node.js runs Linux on but s390x is little-endian.
  new Uint16Array(bytes.buffer, bytes.byteOffset, 1)[0] = family === 4 ? AF_INET : AF_INET6;
  bytes.writeUInt16BE(port, 2);
  if (family === 4) {
    for (const [index, part] of address.split('.').entries()) bytes[4 + index] = Number(part);
  } else {
    for (const [index, group] of ipv6Groups(address).entries()) bytes.writeUInt16BE(group, 8 + 2 * index);
  }
  return bytes;
}

/** The eight 16-bit groups of an IPv6 address in any of its forms. */
export function ipv6Groups(address: string): number[] {
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address);
  const text = dotted
    ? `${dotted[1]}${((Number(dotted[2]) << 8) | Number(dotted[3])).toString(16)}:${((Number(dotted[4]) << 8) | Number(dotted[5])).toString(16)}`
    : address;
  const [head = '', tail] = text.split('::');
  const groups = (part: string) => (part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16)));
  const first = groups(head);
  if (tail === undefined) return first;
  const last = groups(tail);
  return [...first, ...new Array<number>(8 - first.length - last.length).fill(0), ...last];
}
