const ALPHABET = '0123456789abcdefghijklmnopqrstuvwxyz';

/** Length of object IDs: 25 base-36 digits, as Docker Swarm's (about 129 bits). */
export const ID_LENGTH = 25;

/**
 * An object ID from random bytes (at least 17): 25 base-36 digits, first one never past `f…` so that it fits 128 bits,
 * the form Docker Swarm's IDs have.
 */
export function idFromBytes(bytes: Uint8Array): string {
  let value = 0n;
  for (let i = 0; i < 16; i++) value = (value << 8n) | BigInt(bytes[i] ?? 0);
  return value.toString(36).padStart(ID_LENGTH, '0').slice(-ID_LENGTH);
}

/** Whether `text` has the form of an object ID. */
export function isId(text: string): boolean {
  return text.length === ID_LENGTH && [...text].every((c) => ALPHABET.includes(c));
}
