import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { inflateRaw } from 'node:zlib';
import { type AnyObject, type BackupSecret, formatRefusal, SwarmdError, type TableName } from '@swarmd/model';
import { checkObject } from './check-object.js';
import { CHUNK_BYTES, FRAME_BYTES, openChunk, readFrame } from './chunks.js';
import {
  BACKUP_TABLES,
  type BackupSummary,
  EndLineSchema,
  type Manifest,
  ManifestSchema,
  ObjectLineSchema,
} from './content.js';
import { type BackupHeader, decodeHeader, headerDigest, MAX_HEADER_BYTES, notBackup } from './header.js';
import { deriveKey } from './secret.js';
import { ByteSource } from './source.js';

const decompress = promisify(inflateRaw);
/** No object comes near: the API takes bodies of 2 MiB. */
const MAX_LINE_BYTES = 16 * 1024 * 1024;

/** How {@link readBackup} reads. */
export interface ReadOptions {
  /** The secret, once the header has said which one is needed. */
  secret(header: BackupHeader): BackupSecret | Promise<BackupSecret>;
  /** Called for each object. What came may only be used once the promise has resolved: only then is it known to be all. */
  onObject?(table: TableName, object: AnyObject): void;
}

/**
 * Reads a whole backup and checks all of it: every chunk and its place, the end, counts, digest, and every object by the
 * model's schemas. Holds no more than a few chunks. Rejects with `damaged` and the finding, `invalid-argument` for the
 * wrong secret, `failed-precondition` for a newer format. The stream is let go in any case.
 */
export async function readBackup(stream: AsyncIterable<Uint8Array>, options: ReadOptions): Promise<BackupSummary> {
  const source = new ByteSource(stream);
  try {
    const line = await source.takeLine(MAX_HEADER_BYTES);
    if (line === undefined) throw notBackup();
    const header = decodeHeader(line);
    const { key, check } = await deriveKey(await options.secret(header), header.key);
    if (check !== header.check)
      throw new SwarmdError('invalid-argument', 'the passphrase is wrong, or the first line of the backup was altered');
    const content = new ContentReader(options.onObject);
    for await (const chunk of chunksOf(source, key, headerDigest(line))) content.take(chunk);
    const { clusterId, createdAt, swarmdVersion, key: opener } = header;
    const opensWith = opener.kind === 'passphrase' ? 'passphrase' : `recovery key ${opener.id}`;
    return { clusterId, createdAt, swarmdVersion, opensWith, ...content.end(), bytes: source.taken };
  } finally {
    await source.close();
  }
}

async function* chunksOf(source: ByteSource, key: Buffer, associated: Buffer): AsyncGenerator<Buffer> {
  for (let number = 0; ; number++) {
    const offset = source.taken;
    const frame = await source.take(FRAME_BYTES);
    if (frame.length < FRAME_BYTES) throw cutOff(number, offset);
    const said = readFrame(frame);
    if (said === undefined) throw altered(number, offset);
    const sealed = await source.take(said.length);
    if (sealed.length < said.length) throw cutOff(number, offset);
    const content = openChunk(key, associated, { number, last: said.last }, sealed);
    if (content === undefined) throw altered(number, offset);
    yield await decompress(content, { maxOutputLength: CHUNK_BYTES });
    if (!said.last) continue;
    if ((await source.take(1)).length > 0) throw damaged(`there is more after its end, at byte ${source.taken - 1}`);
    return;
  }
}

/** Takes the content of chunks apart into lines and checks them. */
class ContentReader {
  readonly #onObject: ReadOptions['onObject'];
  readonly #hash = createHash('sha256');
  readonly #counts = new Map<string, number>(BACKUP_TABLES.map((table) => [table, 0]));
  #rest: Buffer = Buffer.alloc(0);
  #manifest: Manifest | undefined;
  #digest: string | undefined;

  constructor(onObject: ReadOptions['onObject']) {
    this.#onObject = onObject;
  }

  take(chunk: Buffer): void {
    const all = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let start = 0;
    for (let end = all.indexOf(10); end >= 0; end = all.indexOf(10, start)) {
      this.#line(all.subarray(start, end + 1));
      start = end + 1;
    }
    this.#rest = all.subarray(start);
    if (this.#rest.length > MAX_LINE_BYTES) throw damaged('a line is longer than any object');
  }

  end(): Pick<BackupSummary, 'index' | 'counts' | 'digest'> {
    if (this.#manifest === undefined || this.#digest === undefined || this.#rest.length > 0)
      throw damaged('its content has no end');
    const { index, counts } = this.#manifest;
    for (const [table, found] of this.#counts) {
      const said = counts[table] ?? 0;
      if (found !== said) throw damaged(`it holds ${found} objects of table ${table} and says ${said}`);
    }
    return { index, counts, digest: this.#digest };
  }

  #line(line: Buffer): void {
    if (this.#digest !== undefined) throw damaged('its content goes on after its end');
    const content: unknown = JSON.parse(line.toString('utf8'));
    if (this.#manifest === undefined) {
      this.#manifest = parse(ManifestSchema.safeParse(content), 'its manifest');
      this.#hash.update(line);
      return;
    }
    const end = EndLineSchema.safeParse(content);
    if (end.success) {
      this.#digest = this.#hash.digest('hex');
      if (this.#digest !== end.data.digest) throw damaged('its digest is not that of its content');
      return;
    }
    this.#hash.update(line);
    const { table, object } = parse(ObjectLineSchema.safeParse(content), 'a line of its content');
    const count = this.#counts.get(table);
    if (count === undefined) throw damaged(`it holds objects of table ${table}, which this swarmd does not know`);
    this.#counts.set(table, count + 1);
    const problem = checkObject(table as TableName, object);
    if (problem !== undefined) throw damaged(`${table} ${object.ID}: ${problem}`);
    if (table === 'cluster') refuseNewer(object);
    // As it was written: a schema's output has its fields in another order.
    this.#onObject?.(table as TableName, (content as { object: AnyObject }).object);
  }
}

/** The cluster's object comes first: what a newer swarmd has added is never read before this. */
function refuseNewer({ StateFormat }: Record<string, unknown>): void {
  const format = typeof StateFormat === 'number' ? StateFormat : undefined;
  const refusal = formatRefusal('the backed-up state', format);
  if (refusal !== undefined) throw refusal;
}

function parse<T>(parsed: { success: true; data: T } | { success: false; error: Error }, what: string): T {
  if (parsed.success) return parsed.data;
  throw damaged(`${what} is not of the form that swarmd writes`, parsed.error);
}

function damaged(finding: string, cause?: unknown): SwarmdError {
  return new SwarmdError('damaged', `the backup is damaged: ${finding}`, cause === undefined ? {} : { cause });
}

function cutOff(number: number, offset: number): SwarmdError {
  return damaged(`it was cut off in part ${number + 1}, which begins at byte ${offset}`);
}

function altered(number: number, offset: number): SwarmdError {
  return damaged(`part ${number + 1}, at byte ${offset}, was altered or is out of its place`);
}
