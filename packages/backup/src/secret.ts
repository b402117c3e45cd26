import { hkdfSync, randomBytes, scrypt } from 'node:crypto';
import { type BackupSecret, SwarmdError } from '@swarmd/model';
import { z } from 'zod';
import { parseRecoveryKey, recoveryKeyId } from './recovery-key.js';

/** The shortest passphrase: whoever has the file can try as many as they like. */
export const MIN_PASSPHRASE_LENGTH = 12;

const SALT_BYTES = 16;
/** About half a second and 64 MiB for each try. */
const SCRYPT = { n: 65_536, r: 8, p: 2 } as const;

const hex = (bytes: number) => z.string().regex(new RegExp(`^[0-9a-f]{${bytes * 2}}$`));

/** How the key of a backup comes from its secret, as the header says it. Bounded: a header is read before it is trusted. */
export const KeySourceSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('recovery-key'), id: hex(4), salt: hex(SALT_BYTES) }),
  z.object({
    kind: z.literal('passphrase'),
    salt: hex(SALT_BYTES),
    n: z.number().int().min(2).max(1_048_576),
    r: z.number().int().min(1).max(16),
    p: z.number().int().min(1).max(16),
  }),
]);
/** How the key of a backup comes from its secret. The salt is new for each backup, and so is the key. */
export type KeySource = z.infer<typeof KeySourceSchema>;

/** The key that seals one backup, and what tells the right secret from a wrong one. */
export interface BackupKey {
  /** AES-256. */
  key: Buffer;
  /** Stands in the header: 16 hexadecimal digits. */
  check: string;
}

/** A source for a new backup. Throws `invalid-argument` for a secret that cannot protect one. */
export function newKeySource(secret: BackupSecret): KeySource {
  const salt = randomBytes(SALT_BYTES).toString('hex');
  if ('RecoveryKey' in secret) {
    return { kind: 'recovery-key', id: recoveryKeyId(parseRecoveryKey(secret.RecoveryKey)), salt };
  }
  if (secret.Passphrase.length < MIN_PASSPHRASE_LENGTH)
    throw new SwarmdError('invalid-argument', `a passphrase has at least ${MIN_PASSPHRASE_LENGTH} characters`);
  return { kind: 'passphrase', salt, ...SCRYPT };
}

/** The key that `source` and `secret` give. `invalid-argument` when the secret is of the other kind, or another key. */
export async function deriveKey(secret: BackupSecret, source: KeySource): Promise<BackupKey> {
  const material = await materialOf(secret, source);
  const expand = (info: string, bytes: number): Buffer =>
    Buffer.from(hkdfSync('sha256', material, Buffer.from(source.salt, 'hex'), `swarmd backup 1 ${info}`, bytes));
  return { key: expand('key', 32), check: expand('check', 8).toString('hex') };
}

async function materialOf(secret: BackupSecret, source: KeySource): Promise<Uint8Array> {
  if (source.kind === 'recovery-key') {
    if (!('RecoveryKey' in secret))
      throw new SwarmdError('invalid-argument', `this backup opens with recovery key ${source.id}, not a passphrase`);
    const key = parseRecoveryKey(secret.RecoveryKey);
    const given = recoveryKeyId(key);
    if (given !== source.id)
      throw new SwarmdError('invalid-argument', `this backup opens with recovery key ${source.id}, not with ${given}`);
    return key;
  }
  if (!('Passphrase' in secret))
    throw new SwarmdError('invalid-argument', 'this backup opens with its passphrase, not with a recovery key');
  const { n, r, p, salt } = source;
  const options = { N: n, r, p, maxmem: 256 * n * r + 1024 * 1024 };
  return new Promise((resolve, reject) => {
    scrypt(secret.Passphrase.normalize('NFKC'), Buffer.from(salt, 'hex'), 32, options, (error, key) =>
      error === null ? resolve(key) : reject(error),
    );
  });
}
