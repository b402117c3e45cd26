import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import * as x509 from '@peculiar/x509';
import { type Random, SwarmdError } from '@swarmd/model';

/** The CA of a cluster's etcd members: certificate and private key (PKCS#8), both PEM. Managers only may have it. */
export interface EtcdCa {
  certificatePem: string;
  keyPem: string;
}

/** Life of the CA: 20 years, as that of the cluster's own root. */
const CA_VALIDITY_MS = 630_720_000_000;
/** Certificates are valid from this long ago on, for hosts whose clocks are behind. */
const BACKDATE_MS = 3_600_000;
/** The shortest life of a member's certificate. */
const MIN_VALIDITY_MS = 3_600_000;

const KEY = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const SIGNATURE = { name: 'ECDSA', hash: 'SHA-256' } as const;
const crypto = webcrypto;

/** A new CA for etcd alone: self-signed, ECDSA P-256, CN `swarmd-etcd-ca`, valid for 20 years. `nowMs`: wall time. */
export async function createEtcdCa(nowMs: number, random: Random): Promise<EtcdCa> {
  const keys = await crypto.subtle.generateKey(KEY, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: serialNumber(random),
      name: [{ CN: ['swarmd-etcd-ca'] }],
      keys,
      signingAlgorithm: SIGNATURE,
      notBefore: wholeSeconds(nowMs - BACKDATE_MS),
      notAfter: wholeSeconds(nowMs + CA_VALIDITY_MS),
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

/** A new private key for an etcd member and a request to certify it. The issuer decides every name. */
export async function createEtcdKeyAndCsr(): Promise<{ keyPem: string; csrPem: string }> {
  const keys = await crypto.subtle.generateKey(KEY, true, ['sign', 'verify']);
  const csr = await x509.Pkcs10CertificateRequestGenerator.create(
    { name: '', keys, signingAlgorithm: SIGNATURE },
    crypto,
  );
  return { keyPem: await exportKey(keys.privateKey), csrPem: withNewline(csr.toString('pem')) };
}

/** What a member's certificate is to say; nothing of it comes from the CSR but the public key. */
export interface EtcdCertificateOptions {
  ca: EtcdCa;
  csrPem: string;
  nodeId: string;
  /** Under which other members reach this one. A new address needs a new certificate: etcd's members check it. */
  ips: readonly string[];
  /** Wall time. */
  nowMs: number;
  /** Life from now on; at least an hour, at most that of the CA. */
  validityMs: number;
}

/**
 * A member's certificate, for its server and its client side: CN = node ID; it stands for `ips`, `127.0.0.1`, `::1` and
 * `localhost`. `invalid-argument` when an address is none, or the CSR is not one, is not signed by its own key, or its
 * key is not ECDSA P-256.
 */
export async function issueEtcdCertificate(options: EtcdCertificateOptions, random: Random): Promise<string> {
  const wrong = options.ips.find((ip) => isIP(ip) === 0);
  if (wrong !== undefined) throw new SwarmdError('invalid-argument', `${JSON.stringify(wrong)} is not an IP address`);
  const publicKey = await keyOfCsr(options.csrPem);
  const ca = new x509.X509Certificate(options.ca.certificatePem);
  const notAfterMs = Math.min(ca.notAfter.getTime(), options.nowMs + Math.max(MIN_VALIDITY_MS, options.validityMs));
  const ips = [...new Set([...options.ips, '127.0.0.1', '::1'])];
  const certificate = await x509.X509CertificateGenerator.create(
    {
      serialNumber: serialNumber(random),
      issuer: ca.subjectName,
      subject: [{ CN: [options.nodeId] }],
      notBefore: wholeSeconds(options.nowMs - BACKDATE_MS),
      notAfter: wholeSeconds(notAfterMs),
      publicKey,
      signingKey: await importKey(options.ca.keyPem),
      signingAlgorithm: SIGNATURE,
      extensions: [
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
        new x509.BasicConstraintsExtension(false, undefined, true),
        await x509.SubjectKeyIdentifierExtension.create(publicKey, false, crypto),
        await x509.AuthorityKeyIdentifierExtension.create(ca.publicKey, false, crypto),
        new x509.SubjectAlternativeNameExtension([
          ...ips.map((value) => ({ type: 'ip' as const, value })),
          { type: 'dns' as const, value: 'localhost' },
        ]),
      ],
    },
    crypto,
  );
  return withNewline(certificate.toString('pem'));
}

async function keyOfCsr(csrPem: string): Promise<x509.PublicKey> {
  let problem = 'its signature is wrong';
  try {
    const csr = new x509.Pkcs10CertificateRequest(csrPem);
    const algorithm = csr.publicKey.algorithm as Partial<webcrypto.EcKeyAlgorithm>;
    if (algorithm.name !== KEY.name || algorithm.namedCurve !== KEY.namedCurve) problem = 'its key is not ECDSA P-256';
    else if (await csr.verify(crypto)) return csr.publicKey;
  } catch (error) {
    problem = (error as Error).message;
  }
  throw new SwarmdError('invalid-argument', `the request for an etcd certificate cannot be used: ${problem}`);
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  const der = await crypto.subtle.exportKey('pkcs8', key);
  return withNewline(x509.PemConverter.encode(der, 'PRIVATE KEY'));
}

function importKey(keyPem: string): Promise<webcrypto.CryptoKey> {
  return crypto.subtle.importKey('pkcs8', x509.PemConverter.decodeFirst(keyPem), KEY, false, ['sign']);
}

/** Positive and not zero, as the standard wants serial numbers. */
function serialNumber(random: Random): string {
  return `01${Buffer.from(random.bytes(16)).toString('hex')}`;
}

function wholeSeconds(ms: number): Date {
  return new Date(Math.floor(ms / 1000) * 1000);
}

function withNewline(pem: string): string {
  return `${pem.trim()}\n`;
}
