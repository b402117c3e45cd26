import { isIP } from 'node:net';
import { SwarmdError } from '@swarmd/model';

/** An etcd that somebody else runs, as `--store` names it. */
export interface ExternalEtcdConfig {
  /** `host:port`, or several `IP:port` with commas between them. */
  endpoint: string;
  /** Before all keys of the cluster; begins and ends with a slash. */
  prefix: string;
  /** Absolute paths of PEM files; none without TLS, which only an etcd on this host is used without. */
  tls: { caFile: string; certificateFile: string; keyFile: string } | undefined;
}

const DEFAULT_PREFIX = '/swarmd/';
const FORM = 'etcd://HOST:PORT[,HOST:PORT]/PREFIX?ca=FILE&cert=FILE&key=FILE';
const PARAMETERS = ['ca', 'cert', 'key'] as const;

/** Reads the value of `--store`. Throws `invalid-argument` that says what is wrong and what is allowed. */
export function parseStoreUrl(text: string): ExternalEtcdConfig {
  const match = /^etcd:\/\/(?<hosts>[^/?#]+)(?<path>\/[^?#]*)?(?:\?(?<query>[^#]*))?$/.exec(text);
  if (match?.groups === undefined) throw refused(`"${text}" is not ${FORM}`);
  const { hosts = '', path = '', query = '' } = match.groups;
  const names = hosts.split(',').map(hostOf);
  const families = new Set(names.map((name) => isIP(name)));
  if (names.length > 1 && (families.size > 1 || families.has(0)))
    throw refused(`several hosts must be IP addresses of one family, and these are ${names.join(', ')}`);
  const tls = tlsOf(new URLSearchParams(query));
  if (tls === undefined && !names.every(isLoopback))
    throw refused('an etcd on another host is used with TLS only: add ?ca=FILE&cert=FILE&key=FILE');
  return { endpoint: hosts, prefix: prefixOf(path), tls };
}

function hostOf(endpoint: string): string {
  const match = /^(?:\[(?<six>[^\]]+)\]|(?<name>[^:[\]]+)):(?<port>\d{1,5})$/.exec(endpoint);
  const { six, name, port } = match?.groups ?? {};
  if (match === null || Number(port) < 1 || Number(port) > 65_535 || (six !== undefined && isIP(six) !== 6))
    throw refused(`"${endpoint}" is not HOST:PORT, such as 10.0.0.7:2379`);
  return six ?? name ?? '';
}

function prefixOf(path: string): string {
  if (path === '' || path === '/') return DEFAULT_PREFIX;
  if (!/^(?:\/[\w.-]+)+\/?$/.test(path)) throw refused(`the prefix "${path}" is not made of letters, digits and ._-/`);
  return path.endsWith('/') ? path : `${path}/`;
}

function tlsOf(query: URLSearchParams): ExternalEtcdConfig['tls'] {
  for (const name of query.keys())
    if (!(PARAMETERS as readonly string[]).includes(name))
      throw refused(`"${name}" is not known: ${PARAMETERS.join(', ')} are`);
  const [caFile, certificateFile, keyFile] = PARAMETERS.map((name) => query.get(name));
  if (!caFile && !certificateFile && !keyFile) return undefined;
  if (!caFile || !certificateFile || !keyFile) throw refused('ca, cert and key are given together');
  for (const file of [caFile, certificateFile, keyFile])
    if (!file.startsWith('/')) throw refused(`"${file}" is not an absolute path`);
  return { caFile, certificateFile, keyFile };
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(?:\.\d+){3}$/.test(host);
}

function refused(why: string): SwarmdError {
  return new SwarmdError('invalid-argument', `--store: ${why}`, { field: 'store' });
}
