import { z } from 'zod';
import { DriverSchema, DurationNsSchema, LabelsSchema, type StoredObject } from './common.js';

/** Docker's swarm Spec. Durations in nanoseconds except `Dispatcher.HeartbeatPeriod` (nanoseconds too, as Docker has it). */
export const ClusterSpecSchema = z.looseObject({
  Name: z.string().optional(),
  Labels: LabelsSchema.nullish(),
  Orchestration: z.looseObject({ TaskHistoryRetentionLimit: z.number().int().nullish() }).nullish(),
  Raft: z.looseObject({}).nullish(),
  Dispatcher: z.looseObject({ HeartbeatPeriod: DurationNsSchema.nullish() }).nullish(),
  CAConfig: z
    .looseObject({
      NodeCertExpiry: DurationNsSchema.nullish(),
      ForceRotate: z.number().int().nonnegative().nullish(),
      /** Only in requests: the root to rotate to, and its key. Never part of a stored spec. */
      SigningCACert: z.string().nullish(),
      SigningCAKey: z.string().nullish(),
      ExternalCAs: z.array(z.unknown()).nullish(),
    })
    .nullish(),
  TaskDefaults: z.looseObject({ LogDriver: DriverSchema.nullish() }).nullish(),
  EncryptionConfig: z.looseObject({ AutoLockManagers: z.boolean().optional() }).nullish(),
});
/** Docker's swarm Spec. */
export type ClusterSpec = z.infer<typeof ClusterSpecSchema>;

/** The cluster as stored: there is one, under {@link CLUSTER_KEY}. Key material is PEM; the store encrypts every value. */
export interface Cluster extends StoredObject {
  /** The ID that the API shows (25 base-36 digits), O of every certificate; `ID` is always {@link CLUSTER_KEY}. */
  ClusterID: string;
  Spec: ClusterSpec;
  RootCA: { Certificate: string; Key: string };
  /**
   * The root that is to take the place of {@link Cluster.RootCA}, while nodes get certificates from it. `CrossSigned` is
   * its name and key certified by the present root, so that who trusts only that one accepts the new certificates.
   */
  RootRotation?: { Certificate: string; Key: string; CrossSigned: string; StartedAt: string };
  JoinTokens: { Worker: string; Manager: string };
  DefaultAddrPool: string[];
  SubnetSize: number;
  DataPathPort: number;
  /** Whether the cluster has had an ingress network: one that its users removed is not made again. */
  IngressMade?: boolean;
  /** Nodes that were removed, with the expiry of the certificate they may still hold (RFC 3339): locked out until then. */
  RemovedNodes: Record<string, { Expiry: string }>;
  /** The CA of the managers' etcd members, apart from {@link Cluster.RootCA}: made when the cluster moves to etcd. */
  EtcdCA?: { Certificate: string; Key: string };
  /** The form of the stored state (see `Versions.stateFormat`); absent: 1. It only grows, once all managers can read it. */
  StateFormat?: number;
  /** `SWMKEY-1-…` while managers are locked at rest (`EncryptionConfig.AutoLockManagers`). */
  UnlockKey?: string;
  /** There from the first time that the store is on a log of several managers. The keys are on managers' disks alone. */
  DataKey?: ClusterDataKey;
}

/** Which data key seals what the managers' shared log holds. Keys go by their IDs, which give nothing away. */
export interface ClusterDataKey {
  /** Of the key that seals: every manager holds it. */
  ID: string;
  /** Some values may still be sealed with an earlier key, which managers hold on to until this is gone. */
  Resealing?: boolean;
  /** The key that takes its place once all managers hold it: `HeldBy` are the nodes that do, `Since` is RFC 3339. */
  Next?: { ID: string; Since: string; HeldBy: string[] };
}

/** The key under which the one cluster object is stored. */
export const CLUSTER_KEY = 'cluster';
