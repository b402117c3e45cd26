import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createSecretKey,
  type KeyObject,
  randomFillSync,
} from 'node:crypto';
import { SwarmdError } from '@swarmd/model';

/** Bytes of a data key: AES-256. */
export const DATA_KEY_BYTES = 32;

/** What {@link ValueCipher.open} found: the value, or why it is none. */
export type Opened = { version: number; plaintext: Buffer } | { problem: 'other-key' | 'altered' };

// A sealed value: layout (1), key ID (4), version (6, big-endian), nonce (12), ciphertext, tag (16).
const LAYOUT = 1;
const KEY_ID_END = 5;
const VERSION_BYTES = 6;
const HEADER_END = KEY_ID_END + VERSION_BYTES;
const NONCE_BYTES = 12;
const NONCE_END = HEADER_END + NONCE_BYTES;
const TAG_BYTES = 16;
/** Asking the system for each nonce alone would cost more than the encryption. */
const NONCES_DRAWN_AT_ONCE = 256;

/** The ID of a data key: the first four bytes of its SHA-256, in hexadecimal. It tells keys apart and gives none away. */
export function dataKeyId(dataKey: Uint8Array): string {
  return createHash('sha256').update('swarmd data key\0').update(dataKey).digest('hex').slice(0, 8);
}

/** A key as the cipher holds it. */
interface HeldKey {
  id: string;
  idBytes: Buffer;
  secret: KeyObject;
}

/**
 * Encrypts the values of a log: AES-256-GCM with a random nonce, the ID of the key in each value, the record's key and
 * version as associated data. So a value opens only under the key and version that it was written for. One key seals;
 * others may still open what they sealed.
 */
export class ValueCipher {
  #sealing!: HeldKey;
  #keys!: ReadonlyMap<number, HeldKey>;
  #seals = 0;
  readonly #nonces = Buffer.alloc(NONCES_DRAWN_AT_ONCE * NONCE_BYTES);
  #nextNonce = this.#nonces.length;

  /**
   * A data key, or several: the first seals, all open. Throws `invalid-argument` unless each has {@link DATA_KEY_BYTES}
   * bytes.
   */
  constructor(dataKeys: Uint8Array | readonly [Uint8Array, ...Uint8Array[]]) {
    this.use(dataKeys instanceof Uint8Array ? [dataKeys] : dataKeys);
  }

  /** Replaces the keys, from the next value on; as the constructor. */
  use([sealing, ...older]: readonly [Uint8Array, ...Uint8Array[]]): void {
    const held = hold(sealing);
    // The first one wins, should two have one ID: with 32 bits that is not expected to happen ever.
    const all = [...older.map(hold).reverse(), held];
    if (this.#sealing?.id !== held.id) this.#seals = 0;
    this.#sealing = held;
    this.#keys = new Map(all.map((key) => [key.idBytes.readUInt32BE(), key]));
  }

  /** The ID of the key that seals, see {@link dataKeyId}. */
  get keyId(): string {
    return this.#sealing.id;
  }

  /** The IDs of all keys. */
  get keyIds(): string[] {
    return [...this.#keys.values()].map(({ id }) => id);
  }

  /** How many values the present key has sealed since it was put into use here. */
  get seals(): number {
    return this.#seals;
  }

  /** Whether a value was sealed with the key that seals now. */
  isCurrent(sealed: Buffer): boolean {
    return sealed.length > KEY_ID_END && sealed.compare(this.#sealing.idBytes, 0, KEY_ID_END - 1, 1, KEY_ID_END) === 0;
  }

  /** The value to store for `plaintext` as `version` of the record under `key`. */
  seal(key: string, version: number, plaintext: string): Buffer {
    const header = Buffer.allocUnsafe(NONCE_END);
    header[0] = LAYOUT;
    this.#sealing.idBytes.copy(header, 1);
    header.writeUIntBE(version, KEY_ID_END, VERSION_BYTES);
    const nonce = this.#drawNonce();
    this.#seals++;
    nonce.copy(header, HEADER_END);
    const cipher = createCipheriv('aes-256-gcm', this.#sealing.secret, nonce);
    cipher.setAAD(associatedData(header, key));
    return Buffer.concat([header, cipher.update(plaintext, 'utf8'), cipher.final(), cipher.getAuthTag()]);
  }

  /** What {@link seal} was given for the record under `key`. */
  open(key: string, sealed: Buffer): Opened {
    if (sealed.length < NONCE_END + TAG_BYTES || sealed[0] !== LAYOUT) return { problem: 'altered' };
    const held = this.#keys.get(sealed.readUInt32BE(1));
    if (held === undefined) return { problem: 'other-key' };
    const decipher = createDecipheriv('aes-256-gcm', held.secret, sealed.subarray(HEADER_END, NONCE_END));
    decipher.setAAD(associatedData(sealed, key));
    decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
    try {
      const start = decipher.update(sealed.subarray(NONCE_END, -TAG_BYTES));
      const plaintext = Buffer.concat([start, decipher.final()]);
      return { version: sealed.readUIntBE(KEY_ID_END, VERSION_BYTES), plaintext };
    } catch {
      return { problem: 'altered' };
    }
  }

  #drawNonce(): Buffer {
    if (this.#nextNonce === this.#nonces.length) {
      randomFillSync(this.#nonces);
      this.#nextNonce = 0;
    }
    const start = this.#nextNonce;
    this.#nextNonce += NONCE_BYTES;
    return this.#nonces.subarray(start, this.#nextNonce);
  }
}

function hold(dataKey: Uint8Array): HeldKey {
  if (dataKey.length !== DATA_KEY_BYTES)
    throw new SwarmdError('invalid-argument', `a data key has ${DATA_KEY_BYTES} bytes, not ${dataKey.length}`);
  const id = dataKeyId(dataKey);
  return { id, idBytes: Buffer.from(id, 'hex'), secret: createSecretKey(dataKey) };
}

function associatedData(header: Buffer, key: string): Buffer {
  return Buffer.concat([header.subarray(0, HEADER_END), Buffer.from(key, 'utf8')]);
}
