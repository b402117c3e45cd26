import { z } from 'zod';
import { DriverSchema, DurationNsSchema, LabelsSchema } from './common.js';

const strings = z.array(z.string()).nullish();
/** A file mode: clients written in Go cannot read a list with a number that is none. */
const fileMode = z.number().int().min(0).max(0xffff_ffff);

/** Docker's HealthConfig. Durations in nanoseconds. `Test` is `['NONE']`, `['CMD', …]` or `['CMD-SHELL', …]`. */
export const HealthcheckSchema = z.looseObject({
  Test: strings,
  Interval: DurationNsSchema.optional(),
  Timeout: DurationNsSchema.optional(),
  StartPeriod: DurationNsSchema.optional(),
  StartInterval: DurationNsSchema.optional(),
  Retries: z.number().int().optional(),
});

/** Docker's Mount. `Type` is bind, volume, tmpfs, npipe, cluster or image. */
export const MountSchema = z.looseObject({
  Type: z.string().optional(),
  Source: z.string().optional(),
  Target: z.string().optional(),
  ReadOnly: z.boolean().optional(),
  Consistency: z.string().optional(),
  BindOptions: z
    .looseObject({
      Propagation: z.string().optional(),
      NonRecursive: z.boolean().optional(),
      CreateMountpoint: z.boolean().optional(),
    })
    .nullish(),
  VolumeOptions: z
    .looseObject({
      NoCopy: z.boolean().optional(),
      Labels: LabelsSchema.nullish(),
      Subpath: z.string().optional(),
      DriverConfig: DriverSchema.nullish(),
    })
    .nullish(),
  TmpfsOptions: z.looseObject({ SizeBytes: z.number().int().optional(), Mode: fileMode.optional() }).nullish(),
});
/** Docker's Mount. */
export type Mount = z.infer<typeof MountSchema>;

/** Where a secret or config appears in the container. `Mode` is a file mode number. */
export const FileTargetSchema = z.looseObject({
  Name: z.string(),
  UID: z.string().optional(),
  GID: z.string().optional(),
  Mode: fileMode.optional(),
});

/** A service's use of a secret. */
export const SecretReferenceSchema = z.looseObject({
  File: FileTargetSchema.nullish(),
  SecretID: z.string(),
  SecretName: z.string(),
});
/** A service's use of a secret. */
export type SecretReference = z.infer<typeof SecretReferenceSchema>;

/** A service's use of a config. */
export const ConfigReferenceSchema = z.looseObject({
  File: FileTargetSchema.nullish(),
  Runtime: z.looseObject({}).nullish(),
  ConfigID: z.string(),
  ConfigName: z.string(),
});
/** A service's use of a config. */
export type ConfigReference = z.infer<typeof ConfigReferenceSchema>;

/** Docker's ContainerSpec: all that a service says of its containers. */
export const ContainerSpecSchema = z.looseObject({
  Image: z.string().optional(),
  Labels: LabelsSchema.nullish(),
  Command: strings,
  Args: strings,
  Hostname: z.string().optional(),
  Env: strings,
  Dir: z.string().optional(),
  User: z.string().optional(),
  Groups: strings,
  Privileges: z.looseObject({}).nullish(),
  TTY: z.boolean().optional(),
  OpenStdin: z.boolean().optional(),
  ReadOnly: z.boolean().optional(),
  Mounts: z.array(MountSchema).nullish(),
  StopSignal: z.string().optional(),
  StopGracePeriod: DurationNsSchema.nullish(),
  Healthcheck: HealthcheckSchema.nullish(),
  Hosts: strings,
  DNSConfig: z.looseObject({ Nameservers: strings, Search: strings, Options: strings }).nullish(),
  Secrets: z.array(SecretReferenceSchema).nullish(),
  Configs: z.array(ConfigReferenceSchema).nullish(),
  Isolation: z.string().optional(),
  Init: z.boolean().nullish(),
  Sysctls: z.record(z.string(), z.string()).nullish(),
  CapabilityAdd: strings,
  CapabilityDrop: strings,
  Ulimits: z.array(z.looseObject({ Name: z.string(), Soft: z.number().int(), Hard: z.number().int() })).nullish(),
  OomScoreAdj: z.number().int().optional(),
});
/** Docker's ContainerSpec. */
export type ContainerSpec = z.infer<typeof ContainerSpecSchema>;
