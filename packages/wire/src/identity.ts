import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrorCode, SwarmdError } from '@swarmd/model';

/** What a certificate lets its holder do. A manager may do all that a worker may. */
export type NodeRole = 'worker' | 'manager';

/** Who a node is: its key, its certificate, and the root that it trusts. Times in milliseconds since the epoch. */
export interface Identity {
  /** The node's certificate; behind it, while the root is being rotated, what certifies its issuer by the present root. */
  certificatePem: string;
  /** PKCS#8. */
  keyPem: string;
  /** The root certificates trusted, one PEM block after another. */
  rootPem: string;
  nodeId: string;
  role: NodeRole;
  clusterId: string;
  notBefore: number;
  notAfter: number;
}

/** The OU that stands for each role in certificates, as in Docker Swarm. */
export const ROLE_UNITS: Readonly<Record<NodeRole, string>> = { worker: 'swarm-worker', manager: 'swarm-manager' };

const FILE_NAME = 'node.pem';
/** The first line of a file whose key is to be renewed. Outside of the blocks, PEM allows any text. */
const RENEW_LINE = '# renew: this key was kept in the clear before';
const PEM_BLOCK = /-----BEGIN ([A-Z ]+)-----[\s\S]+?-----END \1-----\n?/g;

/** What the subject of a node's certificate says; `undefined` when it is not one of a node. */
export function parseSubject(
  subject: Readonly<Record<string, unknown>> | undefined,
): Pick<Identity, 'nodeId' | 'role' | 'clusterId'> | undefined {
  const { CN, OU, O } = subject ?? {};
  if (typeof CN !== 'string' || typeof OU !== 'string' || typeof O !== 'string' || CN === '' || O === '')
    return undefined;
  const role = (['worker', 'manager'] as const).find((candidate) => ROLE_UNITS[candidate] === OU);
  return role === undefined ? undefined : { nodeId: CN, role, clusterId: O };
}

/**
 * An identity from its three PEM parts. `invalid-argument` when the certificate is not a node's, the key does not
 * belong to it, or no root in `rootPem` signed it.
 */
export function parseIdentity(parts: Pick<Identity, 'certificatePem' | 'keyPem' | 'rootPem'>): Identity {
  const identity = { ...parts, ...parseCertificate(parts) };
  const belongs = asInvalid(() =>
    new X509Certificate(parts.certificatePem).checkPrivateKey(createPrivateKey(parts.keyPem)),
  );
  if (!belongs) throw new SwarmdError('invalid-argument', 'the private key does not belong to the certificate');
  return identity;
}

function parseCertificate(parts: Pick<Identity, 'certificatePem' | 'rootPem'>): Omit<Identity, 'keyPem'> {
  return asInvalid(() => {
    const certificate = new X509Certificate(parts.certificatePem);
    const subject = parseSubject(certificate.toLegacyObject().subject as unknown as Record<string, unknown>);
    if (subject === undefined) throw new SwarmdError('invalid-argument', 'the certificate is not a node’s');
    const roots = splitPem(parts.rootPem).map(({ pem }) => new X509Certificate(pem));
    if (!roots.some((root) => certificate.verify(root.publicKey)))
      throw new SwarmdError('invalid-argument', 'the certificate was not signed by the root certificate');
    const { certificatePem, rootPem } = parts;
    const times = { notBefore: Date.parse(certificate.validFrom), notAfter: Date.parse(certificate.validTo) };
    return { certificatePem, rootPem, ...subject, ...times };
  });
}

function asInvalid<R>(read: () => R): R {
  try {
    return read();
  } catch (error) {
    if (error instanceof SwarmdError) throw error;
    throw new SwarmdError('invalid-argument', `not a node’s identity: ${(error as Error).message}`, { cause: error });
  }
}

/** How {@link saveIdentity} keeps the private key. */
export interface KeyProtection {
  /** Seals the key's PEM into a block that stands in its place; in the clear without it. */
  sealKey?(keyPem: string): string;
  /** The key was on this disk in the clear before: it is to be renewed, and whoever opens the file is told so. */
  renew?: boolean;
}

/** What of a kept identity can be read without opening its key. */
export interface KeptCertificate extends Omit<Identity, 'keyPem'> {
  /** The block that stands for the key; `undefined` when it is there in the clear. */
  sealedKey: string | undefined;
  /** See {@link KeyProtection.renew}. */
  renew: boolean;
}

/**
 * Keeps an identity in `directory` as one file (mode 0600, key, certificate and roots in it), replaced atomically and
 * synced: after a crash it is the old or the new one.
 */
