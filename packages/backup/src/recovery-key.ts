import { createHash, randomBytes } from 'node:crypto';
import { SwarmdError } from '@swarmd/model';

/** What a recovery key begins with; the number is that of its form. */
const PREFIX = 'SWMBAK-1-';
/** Bytes of a recovery key: 160 bits are 32 digits, which can still be copied from paper. */
const KEY_BYTES = 20;
/** Crockford's digits: none that look alike. */
const DIGITS = '0123456789abcdefghjkmnpqrstvwxyz';
const KEY_DIGITS = 32;
const CHECK_DIGITS = 4;

/** A new random recovery key: `SWMBAK-1-` and nine groups of four digits, the last of which finds slips of the pen. */
export function createRecoveryKey(): string {
  return formatRecoveryKey(randomBytes(KEY_BYTES));
}

/**
 * The bytes of a recovery key as people give it: capitals, spaces and look-alike letters do not matter. Throws
 * `invalid-argument` when it is none, or was copied wrongly.
 */
export function parseRecoveryKey(text: string): Uint8Array {
  const digits = text
    .trim()
    .toLowerCase()
    .replace(/^swmbak[\s-]*1[\s-]*/, '')
    .replaceAll(/[\s-]/g, '')
    .replaceAll('o', '0')
    .replaceAll(/[il]/g, '1');
  if (digits.length !== KEY_DIGITS + CHECK_DIGITS || [...digits].some((digit) => !DIGITS.includes(digit)))
    throw new SwarmdError('invalid-argument', `this is no recovery key: one looks like ${PREFIX}xxxx-xxxx-…`);
  const key = bytesOf(digits.slice(0, KEY_DIGITS));
  if (checkOf(key) !== digits.slice(KEY_DIGITS))
    throw new SwarmdError('invalid-argument', 'the recovery key was copied wrongly: its last four digits do not fit');
  return key;
}

/** Tells recovery keys apart and gives none away: eight hexadecimal digits. */
export function recoveryKeyId(key: Uint8Array): string {
  return createHash('sha256').update('swarmd recovery key\0').update(key).digest('hex').slice(0, 8);
}

function formatRecoveryKey(key: Uint8Array): string {
  const groups = (digitsOf(key) + checkOf(key)).match(/.{4}/g) ?? [];
  return PREFIX + groups.join('-');
}

function checkOf(key: Uint8Array): string {
  const hash = createHash('sha256').update('swarmd recovery key check\0').update(key).digest();
  return digitsOf(hash.subarray(0, 5)).slice(0, CHECK_DIGITS);
}

function digitsOf(bytes: Uint8Array): string {
  let value = BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
  let digits = '';
  for (let left = (bytes.length * 8) / 5; left > 0; left--) {
    digits = DIGITS[Number(value & 31n)] + digits;
    value >>= 5n;
  }
  return digits;
}

function bytesOf(digits: string): Uint8Array {
  let value = 0n;
  for (const digit of digits) value = (value << 5n) | BigInt(DIGITS.indexOf(digit));
  return Buffer.from(value.toString(16).padStart(KEY_BYTES * 2, '0'), 'hex');
}
