import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createNamespaces, type KernelNamespaces } from '../../src/kernel/index.js';

/** Options of tests that need network namespaces. */
export const real: { skip: string | false } = { skip: process.getuid?.() === 0 ? false : 'needs root' };

/** Network namespaces in a directory of their own. */
export interface TestNamespaces extends KernelNamespaces {
  /** A TCP connection from `source` to port 53 of `address` inside. */
  connect(path: string, source: string, address: string): Socket;
  /** Lines for `ip -batch` inside. */
  ip(path: string, lines: readonly string[]): void;
}

/** Makes namespaces of these network IDs, each with these addresses (CIDR) on a bridge `br0`. */
export function testNamespaces(addresses: ReadonlyMap<string, readonly string[]>): TestNamespaces {
  const root = mkdtempSync(join(tmpdir(), 'swarmd-netns-'));
  const namespaces = createNamespaces(root);
  const ip = (path: string, lines: readonly string[]): void => {
    namespaces.inside(path, () => execFileSync('ip', ['-batch', '-'], { input: `${lines.join('\n')}\n` }));
  };
  for (const [id, own] of addresses) {
    namespaces.create(id);
    const lines = ['link set lo up', 'link add br0 type bridge', 'link set br0 up'];
    const nodad = (address: string): string => (address.includes(':') ? ' nodad' : '');
    ip(namespaces.pathOf(id), [...lines, ...own.map((address) => `addr add ${address} dev br0${nodad(address)}`)]);
    // The kernel takes a moment longer for IPv6, in which nothing gets there.
    const six = own.filter((address) => address.includes(':')).map((address) => `local ${address.split('/')[0]} `);
    const routes = (): string =>
      namespaces.inside(namespaces.pathOf(id), () =>
        execFileSync('ip', ['-6', 'route', 'show', 'table', 'local'], { encoding: 'utf8' }),
      );
    for (let has = ''; !six.every((route) => has.includes(route)); has = routes());
  }
  return {
    ...namespaces,
    ip,
    connect: (path, source, address) => {
      const fd = namespaces.socket(path, 'tcp', source, 0);
      const unconnected = { fd, readable: true, writable: true, manualStart: true };
      return new Socket(unconnected).connect(53, address);
    },
    removeAll: () => {
      namespaces.removeAll();
      rmSync(root, { recursive: true, force: true });
    },
  };
}
