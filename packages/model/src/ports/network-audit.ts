import { z } from 'zod';
import type { NetworkEndpoint, NetworkService, NodeBlocks } from './node-networks.js';

/**
 * What can be asked of a node's networks by people who look for a fault: JSON between managers, agents and swarmd-net.
 * Unknown fields are dropped and new ones optional, so that versions can be mixed.
 */

/** Kinds of inquiries to agents (see `Inquiry` in `dispatcher.proto`); question and answer are the schemas named here. */
export const NETWORK_INQUIRIES = {
  /** {@link AuditOptionsSchema} → {@link NetworkAuditSchema}. */
  audit: 'networks.audit',
  /** {@link MembersQuestionSchema} → {@link NetworkMembersSchema}. */
  members: 'networks.members',
  /** {@link ProbeSchema} → {@link ProbeResultSchema}. */
  probe: 'networks.probe',
} as const;

/** Something about a node or its networks that somebody should know. */
export const NetworkFindingSchema = z.object({
  Level: z.enum(['error', 'warning', 'note']),
  /** A word for the kind of finding, such as `mtu`. */
  Code: z.string(),
  What: z.string(),
  /** What is to be done about it; empty when nothing is. */
  Do: z.string(),
});
/** Something about a node or its networks that somebody should know. */
export type NetworkFinding = z.infer<typeof NetworkFindingSchema>;

/** How an audit is done. */
export const AuditOptionsSchema = z.object({
  /** Mends what can be mended. */
  repair: z.boolean(),
});
/** How an audit is done. */
export type AuditOptions = z.infer<typeof AuditOptionsSchema>;

/** How a node's networks are, as it sees them itself. */
export const NetworkAuditSchema = z.object({
  /** Of swarmd-net; 0 when it does not answer: then there are findings of the host alone. */
  protocol: z.number(),
  version: z.string(),
  /** Wall time of the answer, in milliseconds. */
  clockMs: z.number(),
  /** Own address and port of the overlays, and what its peers' addresses are known to be ({@link linesDigest}). */
  dataPath: z.object({ addr: z.string(), port: z.number(), peers: z.number(), peersDigest: z.string() }).optional(),
  networks: z.array(
    z.object({
      id: z.string(),
      vni: z.number(),
      mtu: z.number(),
      subnets: z.array(z.string()),
      endpoints: z.number(),
      services: z.number(),
      /** {@link linesDigest} of {@link memberLines}. */
      digest: z.string(),
    }),
  ),
  /** Containers here that are on the networks, by address. */
  locals: z.array(z.object({ networkId: z.string(), address: z.string(), taskId: z.string() })),
  findings: z.array(NetworkFindingSchema),
});
/** How a node's networks are, as it sees them itself. */
export type NetworkAudit = z.infer<typeof NetworkAuditSchema>;

/** Asks what a node knows of a network. */
export const MembersQuestionSchema = z.object({ networkId: z.string() });

/** What a node was told of a network: {@link memberLines}, sorted. */
export const NetworkMembersSchema = z.object({ lines: z.array(z.string()) });

const Target = z.object({
  /** Data path address of another node. */
  addr: z.string(),
  /** Largest packet that has to get there whole, in bytes. */
  packetBytes: z.number(),
});

/** Something that a node is to try out. */
export const ProbeSchema = z.discriminatedUnion('do', [
  /** Counts datagrams with `token` that get through to `port`, for at most `forMs`. */
  z.object({ do: z.literal('listen'), token: z.string(), port: z.number(), forMs: z.number() }),
  /** Sends such datagrams to others, and pings them with packets that must not be cut. */
  z.object({ do: z.literal('send'), token: z.string(), port: z.number(), targets: z.array(Target) }),
  /** Who was heard; ends listening. */
  z.object({ do: z.literal('heard'), token: z.string() }),
  /** Follows the way from a container here to an address on one of its networks. */
  z.object({
    do: z.literal('reach'),
    networkId: z.string(),
    from: z.string(),
    to: z.string(),
    /** Also connects to this TCP port; 0 for none. */
    port: z.number(),
  }),
  /** Asks the name servers of a container's networks, as that container. */
  z.object({ do: z.literal('resolve'), networkId: z.string(), from: z.string(), name: z.string() }),
  /** What the kernel knows of the way to an address; nothing is sent. */
  z.object({ do: z.literal('forwarding'), networkId: z.string(), to: z.string() }),
]);
/** Something that a node is to try out. */
export type Probe = z.infer<typeof ProbeSchema>;

