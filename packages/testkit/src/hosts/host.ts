import type { ChildProcess } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SwarmdError } from '@swarmd/model';
import { type CommandOptions, type CommandResult, collect } from './command.js';
import { releaseDataDisk, setDataDiskStalled } from './data-disk.js';
import { engineSocketOf, startEngine, stopEngine, writeEngineConfig } from './engine.js';
import { bootHost, releaseRun } from './init.js';
import { type SpawnOptions, spawnInside } from './inside.js';
import { deleteNamespace, plugHost, setConnected, unplugHost } from './network.js';
import { isAlive, killAndWait, killNamespace } from './processes.js';
import { type HostState, type LabState, saveLab } from './state.js';
import { needsSwarmdNet, startSwarmdNet } from './swarmd-net.js';

/** Bounds and surroundings of a command inside a host. */
export interface ExecOptions extends CommandOptions {
  /** Working directory, `/` by default. */
  cwd?: string;
}

/** Parts of a host's file system that are its own; everything else is the machine's. */
const privateFolders: ReadonlyArray<readonly [inside: string, folder: string]> = [
  ['/run', 'run'],
  ['/var/run', 'run'],
  ['/etc/docker', 'etc-docker'],
  ['/var/lib/docker', 'docker'],
  ['/var/lib/swarmd', 'swarmd'],
];

/**
 * One host of a lab: a real Docker engine in network, mount, UTS, IPC and PID namespaces of its own, with private
 * `/run`, `/etc/docker`, `/var/lib/docker` and `/var/lib/swarmd`.
 */
export class Host {
  readonly #lab: LabState;
  /** What is kept on disk about this host. Read it, never change it. */
  readonly state: HostState;

  constructor(lab: LabState, state: HostState) {
    this.#lab = lab;
    this.state = state;
  }

  /** Host name. */
  get name(): string {
    return this.state.name;
  }

  /** IPv4 address on the lab's network; it stays the same for the host's whole life. */
  get ip(): string {
    return this.state.ip;
  }

  /** Path of the engine's socket on this machine. */
  get engineSocket(): string {
    return engineSocketOf(this.state);
  }

  /** Process ID of the host's PID 1 on this machine. Throws while the host is off. */
  get pid(): number {
    if (!this.running) throw new SwarmdError('failed-precondition', `host ${this.name} is off`);
    return this.state.init!.pid;
  }

  /** True while the host is switched on. */
  get running(): boolean {
    return isAlive(this.state.init);
  }

  /** Where a path of the host lies on this machine: `/run/swarmd/swarmd.sock` has another name outside. */
  path(inside: string): string {
    for (const [prefix, folder] of privateFolders) {
      if (inside === prefix || inside.startsWith(`${prefix}/`)) {
        return join(this.state.directory, folder, inside.slice(prefix.length));
      }
    }
    return inside;
  }

  /** Starts a process inside; it ends with the host. A list is run as it is, a string by `sh -c`. */
  spawn(command: string | readonly string[], options: SpawnOptions = {}): ChildProcess {
    return spawnInside(this.pid, argvOf(command), options);
  }

  /** Runs a command inside to its end. Never rejects for an exit code; see {@link CommandOptions} for its bounds. */
  async exec(command: string | readonly string[], options: ExecOptions = {}): Promise<CommandResult> {
    const { signal: _, timeoutMs: __, input: ___, ...surroundings } = options;
    const child = this.spawn(command, { ...surroundings, stdio: 'pipe' });
    return collect(child, `${this.name}: ${argvOf(command).join(' ')}`, options);
  }

  /** Runs a command inside and returns its standard output; rejects unless it returns 0. */
  async run(command: string | readonly string[], options: ExecOptions = {}): Promise<string> {
    const result = await this.exec(command, options);
    if (result.code === 0) return result.stdout;
    throw new SwarmdError(
      'internal',
      `${this.name}: ${argvOf(command).join(' ')}: exit ${result.code}: ${result.stderr.trim()}`,
    );
  }

  /** Starts a process inside that outlives the caller; its output goes to `logFile` of this machine. */
  async launch(command: string | readonly string[], logFile: string, options: ExecOptions = {}): Promise<void> {
    const script = 'log=$1; shift; setsid "$@" >>"$log" 2>&1 </dev/null &';
    await this.run(['sh', '-c', script, 'launch', logFile, ...argvOf(command)], options);
  }

