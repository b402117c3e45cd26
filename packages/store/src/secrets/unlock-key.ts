import { createHash, createSecretKey, type KeyObject, randomBytes } from 'node:crypto';
import { SwarmdError } from '@swarmd/model';

/** Bytes of an unlock key: AES-256. */
const UNLOCK_KEY_BYTES = 32;
/** How Docker Swarm writes unlock keys: this, then the bytes in base64 without padding. */
const PREFIX = 'SWMKEY-1-';

/** The key with which a locked manager's secrets are sealed. */
export interface UnlockKey {
  /** `SWMKEY-1-…`, as users keep it. */
  readonly text: string;
  /** The first four bytes of its SHA-256, in hexadecimal: tells keys apart and gives none away. */
  readonly id: string;
  readonly secret: KeyObject;
}

/**
 * A new unlock key in its text form. Always from the system's own randomness: what a repeated request repeats must not
 * be the source of a key.
 */
export function createUnlockKey(): string {
  return `${PREFIX}${randomBytes(UNLOCK_KEY_BYTES).toString('base64').replace(/=+$/, '')}`;
}

/** The unlock key that a text stands for. Throws `invalid-argument` in Docker's words for any other text. */
export function parseUnlockKey(text: string): UnlockKey {
  const encoded = text.startsWith(PREFIX) ? text.slice(PREFIX.length) : '';
  const bytes = Buffer.from(encoded, 'base64');
  if (bytes.length !== UNLOCK_KEY_BYTES || bytes.toString('base64').replace(/=+$/, '') !== encoded)
    throw new SwarmdError('invalid-argument', 'invalid key string');
  const id = createHash('sha256').update('swarmd unlock key\0').update(bytes).digest('hex').slice(0, 8);
  return { text, id, secret: createSecretKey(bytes) };
}
