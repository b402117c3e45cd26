import { readdirSync, readFileSync } from 'node:fs';
import type { ReservedPorts } from './ports.js';

const sshdConfig = '/etc/ssh/sshd_config';
const sshdConfigFolder = '/etc/ssh/sshd_config.d';

/**
 * The ports that no service may take from a node, whether or not something listens there now: those of the cluster itself
 * (`dataPathPort` among them) and those of sshd, 22 and what its configuration says: a service there would lock people
 * out of every node.
 */
export function reservedPorts(dataPathPort: number, sshPorts: readonly number[] = configuredSshPorts()): ReservedPorts {
  const reserved = new Map<string, string>([
    ['tcp/2377', 'managers and agents talk there'],
    ['tcp/7946', "it belongs to Docker's own cluster networks"],
    ['udp/7946', "it belongs to Docker's own cluster networks"],
    ['udp/4789', 'networks between nodes run there'],
    [`udp/${dataPathPort}`, 'networks between nodes run there'],
  ]);
  for (const port of [22, ...sshPorts])
    reserved.set(`tcp/${port}`, 'sshd listens there, and nobody could log in any more');
  return reserved;
}

/** `Port` and `ListenAddress` lines of an sshd configuration. */
export function parseSshPorts(text: string): number[] {
  const ports: number[] = [];
  for (const line of text.split('\n')) {
    const [, port] = /^\s*Port\s+(\d+)\s*$/i.exec(line) ?? /^\s*ListenAddress\s+\S*[\].\w]:(\d+)\s*$/i.exec(line) ?? [];
    if (port !== undefined) ports.push(Number(port));
  }
  return ports;
}

function configuredSshPorts(): number[] {
  const files = [sshdConfig];
  try {
    files.push(...readdirSync(sshdConfigFolder).map((name) => `${sshdConfigFolder}/${name}`));
  } catch {
    // There is none on most hosts.
  }
  return files.flatMap((file) => {
    try {
      return parseSshPorts(readFileSync(file, 'utf8'));
    } catch {
      return [];
    }
  });
}
