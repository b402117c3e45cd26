import type { Driver, PortConfig, ServiceSpec } from '@swarmd/model';
import type Docker from 'dockerode';
import type { Assignment } from '../task/assignment.js';

/** What the agent knows of its node when it makes containers. */
export interface NodeFacts {
  nodeId: string;
  clusterId: string;
  hostname: string;
  os: string;
  architecture: string;
  /** Engine API that is spoken, such as 1.41: what the engine cannot do is refused instead of dropped. */
  apiVersion: string;
}

/** A file that is mounted read-only: a secret or config on this node's tmpfs. */
export interface MountedFile {
  hostPath: string;
  target: string;
}

/** One of a task's networks under the name that the engine knows it by. */
export interface TaskNetwork {
  name: string;
  aliases: readonly string[];
  driverOpts?: Readonly<Record<string, string>>;
  ipv4?: string;
  ipv6?: string;
  /** Address at which names of this network are answered. */
  nameServer?: string;
}

/** All that a container is made from. `spec` has its templates expanded. */
export interface ConversionInput {
  assignment: Assignment;
  spec: ServiceSpec;
  node: NodeFacts;
  files: readonly MountedFile[];
  /** `host` and `none` are alone. */
  networks: readonly TaskNetwork[];
  /** Ports that the container itself publishes on this node: those in mode host. */
  ports: readonly PortConfig[];
  /** The cluster's log driver, for specs that name none. */
  defaultLogDriver?: Driver;
}

/** A create request, and the networks that must be connected afterwards because the engine takes only one at creation. */
export interface ContainerRequest {
  name: string;
  body: Docker.ContainerCreateOptions;
  connect: { network: string; endpoint: Docker.EndpointSettings }[];
}

/** Whether version `a` (`1.41`) is at least `b`. */
export function apiAtLeast(a: string, b: string): boolean {
  const [majorA = 0, minorA = 0] = a.split('.').map(Number);
  const [majorB = 0, minorB = 0] = b.split('.').map(Number);
  return majorA !== majorB ? majorA > majorB : minorA >= minorB;
}
