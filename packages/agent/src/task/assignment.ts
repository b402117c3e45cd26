import type {
  GenericResource,
  NetworkAllocation,
  NetworkAttachment,
  NetworkSpec,
  PortConfig,
  ServiceSpec,
  TaskState,
} from '@swarmd/model';

/** A task as this node was told of it, decoded and checked. */
export interface Assignment {
  id: string;
  serviceId: string;
  serviceName: string;
  specVersion: number;
  /** 0 for tasks of global services. */
  slot: number;
  desiredState: TaskState;
  /** Ports with their published port, as the allocator gave them; both publish modes. */
  ports: PortConfig[];
  networks: NetworkAttachment[];
  genericResources: GenericResource[];
  nodeHostname: string;
  /** The cluster has seen this task end: it must never be started, whatever is known of it here. */
  ended: boolean;
}

/** A spec version that tasks of this node share. */
export interface AssignedSpec {
  serviceId: string;
  specVersion: number;
  spec: ServiceSpec;
  /** The `X-Registry-Auth` header given with this spec, or empty. Kept in memory only. */
  registryAuth: string;
}

/** A secret or config. Secrets are kept in memory and tmpfs only. */
export interface AssignedPayload {
  id: string;
  name: string;
  data: Uint8Array;
  /** Templating driver, or empty. */
  templating: string;
}

/** A swarm-scoped network that this node is to have. */
export interface AssignedNetwork {
  id: string;
  spec: NetworkSpec;
  /** Absent on those that every engine has by itself, and until the cluster has made it up. */
  allocation?: NetworkAllocation;
  /** Ranges (CIDR) from which containers besides tasks get their addresses on this node. */
  addressBlocks: readonly string[];
}
