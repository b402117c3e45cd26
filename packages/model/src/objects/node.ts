import { z } from 'zod';
import { LabelsSchema, type StoredObject } from './common.js';
import type { ForeignAttachment } from './network.js';
import { type GenericResource, GenericResourceSchema } from './service.js';

/** Docker's NodeSpec: what a user can say of a node. */
export const NodeSpecSchema = z.looseObject({
  Name: z.string().optional(),
  Labels: LabelsSchema.nullish(),
  Role: z.enum(['worker', 'manager']).optional(),
  Availability: z.enum(['active', 'pause', 'drain']).optional(),
});
/** Docker's NodeSpec. */
export type NodeSpec = z.infer<typeof NodeSpecSchema>;

/** With the value `true` on a node that becomes a manager: it keeps a copy of the state and has no vote. */
export const STANDBY_LABEL = 'swarmd.standby';

/** Whether a manager of this spec is a standby, without a vote. */
export function isStandby({ Spec }: { Spec: NodeSpec }): boolean {
  return Spec.Role === 'manager' && Spec.Labels?.[STANDBY_LABEL] === 'true';
}

/** The spec of a standby that has its vote from now on. */
export function withVote<S extends NodeSpec>(spec: S): S {
  const { [STANDBY_LABEL]: _, ...Labels } = spec.Labels ?? {};
  return { ...spec, Labels };
}

/** What the agent found out about its host (Docker's NodeDescription). */
export interface NodeDescription {
  Hostname: string;
  Platform: { Architecture: string; OS: string };
  Resources: { NanoCPUs: number; MemoryBytes: number; GenericResources?: GenericResource[] };
  Engine: { EngineVersion: string; Labels?: Record<string, string>; Plugins?: { Type: string; Name: string }[] };
  TLSInfo?: { TrustRoot: string; CertIssuerSubject: string; CertIssuerPublicKey: string };
}

/** What an agent leaves out, or what is no number, counts as none. */
const amount = z.number().nonnegative().catch(0);
const text = z.string().catch('');

/**
 * A host's description as its agent sends it. Only the name must be there; of the rest, what has not the type that
 * loops and API count on is left out: what one node says of itself must not stop them for all. Unknown fields are kept.
 */
export const NodeDescriptionSchema = z.looseObject({
  Hostname: z.string().min(1).max(255),
  Platform: z.looseObject({ Architecture: text, OS: text }).catch({ Architecture: '', OS: '' }),
  Resources: z
    .looseObject({
      NanoCPUs: amount,
      MemoryBytes: amount,
      GenericResources: z.array(GenericResourceSchema).optional().catch(undefined),
    })
    .catch({ NanoCPUs: 0, MemoryBytes: 0 }),
  Engine: z
    .looseObject({
      EngineVersion: text,
      Labels: LabelsSchema.optional().catch(undefined),
      Plugins: z
        .array(z.looseObject({ Type: z.string(), Name: z.string() }))
        .optional()
        .catch(undefined),
    })
    .catch({ EngineVersion: '' }),
  TLSInfo: z
    .looseObject({ TrustRoot: text, CertIssuerSubject: text, CertIssuerPublicKey: text })
    .optional()
    .catch(undefined),
});

/** Liveness as the leader sees it. */
export type NodeState = 'unknown' | 'down' | 'ready' | 'disconnected';

/** A node as stored. `Version.Index` moves only when `Spec` changes. */
export interface Node extends StoredObject {
  Spec: NodeSpec & { Role: 'worker' | 'manager'; Availability: 'active' | 'pause' | 'drain' };
  Description?: NodeDescription;
  Status: { State: NodeState; Message?: string; Addr: string };
  /** The version of its swarmd, as of its last registration. */
  SwarmdVersion?: string;
  /** `StateFormat`: the newest that the manager can work on, as of its last line to the leader. */
  ManagerStatus?: {
    Leader?: boolean;
    Reachability: 'unknown' | 'unreachable' | 'reachable';
    Addr: string;
    StateFormat?: number;
  };
  /**
   * Session that the node last registered with; node state is only written compare-and-set on it. `Manager` is the node
   * ID of the manager that holds the session, and answers for the node as long as it is there. `BackWithinMs`: the node
   * has said goodbye, and is waited for this long.
   */
  Session?: { ID: string; BootNonce: string; Manager?: string; BackWithinMs?: number };
  /** When the leader last declared the node down; RFC 3339. After 24 h its tasks are orphaned. */
  DownSince?: string;
  /** The role that the node's own certificate carries today; it follows `Spec.Role`. */
  CertificateRole?: 'worker' | 'manager';
  /**
   * The certificate that the node uses, as it showed it at its last registration; until the first, the one that it was
   * issued. `Issuer` is the digest of the root it comes from (as in join tokens), empty when the cluster does not know
   * that root any more. Times are RFC 3339.
   */
  Certificate?: { Issuer: string; NotBefore: string; NotAfter: string };
  /** Digest of the root that the node has been asked to get a certificate from; unset once it uses one. */
  RenewFrom?: string;
  /** How the node takes part in overlay networks, as it said at its last registration; absent: it does not. */
  DataPath?: NodeDataPath;
  /** Containers besides tasks that are on the cluster's networks there. */
  Attachments?: ForeignAttachment[];
  /** Address ranges (CIDR) that the node may give such containers by itself, by network ID. */
  AddressBlocks?: Record<string, string[]>;
}

/** A node's end of the overlays. */
export const NodeDataPathSchema = z.object({
  /** IP that its peers send VXLAN packets to. */
  Addr: z.union([z.ipv4(), z.ipv6()]),
  /** Of the interface with that address, in bytes: from what IPv4 asks of every link to the most that a packet has. */
  MTU: z.number().int().min(576).max(65_535),
  /** Whether its kernel can do IPsec (ESP), which encrypted networks need. */
  Encryption: z.boolean().optional(),
});
/** A node's end of the overlays. */
export type NodeDataPath = z.infer<typeof NodeDataPathSchema>;
