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
