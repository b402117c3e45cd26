import { existsSync, statfsSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { asSwarmdError, SwarmdError } from '@swarmd/model';
import { type CommandOptions, type CommandResult, searchPath, tryRun } from './command.js';
import { tail } from './init.js';
import { hubAddress, registryPort } from './network.js';
import { until } from './processes.js';
import { cacheDirectory, type EngineVersion, type HostState, type LabState } from './state.js';

const overlayMagic = 0x794c7630;
const startTimeoutMs = 60_000;

/** The part of a host that the engine's start needs. */
export interface EngineHost {
  state: HostState;
  exec(argv: readonly string[], options?: CommandOptions): Promise<CommandResult>;
}

/** Path, on this machine, of a host's engine socket. */
export function engineSocketOf(host: HostState): string {
  return join(host.directory, 'run', 'docker.sock');
}

/** The cgroup, below each controller's root, that holds everything the containers of a lab's host run in. */
export function cgroupParentOf(lab: Pick<LabState, 'name'>, host: Pick<HostState, 'name'>): string {
  return `/${cgroupOf(lab)}/${host.name}`;
}

/** Name of a lab's cgroup below each controller's root. */
export function cgroupOf(lab: Pick<LabState, 'name'>): string {
  return `swarmd-lab-${lab.name}`;
}

/** Folder with the binaries of an engine release; undefined for the one that PATH finds. Throws when it is missing. */
export function engineDirectory(version: EngineVersion | undefined): string | undefined {
  if (version === undefined || version === '20.10') return undefined;
  const directory = join(cacheDirectory(), 'engines', version);
  if (!existsSync(join(directory, 'dockerd'))) {
    throw new SwarmdError(
      'failed-precondition',
      `Docker ${version} is not in ${directory}: run deploy/install-deps.sh engines`,
    );
  }
  return directory;
}

/** The releases of Docker that hosts can run here, oldest first. */
export async function availableEngines(): Promise<EngineVersion[]> {
  const own = await tryRun(['dockerd', '--version']).catch(() => null);
  const fetched = (['26.1', '28.5'] as const).filter((version) =>
    existsSync(join(cacheDirectory(), 'engines', version, 'dockerd')),
  );
  return own?.stdout.includes(' 20.10.') ? ['20.10', ...fetched] : fetched;
}

/** Writes the host's daemon.json. Its labels, mirror and own additions come from the host's options. */
export function writeEngineConfig(lab: LabState, host: HostState): void {
  const { options } = host;
  const mirror =
    options.registryMirror ?? (lab.mirror ? `http://${hubAddress(lab.subnet)}:${registryPort}` : undefined);
  const mirrorAddress = mirror?.replace(/^https?:\/\//, '').replace(/\/$/, '');
  const own = [`${lab.subnet}.0/24`, ...(mirrorAddress ? [mirrorAddress] : [])];
  const insecure = [...new Set([...own, ...(options.insecureRegistries ?? [])])];
  const config = {
    hosts: ['unix:///run/docker.sock'],
    // overlay cannot lie on overlay, as when the tests themselves run in a container.
    'storage-driver': statfsSync(host.directory).type === overlayMagic ? 'vfs' : 'overlay2',
    'cgroup-parent': cgroupParentOf(lab, host),
    'exec-opts': ['native.cgroupdriver=cgroupfs'],
    'insecure-registries': insecure,
    ...(mirror ? { 'registry-mirrors': [mirror] } : {}),
    ...(options.engineLabels ? { labels: options.engineLabels } : {}),
    ...options.daemonConfig,
  };
  writeFileSync(join(host.directory, 'etc-docker', 'daemon.json'), JSON.stringify(config, null, 2));
}

/** Starts the host's dockerd and waits until it answers; rejects with the end of its log when it does not. */
export async function startEngine(host: EngineHost, signal?: AbortSignal): Promise<void> {
  const directory = engineDirectory(host.state.options.engineVersion);
  const log = join(host.state.directory, 'dockerd.log');
  // A stale pid file would name a process of another life of this host.
  const script = 'rm -f /run/docker.pid /run/docker/containerd/containerd.pid; setsid dockerd >>"$1" 2>&1 </dev/null &';
  const started = await host.exec(['sh', '-c', script, 'start', log], {
    env: { PATH: searchPath(directory) },
    ...(signal ? { signal } : {}),
  });
  if (started.code !== 0)
    throw new SwarmdError('unavailable', `dockerd on ${host.state.name} did not start: ${started.stderr}`);
  try {
    await until(() => engineAnswers(engineSocketOf(host.state)), {
      timeoutMs: startTimeoutMs,
      what: `dockerd on ${host.state.name}`,
      ...(signal ? { signal } : {}),
    });
  } catch (error) {
    throw new SwarmdError('unavailable', `${asSwarmdError(error).message}\n${await tail(host.state, 'dockerd.log')}`, {
      cause: error,
    });
  }
}

/** Stops the host's dockerd with SIGTERM, or `signalName`, and waits until it is gone. */
export async function stopEngine(host: EngineHost, signalName: 'TERM' | 'KILL', signal?: AbortSignal): Promise<void> {
  const script = [
    'pid=$(cat /run/docker.pid 2>/dev/null) || exit 0',
    `kill -${signalName} "$pid" 2>/dev/null`,
    'while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done',
    // containerd is dockerd's child and outlives its SIGKILL; a later dockerd would adopt it.
    'rm -f /run/docker.pid',
  ].join('\n');
  const result = await host.exec(['sh', '-c', script], { timeoutMs: startTimeoutMs, ...(signal ? { signal } : {}) });
  if (result.code !== 0)
    throw new SwarmdError('unavailable', `dockerd on ${host.state.name} did not stop: ${result.stderr}`);
}

/** True when an engine answers a ping on the socket within a second. */
export function engineAnswers(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const ping = request({ socketPath, path: '/_ping', timeout: 1000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    ping.on('timeout', () => ping.destroy());
    ping.on('error', () => resolve(false));
    ping.end();
  });
}
