import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { SwarmdError } from '@swarmd/model';
import { isStale, remainsOf, removeLab, removeStaleLabs } from './cleanup.js';
import { type CommandOptions, type CommandResult, searchPath, tryRun } from './command.js';
import { Host } from './host.js';
import { createHub, hubAddress, macAddressFor, setBlocked } from './network.js';
import { identify } from './processes.js';
import { type EngineVersion, type HostOptions, type LabState, labsRoot, loadLab, saveLab } from './state.js';
import { isolatedSubnet, plugUplink, reserveUplink } from './uplink.js';

/** What a lab is made of. */
export interface LabOptions {
  /** Unique on this machine: lower-case letters, digits and dashes, at most 20. By default from the process ID. */
  name?: string;
  /** How many hosts, or how each is to be. */
  hosts: number | readonly HostOptions[];
  /** Docker release of hosts that do not name one. */
  engineVersion?: EngineVersion;
  /** Gives the hosts a way out and makes their addresses reachable from this machine; else they are on their own. */
  uplink?: boolean;
  /** The lab outlives the process that makes it, until `attachLab(name)` destroys it. */
  keep?: boolean;
  /** Every engine asks the lab's own registry first, see `startRegistry`; also while none runs yet. */
  mirror?: boolean;
  signal?: AbortSignal;
}

/** First host's last number; lower ones are the gateway's and the hub's. */
const firstHostNumber = 11;
const maxHosts = 100;

/** Several hosts with real engines on one machine, joined by a switch. */
export class Lab {
  /** What is kept on disk about this lab. Read it, never change it. */
  readonly state: LabState;
  readonly hosts: readonly Host[];

  constructor(state: LabState) {
    this.state = state;
    this.hosts = state.hosts.map((host) => new Host(state, host));
  }

  get name(): string {
    return this.state.name;
  }

  /** Folder for anything that is to vanish with the lab; same path inside every host. */
  get directory(): string {
    return this.state.directory;
  }

  /** Address of the client whose commands {@link Lab.client} runs. */
  get clientAddress(): string {
    return hubAddress(this.state.subnet);
  }

  /** A host by name. Throws when the lab has none such. */
  host(name: string): Host {
    const found = this.hosts.find((host) => host.name === name);
    if (!found)
      throw new SwarmdError(
        'not-found',
        `lab ${this.name} has no host ${name}: ${this.hosts.map((host) => host.name).join(' ')}`,
      );
    return found;
  }

  /** Runs a command of this machine on the lab's network as somebody who is none of its hosts. */
  client(command: string | readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    const argv = typeof command === 'string' ? ['sh', '-c', command] : command;
    return tryRun(['nsenter', `--net=/run/netns/${this.state.hubNamespace}`, '--', ...argv], options);
  }

  /** Loses whatever `from` sends to `to`; what `to` sends still arrives. Needs nft with bridges. */
  block(from: Host, to: Host): Promise<void> {
    return setBlocked(this.state, from.state, to.state, true);
  }

  /** Takes back {@link Lab.block}. */
  unblock(from: Host, to: Host): Promise<void> {
    return setBlocked(this.state, from.state, to.state, false);
  }

  /** Kills all hosts and removes all that the lab made. Can be called again. */
  destroy(): Promise<void> {
    return removeLab(this.state);
  }

  /** What is left of the lab on this machine, in words: empty after {@link Lab.destroy}. */
  remains(): Promise<string[]> {
    return remainsOf(this.state);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.destroy();
  }
}

/** Why hosts cannot be made here, as a sentence; null when they can. */
export function whyNoHosts(): string | null {
  if (process.platform !== 'linux') return 'test hosts need Linux';
  if (process.getuid?.() !== 0) return 'test hosts need root';
  const missing = ['dockerd', 'containerd', 'ip', 'nsenter', 'unshare', 'setpriv', 'iptables'].filter((program) => {
    return !searchPath()
      .split(':')
      .some((folder) => existsSync(join(folder, program)));
  });
  return missing.length > 0 ? `test hosts need ${missing.join(', ')}: run deploy/install-deps.sh engine test` : null;
}

/**
 * Makes a lab and starts its hosts; resolves when every engine answers. Needs root and a dockerd. Labs of processes
 * that are gone are removed first. When anything fails, or `signal` aborts, nothing of the new lab is left.
 */
export async function createLab(options: LabOptions): Promise<Lab> {
  const why = whyNoHosts();
  if (why) throw new SwarmdError('failed-precondition', why);
  await removeStaleLabs();
  const state = await plan(options);
  saveLab(state);
  const lab = new Lab(state);
  try {
    if (options.uplink) await reserveUplink(state);
    addressHosts(state);
    saveLab(state);
    await createHub(state);
    if (options.uplink) await plugUplink(state);
    const starting = options.signal ? { signal: options.signal } : {};
    // All have come to an end before a failure of one removes the lab under them.
    const started = await Promise.allSettled(lab.hosts.map((host) => host.start(starting)));
    const failed = started.find((result) => result.status === 'rejected');
    if (failed) throw failed.reason;
    return lab;
  } catch (error) {
    await removeLab(state);
    throw error;
  }
}

/** A lab that another process made, by name. Throws when there is none. */
export function attachLab(name: string): Lab {
  const state = loadLab(name);
  if (!state) throw new SwarmdError('not-found', `there is no lab ${name} in ${labsRoot()}`);
  return new Lab(state);
}

async function plan(options: LabOptions): Promise<LabState> {
  const name = options.name ?? `t${process.pid}`;
  if (!/^[a-z0-9][a-z0-9-]{0,19}$/.test(name))
    throw new SwarmdError('invalid-argument', `not a name for a lab: ${name}`);
  const previous = loadLab(name);
  if (previous && !isStale(previous)) throw new SwarmdError('already-exists', `lab ${name} exists already`);
  const wanted = typeof options.hosts === 'number' ? Array.from({ length: options.hosts }, () => ({})) : options.hosts;
  if (wanted.length > maxHosts)
    throw new SwarmdError('invalid-argument', `a lab has at most ${maxHosts} hosts, not ${wanted.length}`);
  const directory = join(labsRoot(), name);
  const hosts = wanted.map((host: HostOptions, index) => {
    const hostName = host.name ?? `h${index + 1}`;
    if (!/^[a-z0-9][a-z0-9-]{0,11}$/.test(hostName))
      throw new SwarmdError('invalid-argument', `not a name for a host: ${hostName}`);
    const version = host.engineVersion ?? options.engineVersion;
    return {
      ...{ name: hostName, ip: '', macAddress: '', connected: true, init: null },
      namespace: `swarmd-${name}-${hostName}`,
      directory: join(directory, hostName),
      options: version ? { ...host, engineVersion: version } : host,
    };
  });
  if (new Set(hosts.map((host) => host.name)).size < hosts.length)
    throw new SwarmdError('invalid-argument', 'two hosts have the same name');
  const hubNamespace = `swarmd-${name}-hub`;
  const owner = identify(process.pid)!;
  const { keep = false, mirror = false } = options;
  return { name, directory, owner, keep, mirror, hubNamespace, subnet: isolatedSubnet, uplink: null, hosts };
}

function addressHosts(lab: LabState): void {
  lab.hosts.forEach((host, index) => {
    host.ip = `${lab.subnet}.${firstHostNumber + index}`;
    host.macAddress = macAddressFor(host.ip);
  });
}
