import { closeSync } from 'node:fs';
import { createServer, isIPv4 } from 'node:net';
import { networkInterfaces } from 'node:os';
import { SwarmdError } from '@swarmd/model';
import type { Commands } from '../kernel/commands.js';
import type { Namespaces } from '../parts.js';
import { type OpenPort, portName } from './ports.js';

/** Sockets that hold published ports, so that the node's programs and the mesh notice each other. */
export interface Placeholders {
  /**
   * Takes what it does not hold yet of `ports`. Resolves with those that it now holds, and a sentence for each that
   * another program has. Ports of an address that this node does not have are neither.
   */
  hold(ports: readonly OpenPort[]): Promise<{ held: OpenPort[]; busy: string[] }>;
  /** Lets go of all but `keys`. */
  keep(keys: ReadonlySet<string>): void;
}

/** A socket that waits for packets, and whose it is. */
export interface Listener {
  protocol: string;
  address: string;
  port: number;
  /** `name (pid 123)`; empty when it is not known. */
  program: string;
}

/** Holds ports of the namespace `host`. */
export function createPlaceholders(deps: { namespaces: Namespaces; commands: Commands; host: string }): Placeholders {
  const { namespaces, commands, host } = deps;
  const releases = new Map<string, () => void>();
  return {
    async hold(ports) {
      const own = namespaces.inside(host, ownAddresses);
      const held: OpenPort[] = [];
      const failed: { port: OpenPort; error: unknown }[] = [];
      for (const port of ports) {
        if (port.hostIp !== '' && !port.hostIp.startsWith('127.') && !own.has(port.hostIp)) continue;
        try {
          if (!releases.has(port.key)) releases.set(port.key, take(namespaces, host, port));
          held.push(port);
        } catch (error) {
          failed.push({ port, error });
        }
      }
      if (failed.length === 0) return { held, busy: [] };
      // Whose it is is good to know, but not needed.
      const listeners = parseListeners(await commands.run(host, ['ss', '-Hlntup']).catch(() => ''));
      // Whoever has a port of both versions of IP is told once.
      const told = failed.filter(
        ({ port }) =>
          port.family === 4 || !failed.some((other) => sameNumber(other.port, port) && other.port.family === 4),
      );
      const busy = told.map(({ port, error }) => {
        const other = held.find((one) => one.family === port.family && sameNumber(one, port));
        if (other === undefined) return whyBusy(port, error, listeners);
        return `port ${portName(port)} is not published on this node: ${portName(other)} is published, too`;
      });
      return { held, busy };
    },
    keep(keys) {
      for (const [key, release] of releases) {
        if (keys.has(key)) continue;
        releases.delete(key);
        release();
      }
    },
  };
}

/** Binds the port; what it returns lets go of it. */
function take(namespaces: Namespaces, host: string, port: OpenPort): () => void {
  const descriptor = namespaces.listen(
    host,
    port.protocol,
    port.hostIp || (port.family === 4 ? '0.0.0.0' : '::'),
    port.port,
  );
  if (port.protocol === 'udp') return () => closeSync(descriptor);
  // Only while the rules are missing does anybody get here: better turned away than left waiting.
  const server = createServer((socket) => socket.on('error', () => {}).resetAndDestroy());
  server.on('error', () => {}).listen({ fd: descriptor });
  server.unref();
  return () => server.close();
}

function sameNumber(a: OpenPort, b: OpenPort): boolean {
  return a.protocol === b.protocol && a.port === b.port;
}

/** What `ss -Hlntup` says. */
export function parseListeners(text: string): Listener[] {
  const listeners: Listener[] = [];
  for (const line of text.split('\n')) {
    const [protocol, , , , local] = line.trim().split(/\s+/);
    const [, address, port] = /^(.*):(\d+)$/.exec(local ?? '') ?? [];
    if (protocol === undefined || address === undefined) continue;
    const [, name, pid] = /users:\(\("([^"]*)",pid=(\d+)/.exec(line) ?? [];
    listeners.push({
      protocol,
      address,
      port: Number(port),
      program: name === undefined ? '' : `${name} (pid ${pid})`,
    });
  }
  return listeners;
}

function whyBusy(port: OpenPort, error: unknown, listeners: readonly Listener[]): string {
  const sentence = `port ${portName(port)} is not published on this node:`;
  const holder = listeners.find(
    (listener) =>
      listener.protocol === port.protocol && listener.port === port.port && isInTheWay(listener.address, port),
  );
  if (holder?.program) return `${sentence} ${holder.program} uses it`;
  if (holder !== undefined || (error instanceof SwarmdError && error.code === 'in-use'))
    return `${sentence} another program uses it`;
  return `${sentence} ${error instanceof Error ? error.message : String(error)}`;
}

/** A socket of IPv6's `*` or `[::]` may have the port of IPv4, too. */
function isInTheWay(address: string, { family, hostIp }: OpenPort): boolean {
  if (family === 6) return !isIPv4(address) && (hostIp === '' || ['*', '[::]', `[${hostIp}]`].includes(address));
  return hostIp === '' || !isIPv4(address) || ['0.0.0.0', hostIp].includes(address);
}

function ownAddresses(): Set<string> {
  return new Set(
    Object.values(networkInterfaces()).flatMap((addresses = []) => addresses.map((address) => address.address)),
  );
}
