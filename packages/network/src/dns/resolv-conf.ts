import { readFileSync, statSync } from 'node:fs';
import { isIP } from 'node:net';

/** The most servers that are asked for a name, as in resolv.conf(5). */
export const MAX_SERVERS = 3;

/** Name servers that a resolv.conf(5) names, in its order. */
export function parseResolvConf(text: string): string[] {
  const servers: string[] = [];
  for (const line of text.split('\n')) {
    const [keyword, server] = line.trim().split(/\s+/);
    if (keyword === 'nameserver' && server !== undefined && isIP(server) !== 0) servers.push(server);
  }
  return servers.slice(0, MAX_SERVERS);
}

/**
 * A function that gives the name servers of the file `path` as it is at each call; it is read again only when it has
 * changed. Without the file, or when it cannot be read, there are none.
 */
export function hostServers(path: string): () => readonly string[] {
  let read: { version: string; servers: readonly string[] } | undefined;
  return () => {
    try {
      const { ino, size, mtimeNs } = statSync(path, { bigint: true });
      const version = `${ino} ${size} ${mtimeNs}`;
      if (read?.version !== version) read = { version, servers: parseResolvConf(readFileSync(path, 'utf8')) };
      return read.servers;
    } catch {
      read = undefined;
      return [];
    }
  };
}
