import { createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { SwarmdError } from '@swarmd/model';
import { tryRun } from '../hosts/command.js';

/** A port that can be bound, and who held those that were tried before it. */
export interface FreePort {
  port: number;
  /** As `8080 is held by nginx (process 123)`; empty when the first one was free. */
  passedOver: string[];
}

const attempts = 20;

/** The first port from `first` on that nothing on this machine listens on; `unavailable` after twenty. */
export async function findFreePort(first: number): Promise<FreePort> {
  const passedOver: string[] = [];
  for (let port = first; port < first + attempts; port += 1) {
    if (await isFree(port)) return { port, passedOver };
    passedOver.push(`port ${port} is held by ${await holderOf(port)}`);
  }
  throw new SwarmdError(
    'unavailable',
    `no free port from ${first} to ${first + attempts - 1}: ${passedOver.join('; ')}`,
  );
}

/** True when a server could listen on the port, on every address. */
export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen({ port, host: '0.0.0.0', exclusive: true }, () => probe.close(() => resolve(true)));
  });
}

/** The process that listens on a port, for people. */
export async function holderOf(port: number): Promise<string> {
  const listed = await tryRun(['ss', '-H', '-l', '-t', '-n', '-p', `sport = :${port}`]).catch(() => null);
  const found = /\(\("([^"]+)",pid=(\d+)/.exec(listed?.stdout ?? '');
  return found ? `${found[1]} (process ${found[2]})` : 'another process';
}

/** The address that other machines reach this one at: that of the default route, else any, else the loopback. */
export async function ownAddress(): Promise<string> {
  const route = await tryRun(['ip', '-4', '-o', 'route', 'get', '192.0.2.1']).catch(() => null);
  const source = / src (\S+)/.exec(route?.stdout ?? '')?.[1];
  if (source) return source;
  for (const [name, addresses] of Object.entries(networkInterfaces())) {
    if (/^(docker|br-|veth)/.test(name)) continue;
    const found = addresses?.find((address) => address.family === 'IPv4' && !address.internal);
    if (found) return found.address;
  }
  return '127.0.0.1';
}
