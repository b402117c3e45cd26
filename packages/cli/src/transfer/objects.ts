import type { ClusterSpec, ConfigSpec, NetworkSpec, NodeSpec, SecretSpec, ServiceSpec } from '@swarmd/model';

/** Kinds of objects that are carried from one cluster to another, in the order in which they must be made. */
export const KINDS = ['cluster', 'node', 'network', 'secret', 'config', 'service'] as const;
/** A kind of object that is carried from one cluster to another. */
export type Kind = (typeof KINDS)[number];

/** A node without what its agent reports. */
export interface PortableNode {
  Hostname: string;
  /** What constraints on `node.id` refer to. */
  ID: string;
  Role: NonNullable<NodeSpec['Role']>;
  Availability: NonNullable<NodeSpec['Availability']>;
  Labels: Record<string, string>;
}

/**
 * All that a cluster was told, without what it made of it: no IDs (references are by name), versions, times or
 * addresses. Specs are in canonical form, lists sorted by name; secrets are without their values.
 */
export interface ClusterObjects {
  cluster: ClusterSpec;
  nodes: PortableNode[];
  networks: NetworkSpec[];
  secrets: SecretSpec[];
  configs: ConfigSpec[];
  services: ServiceSpec[];
}

/** How the API calls an object that exists. `version` is 0 for networks: they have none. */
export interface Handle {
  readonly id: string;
  readonly version: number;
}

/** A cluster as it was read: what it was told, and what the API needs to change it. */
export interface Snapshot {
  readonly objects: ClusterObjects;
  /** By {@link handleKey}. */
  readonly handles: ReadonlyMap<string, Handle>;
  /** What was found and cannot be carried in this form, a sentence each, by {@link handleKey}. */
  readonly remarks: ReadonlyMap<string, readonly string[]>;
}

/** The key of an object in a snapshot; names of networks, secrets, configs and services differ in more than case. */
export function handleKey(kind: Kind, name: string): string {
  return kind === 'cluster' ? kind : `${kind} ${name.toLowerCase()}`;
}
