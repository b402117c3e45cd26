import { z } from 'zod';
import {
  DriverSchema,
  DurationNsSchema,
  LabelsSchema,
  labelValue,
  parseDurationMs,
  type StoredObject,
} from './common.js';
import { ContainerSpecSchema } from './container-spec.js';

/** A user-defined resource: a number of `Kind`, or one named item of it. */
export const GenericResourceSchema = z.looseObject({
  DiscreteResourceSpec: z.looseObject({ Kind: z.string(), Value: z.number() }).nullish(),
  NamedResourceSpec: z.looseObject({ Kind: z.string(), Value: z.string() }).nullish(),
});
/** A user-defined resource. */
export type GenericResource = z.infer<typeof GenericResourceSchema>;

/** Limits and reservations. CPU in units of 10⁻⁹ of a core, memory in bytes. */
export const ResourceRequirementsSchema = z.looseObject({
  Limits: z
    .looseObject({
      NanoCPUs: z.number().int().optional(),
      MemoryBytes: z.number().int().optional(),
      Pids: z.number().int().optional(),
    })
    .nullish(),
  Reservations: z
    .looseObject({
      NanoCPUs: z.number().int().optional(),
      MemoryBytes: z.number().int().optional(),
      GenericResources: z.array(GenericResourceSchema).nullish(),
    })
    .nullish(),
});

/** When and how often an ended task is replaced. Durations in nanoseconds. */
export const RestartPolicySchema = z.looseObject({
  Condition: z.enum(['', 'none', 'on-failure', 'any']).optional(),
  Delay: DurationNsSchema.nullish(),
  MaxAttempts: z.number().int().nonnegative().nullish(),
  Window: DurationNsSchema.nullish(),
});
/** When and how often an ended task is replaced. */
export type RestartPolicy = z.infer<typeof RestartPolicySchema>;

/** Where tasks may run. */
export const PlacementSchema = z.looseObject({
  Constraints: z.array(z.string()).nullish(),
  Preferences: z.array(z.looseObject({ Spread: z.looseObject({ SpreadDescriptor: z.string() }).nullish() })).nullish(),
  MaxReplicas: z.number().int().nonnegative().optional(),
  Platforms: z.array(z.looseObject({ Architecture: z.string().optional(), OS: z.string().optional() })).nullish(),
});
/** Where tasks may run. */
export type Placement = z.infer<typeof PlacementSchema>;

/** A network that tasks are attached to; `Target` is an ID or name. */
export const NetworkAttachmentConfigSchema = z.looseObject({
  Target: z.string().optional(),
  Aliases: z.array(z.string()).nullish(),
  DriverOpts: z.record(z.string(), z.string()).nullish(),
});
/** A network that tasks are attached to. */
export type NetworkAttachmentConfig = z.infer<typeof NetworkAttachmentConfigSchema>;

/** What each task of a service is made of. */
export const TaskSpecSchema = z.looseObject({
  ContainerSpec: ContainerSpecSchema.optional(),
  PluginSpec: z.looseObject({}).nullish(),
  NetworkAttachmentSpec: z.looseObject({}).nullish(),
  Resources: ResourceRequirementsSchema.nullish(),
  RestartPolicy: RestartPolicySchema.nullish(),
  Placement: PlacementSchema.nullish(),
  ForceUpdate: z.number().int().nonnegative().optional(),
  Runtime: z.string().optional(),
  Networks: z.array(NetworkAttachmentConfigSchema).nullish(),
  LogDriver: DriverSchema.nullish(),
});
/** What each task of a service is made of. */
export type TaskSpec = z.infer<typeof TaskSpecSchema>;

/** How a rolling update or a rollback proceeds. Durations in nanoseconds; `Parallelism` 0 means all at once. */
export const UpdateConfigSchema = z.looseObject({
  Parallelism: z.number().int().nonnegative().optional(),
  Delay: DurationNsSchema.nonnegative().optional(),
  FailureAction: z.enum(['', 'pause', 'continue', 'rollback']).optional(),
  Monitor: DurationNsSchema.nonnegative().optional(),
  MaxFailureRatio: z.number().min(0).max(1).optional(),
  Order: z.enum(['', 'stop-first', 'start-first']).optional(),
});
/** How a rolling update or a rollback proceeds. */
export type UpdateConfig = z.infer<typeof UpdateConfigSchema>;

/** A published port. `PublishedPort` 0 asks for one of 30000–32767 (ingress) or of the engine's choice (host). */
export const PortConfigSchema = z.looseObject({
  Name: z.string().optional(),
  Protocol: z.enum(['tcp', 'udp', 'sctp']).optional(),
  TargetPort: z.number().int().min(0).max(65535).optional(),
  PublishedPort: z.number().int().min(0).max(65535).optional(),
  PublishMode: z.enum(['', 'ingress', 'host']).optional(),
});
/** A published port. */
export type PortConfig = z.infer<typeof PortConfigSchema>;

