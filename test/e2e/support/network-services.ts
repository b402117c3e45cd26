import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Host } from '@swarmd/testkit';
import type { Cluster } from './cluster.js';
import { containersOn } from './observe.js';

const fixtures = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..', 'e2e', 'fixtures');

/** What `many-requests.mjs` prints. */
export interface Answers {
  answered: number;
  failed: number;
  /** The first ones: when it was asked (milliseconds since the epoch), and what came after how many milliseconds. */
  failures: { what: string; beganAt: number; afterMs: number }[];
  /** Answers by host name of the container. */
  hosts: Record<string, number>;
  /** Answers by the client's address as the server saw it. */
  peers: Record<string, number>;
  slowestMs: number;
}

const folders = ['/usr', '/lib', '/lib64', fixtures];
/** Options that put the machine's node and the fixtures into a container. */
export const mounts = folders.flatMap((folder) => ['--mount', `type=bind,source=${folder},target=${folder},readonly`]);
const quick = ['--no-resolve-image', '--detach', '--restart-delay', '100ms', '--stop-grace-period', '20s'];

/**
 * Without it a task counts as running before its program listens, and is sent connections that nobody takes. It is looked
 * for twice a second until it listens; after that rarely, as each look costs the engine a process in the container.
 */
const healthCheck = [
  ...['--health-cmd', 'test -e /tmp/up && sleep 20; wget -q -O /dev/null http://127.0.0.1:8080/ && touch /tmp/up'],
  ...['--health-interval', '500ms', '--health-retries', '20'],
];

/** Creates a service of busybox with the machine's node in it, that runs one of the fixtures. */
export async function createNodeService(
  { docker }: Pick<Cluster, 'docker'>,
  manager: Host,
  name: string,
  options: readonly string[],
  program = 'echo-server.mjs',
): Promise<void> {
  const command = [process.execPath, join(fixtures, program)];
  await docker(
    manager,
    'service',
    'create',
    '--name',
    name,
    ...quick,
    ...mounts,
    ...healthCheck,
    ...options,
    'busybox:latest',
    ...command,
  );
}

/** Arguments of `docker exec` that make a container ask a URL many times. */
export function askingArgv(container: string, url: string, count: number, concurrency = 8): string[] {
  const program = [process.execPath, join(fixtures, 'many-requests.mjs'), url, String(count), String(concurrency)];
  return ['docker', 'exec', container, ...program];
}

/** Has a container of a service on a host ask a URL many times, a connection each. */
export async function ask(host: Host, service: string, url: string, count: number): Promise<Answers> {
  return askFrom(host, await containerOf(host, service), url, count);
}

/** Has a container, by ID or name, ask a URL many times, a connection each. */
export async function askFrom(host: Host, container: string, url: string, count: number): Promise<Answers> {
  return JSON.parse(await host.run(askingArgv(container, url, count), { timeoutMs: 300_000 })) as Answers;
}

/** Has a machine outside the cluster do the same. */
export async function askFromOutside({ lab }: Pick<Cluster, 'lab'>, url: string, count: number): Promise<Answers> {
  const program = [process.execPath, join(fixtures, 'many-requests.mjs'), url, String(count), '8'];
  const { code, stdout, stderr } = await lab.client(program, { timeoutMs: 300_000 });
  if (code !== 0) throw new Error(`asking ${url}: ${stderr}`);
  return JSON.parse(stdout) as Answers;
}

/** Has many requests made, in portions, until `done` has settled and `count` were made; resolves with all answers. */
export async function askThroughout(
  askSome: (count: number) => Promise<Answers>,
  count: number,
  done: Promise<unknown>,
): Promise<Answers> {
  let isDone = false;
  const noted = () => {
    isDone = true;
  };
  done.then(noted, noted);
  const total: Answers = { answered: 0, failed: 0, failures: [], hosts: {}, peers: {}, slowestMs: 0 };
  const add = (to: Record<string, number>, more: Record<string, number>): void => {
    for (const [key, n] of Object.entries(more)) to[key] = (to[key] ?? 0) + n;
  };
  while (!isDone || total.answered + total.failed < count) {
    const some = await askSome(Math.min(2_000, count));
    total.answered += some.answered;
    total.failed += some.failed;
    total.failures.push(...some.failures);
    total.slowestMs = Math.max(total.slowestMs, some.slowestMs);
    add(total.hosts, some.hosts);
    add(total.peers, some.peers);
  }
  return total;
}

/** ID of the one running container of a service on a host. */
export async function containerOf(host: Host, service: string): Promise<string> {
  const running = (await containersOn(host, service)).filter(({ State }) => State === 'running');
  if (running.length !== 1) throw new Error(`${running.length} containers of ${service} run on ${host.name}`);
  return running[0]!.Id;
}

/** Runs a shell command in the container of a service on a host; resolves with whatever it returned. */
export async function inService(host: Host, service: string, script: string) {
  return host.exec(['docker', 'exec', await containerOf(host, service), 'sh', '-c', script]);
}
