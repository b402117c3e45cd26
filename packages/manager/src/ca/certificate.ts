import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { type Random, rfc3339, SwarmdError } from '@swarmd/model';
import { type NodeRole, ROLE_UNITS, SERVER_NAMES } from '@swarmd/wire';
import { authorityKeyIdentifier, type CertificateAndKey, signerOf } from './signer.js';

/** Life of a root certificate: 20 years as swarmkit counts them (630,720,000 s). */
const ROOT_VALIDITY_MS = 630_720_000_000;
/** Certificates are valid from this long ago on, for nodes whose clocks are behind. */
const BACKDATE_MS = 3_600_000;
/** The shortest life of a node's certificate. */
const MIN_VALIDITY_MS = 3_600_000;

const KEY = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const SIGNATURE = { name: 'ECDSA', hash: 'SHA-256' } as const;
const crypto = webcrypto;

/** A new root: self-signed, ECDSA P-256, CN `swarm-ca`, valid for 20 years. `nowMs`: wall time. */
export async function createRootCa(nowMs: number, random: Random): Promise<CertificateAndKey> {
  const keys = await crypto.subtle.generateKey(KEY, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: serialNumber(random),
      name: [{ CN: [SERVER_NAMES.ca] }],
      keys,
      signingAlgorithm: SIGNATURE,
      notBefore: wholeSeconds(nowMs - BACKDATE_MS),
      notAfter: wholeSeconds(nowMs + ROOT_VALIDITY_MS),
      extensions: [
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
        new x509.BasicConstraintsExtension(true, undefined, true),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false, crypto),
      ],
    },
    crypto,
  );
  return { certificatePem: withNewline(certificate.toString('pem')), keyPem: await exportKey(keys.privateKey) };
}

/** A new private key and a request to certify it. The issuer decides every name, so the request carries none. */
export async function createKeyAndCsr(): Promise<{ keyPem: string; csrPem: string }> {
  const keys = await crypto.subtle.generateKey(KEY, true, ['sign', 'verify']);
  const csr = await x509.Pkcs10CertificateRequestGenerator.create(
    { name: '', keys, signingAlgorithm: SIGNATURE },
    crypto,
  );
  return { keyPem: await exportKey(keys.privateKey), csrPem: withNewline(csr.toString('pem')) };
}

/** What a node's certificate is to say; nothing of it comes from the CSR but the public key. */
export interface IssueOptions {
  root: CertificateAndKey;
  csrPem: string;
  nodeId: string;
  role: NodeRole;
  clusterId: string;
  /** Wall time. */
  nowMs: number;
  /** Life from now on; at least an hour. */
  validityMs: number;
}

/**
 * A node's certificate: CN = node ID, OU = role, O = cluster ID, DNS names for the role, the node ID and (managers)
 * the CA. `invalid-argument` when the CSR is not one, is not signed by its own key, or its key is not ECDSA P-256.
 */
export async function issueCertificate(options: IssueOptions, random: Random): Promise<string> {
  const publicKey = await keyOfCsr(options.csrPem);
  const signer = await signerOf(options.root);
  const { NotBefore, NotAfter } = certificateDates(options.nowMs, options.validityMs);
  const names = [ROLE_UNITS[options.role], options.nodeId, ...(options.role === 'manager' ? [SERVER_NAMES.ca] : [])];
  const certificate = await x509.X509CertificateGenerator.create(
    {
      serialNumber: serialNumber(random),
      issuer: signer.certificate.subjectName,
      subject: [{ O: [options.clusterId] }, { OU: [ROLE_UNITS[options.role]] }, { CN: [options.nodeId] }],
      notBefore: new Date(NotBefore),
      notAfter: new Date(NotAfter),
      publicKey,
      signingKey: signer.key,
      signingAlgorithm: signer.algorithm,
      extensions: [
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyEncipherment, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
        new x509.BasicConstraintsExtension(false, undefined, true),
        await x509.SubjectKeyIdentifierExtension.create(publicKey, false, crypto),
        await authorityKeyIdentifier(signer),
        new x509.SubjectAlternativeNameExtension(names.map((value) => ({ type: 'dns', value }))),
      ],
    },
    crypto,
  );
  return withNewline(certificate.toString('pem'));
}

/** From when until when a certificate counts that is issued at `nowMs` for `validityMs`; RFC 3339, whole seconds. */
export function certificateDates(nowMs: number, validityMs: number): { NotBefore: string; NotAfter: string } {
  const until = nowMs + Math.max(MIN_VALIDITY_MS, validityMs);
  return {
    NotBefore: rfc3339(wholeSeconds(nowMs - BACKDATE_MS).getTime()),
    NotAfter: rfc3339(wholeSeconds(until).getTime()),
  };
}

/** The public key of a CSR. `invalid-argument` as {@link issueCertificate} has it. */
export async function keyOfCsr(csrPem: string): Promise<x509.PublicKey> {
  let problem = 'its signature is wrong';
  try {
    const csr = new x509.Pkcs10CertificateRequest(csrPem);
    const algorithm = csr.publicKey.algorithm as Partial<webcrypto.EcKeyAlgorithm>;
    if (algorithm.name !== KEY.name || algorithm.namedCurve !== KEY.namedCurve) problem = 'its key is not ECDSA P-256';
    else if (await csr.verify(crypto)) return csr.publicKey;
  } catch (error) {
    problem = (error as Error).message;
  }
  throw new SwarmdError('invalid-argument', `the certificate request cannot be used: ${problem}`);
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  const der = await crypto.subtle.exportKey('pkcs8', key);
  return withNewline(x509.PemConverter.encode(der, 'PRIVATE KEY'));
}

/** Positive and not zero, as the standard wants serial numbers. */
export function serialNumber(random: Random): string {
  const bytes = random.bytes(16);
  return `01${Buffer.from(bytes).toString('hex')}`;
}

function wholeSeconds(ms: number): Date {
  return new Date(Math.floor(ms / 1000) * 1000);
}

/** PEM as everything here keeps it: digests are over these bytes. */
export function withNewline(pem: string): string {
  return `${pem.trim()}\n`;
}
