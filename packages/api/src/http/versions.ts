import { SwarmdError } from '@swarmd/model';

/** The newest Docker Engine API version whose swarm part is served; clients negotiate down to it. */
export const API_VERSION = '1.47';
/** The oldest version that is served, as Docker engines up to 28 have it. */
export const MIN_API_VERSION = '1.24';

const PREFIX = /^\/v(\d+)\.(\d+)(?=\/|\?|$)/;

/** A URL apart from its version prefix. `path` keeps the query and starts with a slash. */
export interface VersionedUrl {
  /** Such as `1.41`; absent when the URL has no prefix. */
  version: string | undefined;
  path: string;
}

/** Takes the version prefix off a request URL. */
export function splitVersion(url: string): VersionedUrl {
  const match = PREFIX.exec(url);
  if (match === null) return { version: undefined, path: url };
  const rest = url.slice(match[0].length);
  return { version: `${match[1]}.${match[2]}`, path: rest.startsWith('/') ? rest : `/${rest}` };
}

/** Negative, zero or positive as version `a` is older than, the same as or newer than `b`. */
export function compareVersions(a: string, b: string): number {
  const [majorA = 0, minorA = 0] = a.split('.').map(Number);
  const [majorB = 0, minorB = 0] = b.split('.').map(Number);
  return majorA - majorB || minorA - minorB;
}

/** Refuses versions outside what is served, in Docker's words. */
export function checkVersion(version: string | undefined): void {
  if (version === undefined) return;
  if (compareVersions(version, API_VERSION) > 0) {
    const message = `client version ${version} is too new. Maximum supported API version is ${API_VERSION}`;
    throw new SwarmdError('invalid-argument', message);
  }
  if (compareVersions(version, MIN_API_VERSION) < 0) {
    const message = `client version ${version} is too old. Minimum supported API version is ${MIN_API_VERSION}, please upgrade your client to a newer version`;
    throw new SwarmdError('invalid-argument', message);
  }
}

/** The URL to ask an engine that supports versions `min` to `max`: the client's own version where it can be had. */
export function urlForEngine(url: string, { min, max }: { min: string; max: string }): string {
  const { version, path } = splitVersion(url);
  if (version === undefined) return path;
  const lower = compareVersions(version, min) < 0 ? min : version;
  const clamped = compareVersions(lower, max) > 0 ? max : lower;
  return `/v${clamped}${path}`;
}
