import { z } from 'zod';
import { DriverSchema, LabelsSchema, type StoredObject } from './common.js';

/** Docker's SecretSpec. `Data` is base64; it is never returned by the API. */
export const SecretSpecSchema = z.looseObject({
  Name: z.string(),
  Labels: LabelsSchema.nullish(),
  Data: z.string().optional(),
  Driver: DriverSchema.nullish(),
  Templating: DriverSchema.nullish(),
});
/** Docker's SecretSpec. */
export type SecretSpec = z.infer<typeof SecretSpecSchema>;

/** Docker's ConfigSpec. `Data` is base64. */
export const ConfigSpecSchema = z.looseObject({
  Name: z.string(),
  Labels: LabelsSchema.nullish(),
  Data: z.string().optional(),
  Templating: DriverSchema.nullish(),
});
/** Docker's ConfigSpec. */
export type ConfigSpec = z.infer<typeof ConfigSpecSchema>;

/** A secret as stored. */
export interface Secret extends StoredObject {
  Spec: SecretSpec;
}

/** A config as stored. */
export interface Config extends StoredObject {
  Spec: ConfigSpec;
}
