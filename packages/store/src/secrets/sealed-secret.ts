import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createSecretKey,
  type KeyObject,
  randomBytes,
} from 'node:crypto';
import { SwarmdError } from '@swarmd/model';
import type { UnlockKey } from './unlock-key.js';

/** The label of a sealed secret, which looks like a PEM block so that it can stand among others. */
export const SEALED_LABEL = 'SWARMD SEALED SECRET';

const BLOCK = new RegExp(`^-----BEGIN ${SEALED_LABEL}-----\\n([A-Za-z0-9+/=\\n]+)-----END ${SEALED_LABEL}-----\\n?$`);
const LINE_CHARACTERS = 64;
// Sealed: layout (1), check of all that follows (8), slots (1), each: unlock key's ID (4), the secret's own key under it;
// then the content under the secret's own key. Both are nonce (12), ciphertext, tag (16).
const LAYOUT = 1;
const CHECK_END = 9;
const SLOTS_START = 10;
const ID_BYTES = 4;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const OWN_KEY_BYTES = 32;
const SLOT_BYTES = ID_BYTES + NONCE_BYTES + OWN_KEY_BYTES + TAG_BYTES;
const MOST_SLOTS = 255;

/**
 * Seals `secret` (AES-256-GCM under a random key of its own, that key sealed with each of `keys`): any one of them opens
 * it. `name` says what it is; a secret in another one's place does not open.
 */
export function sealSecret(name: string, secret: Uint8Array, keys: readonly UnlockKey[]): string {
  if (keys.length === 0 || keys.length > MOST_SLOTS)
    throw new SwarmdError('internal', `sealing with ${keys.length} keys`);
  const own = randomBytes(OWN_KEY_BYTES);
  const slots = keys.map(({ id, secret: key }) => [Buffer.from(id, 'hex'), encrypt(key, slotName(name), own)]);
  const content = encrypt(createSecretKey(own), contentName(name), secret);
  const checked = Buffer.concat([Buffer.of(keys.length), ...slots.flat(), content]);
  const base64 = Buffer.concat([Buffer.of(LAYOUT), checkOf(checked), checked]).toString('base64');
  const lines = base64.match(new RegExp(`.{1,${LINE_CHARACTERS}}`, 'g')) ?? [];
  return [`-----BEGIN ${SEALED_LABEL}-----`, ...lines, `-----END ${SEALED_LABEL}-----`, ''].join('\n');
}

/** Whether a text starts as a sealed secret does, whole or not. */
export function isSealed(text: string): boolean {
  return text.startsWith(`-----BEGIN ${SEALED_LABEL}-----`);
}

/** The IDs of the unlock keys that open a sealed secret. Throws `damaged`. */
export function sealedFor(name: string, sealed: string): string[] {
  return readSlots(parse(name, sealed)).map(({ id }) => id);
}

/**
 * What {@link sealSecret} was given. Throws `locked` without a key or when the key is none of those it was sealed with,
 * `damaged` when it was altered or cut.
 */
export function openSecret(name: string, sealed: string, key: UnlockKey | undefined): Buffer {
  const bytes = parse(name, sealed);
  const slots = readSlots(bytes);
  const slot = slots.find(({ id }) => id === key?.id);
  if (key === undefined || slot === undefined) {
    const why = key === undefined ? 'it takes the unlock key to open it' : 'it is sealed with another unlock key';
    throw new SwarmdError('locked', `${name} is locked: ${why}`);
  }
  const own = decrypt(key.secret, slotName(name), slot.wrapped);
  const content = bytes.subarray(SLOTS_START + slots.length * SLOT_BYTES);
  const secret = own && decrypt(createSecretKey(own), contentName(name), content);
  if (secret === undefined) throw damaged(name);
  return secret;
}

function parse(name: string, sealed: string): Buffer {
  const text = (BLOCK.exec(sealed)?.[1] ?? '').replaceAll('\n', '');
  const bytes = Buffer.from(text, 'base64');
  // The last character has bits that say nothing: altered they would not be noticed otherwise.
  if (bytes.toString('base64') !== text) throw damaged(name);
  const checked = bytes.subarray(CHECK_END);
  if (bytes[0] !== LAYOUT || !checkOf(checked).equals(bytes.subarray(1, CHECK_END))) throw damaged(name);
  if (checked.length < 1 + checked[0]! * SLOT_BYTES + NONCE_BYTES + TAG_BYTES) throw damaged(name);
  return bytes;
}

function readSlots(bytes: Buffer): { id: string; wrapped: Buffer }[] {
  return Array.from({ length: bytes[CHECK_END]! }, (_, i) => {
    const slot = bytes.subarray(SLOTS_START + i * SLOT_BYTES, SLOTS_START + (i + 1) * SLOT_BYTES);
    return { id: slot.toString('hex', 0, ID_BYTES), wrapped: slot.subarray(ID_BYTES) };
  });
}

function encrypt(key: KeyObject, name: string, plaintext: Uint8Array): Buffer {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  cipher.setAAD(Buffer.from(name));
  return Buffer.concat([nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}

function decrypt(key: KeyObject, name: string, sealed: Buffer): Buffer | undefined {
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, NONCE_BYTES));
  decipher.setAAD(Buffer.from(name));
  decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
  try {
    return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
  } catch {
    return undefined;
  }
}

function slotName(name: string): string {
  return `swarmd sealed secret, key\0${name}`;
}

function contentName(name: string): string {
  return `swarmd sealed secret, content\0${name}`;
}

/** Tells damage from a wrong key; the tags alone protect. */
function checkOf(bytes: Uint8Array): Buffer {
  return createHash('sha256')
    .update(bytes)
    .digest()
    .subarray(0, CHECK_END - 1);
}

function damaged(name: string): SwarmdError {
  return new SwarmdError('damaged', `${name} is damaged: it was altered or cut. Put back a copy of the file`);
}
