import type { Cluster } from './objects/cluster.js';
import type { Network } from './objects/network.js';
import type { Node } from './objects/node.js';
import type { ForwardedRequest } from './objects/request.js';
import type { Config, Secret } from './objects/secret.js';
import type { Service, SpecRecord } from './objects/service.js';
import type { Task } from './objects/task.js';

/** The store's tables and the object each holds, by `ID`. */
export interface TableTypes {
  cluster: Cluster;
  node: Node;
  service: Service;
  spec: SpecRecord;
  task: Task;
  secret: Secret;
  config: Config;
  network: Network;
  request: ForwardedRequest;
}

/** A table's name. */
export type TableName = keyof TableTypes;

/** Any stored object. */
export type AnyObject = TableTypes[TableName];

/** All tables, in the order in which a full dump lists them (referred-to objects first). */
export const TABLE_NAMES: readonly TableName[] = [
  'cluster',
  'node',
  'network',
  'secret',
  'config',
  'service',
  'spec',
  'task',
  'request',
];

type Indexes = { [T in TableName]: Readonly<Record<string, (object: TableTypes[T]) => string | undefined>> };

const lower = (text: string | undefined): string | undefined => text?.toLowerCase();

/**
 * The secondary indexes: for each, the key of an object, or `undefined` to leave it out. Several objects may share a
 * key; uniqueness is control's business. Names compare case-insensitively, as Docker Swarm has it.
 */
export const TABLE_INDEXES = {
  cluster: {},
  request: {},
  node: { hostname: (n) => lower(n.Description?.Hostname) },
  network: { name: (n) => lower(n.Spec.Name) },
  secret: { name: (s) => lower(s.Spec.Name) },
  config: { name: (c) => lower(c.Spec.Name) },
  service: { name: (s) => (s.PendingDelete ? undefined : lower(s.Spec.Name)) },
  spec: { service: (s) => s.ServiceID },
  task: {
    service: (t) => t.ServiceID,
    node: (t) => (t.NodeID === '' ? undefined : t.NodeID),
  },
} as const satisfies Indexes;

/** The names of a table's secondary indexes. */
export type IndexName<T extends TableName> = keyof (typeof TABLE_INDEXES)[T] & string;

/** One change that a committed transaction made. `previous` is absent for `create`, `object` is the removed one for `delete`. */
export type StoreEvent = {
  [T in TableName]: {
    table: T;
    kind: 'create' | 'update' | 'delete';
    object: TableTypes[T];
    previous?: TableTypes[T];
  };
}[TableName];

/** One committed transaction. */
export interface Commit {
  /** Store index of the transaction; grows by one per transaction. */
  index: number;
  events: readonly StoreEvent[];
}
