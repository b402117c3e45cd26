import { z } from 'zod';
import { ERROR_CODES } from '../errors.js';
import { PortConfigSchema } from '../objects/service.js';

/**
 * What the agent and `swarmd-net`, the process that keeps a node's networks, tell each other: JSON over HTTP on a unix
 * socket, one path per method. See `docs/decisions/networks.md`.
 */

/** Raised when the two can no longer understand each other: an agent replaces a swarmd-net of another version. */
export const NODE_NETWORKS_PROTOCOL = 1;

/** Name under which swarmd-net is network and IPAM driver of the local engine; `<name>.sock` among the plugins. */
export const NETWORK_DRIVER = 'swarmd';

/** Option of engine networks, driver and IPAM both, that names the cluster's network (its ID). */
export const NETWORK_OPTION = 'swarmd.network';
/** Endpoint driver option: ID of the task that the endpoint is of. */
export const TASK_OPTION = 'swarmd.task';
/** Endpoint driver option: name servers that a task's spec wants asked beyond the cluster's names, with commas between. */
export const DNS_OPTION = 'swarmd.dns';

/** The node's own part. Addresses are IPs. */
export const DataPathConfigSchema = z.strictObject({
  nodeId: z.string(),
  clusterId: z.string(),
  /** Own address: what peers send VXLAN packets to. */
  addr: z.string(),
  /** UDP. */
  port: z.number().int(),
  /** Data path addresses of all other nodes: VXLAN packets from elsewhere are dropped. */
  peers: z.array(z.string()),
});
/** The node's own part. */
export type DataPathConfig = z.infer<typeof DataPathConfigSchema>;

/** A network as this node has it. */
export const NodeNetworkSchema = z.strictObject({
  id: z.string(),
  name: z.string(),
  vni: z.number().int(),
  /** In CIDR notation, with the address on which the node answers DNS. */
  subnets: z.array(z.strictObject({ subnet: z.string(), gateway: z.string() })),
  /** Bytes. */
  mtu: z.number().int(),
  internal: z.boolean(),
  /** The one that published ports lead into. */
  ingress: z.boolean(),
  /** Whether containers that are no tasks may join. */
  attachable: z.boolean(),
  /** Ranges (CIDR) from which containers get addresses that ask for none. */
  addressBlocks: z.array(z.string()),
});
/** A network as this node has it. */
export type NodeNetwork = z.infer<typeof NodeNetworkSchema>;

/** A task, or another container, on a network; on this node or another. */
export const NetworkEndpointSchema = z.strictObject({
  /** The task's ID, or the container's. */
  id: z.string(),
  /** Empty for what is not a task. */
  serviceId: z.string(),
  /** Data path address of its node. */
  nodeAddr: z.string(),
  /** Without prefix lengths. */
  addresses: z.array(z.string()),
  /** `reserved`: reachable, found by nobody. `ready`: in VIP sets and answers. `draining`: out of both, not cut off. */
  phase: z.enum(['reserved', 'ready', 'draining']),
  /** Names that it alone is found by. */
  names: z.array(z.string()),
});
/** A task, or another container, on a network. */
export type NetworkEndpoint = z.infer<typeof NetworkEndpointSchema>;

/** How tasks of a network find a service. */
export const NetworkServiceSchema = z.strictObject({
  id: z.string(),
  /** Empty once the service is being removed. */
  name: z.string(),
  aliases: z.array(z.string()),
  /** Without prefix lengths; none with `dnsrr`: the name then answers with the tasks' addresses. */
  virtualIps: z.array(z.string()),
});
/** How tasks of a network find a service. */
export type NetworkService = z.infer<typeof NetworkServiceSchema>;

/** Ranges of a network from which a node gives containers addresses by itself. */
export const NodeBlocksSchema = z.strictObject({
  nodeId: z.string(),
  /** Data path address of the node. */
  nodeAddr: z.string(),
  /** CIDR. Packets to an address in them that is no endpoint's go to the node. */
  ranges: z.array(z.string()),
});
/** Ranges of a network from which a node gives containers addresses by itself. */
export type NodeBlocks = z.infer<typeof NodeBlocksSchema>;

