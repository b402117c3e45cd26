import { mkdirSync, openSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type CommandResult, callEngine, createLab, type Host, type Lab, type LabOptions } from '@swarmd/testkit';
import { waitFor } from './wait.js';

const packages = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..', '..', 'packages');
/** The program of swarmd, the same path inside every host. */
export const swarmdEntry = join(packages, 'daemon', 'dist', 'swarmd.mjs');
const swarmctlEntry = join(packages, 'cli', 'dist', 'swarmctl.mjs');

/** Longer than any command takes on a busy machine; one that hangs ends here. */
const COMMAND_BOUNDS = { timeoutMs: 120_000 };

/** The API socket of swarmd, as seen inside a host. */
export const SWARMD_SOCKET = '/run/swarmd/swarmd.sock';

/** A swarmd process on a test host. */
export interface RunningSwarmd {
  /** Sends a signal and resolves with the exit code once it has ended. */
  stop(signal?: NodeJS.Signals): Promise<number>;
  /** Sends a signal. */
  signal(signal: NodeJS.Signals): Promise<void>;
  readonly log: string;
}

/** Test hosts, each with a swarmd: what the end-to-end tests drive. */
export interface Cluster extends AsyncDisposable {
  readonly lab: Lab;
  readonly hosts: readonly Host[];
  /** Starts swarmd on a host and waits until its API answers; `entry` is another program than the cluster's. */
  startSwarmd(host: Host, args?: readonly string[], entry?: string): Promise<RunningSwarmd>;
  swarmd(host: Host): RunningSwarmd;
  /** Runs the docker CLI against a host's swarmd; rejects unless it returns 0. */
  docker(host: Host, ...args: string[]): Promise<string>;
  /** Runs swarmctl on a host; rejects unless it returns 0. */
  swarmctl(host: Host, ...args: string[]): Promise<string>;
  /** Runs swarmctl on a host and resolves with whatever it returned. */
  trySwarmctl(host: Host, ...args: string[]): Promise<CommandResult>;
  /** Runs the docker CLI against a host's swarmd and resolves with whatever it returned. */
  tryDocker(host: Host, ...args: string[]): Promise<CommandResult>;
  /**
   * The first host becomes a manager, the next ones as well until there are `managers` (1 unless told), the others join as
   * workers; waits until all are ready.
   */
  form(options?: { managers?: number }): Promise<void>;
}

/** The docker CLI that tests use: a newer one outside any package, else Debian's. */
export const dockerCli = 'docker';

/** Makes hosts and starts swarmd, or the program `entry`, on each. Disposing it takes everything down. */
export async function createCluster(options: LabOptions, entry = swarmdEntry): Promise<Cluster> {
  checkBundle();
  const lab = await createLab(options);
  const running = new Map<string, RunningSwarmd>();
  const startSwarmd = async (host: Host, args: readonly string[] = [], program = entry): Promise<RunningSwarmd> => {
    const started = await spawnSwarmd(lab, host, args, program);
    running.set(host.name, started);
    return started;
  };
  const dockerArgv = (args: readonly string[]): string[] => [dockerCli, '-H', `unix://${SWARMD_SOCKET}`, ...args];
  const swarmctlArgv = (args: readonly string[]): string[] => {
    return [process.execPath, swarmctlEntry, '-H', `unix://${SWARMD_SOCKET}`, ...args];
  };
  const docker = (host: Host, ...args: string[]): Promise<string> => host.run(dockerArgv(args), COMMAND_BOUNDS);
  try {
    await Promise.all(lab.hosts.map((host) => startSwarmd(host)));
  } catch (error) {
    await lab.destroy();
    throw error;
  }
  return {
    lab,
    hosts: lab.hosts,
    startSwarmd,
    swarmd: (host) => {
      const found = running.get(host.name);
      if (found === undefined) throw new Error(`no swarmd was started on ${host.name}`);
      return found;
    },
    docker,
    swarmctl: (host, ...args) => host.run(swarmctlArgv(args), COMMAND_BOUNDS),
    trySwarmctl: (host, ...args) => host.exec(swarmctlArgv(args), COMMAND_BOUNDS),
    tryDocker: (host, ...args) => host.exec(dockerArgv(args), COMMAND_BOUNDS),
    form: ({ managers = 1 } = {}) => form(lab, docker, managers),
    [Symbol.asyncDispose]: () => lab.destroy(),
  };
}

