import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import type { ValueCipher } from '../cipher.js';
import { isSystemError, writeFileDurably } from '../durable-file.js';
import { formatLogState, type LogState, parseLogState } from '../records/digest.js';
import { damaged } from './damage.js';

/** Two slots in pages of their own, so that a write that a crash tears leaves the other one whole. */
const SLOT_BYTES = 4096;
const SLOTS = 2;
const LENGTH_BYTES = 2;
const SEAL_KEY = '!head';

/**
 * The last state of the log that was acknowledged, in a small file beside LevelDB: it tells a log whose tail was lost
 * from one that ends there. It is written and synced after each batch and before the acknowledgement, so it may lag the
 * log by the batch that a crash interrupted; it never leads.
 */
export class HeadFile {
  readonly #file: FileHandle;
  readonly #cipher: ValueCipher;
  #state: LogState;
  #slot: number;

  private constructor(file: FileHandle, cipher: ValueCipher, state: LogState, slot: number) {
    this.#file = file;
    this.#cipher = cipher;
    this.#state = state;
    this.#slot = slot;
  }

  /** Opens the head file of the store in `dir`; `undefined` when there is none. Rejects with `damaged`. */
  static async open(dir: string, cipher: ValueCipher): Promise<HeadFile | undefined> {
    const file = await open(join(dir, 'head'), 'r+').catch((error: unknown) => {
      if (isSystemError(error, 'ENOENT')) return undefined;
      throw error;
    });
    if (file === undefined) return undefined;
    try {
      const content = await file.readFile();
      if (content.length !== SLOTS * SLOT_BYTES)
        throw damaged(dir, 'head', `the file has ${content.length} bytes instead of ${SLOTS * SLOT_BYTES}`);
      const newest = newestSlot(content, cipher);
      if (newest === undefined) throw damaged(dir, 'head', 'the file was altered: neither copy of its entry is whole');
      return new HeadFile(file, cipher, newest.state, newest.slot);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** Makes the head file of a new store. */
  static async create(dir: string, cipher: ValueCipher, state: LogState): Promise<void> {
    const content = Buffer.alloc(SLOTS * SLOT_BYTES);
    for (let slot = 0; slot < SLOTS; slot++) encodeSlot(cipher, state).copy(content, slot * SLOT_BYTES);
    await writeFileDurably(join(dir, 'head'), content, 'replace');
  }

  /** The state last written. */
  get state(): LogState {
    return this.#state;
  }

  /** Replaces the older slot and syncs. */
  async write(state: LogState): Promise<void> {
    const slot = (this.#slot + 1) % SLOTS;
    const content = encodeSlot(this.#cipher, state);
    await this.#file.write(content, 0, content.length, slot * SLOT_BYTES);
    await this.#file.datasync();
    this.#slot = slot;
    this.#state = state;
  }

  /** Writes the state anew into both slots, one after the other, with the cipher's present key. */
  async rewrite(): Promise<void> {
    for (let slot = 0; slot < SLOTS; slot++) await this.write(this.#state);
  }

  /** Releases the file. */
  async close(): Promise<void> {
    await this.#file.close();
  }
}

function encodeSlot(cipher: ValueCipher, state: LogState): Buffer {
  const sealed = cipher.seal(SEAL_KEY, state.index, formatLogState(state));
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt16BE(sealed.length);
  return Buffer.concat([length, sealed]);
}

function newestSlot(content: Buffer, cipher: ValueCipher): { state: LogState; slot: number } | undefined {
  let newest: { state: LogState; slot: number } | undefined;
  for (let slot = 0; slot < SLOTS; slot++) {
    const bytes = content.subarray(slot * SLOT_BYTES, (slot + 1) * SLOT_BYTES);
    const sealed = bytes.subarray(LENGTH_BYTES, LENGTH_BYTES + bytes.readUInt16BE());
    const opened = cipher.open(SEAL_KEY, sealed);
    if ('problem' in opened) continue;
    const state = parseLogState(opened.plaintext.toString());
    if (newest === undefined || state.index > newest.state.index) newest = { state, slot };
  }
  return newest;
}
