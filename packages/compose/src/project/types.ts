import type { Position } from '../problem.js';
import type { Plain } from '../syntax/tree.js';
import type { FileContent } from './content.js';

/** A Compose project: files combined, variables replaced, every value in its long form and its final type. */
export interface Project {
  /** The top-level `name`, when a file gives one. */
  name?: string;
  /** Services that run: without profiles, or with an active one. */
  services: Record<string, Service>;
  /** Names of services whose profiles are not active. */
  disabledServices: string[];
  networks: Record<string, Network>;
  volumes: Record<string, Volume>;
  secrets: Record<string, FileObject>;
  configs: Record<string, FileObject>;
  /** The top-level `models`, as written. */
  models: Record<string, Plain>;
  /** Top-level `x-` keys, as written. */
  extensions: Record<string, Plain>;
  /** Where each key of a service, network, volume, secret and config stands: `services.web.build`. */
  positions: ReadonlyMap<string, Position>;
}

/** A service. Absent means "not said": the image's or the cluster's default applies. */
export interface Service {
  name: string;
  image?: string;
  command?: string[];
  entrypoint?: string[];
  hostname?: string;
  user?: string;
  workingDir?: string;
  /** With `env_file` read in; null is a variable that is set nowhere: it is taken out of the image's environment. */
  environment: Record<string, string | null>;
  /** Container labels, with `label_file` read in. */
  labels: Record<string, string>;
  dns: string[];
  dnsOptions: string[];
  dnsSearch: string[];
  /** `host:address`. */
  extraHosts: string[];
  healthcheck?: Healthcheck;
  init?: boolean;
  isolation?: string;
  stopSignal?: string;
  stopGracePeriodNs?: number;
  tty: boolean;
  stdinOpen: boolean;
  readOnly: boolean;
  capAdd: string[];
  capDrop: string[];
  groupAdd: string[];
  securityOptions: string[];
  sysctls: Record<string, string>;
  ulimits: Record<string, { soft: number; hard: number }>;
  oomScoreAdj?: number;
  credentialSpec?: { config?: string; file?: string; registry?: string };
  logging?: { driver?: string; options?: Record<string, string> };
  /** By the project's name of the network; empty means the default network. */
  networks: Record<string, NetworkMembership>;
  networkMode?: string;
  ports: Port[];
  volumes: VolumeMount[];
  /** `path[:options]`. */
  tmpfs: string[];
  secrets: Grant[];
  configs: Grant[];
  dependsOn: Record<string, { condition: string; restart: boolean; required: boolean }>;
  profiles: string[];
  restart?: string;
  scale?: number;
  nanoCpus?: number;
  memoryLimitBytes?: number;
  memoryReservationBytes?: number;
  pidsLimit?: number;
  platform?: string;
  deploy: Deploy;
  /** Every other key of the specification in its long form, under its name in the file. */
  other: Record<string, Plain>;
}

/** How health is checked. */
export interface Healthcheck {
  test?: string[];
  intervalNs?: number;
  timeoutNs?: number;
  startPeriodNs?: number;
  startIntervalNs?: number;
  retries?: number;
  disable: boolean;
}

/** A service's place in a network. */
export interface NetworkMembership {
  aliases: string[];
  driverOptions: Record<string, string>;
  /** `ipv4_address` and other keys of one container's address, as written. */
  other: Record<string, Plain>;
}

/** A published port. `published` may be a range (`8000-8010`) when `target` is one port. */
export interface Port {
  name?: string;
  mode: string;
  hostIp?: string;
  target: number;
  published?: string;
  protocol: string;
  appProtocol?: string;
}

/** Something mounted into the containers. */
export interface VolumeMount {
  type: string;
  source?: string;
  target: string;
  readOnly: boolean;
  consistency?: string;
  bind?: { propagation?: string; createHostPath?: boolean; recursive?: string; selinux?: string };
  volume?: { nocopy: boolean; subpath?: string; labels: Record<string, string> };
  tmpfs?: { sizeBytes?: number; mode?: number };
  image?: { subpath?: string };
}

/** A service's use of a secret or config. */
export interface Grant {
  source: string;
  target?: string;
  uid?: string;
  gid?: string;
  mode?: number;
}

/** How a service is run in a cluster. */
export interface Deploy {
  mode?: string;
  endpointMode?: string;
  replicas?: number;
  labels: Record<string, string>;
  updateConfig?: Rollout;
  rollbackConfig?: Rollout;
  limits?: { nanoCpus?: number; memoryBytes?: number; pids?: number };
  reservations?: {
    nanoCpus?: number;
    memoryBytes?: number;
    genericResources: { kind: string; value: number }[];
    devices: Plain[];
  };
  restartPolicy?: { condition?: string; delayNs?: number; maxAttempts?: number; windowNs?: number };
  placement: { constraints: string[]; spreadOver: string[]; maxReplicasPerNode?: number };
}

/** `update_config` or `rollback_config`. */
export interface Rollout {
  parallelism?: number;
  delayNs?: number;
  failureAction?: string;
  monitorNs?: number;
  maxFailureRatio?: number;
  order?: string;
}

/** What networks, volumes, secrets and configs share. `name` is the name outside the project, when it is given. */
export interface Resource {
  name?: string;
  external: boolean;
  labels: Record<string, string>;
}

/** A network. */
export interface Network extends Resource {
  driver?: string;
  driverOptions: Record<string, string>;
  internal: boolean;
  attachable: boolean;
  enableIpv4?: boolean;
  enableIpv6?: boolean;
  ipam?: {
    driver?: string;
    options: Record<string, string>;
    config: { subnet?: string; gateway?: string; ipRange?: string; auxAddresses: Record<string, string> }[];
  };
}

/** A volume. */
export interface Volume extends Resource {
  driver?: string;
  driverOptions: Record<string, string>;
  /** `x-cluster-spec`, as written. */
  clusterSpec?: Plain;
}

/** A secret or config. */
export interface FileObject extends Resource {
  /** Path of the file, resolved. */
  file?: string;
  /** Name of the environment variable. */
  environment?: string;
  driver?: string;
  driverOptions: Record<string, string>;
  templateDriver?: string;
  /** What it holds; absent when it is external, comes from a driver, or its file or variable is missing. */
  content?: FileContent;
}
