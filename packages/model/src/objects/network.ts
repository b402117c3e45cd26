import { z } from 'zod';
import { LabelsSchema, type StoredObject } from './common.js';

/** Docker's IPAM block. */
export const IpamSchema = z.looseObject({
  Driver: z.string().optional(),
  Options: z.record(z.string(), z.string()).nullish(),
  Config: z
    .array(
      z.looseObject({ Subnet: z.string().optional(), Gateway: z.string().optional(), IPRange: z.string().optional() }),
    )
    .nullish(),
});

/** What a user says of a swarm-scoped network (the body of `POST /networks/create`). */
export const NetworkSpecSchema = z.looseObject({
  Name: z.string(),
  Driver: z.string().optional(),
  Labels: LabelsSchema.nullish(),
  Options: z.record(z.string(), z.string()).nullish(),
  Internal: z.boolean().optional(),
  Attachable: z.boolean().optional(),
  Ingress: z.boolean().optional(),
  EnableIPv6: z.boolean().optional(),
  IPAM: IpamSchema.nullish(),
});
/** What a user says of a swarm-scoped network. */
export type NetworkSpec = z.infer<typeof NetworkSpecSchema>;

/** A swarm-scoped network as stored. */
export interface Network extends StoredObject {
  Spec: NetworkSpec;
  /** What the allocator gave it; absent until then, and on networks that every engine has by itself. */
  Allocation?: NetworkAllocation;
}

/** A subnet of a network, in CIDR notation, with the address that every node answers DNS at (no prefix length). */
export interface NetworkSubnet {
  Subnet: string;
  Gateway: string;
}

/** What a network was given, once and for its life. */
export interface NetworkAllocation {
  /** VXLAN network identifier: unique in the cluster, from {@link FIRST_VNI} on. */
  VNI: number;
  /** IPv4 subnets in the order of the spec, then IPv6 ones. */
  Subnets: NetworkSubnet[];
  /** Of the tasks' interfaces, in bytes: fixed when the network is made, as changing it needs new containers. */
  MTU: number;
}

/** Lower ones are Docker Swarm's own (from 4097): a VNI that exists on a host cannot be made there a second time. */
export const FIRST_VNI = 2 ** 20;

/** A container that is not a task, on an attachable network; what one node may say of one. */
export const ForeignAttachmentSchema = z.object({
  NetworkID: z.string().min(1).max(64),
  /** The engine's: never that of a task. */
  ContainerID: z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 hexadecimal digits'),
  /** Without prefix length. */
  Addresses: z
    .array(z.union([z.ipv4(), z.ipv6()]))
    .min(1)
    .max(4),
  /** Its name, hostname and aliases on that network: all that it is found by. */
  Names: z.array(z.string().min(1).max(255)).max(64),
});
/** A container that is not a task, on an attachable network. */
export type ForeignAttachment = z.infer<typeof ForeignAttachmentSchema>;