/** How clients reach a service. */
export const EndpointSpecSchema = z.looseObject({
  Mode: z.enum(['', 'vip', 'dnsrr']).optional(),
  Ports: z.array(PortConfigSchema).nullish(),
});
/** How clients reach a service. */
export type EndpointSpec = z.infer<typeof EndpointSpecSchema>;

/**
 * Tasks of one service: the orchestrator thinks of all of them at once, so a number that no cluster can run (a slip of
 * the finger) must not get as far as the store, where it would end every manager at its start.
 */
const taskCount = z.number().int().nonnegative().max(1_000_000).nullish();

/** Exactly one of the four service modes. */
export const ServiceModeSchema = z.looseObject({
  Replicated: z.looseObject({ Replicas: taskCount }).nullish(),
  Global: z.looseObject({}).nullish(),
  ReplicatedJob: z
    .looseObject({
      MaxConcurrent: taskCount,
      TotalCompletions: taskCount,
    })
    .nullish(),
  GlobalJob: z.looseObject({}).nullish(),
});
/** Exactly one of the four service modes. */
export type ServiceMode = z.infer<typeof ServiceModeSchema>;

/** Docker's ServiceSpec: the desired state of a service, as users write it. */
export const ServiceSpecSchema = z.looseObject({
  Name: z.string().optional(),
  Labels: LabelsSchema.nullish(),
  TaskTemplate: TaskSpecSchema.optional(),
  Mode: ServiceModeSchema.optional(),
  UpdateConfig: UpdateConfigSchema.nullish(),
  RollbackConfig: UpdateConfigSchema.nullish(),
  Networks: z.array(NetworkAttachmentConfigSchema).nullish(),
  EndpointSpec: EndpointSpecSchema.nullish(),
});
/** Docker's ServiceSpec. */
export type ServiceSpec = z.infer<typeof ServiceSpecSchema>;

/** Where an update or rollback stands (Docker's UpdateStatus). Times RFC 3339. */
export interface UpdateStatus {
  State: 'updating' | 'paused' | 'completed' | 'rollback_started' | 'rollback_paused' | 'rollback_completed';
  StartedAt?: string;
  CompletedAt?: string;
  Message: string;
}

/** What the allocator gave a service: its ports (dynamic ones filled in) and virtual IPs. */
export interface Endpoint {
  Spec: EndpointSpec;
  Ports?: PortConfig[];
  VirtualIPs?: { NetworkID: string; Addr: string }[];
}

/** A service as stored. `Version.Index` moves only when `Spec` changes. */
export interface Service extends StoredObject {
  Spec: ServiceSpec;
  /** The version of `Spec` (equals `Version.Index` after a change; kept when a rollback restores an older one). */
  SpecVersion: number;
  PreviousSpec?: ServiceSpec;
  PreviousSpecVersion?: number;
  /** Registry credentials given with the current spec (the `X-Registry-Auth` header as sent). Never shown by the API. */
  RegistryAuth?: string;
  PreviousRegistryAuth?: string;
  Endpoint?: Endpoint;
  UpdateStatus?: UpdateStatus;
  /** What the updater keeps of an update under way: when its first slot was taken (RFC 3339) and how many slots it found to change. */
  UpdateProgress?: { StartedAt: string; TotalSlots: number };
  JobStatus?: { JobIteration: { Index: number }; LastExecution?: string };
  /** Set once the service is deleted by its user; tasks go first, then the reaper removes the object. */
  PendingDelete?: boolean;
}

/** An immutable version of a service's spec. Its `ID` is {@link specKey}. */
export interface SpecRecord extends StoredObject {
  ServiceID: string;
  SpecVersion: number;
  Spec: ServiceSpec;
  /** Registry credentials given with this spec. Never shown by the API. */
  RegistryAuth?: string;
}

/** Key of the spec record that tasks of `serviceId` at `specVersion` refer to. */
export function specKey(serviceId: string, specVersion: number): string {
  return `${serviceId}/${specVersion}`;
}

/** Label of services: how long a task that is to stop still serves after nothing new leads to it, such as `10s`. */
export const DRAIN_LABEL = 'swarmd.drain';
/** The longest time that {@link DRAIN_LABEL} may name. */
export const MAX_DRAIN_MS = 3_600_000;

/** The drain grace of a service in milliseconds: 0 unless it has the label; `undefined` when that is no allowed time. */
export function drainGraceMs(spec: ServiceSpec): number | undefined {
  const text = labelValue(spec.Labels, DRAIN_LABEL);
  if (text === undefined) return 0;
  const graceMs = parseDurationMs(text);
  return graceMs !== undefined && graceMs <= MAX_DRAIN_MS ? graceMs : undefined;
}
