import { CommandError } from '../program/errors.js';

/** Where swarmd listens unless told otherwise. */
export const DEFAULT_HOST = 'unix:///run/swarmd/swarmd.sock';

/** The socket's path in `unix:///path`; throws CommandError for any other kind of address. */
export function socketPath(host: string): string {
  const match = /^unix:\/\/(.+)$/.exec(host);
  if (match !== null) return match[1]!;
  if (host.startsWith('/')) return host;
  throw new CommandError(`unable to parse docker host ${JSON.stringify(host)}: only unix://PATH is supported`);
}

/** Where an API listens. */
export type Address = { readonly socketPath: string } | { readonly host: string; readonly port: number };

/**
 * The address in `unix:///path` or `tcp://host:port`; throws CommandError for any other kind. An engine behind TLS or
 * on another host is reached through a tunnel: `ssh -L /tmp/docker.sock:/var/run/docker.sock HOST`.
 */
export function engineAddress(host: string): Address {
  const match = /^tcp:\/\/(?:\[([^\]]+)\]|([^:/]+)):(\d{1,5})\/?$/.exec(host);
  if (match !== null) return { host: match[1] ?? match[2]!, port: Number(match[3]) };
  if (host.startsWith('unix://') || host.startsWith('/')) return { socketPath: socketPath(host) };
  throw new CommandError(
    `unable to parse ${JSON.stringify(host)}: unix://PATH or tcp://HOST:PORT; to an engine elsewhere make a tunnel (ssh -L /tmp/docker.sock:/var/run/docker.sock HOST)`,
  );
}
