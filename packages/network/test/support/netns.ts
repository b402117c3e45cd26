import { execFileSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { isIPv4, Socket } from 'node:net';
import { SwarmdError } from '@swarmd/model';
import koffi from 'koffi';
import type { Namespaces } from '../../src/parts.js';

const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const AF_INET = 2;
const AF_INET6 = 10;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const CLONE_NEWNET = 0x40000000;

/** Network namespaces by name, as `ip netns` keeps them. */
export interface TestNamespaces extends Namespaces {
  /** A TCP connection from `source` to port 53 of `address` inside. */
  connect(path: string, source: string, address: string): Socket;
}

/** Sockets inside namespaces by FFI. Network IDs are names of `ip netns`. */
export function testNamespaces(): TestNamespaces {
  const libc = koffi.load('libc.so.6');
  const call = {
    setns: libc.func('int setns(int fd, int type)'),
    socket: libc.func('int socket(int domain, int type, int protocol)'),
    setsockopt: libc.func('int setsockopt(int fd, int level, int name, void *value, uint32_t size)'),
    bind: libc.func('int bind(int fd, void *address, uint32_t size)'),
    listen: libc.func('int listen(int fd, int backlog)'),
    connect: libc.func('int connect(int fd, void *address, uint32_t size)'),
  };
  const check = (result: number, what: string): number => {
    if (result >= 0) return result;
    throw new SwarmdError('internal', `${what}: errno ${koffi.errno()}`);
  };
  const inside = <T>(path: string, fn: () => T): T => {
    const own = openSync('/proc/self/ns/net', 'r');
    const there = openSync(path, 'r');
    try {
      check(call.setns(there, CLONE_NEWNET), 'setns');
      return fn();
    } finally {
      check(call.setns(own, CLONE_NEWNET), 'setns');
      closeSync(there);
      closeSync(own);
    }
  };
  const open = (path: string, type: number, address: string, port: number): number =>
    inside(path, () => {
      const fd = check(call.socket(isIPv4(address) ? AF_INET : AF_INET6, type, 0), 'socket');
      const one = Buffer.from([1, 0, 0, 0]);
      // On UDP it would let two servers have one address.
      if (type === SOCK_STREAM) check(call.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, one, one.length), 'setsockopt');
      const at = socketAddress(address, port);
      try {
        check(call.bind(fd, at, at.length), `bind ${address}`);
      } catch (error) {
        closeSync(fd);
        throw error;
      }
      return fd;
    });
  return {
    inside,
    pathOf: (name) => `/run/netns/${name}`,
    listen: (path, protocol, address, port) => {
      const fd = open(path, protocol === 'tcp' ? SOCK_STREAM : SOCK_DGRAM, address, port);
      if (protocol === 'tcp') check(call.listen(fd, 128), 'listen');
      return fd;
    },
    connect: (path, source, address) => {
      const fd = open(path, SOCK_STREAM, source, 0);
      const to = socketAddress(address, 53);
      check(call.connect(fd, to, to.length), 'connect');
      return new Socket({ fd, readable: true, writable: true });
    },
  };
}

/** Makes namespaces of these names, each with these addresses (CIDR) on a bridge `br0`; the function removes them. */
export function makeNamespaces(addresses: ReadonlyMap<string, readonly string[]>): () => void {
  const names = [...addresses.keys()];
  const batch = (lines: string[], ...args: string[]): void => {
    execFileSync('ip', [...args, '-batch', '-'], { input: `${lines.join('\n')}\n` });
  };
  batch(names.map((name) => `netns add ${name}`));
  for (const [name, own] of addresses) {
    const lines = ['link set lo up', 'link add br0 type bridge', 'link set br0 up'];
    batch(
      [
        ...lines,
        ...own.map((address) => `addr add ${address} dev br0${isIPv4(address.split('/')[0]!) ? '' : ' nodad'}`),
      ],
      '-n',
      name,
    );
  }
  return () => batch(names.map((name) => `netns del ${name}`));
}

function socketAddress(address: string, port: number): Buffer {
  const bytes = Buffer.alloc(isIPv4(address) ? 16 : 28);
  bytes.writeUInt16LE(isIPv4(address) ? AF_INET : AF_INET6, 0);
  bytes.writeUInt16BE(port, 2);
  if (isIPv4(address)) {
    Buffer.from(address.split('.').map(Number)).copy(bytes, 4);
    return bytes;
  }
  const [head = '', tail = ''] = address.split('::');
  const groups = (text: string): number[] =>
    text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16));
  const [first, last] = [groups(head), groups(tail)];
  const all = [...first, ...new Array<number>(8 - first.length - last.length).fill(0), ...last];
  for (const [at, group] of all.entries()) bytes.writeUInt16BE(group, 8 + 2 * at);
  return bytes;
}