/** The kernel's way to an address on a network. */
export const ForwardingSchema = z.object({
  /** Whether the network is on this node at all. */
  network: z.boolean(),
  /** The address is of a container here, plugged into the network's bridge. */
  local: z.boolean(),
  /** MAC address that the neighbour entry names; empty without one. */
  mac: z.string(),
  /** Where the forwarding entry of that MAC address leads; empty without one. */
  nodeAddr: z.string(),
});

/** What a probe found. Absent parts were not tried. */
export const ProbeResultSchema = z.object({
  /** Of `heard`: source addresses of what got through all firewalls of the node. */
  heard: z.array(z.string()).optional(),
  /** Of `heard`: source addresses of what got to the node at all; absent from nodes of older versions. */
  arrived: z.array(z.string()).optional(),
  /** Of `heard`: the node's firewalls that keep something out, with the commands that let it in. */
  walls: z.array(z.object({ name: z.string(), command: z.string() })).optional(),
  /** Of `send`: whether small and full packets were answered; `undefined` when that could not be tried. */
  pings: z.array(z.object({ addr: z.string(), small: z.boolean(), full: z.boolean() })).optional(),
  forwarding: ForwardingSchema.optional(),
  /** Of `reach`: whether a ping was answered. */
  ping: z.boolean().optional(),
  /** Of `reach` with a port: `open`, or why not: `refused`, `timeout`, `unreachable`. */
  connect: z.enum(['open', 'refused', 'timeout', 'unreachable']).optional(),
  /** Of `resolve`: what this node's name server says, and what the container hears through its engine. */
  names: z
    .array(z.object({ server: z.enum(['network', 'engine']), rcode: z.string(), addresses: z.array(z.string()) }))
    .optional(),
});
/** What a probe found. */
export type ProbeResult = z.infer<typeof ProbeResultSchema>;

/** What swarmd-net tells people who look for a fault, as its agent sees it. `unavailable` while it does not answer. */
export interface NetworkAudits {
  /** How this node's networks are, and what of its host stands in their way; mends what can be with `repair`. */
  audit(options: AuditOptions, signal?: AbortSignal): Promise<NetworkAudit>;
  /** What it was told of a network, as {@link memberLines} gives it; `not-found` for one that it does not have. */
  members(networkId: string, signal?: AbortSignal): Promise<string[]>;
  /** Tries something out; `not-found` where the container or the probe that is meant is not here. */
  probe(probe: Probe, signal?: AbortSignal): Promise<ProbeResult>;
}

/**
 * All that a node is told of a network, a line for each endpoint, service and node with ranges, sorted: two nodes that were
 * told the same have the same lines.
 */
export function memberLines(
  endpoints: Iterable<NetworkEndpoint>,
  services: Iterable<NetworkService>,
  blocks: Iterable<NodeBlocks>,
): string[] {
  const lines: string[] = [];
  for (const { id, serviceId, nodeAddr, addresses, phase, names } of endpoints)
    lines.push(JSON.stringify(['endpoint', id, serviceId, nodeAddr, [...addresses].sort(), phase, [...names].sort()]));
  for (const { id, name, aliases, virtualIps } of services)
    lines.push(JSON.stringify(['service', id, name, [...aliases].sort(), [...virtualIps].sort()]));
  for (const { nodeId, nodeAddr, ranges } of blocks)
    lines.push(JSON.stringify(['blocks', nodeId, '', nodeAddr, [...ranges].sort()]));
  return lines.sort();
}

/** A short stand-in for lines: differs when they do, but by chance of one in 2^106. Not for keeping secrets. */
export function linesDigest(lines: readonly string[]): string {
  // cyrb53 twice, with other seeds: nothing of Node's may be imported here.
  const text = lines.join('\n');
  return [hash53(text, 0), hash53(text, 0x9e3779b9)].map((half) => half.toString(16).padStart(14, '0')).join('');
}

function hash53(text: string, seed: number): number {
  let high = 0xdeadbeef ^ seed;
  let low = 0x41c6ce57 ^ seed;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    high = Math.imul(high ^ code, 2654435761);
    low = Math.imul(low ^ code, 1597334677);
  }
  high = Math.imul(high ^ (high >>> 16), 2246822507) ^ Math.imul(low ^ (low >>> 13), 3266489909);
  low = Math.imul(low ^ (low >>> 16), 2246822507) ^ Math.imul(high ^ (high >>> 13), 3266489909);
  return 4294967296 * (2097151 & low) + (high >>> 0);
}
