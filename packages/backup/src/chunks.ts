import { createCipheriv, createDecipheriv } from 'node:crypto';

/** Bytes of content in each chunk but the last, before compression. */
export const CHUNK_BYTES = 256 * 1024;
/** The most that a chunk can have on disk: deflate adds little to what it cannot compress. */
export const MAX_SEALED_BYTES = CHUNK_BYTES + 4_096;
/** Bytes of the frame before each chunk: its length, and in the top bit whether it is the last. */
export const FRAME_BYTES = 4;

const TAG_BYTES = 16;
const LAST = 0x8000_0000;

/** A chunk's place: its number from 0, and whether it is the last. Both are part of its nonce. */
export interface ChunkPlace {
  number: number;
  last: boolean;
}

/** The frame and the sealed content of a chunk. `associated`: the header's digest. */
export function sealChunk(key: Uint8Array, associated: Uint8Array, place: ChunkPlace, content: Uint8Array): Buffer {
  const cipher = createCipheriv('aes-256-gcm', key, nonceOf(place));
  cipher.setAAD(associated);
  const sealed = Buffer.concat([cipher.update(content), cipher.final(), cipher.getAuthTag()]);
  const frame = Buffer.alloc(FRAME_BYTES);
  frame.writeUInt32BE(place.last ? sealed.length + LAST : sealed.length);
  return Buffer.concat([frame, sealed]);
}

/** What the frame before a chunk says; `undefined` when no chunk can be that long. */
export function readFrame(frame: Buffer): { length: number; last: boolean } | undefined {
  const word = frame.readUInt32BE();
  const length = word >= LAST ? word - LAST : word;
  if (length <= TAG_BYTES || length > MAX_SEALED_BYTES) return undefined;
  return { length, last: word >= LAST };
}

/** The content of a sealed chunk, or `undefined` when it is not the one that was sealed for this place and header. */
export function openChunk(
  key: Uint8Array,
  associated: Uint8Array,
  place: ChunkPlace,
  sealed: Uint8Array,
): Buffer | undefined {
  const decipher = createDecipheriv('aes-256-gcm', key, nonceOf(place));
  decipher.setAAD(associated);
  decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
  try {
    return Buffer.concat([decipher.update(sealed.subarray(0, -TAG_BYTES)), decipher.final()]);
  } catch {
    return undefined;
  }
}

/** The key is new for each backup, so that a chunk's place may be its nonce. */
function nonceOf({ number, last }: ChunkPlace): Buffer {
  const nonce = Buffer.alloc(12);
  nonce[0] = last ? 1 : 0;
  nonce.writeBigUInt64BE(BigInt(number), 4);
  return nonce;
}
