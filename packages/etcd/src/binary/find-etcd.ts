import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { SwarmdError } from '@swarmd/model';

/** An etcd server program. */
export interface EtcdBinary {
  path: string;
  /** Such as `3.4.23`. */
  version: string;
}

/** Where distributions put servers; services often run without these on PATH. */
const SYSTEM_DIRECTORIES = ['/usr/local/sbin', '/usr/sbin', '/sbin'];
/** Learners, which new managers join as, exist from this version on. */
const OLDEST = [3, 4] as const;
const ADVICE = 'install it (apt-get install etcd-server) or name one with --etcd';
const VERSION_TIMEOUT_MS = 10_000;

/**
 * The etcd at `path`, or the first on PATH and in the system's own directories. `failed-precondition`, with what to
 * install, when there is none, it cannot be run, or it is older than 3.4.
 */
export async function findEtcd(path?: string): Promise<EtcdBinary> {
  const found = path ?? (await firstOnPath('etcd'));
  if (found === undefined) {
    throw new SwarmdError('failed-precondition', `several managers need etcd, and this host has none: ${ADVICE}`);
  }
  const version = await versionOf(found);
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1])) {
    const problem = `several managers need etcd ${OLDEST.join('.')} or newer, and ${found} is ${version}`;
    throw new SwarmdError('failed-precondition', `${problem}: ${ADVICE}`);
  }
  return { path: found, version };
}

/**
 * The environment that etcd and its tools run with: ours without `ETCD_…`, which would override what we decide, and
 * without proxies, which etcd would send the traffic of its members through.
 */
export function etcdEnvironment(own: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(own).filter(([name]) => !/^etcd|_proxy$/i.test(name)));
}

async function firstOnPath(name: string): Promise<string | undefined> {
  const directories = [...(process.env['PATH'] ?? '').split(delimiter).filter(Boolean), ...SYSTEM_DIRECTORIES];
  for (const directory of directories) {
    const candidate = join(directory, name);
    const isProgram = await access(candidate, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isProgram) return candidate;
  }
  return undefined;
}

async function versionOf(path: string): Promise<string> {
  let problem = 'it does not tell its version';
  try {
    const options = { timeout: VERSION_TIMEOUT_MS, env: etcdEnvironment() };
    const { stdout } = await promisify(execFile)(path, ['--version'], options);
    const version = /^etcd Version: (\d+\.\d+\.\d+\S*)/m.exec(stdout)?.[1];
    if (version !== undefined) return version;
  } catch (thrown) {
    problem = (thrown as Error).message.trim();
  }
  throw new SwarmdError('failed-precondition', `${path} cannot be used as etcd: ${problem}; ${ADVICE}`);
}
