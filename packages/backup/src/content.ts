import { type AnyObject, TABLE_NAMES, type TableName } from '@swarmd/model';
import { z } from 'zod';

/** The tables that a backup holds: `request` only helps writes that are under way. */
export const BACKUP_TABLES: readonly TableName[] = TABLE_NAMES.filter((table) => table !== 'request');

/** The first line of a backup's content. */
export const ManifestSchema = z.object({
  /** The store index that all objects are as of. */
  index: z.number().int().nonnegative(),
  /** Objects of each table. */
  counts: z.record(z.string(), z.number().int().nonnegative()),
});
/** The first line of a backup's content. */
export type Manifest = z.infer<typeof ManifestSchema>;

/** Each line after the manifest but the last. */
export const ObjectLineSchema = z.object({ table: z.string(), object: z.looseObject({ ID: z.string() }) });

/** The last line: the SHA-256 of all lines before it, in hexadecimal. */
export const EndLineSchema = z.object({ digest: z.string() });

/** The state of a store at one index, as references: objects in a store do not change. */
export interface Snapshot {
  clusterId: string;
  index: number;
  tables: readonly { table: TableName; objects: readonly AnyObject[] }[];
}

/** What a backup is, once all of it was read and found whole. */
export interface BackupSummary {
  clusterId: string;
  /** RFC 3339. */
  createdAt: string;
  swarmdVersion: string;
  /** What opens it: `passphrase`, or `recovery key` and its ID. */
  opensWith: string;
  index: number;
  /** Objects of each table, in the order of the file. */
  counts: Readonly<Record<string, number>>;
  /** Length of the file. */
  bytes: number;
  /** SHA-256 of the content, in hexadecimal. */
  digest: string;
}
