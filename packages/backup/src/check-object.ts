import {
  ClusterSpecSchema,
  ConfigSpecSchema,
  NetworkSpecSchema,
  NodeDescriptionSchema,
  NodeSpecSchema,
  SecretSpecSchema,
  ServiceSpecSchema,
  type TableName,
  VersionSchema,
} from '@swarmd/model';
import { z } from 'zod';

const stored = { ID: z.string().min(1), Version: VersionSchema, CreatedAt: z.string(), UpdatedAt: z.string() };
const pem = z.looseObject({ Certificate: z.string(), Key: z.string() });
const text = z.string();

/** What every version of swarmd counts on in a stored object: the model's schemas, and the fields that hold it together. */
const SCHEMAS: Readonly<Record<TableName, z.ZodType>> = {
  cluster: z.looseObject({
    ...stored,
    ClusterID: text,
    Spec: ClusterSpecSchema,
    RootCA: pem,
    RootRotation: pem.optional(),
    JoinTokens: z.looseObject({ Worker: text, Manager: text }),
    EtcdCA: pem.optional(),
  }),
  node: z.looseObject({
    ...stored,
    Spec: NodeSpecSchema,
    Description: NodeDescriptionSchema.optional(),
    Status: z.looseObject({ State: text, Addr: text }),
  }),
  service: z.looseObject({ ...stored, Spec: ServiceSpecSchema, PreviousSpec: ServiceSpecSchema.optional() }),
  spec: z.looseObject({ ...stored, ServiceID: text, SpecVersion: z.number(), Spec: ServiceSpecSchema }),
  task: z.looseObject({
    ...stored,
    ServiceID: text,
    SpecVersion: z.number(),
    NodeID: text,
    DesiredState: text,
    Status: z.looseObject({ State: text }),
  }),
  secret: z.looseObject({ ...stored, Spec: SecretSpecSchema }),
  config: z.looseObject({ ...stored, Spec: ConfigSpecSchema }),
  network: z.looseObject({ ...stored, Spec: NetworkSpecSchema }),
  request: z.looseObject(stored),
};

/** What is wrong with an object of a backup: the field and why; `undefined` when it is as the model wants it. */
export function checkObject(table: TableName, object: unknown): string | undefined {
  const parsed = SCHEMAS[table].safeParse(object);
  if (parsed.success) return undefined;
  const issue = parsed.error.issues[0];
  return `${issue?.path.join('.') || 'the object'}: ${issue?.message}`;
}