/** A step from what a node knows of a network's endpoints to what it is to know. */
export const EndpointChangeSchema = z.strictObject({
  networkId: z.string(),
  /** Replaces everything known of the network instead of adding to it. */
  complete: z.boolean(),
  endpoints: z.array(NetworkEndpointSchema),
  removedEndpoints: z.array(z.string()),
  services: z.array(NetworkServiceSchema),
  removedServices: z.array(z.string()),
  /** None when absent. */
  blocks: z.array(NodeBlocksSchema).optional(),
  /** By node ID; none when absent. */
  removedBlocks: z.array(z.string()).optional(),
});
/** A step from what a node knows of a network's endpoints to what it is to know. */
export type EndpointChange = z.infer<typeof EndpointChangeSchema>;

/** Ports that services publish on every node. */
export const PublishedServiceSchema = z.strictObject({
  serviceId: z.string(),
  /** Those in mode ingress, with their published ports. */
  ports: z.array(PortConfigSchema),
});
/** Ports that services publish on every node. */
export type PublishedService = z.infer<typeof PublishedServiceSchema>;

/** A container on one of the cluster's networks on this node, as the engine attached it. */
export const LocalEndpointSchema = z.object({
  networkId: z.string(),
  /** The engine's ID of the endpoint. */
  endpointId: z.string(),
  addresses: z.array(z.string()),
  /** ID of its task; empty for other containers. */
  taskId: z.string(),
  /** Path of its network namespace; empty until it has joined. */
  sandbox: z.string(),
});
/** A container on one of the cluster's networks on this node. */
export type LocalEndpoint = z.infer<typeof LocalEndpointSchema>;

/** The containers of this node, as of a revision. */
export const LocalEndpointsSchema = z.object({
  /** Another one after every change, and after a restart of swarmd-net; nothing else can be told from it. */
  revision: z.string(),
  endpoints: z.array(LocalEndpointSchema),
});
/** The containers of this node, as of a revision. */
export type LocalEndpoints = z.infer<typeof LocalEndpointsSchema>;

/** What a node knows of itself at the data path. */
export const NodeNetworksStatusSchema = z.object({
  protocol: z.number().int(),
  version: z.string(),
  /** Another one when what was told may be lost: then everything is to be told again, endpoints as complete sets. */
  epoch: z.string(),
  /** IDs of the networks that are known. */
  networks: z.array(z.string()),
  endpoints: z.array(LocalEndpointSchema),
  /** What stands in the way, each a sentence for people: a port taken by another program, a firewall. */
  problems: z.array(z.string()),
});
/** What a node knows of itself at the data path. */
export type NodeNetworksStatus = z.infer<typeof NodeNetworksStatusSchema>;

/** The body of an answer that is an error; its HTTP status is that of the code. */
export const NodeNetworksErrorSchema = z.object({
  code: z.enum(ERROR_CODES),
  message: z.string(),
  field: z.string().optional(),
});

/** What keeps a node's networks, as its agent sees it. Resolves once it is so in the kernel, and kept on disk. */
export interface NodeNetworks {
  /** `unavailable` while swarmd-net does not answer. */
  status(signal?: AbortSignal): Promise<NodeNetworksStatus>;
  /**
   * The containers of this node once their revision is another than `after` (empty: at once). May resolve with the same
   * revision after a while: ask again.
   */
  localEndpoints(after: string, signal?: AbortSignal): Promise<LocalEndpoints>;
  configure(config: DataPathConfig): Promise<void>;
  /** Makes a network known, or changes its address blocks; the engine may then be told to create it. */
  putNetwork(network: NodeNetwork): Promise<void>;
  /** Forgets a network and all that was made for it; `failed-precondition` while containers are on it. */
  removeNetwork(networkId: string): Promise<void>;
  /** Applies changes in order, adds before removals. Those of networks that are not known here are ignored. */
  changeEndpoints(changes: readonly EndpointChange[]): Promise<void>;
  /** Replaces what is published on this node. */
  publish(services: readonly PublishedService[]): Promise<void>;
  /** Removes everything of ours from this host: namespaces, links, rules, state. */
  reset(): Promise<void>;
}