export async function saveIdentity(
  directory: string,
  identity: Identity,
  { sealKey, renew = false }: KeyProtection = {},
): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const temporary = join(directory, `${FILE_NAME}.new`);
  await rm(temporary, { force: true });
  const key = sealKey?.(identity.keyPem) ?? identity.keyPem;
  const blocks = [...(renew ? [RENEW_LINE] : []), key, identity.certificatePem, identity.rootPem];
  const file = await open(temporary, 'wx', 0o600);
  try {
    await file.writeFile(blocks.map((block) => `${block.trim()}\n`).join(''));
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, join(directory, FILE_NAME));
  const folder = await open(directory, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/**
 * The identity kept in `directory`; `undefined` when there is none. `openKey` opens what `sealKey` made; without it, or
 * as it says itself, a sealed key is `locked`. `damaged` when it cannot be read as an identity.
 */
export async function loadIdentity(
  directory: string,
  openKey?: (sealedKey: string) => string,
): Promise<Identity | undefined> {
  const kept = await readKept(directory);
  if (kept === undefined) return undefined;
  try {
    if (kept.sealedKey !== undefined && openKey === undefined)
      throw new SwarmdError('locked', 'it takes the unlock key to open its private key');
    const keyPem = kept.sealedKey === undefined ? (kept.keyPem ?? '') : openKey!(kept.sealedKey);
    return parseIdentity({ keyPem, certificatePem: kept.certificatePem, rootPem: kept.rootPem });
  } catch (error) {
    if (isErrorCode(error, 'locked')) throw error;
    throw damaged(directory, error as Error);
  }
}

/** The part of the identity kept in `directory` that is never sealed; `undefined` when there is none. `damaged` as above. */
export async function readCertificate(directory: string): Promise<KeptCertificate | undefined> {
  const kept = await readKept(directory);
  if (kept === undefined) return undefined;
  const { certificatePem, rootPem, sealedKey, renew } = kept;
  try {
    return { ...parseCertificate({ certificatePem, rootPem }), sealedKey, renew };
  } catch (error) {
    throw damaged(directory, error as Error);
  }
}

async function readKept(directory: string) {
  let text: string;
  try {
    text = await readFile(join(directory, FILE_NAME), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const blocks = splitPem(text);
  const [certificate, ...others] = blocks.filter((block) => block.label === 'CERTIFICATE');
  const pems = (some: typeof blocks): string => some.map(({ pem }) => pem).join('');
  return {
    keyPem: blocks.find((block) => block.label.endsWith('PRIVATE KEY'))?.pem,
    sealedKey: blocks.find((block) => block.label.includes('SEALED'))?.pem,
    certificatePem: (certificate?.pem ?? '') + pems(others.filter((other) => !isRoot(other))),
    rootPem: pems(others.filter(isRoot)),
    renew: text.startsWith(`${RENEW_LINE}\n`),
  };
}

function damaged(directory: string, cause: Error): SwarmdError {
  const advice = 'restore it from a backup, or join the cluster again with a token';
  return new SwarmdError('damaged', `${join(directory, FILE_NAME)}: ${cause.message}: ${advice}`, { cause });
}

/** Removes the identity kept in `directory`, if any. */
export async function removeIdentity(directory: string): Promise<void> {
  await rm(join(directory, FILE_NAME), { force: true });
  await rm(join(directory, `${FILE_NAME}.new`), { force: true });
}

/** The identity in use: servers and channels follow it when it is replaced, without dropping what is under way. */
export interface IdentityHolder {
  readonly current: Identity;
  replace(identity: Identity): void;
  /** Calls `listener` after each replacement; the returned function ends that. */
  onChange(listener: (identity: Identity) => void): () => void;
}

/** An {@link IdentityHolder} that starts with `identity`. */
export function createIdentityHolder(identity: Identity): IdentityHolder {
  let current = identity;
  const listeners = new Set<(identity: Identity) => void>();
  return {
    get current() {
      return current;
    },
    replace: (next) => {
      current = next;
      for (const listener of [...listeners]) listener(next);
    },
    onChange: (listener) => {
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
      };
    },
  };
}

/**
 * The identity that trusts the roots in `rootPem` (those its manager named), and in any case the one that issued its own
 * certificate: nobody else may be left trusting that one when this node comes back after a rotation it has slept through.
 * The same object when nothing changes.
 */
export function withTrust(identity: Identity, rootPem: string): Identity {
  const told = splitPem(rootPem).map(({ pem }) => pem);
  const own = new X509Certificate(identity.certificatePem);
  const issuedBy = (pem: string): boolean => own.verify(new X509Certificate(pem).publicKey);
  const needed = told.some(issuedBy)
    ? []
    : splitPem(identity.rootPem)
        .map(({ pem }) => pem)
        .filter(issuedBy);
  const trusted = [...told, ...needed].join('');
  return trusted === identity.rootPem ? identity : parseIdentity({ ...identity, rootPem: trusted });
}

/** Whether `identity` trusts every root that `other` does. */
export function trustsAllOf(identity: Identity, other: Identity): boolean {
  const trusted = new Set(splitPem(identity.rootPem).map(({ pem }) => pem.trim()));
  return splitPem(other.rootPem).every(({ pem }) => trusted.has(pem.trim()));
}

/** A root signs itself; what certifies a new root by an old one does not. */
function isRoot({ pem }: { pem: string }): boolean {
  try {
    const certificate = new X509Certificate(pem);
    return certificate.verify(certificate.publicKey);
  } catch {
    // Whoever parses the roots says what is wrong with it.
    return true;
  }
}

function splitPem(text: string): { label: string; pem: string }[] {
  return [...text.matchAll(PEM_BLOCK)].map((match) => ({ label: match[1]!, pem: match[0] }));
}
