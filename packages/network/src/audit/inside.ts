import { Resolver } from 'node:dns/promises';
import { connect } from 'node:net';

/** What a process inside a container's network namespace is asked to do. */
export type InsideQuestion =
  | { do: 'connect'; from: string; to: string; port: number; timeoutMs: number }
  | {
      do: 'resolve';
      from: string;
      name: string;
      servers: readonly { server: 'network' | 'engine'; address: string }[];
    };

/** How a connection ended up. */
export type Connected = 'open' | 'refused' | 'timeout' | 'unreachable';
/** What one name server said; `rcode` is `NOERROR`, or one of `NXDOMAIN`, `SERVFAIL`, `REFUSED`, `TIMEOUT` or another error's code. */
export interface NameAnswer {
  server: 'network' | 'engine';
  rcode: string;
  addresses: string[];
}
/** The answer. */
export interface InsideAnswer {
  connect?: Connected;
  names?: NameAnswer[];
}

/** A name server may take this long, tried twice. */
const DNS_TIMEOUT_MS = 2_000;
const RCODES: Readonly<Record<string, string>> = {
  ENOTFOUND: 'NXDOMAIN',
  ENODATA: 'NOERROR',
  ESERVFAIL: 'SERVFAIL',
  EREFUSED: 'REFUSED',
  ECONNREFUSED: 'UNREACHABLE',
  ETIMEOUT: 'TIMEOUT',
};

/** Does what is asked, in the network namespace that this process is in. */
export async function answerInside(question: InsideQuestion): Promise<InsideAnswer> {
  if (question.do === 'connect') return { connect: await tryConnect(question) };
  return { names: await Promise.all(question.servers.map((server) => askServer(question, server))) };
}

function tryConnect({ from, to, port, timeoutMs }: InsideQuestion & { do: 'connect' }): Promise<Connected> {
  return new Promise((resolve) => {
    const socket = connect({ host: to, port, localAddress: from });
    const end = (how: Connected): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(how);
    };
    const timer = setTimeout(() => end('timeout'), timeoutMs);
    socket.on('connect', () => end('open'));
    socket.on('error', ({ code }: NodeJS.ErrnoException) => {
      end(
        code === 'ECONNREFUSED' || code === 'ECONNRESET' ? 'refused' : code === 'ETIMEDOUT' ? 'timeout' : 'unreachable',
      );
    });
  });
}

async function askServer(
  { from, name }: InsideQuestion & { do: 'resolve' },
  { server, address }: { server: NameAnswer['server']; address: string },
): Promise<NameAnswer> {
  const resolver = new Resolver({ timeout: DNS_TIMEOUT_MS, tries: 2 });
  resolver.setServers([address]);
  // The name server goes by who asks; the engine's is on the loopback.
  if (server === 'network')
    resolver.setLocalAddress(...([from.includes(':') ? '0.0.0.0' : from, from.includes(':') ? from : '::0'] as const));
  try {
    return { server, rcode: 'NOERROR', addresses: await resolver.resolve4(name) };
  } catch (thrown) {
    const { code = 'UNKNOWN' } = thrown as NodeJS.ErrnoException;
    return { server, rcode: RCODES[code] ?? code, addresses: [] };
  }
}
