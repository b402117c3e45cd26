import { createHash } from 'node:crypto';
import { SwarmdError } from '@swarmd/model';
import { z } from 'zod';
import { KeySourceSchema } from './secret.js';

/** The version of the format that is written, and the newest that is read. */
export const FORMAT_VERSION = 1;
/** A header is one line of at most this many bytes. */
export const MAX_HEADER_BYTES = 4_096;

const HeaderSchema = z.object({
  format: z.literal('swarmd backup'),
  version: z.number().int().positive(),
  clusterId: z.string(),
  /** When it was made; RFC 3339. */
  createdAt: z.string(),
  /** The version of swarmd that made it. */
  swarmdVersion: z.string(),
  key: KeySourceSchema,
  check: z.string(),
});

/** What a backup says of itself to everybody, in its first line. Every chunk is sealed together with it. */
export type BackupHeader = z.infer<typeof HeaderSchema>;

/** The first line of a backup, its newline included. */
export function encodeHeader(header: BackupHeader): Buffer {
  return Buffer.from(`${JSON.stringify(header)}\n`);
}

/** The header in a first line. `damaged` when it is none, `failed-precondition` for a newer format. */
export function decodeHeader(line: Uint8Array): BackupHeader {
  let content: unknown;
  try {
    content = JSON.parse(Buffer.from(line).toString('utf8'));
  } catch (cause) {
    throw notBackup(cause);
  }
  const { format, version } = (content ?? {}) as { format?: unknown; version?: unknown };
  if (format === 'swarmd backup' && typeof version === 'number' && version > FORMAT_VERSION)
    throw new SwarmdError(
      'failed-precondition',
      `this backup has format ${version}, made by a newer swarmd; this one reads up to ${FORMAT_VERSION}`,
    );
  const parsed = HeaderSchema.safeParse(content);
  if (!parsed.success) throw notBackup(parsed.error);
  return parsed.data;
}

/** What ties chunks to their header: its digest. */
export function headerDigest(line: Uint8Array): Buffer {
  return createHash('sha256').update(line).digest();
}

/** The finding for a file that does not begin as backups do. */
export function notBackup(cause?: unknown): SwarmdError {
  const options = cause === undefined ? {} : { cause };
  return new SwarmdError('damaged', 'this is no backup of swarmd, or its first line was altered', options);
}
