import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { ProcessIdentity } from './processes.js';

/** Releases of Docker a test host can run: Debian's own, and those `deploy/install-deps.sh engines` fetches. */
export type EngineVersion = '20.10' | '26.1' | '28.5';

/** How one host of a lab is made. Everything has a default. */
export interface HostOptions {
  /** Host name; `h1`, `h2`, … by default. At most 12 letters, digits and dashes. */
  name?: string;
  /** By default the dockerd that this machine's PATH finds. */
  engineVersion?: EngineVersion;
  /** False for a host without an engine, such as a client or a registry. */
  engine?: boolean;
  /** Starts swarmd-net before the engine from the first time on; else only once swarmd has made networks there. */
  networks?: boolean;
  /** `http://IP:PORT` of a registry that the engine asks before Docker Hub; wins over the lab's `mirror`. */
  registryMirror?: string;
  /** `IP:PORT` of more registries that the engine talks to without TLS; those on the lab's network always are. */
  insecureRegistries?: string[];
  /** Labels of the engine, `key=value`. */
  engineLabels?: string[];
  /** Gives /var/lib/swarmd a disk of its own of this size (ext4 in a file), which can be filled or stall. */
  dataDiskMegabytes?: number;
  /** More of the engine's daemon.json; wins over what the lab would write. */
  daemonConfig?: Record<string, unknown>;
}

/** What is kept on disk about one host, so that another process can find it again. */
export interface HostState {
  name: string;
  ip: string;
  macAddress: string;
  /** Name of its network namespace under /run/netns. */
  namespace: string;
  /** Its private part of the disk: `run`, `docker`, `etc-docker`, `swarmd`, logs. */
  directory: string;
  options: HostOptions;
  /** Its PID 1, seen from this machine; null while the host is off. */
  init: ProcessIdentity | null;
  connected: boolean;
}

/** The way out of a lab: a veth between the hub and the machine's own namespace. */
export interface UplinkState {
  link: string;
  table: string;
  /** Chain of the machine's iptables that got two accept rules, because FORWARD drops by default; else null. */
  acceptChain: string | null;
}

/** What is kept on disk about a lab. */
export interface LabState {
  name: string;
  directory: string;
  /** The process that made it; a lab whose owner is gone is stale, unless it is kept. */
  owner: ProcessIdentity;
  keep: boolean;
  /** Engines ask the registry on the hub before Docker Hub. */
  mirror: boolean;
  hubNamespace: string;
  /** First three numbers of its /24. */
  subnet: string;
  uplink: UplinkState | null;
  hosts: HostState[];
}

/** Folder that holds every lab of this machine: where only root can write, and short, as socket paths end after 107 bytes. */
export function labsRoot(): string {
  return process.env['SWARMD_LABS_DIR'] ?? '/var/lib/swarmd-labs';
}

/** Folder for what is expensive to make or fetch: engines, images. Shared by all labs, kept between runs. */
export function cacheDirectory(): string {
  return process.env['SWARMD_CACHE_DIR'] ?? join(homedir(), '.cache', 'swarmd');
}

/** Writes a lab's state so that a reader sees the old or the new one, never half. */
export function saveLab(state: LabState): void {
  mkdirSync(state.directory, { recursive: true });
  const file = join(state.directory, 'lab.json');
  writeFileSync(`${file}.new`, JSON.stringify(state, null, 2));
  renameSync(`${file}.new`, file);
}

/** A lab's state by name; null when there is none. */
export function loadLab(name: string): LabState | null {
  try {
    return JSON.parse(readFileSync(join(labsRoot(), name, 'lab.json'), 'utf8')) as LabState;
  } catch {
    return null;
  }
}

/** Names of all labs of this machine, stale ones too. */
export function labNames(): string[] {
  try {
    return readdirSync(labsRoot());
  } catch {
    return [];
  }
}
