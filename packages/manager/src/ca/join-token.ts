import { createHash, timingSafeEqual } from 'node:crypto';
import { idFromBytes, type Random, SwarmdError } from '@swarmd/model';

/** Length of the digest in a token: the base-36 digits of 256 bits. */
const DIGEST_DIGITS = 50;
/** Length of the secret in a token: the base-36 digits of 128 bits. */
const SECRET_DIGITS = 25;

/** The two tokens of a cluster, as its object holds them. */
export interface JoinTokens {
  Worker: string;
  Manager: string;
}

/** SHA-256 of a root certificate's PEM bytes, exactly as served, in base 36: what join tokens carry (swarmkit's digest). */
export function rootDigest(rootPem: string | Uint8Array): string {
  const hex = createHash('sha256').update(rootPem).digest('hex');
  return BigInt(`0x${hex}`).toString(36).padStart(DIGEST_DIGITS, '0');
}

/** A new token for the cluster of `rootPem`: `SWMTKN-1-<digest>-<secret>`, the form of Docker Swarm's. */
export function createJoinToken(rootPem: string, random: Random): string {
  return `SWMTKN-1-${rootDigest(rootPem)}-${idFromBytes(random.bytes(17))}`;
}

/** The first tokens of the cluster of `rootPem`. */
export function createJoinTokens(rootPem: string, random: Random): JoinTokens {
  return { Worker: createJoinToken(rootPem, random), Manager: createJoinToken(rootPem, random) };
}

/** The digest that a token promises of the root certificate. `invalid-argument` when it has not a token's form. */
export function digestOfToken(token: string): string {
  const [name, version, digest, secret, ...rest] = token.split('-');
  const digits = (text: string | undefined, length: number): boolean =>
    text?.length === length && /^[0-9a-z]+$/.test(text);
  if (name !== 'SWMTKN' || version !== '1' || rest.length > 0)
    throw new SwarmdError('invalid-argument', 'invalid join token');
  if (!digits(digest, DIGEST_DIGITS) || !digits(secret, SECRET_DIGITS)) {
    throw new SwarmdError('invalid-argument', 'invalid join token');
  }
  return digest!;
}

/** The role that `token` gives, or `undefined`. Takes the same time whichever token it is near to. */
export function roleOfToken(tokens: JoinTokens, token: string): 'worker' | 'manager' | undefined {
  const worker = equalInConstantTime(tokens.Worker, token);
  const manager = equalInConstantTime(tokens.Manager, token);
  if (manager) return 'manager';
  return worker ? 'worker' : undefined;
}

function equalInConstantTime(a: string, b: string): boolean {
  const hash = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(hash(a), hash(b));
}