/** Programs that were joined before the packages were compiled again are not what is to be tested. */
function checkBundle(): void {
  const joinedMs = statSync(swarmdEntry, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  for (const name of readdirSync(packages)) {
    if (name === 'testkit') continue;
    const compiled = statSync(join(packages, name, 'dist', 'tsconfig.tsbuildinfo'), { throwIfNoEntry: false });
    if (compiled !== undefined && compiled.mtimeMs > joinedMs)
      throw new Error(`${swarmdEntry} is older than what was compiled of ${name}: run npm run build`);
  }
}

/** Whether a host's swarmd answers a GET with success. */
export async function answers(host: Host, path: string): Promise<boolean> {
  try {
    await callEngine(host.path(SWARMD_SOCKET), { path, timeoutMs: 10_000 });
    return true;
  } catch {
    return false;
  }
}

/** Waits until a host's swarmd serves the API of a manager. */
export function serves(host: Host): Promise<void> {
  return waitFor(`${host.name} serves`, () => answers(host, '/nodes'));
}

async function spawnSwarmd(lab: Lab, host: Host, args: readonly string[], entry: string): Promise<RunningSwarmd> {
  mkdirSync(join(lab.directory, 'logs'), { recursive: true });
  const logFile = join(lab.directory, 'logs', `${host.name}.log`);
  const output = openSync(logFile, 'a');
  const child = host.spawn([process.execPath, '--enable-source-maps', entry, ...args], {
    stdio: ['ignore', output, output],
  });
  const ended = new Promise<number>((resolve) => child.once('exit', (code) => resolve(code ?? -1)));
  let exitCode: number | undefined;
  void ended.then((code) => {
    exitCode = code;
  });
  await waitFor(`swarmd on ${host.name} answers`, async () => {
    if (exitCode !== undefined) throw new Error(`swarmd ended with ${exitCode}:\n${readFileSync(logFile, 'utf8')}`);
    return answers(host, '/_ping');
  });
  const signal = async (name: NodeJS.Signals): Promise<void> => {
    const found = await host.run(['pgrep', '-f', entry]);
    await host.exec(['kill', `-${name.slice(3)}`, ...found.trim().split('\n')]);
    // nsenter stops itself when the process it started is stopped.
    if (name === 'SIGCONT') process.kill(child.pid!, name);
  };
  return {
    stop: async (name = 'SIGTERM') => {
      await signal(name);
      return ended;
    },
    signal,
    get log() {
      return readFileSync(logFile, 'utf8');
    },
  };
}

/** What {@link form} reads of a node, as the API shows it. */
interface NodeState {
  Description?: { Hostname?: string };
  Status: { State: string };
  ManagerStatus?: { Reachability: string };
}

async function form(
  lab: Lab,
  docker: (host: Host, ...args: string[]) => Promise<string>,
  managers: number,
): Promise<void> {
  const [first, ...others] = lab.hosts;
  if (first === undefined) throw new Error('a cluster needs a host');
  await docker(first, 'swarm', 'init', '--advertise-addr', first.ip);
  const tokenOf = async (role: string): Promise<string> =>
    (await docker(first, 'swarm', 'join-token', '-q', role)).trim();
  const tokens = { manager: await tokenOf('manager'), worker: await tokenOf('worker') };
  const join = (host: Host, token: string): Promise<string> =>
    docker(host, 'swarm', 'join', '--token', token, '--advertise-addr', host.ip, `${first.ip}:2377`);
  await Promise.all(others.map((host, i) => join(host, i + 1 < managers ? tokens.manager : tokens.worker)));
  await waitFor('all nodes are ready', async () => {
    const nodes = JSON.parse(await callEngine(first.path(SWARMD_SOCKET), { path: '/nodes' })) as NodeState[];
    const reachable = nodes.filter(({ ManagerStatus }) => ManagerStatus?.Reachability === 'reachable').length;
    const ready = nodes.flatMap(({ Description, Status }) => (Status.State === 'ready' ? [Description?.Hostname] : []));
    return reachable === managers && lab.hosts.every(({ name }) => ready.includes(name));
  });
}