  /** Switches the host on, with the disk and the address that it had; starts its engine. No-op when it is on. */
  async start(options: { signal?: AbortSignal } = {}): Promise<void> {
    if (this.running) return;
    await unplugHost(this.#lab, this.state);
    await deleteNamespace(this.state.namespace);
    writeResolvConf(this.#lab, this.state);
    await plugHost(this.#lab, this.state);
    this.state.init = await bootHost(this.#lab, this.state, options.signal);
    writeEngineConfig(this.#lab, this.state);
    saveLab(this.#lab);
    if (this.state.options.engine !== false) await this.startEngine(options);
  }

  /** The power fails: every process of the host dies at once, its cable goes dead, its `/run` is lost. */
  async kill(): Promise<void> {
    await releaseDataDisk(this.state);
    if (this.state.init) await killAndWait(this.state.init);
    await killNamespace(this.state.namespace);
    await unplugHost(this.#lab, this.state);
    await deleteNamespace(this.state.namespace);
    await releaseRun(this.state);
    this.state.init = null;
    saveLab(this.#lab);
  }

  /** Pulls the host's cable: packets are lost silently both ways, and everything on the host goes on. */
  async disconnect(): Promise<void> {
    await setConnected(this.#lab, this.state, false);
    this.state.connected = false;
    saveLab(this.#lab);
  }

  /** Puts the cable back. */
  async reconnect(): Promise<void> {
    await setConnected(this.#lab, this.state, true);
    this.state.connected = true;
    saveLab(this.#lab);
  }

  /** Its data disk does not answer any more: every write to it waits. The host must have one (`dataDiskMegabytes`). */
  stallDataDisk(): Promise<void> {
    return setDataDiskStalled(this.state, true);
  }

  /** The data disk answers again. */
  resumeDataDisk(): Promise<void> {
    return releaseDataDisk(this.state);
  }

  /** Starts the engine and waits until it answers; before it swarmd-net, where the engine has networks of it. */
  async startEngine(options: { signal?: AbortSignal } = {}): Promise<void> {
    if (needsSwarmdNet(this)) await startSwarmdNet(this, options.signal);
    await startEngine(this, options.signal);
  }

  /** Starts swarmd-net, which outlives swarmd and the engine, unless it runs. */
  startSwarmdNet(options: { signal?: AbortSignal } = {}): Promise<void> {
    return startSwarmdNet(this, options.signal);
  }

  /** Stops the engine, and with it its containers unless it runs with live-restore; KILL is a crash. */
  stopEngine(options: { signalName?: 'TERM' | 'KILL'; signal?: AbortSignal } = {}): Promise<void> {
    return stopEngine(this, options.signalName ?? 'TERM', options.signal);
  }

  /** Stops the engine and starts it again. */
  async restartEngine(options: { signalName?: 'TERM' | 'KILL'; signal?: AbortSignal } = {}): Promise<void> {
    await this.stopEngine(options);
    writeEngineConfig(this.#lab, this.state);
    await this.startEngine(options);
  }
}

function argvOf(command: string | readonly string[]): readonly string[] {
  return typeof command === 'string' ? ['sh', '-c', command] : command;
}

/** Without a way out, a server that answers at once: with one out of reach each image look-up hangs for seconds. */
function writeResolvConf(lab: LabState, host: HostState): void {
  mkdirSync(host.directory, { recursive: true });
  const target = join(host.directory, 'resolv.conf');
  const source = lab.uplink ? machineResolvConf() : null;
  if (source) copyFileSync(source, target);
  else writeFileSync(target, 'nameserver 127.0.0.1\n');
}

/** The machine's resolv.conf with servers that another host can reach; a stub on the loopback is none. */
function machineResolvConf(): string | null {
  const candidates = ['/etc/resolv.conf', '/run/systemd/resolve/resolv.conf'].filter((file) => existsSync(file));
  return candidates.find((file) => /^nameserver\s+(?!127\.|::1)/m.test(readFileSync(file, 'utf8'))) ?? null;
}
