import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { busyboxImage, type CommandResult, createLab, type Host, importImage, type Lab } from '@swarmd/testkit';
import { createCluster, SWARMD_SOCKET } from '../../e2e/support/cluster.js';

/**
 * Debian's CLI of the same release as the engines; a newer one that PATH finds first may be tried by naming it. Against
 * these engines it speaks their API version, against swarmd the latest that swarmd has.
 */
const CLI = process.env['SWARMD_COMPAT_CLI'] ?? (existsSync('/usr/bin/docker') ? '/usr/bin/docker' : 'docker');
const ENGINE_SOCKET = '/run/docker.sock';
const HOSTS = 3;
const COMMAND_TIMEOUT_MS = 60_000;

/** One of the two clusters that are compared: hosts `h1` to `h3` with the same addresses on both. */
export interface Side extends AsyncDisposable {
  /** What assertions call it. */
  readonly name: string;
  /** Runs the docker CLI on a host against what serves the Docker Engine API there. Never rejects for an exit code. */
  docker(host: number, args: readonly string[], input?: string): Promise<CommandResult>;
  /** Calls the Docker Engine API on the first host; `stdout` is the body, `stderr` the HTTP status. */
  call(method: string, path: string, body?: unknown): Promise<CommandResult>;
  /** Stops what serves the API on a host, and starts it again; resolves once it answers. */
  restart(host: number): Promise<void>;
}

/** Files that commands read, by name; they lie in the working directory of every command. */
export type Files = Readonly<Record<string, string>>;

/** Engines that can become a real Docker Swarm: the oracle. */
export async function createOracle(name: string, files: Files): Promise<Side> {
  const lab = await createLab({ name, hosts: HOSTS });
  return prepare('Docker Swarm', lab, ENGINE_SOCKET, files, (host) => host.restartEngine());
}

/** The same engines with a swarmd each: what is under test. */
export async function createSubject(name: string, files: Files): Promise<Side> {
  const cluster = await createCluster({ name, hosts: HOSTS });
  return prepare('swarmd', cluster.lab, SWARMD_SOCKET, files, async (host) => {
    await cluster.swarmd(host).stop();
    await cluster.startSwarmd(host);
  });
}

async function prepare(
  name: string,
  lab: Lab,
  socket: string,
  files: Files,
  restart: (host: Host) => Promise<void>,
): Promise<Side> {
  try {
    await Promise.all(lab.hosts.map(importImages));
    const directory = join(lab.directory, 'compat');
    mkdirSync(join(directory, 'docker-config'), { recursive: true });
    for (const [file, text] of Object.entries(files)) writeFileSync(join(directory, file), text);
    return {
      name,
      docker: (host, args, input = '') =>
        lab.hosts[host]!.exec([CLI, '-H', `unix://${socket}`, ...args], {
          ...{ cwd: directory, input, timeoutMs: COMMAND_TIMEOUT_MS },
          env: { DOCKER_CONFIG: join(directory, 'docker-config'), COLUMNS: '300', TZ: 'UTC' },
        }),
      call: (method, path, body) => callWithCurl(lab.hosts[0]!, socket, method, path, body),
      restart: (host) => restart(lab.hosts[host]!),
      [Symbol.asyncDispose]: () => lab.destroy(),
    };
  } catch (error) {
    await lab.destroy();
    throw error;
  }
}

/** `app:1` and `app:2` run until they are told to stop and then end at once. */
async function importImages(host: Host): Promise<void> {
  const { tarFile, config } = await busyboxImage();
  const versions = ['1', '2'];
  for (const version of versions) {
    const env = [...(config.Env ?? []), `VERSION=${version}`];
    const image = { tarFile, config: { Cmd: ['sleep', '86400'], Env: env, StopSignal: 'SIGKILL' } };
    await importImage(host, image, [`app:${version}`]);
  }
}

async function callWithCurl(
  host: Host,
  socket: string,
  method: string,
  path: string,
  body: unknown,
): Promise<CommandResult> {
  const data = body === undefined ? [] : ['-H', 'Content-Type: application/json', '--data-binary', '@-'];
  const input = body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body);
  const { code, stdout, stderr } = await host.exec(
    ['curl', '-s', '-g', '-X', method, '-w', '\n%{http_code}', ...data, '--unix-socket', socket, `http://d${path}`],
    { input, timeoutMs: COMMAND_TIMEOUT_MS },
  );
  const cut = stdout.lastIndexOf('\n');
  return { code, stdout: stdout.slice(0, cut), stderr: code === 0 ? stdout.slice(cut + 1) : stderr };
}
