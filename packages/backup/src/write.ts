import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { deflateRaw } from 'node:zlib';
import { type BackupSecret, rfc3339 } from '@swarmd/model';
import { CHUNK_BYTES, sealChunk } from './chunks.js';
import type { Manifest, Snapshot } from './content.js';
import { encodeHeader, FORMAT_VERSION, headerDigest } from './header.js';
import { deriveKey, newKeySource } from './secret.js';

const compress = promisify(deflateRaw);

/** What {@link writeBackup} needs. */
export interface BackupOptions {
  secret: BackupSecret;
  /** Taken once the key is there: a passphrase takes its time. */
  snapshot: () => Snapshot;
  nowMs: number;
  swarmdVersion: string;
}

/**
 * A backup, piece by piece. The snapshot is taken before the promise resolves; pieces are made one at a time as they are
 * asked for, each in a slice of a few milliseconds. Rejects with `invalid-argument` for an unfit secret.
 */
export async function writeBackup(options: BackupOptions): Promise<AsyncIterable<Uint8Array>> {
  const source = newKeySource(options.secret);
  const { key, check } = await deriveKey(options.secret, source);
  const snapshot = options.snapshot();
  const header = encodeHeader({
    format: 'swarmd backup',
    version: FORMAT_VERSION,
    clusterId: snapshot.clusterId,
    createdAt: rfc3339(options.nowMs),
    swarmdVersion: options.swarmdVersion,
    key: source,
    check,
  });
  return sealed(header, key, snapshot);
}

async function* sealed(header: Buffer, key: Buffer, snapshot: Snapshot): AsyncGenerator<Uint8Array> {
  const associated = headerDigest(header);
  let number = 0;
  const seal = async (content: Buffer, last: boolean): Promise<Buffer> =>
    sealChunk(key, associated, { number: number++, last }, await compress(content, { level: 1 }));
  yield header;
  let pending: Buffer[] = [];
  let pendingBytes = 0;
  for (const block of blocksOf(snapshot)) {
    pending.push(block);
    pendingBytes += block.length;
    if (pendingBytes <= CHUNK_BYTES) continue;
    const joined = Buffer.concat(pending);
    let start = 0;
    // The last chunk is never empty, so that a full one waits until it is known not to be the last.
    for (; joined.length - start > CHUNK_BYTES; start += CHUNK_BYTES)
      yield await seal(joined.subarray(start, start + CHUNK_BYTES), false);
    pending = [joined.subarray(start)];
    pendingBytes = joined.length - start;
  }
  yield await seal(Buffer.concat(pending), true);
}

/** The content, some lines at a time: as many as fill a good part of a chunk. */
function* blocksOf(snapshot: Snapshot): Generator<Buffer> {
  const hash = createHash('sha256');
  const manifest: Manifest = {
    index: snapshot.index,
    counts: Object.fromEntries(snapshot.tables.map(({ table, objects }) => [table, objects.length])),
  };
  let text = `${JSON.stringify(manifest)}\n`;
  const flush = (): Buffer => {
    const block = Buffer.from(text);
    hash.update(block);
    text = '';
    return block;
  };
  for (const { table, objects } of snapshot.tables) {
    for (const object of objects) {
      text += `${JSON.stringify({ table, object })}\n`;
      if (text.length >= CHUNK_BYTES / 2) yield flush();
    }
  }
  yield flush();
  yield Buffer.from(`${JSON.stringify({ digest: hash.digest('hex') })}\n`);
}
