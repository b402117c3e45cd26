import {
  DataPathConfigSchema,
  NetworkEndpointSchema,
  NetworkServiceSchema,
  NodeBlocksSchema,
  NodeNetworkSchema,
  PublishedServiceSchema,
} from '@swarmd/model';
import { z } from 'zod';

/** A container's end of a network on this node, as it is kept on disk. */
export const LocalRecordSchema = z.object({
  /** The cluster's ID of the network. */
  networkId: z.string(),
  engineNetworkId: z.string(),
  /** The engine's ID of the endpoint. */
  endpointId: z.string(),
  /** Without prefix lengths, IPv4 first. */
  addresses: z.array(z.string()),
  macAddress: z.string(),
  /** Empty for what is no task. */
  taskId: z.string(),
  /** Name servers of its own. */
  dns: z.array(z.string()),
  /** Path of its network namespace; empty until it has joined. */
  sandbox: z.string(),
  /** When it was made, or joined or left last: wall time, in milliseconds since the epoch. */
  changedAtMs: z.number(),
});
/** A container's end of a network on this node. */
export type LocalRecord = z.infer<typeof LocalRecordSchema>;

/** What each kind of record holds. The key is the kind, followed by IDs, with slashes between. */
export const RECORD_SCHEMAS = {
  /** Changes when what the agent told may be lost. */
  epoch: z.string(),
  /** The boot in which it was written. */
  boot: z.string(),
  config: DataPathConfigSchema,
  published: z.array(PublishedServiceSchema),
  /** `/<network>` */
  network: NodeNetworkSchema,
  /** `/<engine's network>`: the cluster's network. */
  engine: z.string(),
  /** `/<endpoint>` */
  local: LocalRecordSchema,
  /** `/<network>/<endpoint>` */
  endpoint: NetworkEndpointSchema,
  /** `/<network>/<service>` */
  service: NetworkServiceSchema,
  /** `/<network>/<node>` */
  blocks: NodeBlocksSchema,
} as const;

/** A kind of record. */
export type RecordKind = keyof typeof RECORD_SCHEMAS;

/** The key of a record. */
export function keyOf(kind: RecordKind, ...ids: string[]): string {
  return [kind, ...ids].join('/');
}

/** A key's kind and IDs; `undefined` when it is of no kind that is known here. */
export function partsOf(key: string): { kind: RecordKind; ids: [string, string] } | undefined {
  const [kind = '', first = '', ...rest] = key.split('/');
  if (!Object.hasOwn(RECORD_SCHEMAS, kind)) return undefined;
  return { kind: kind as RecordKind, ids: [first, rest.join('/')] };
}
