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
}
