import 'reflect-metadata';
import { X509Certificate } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import type { Cluster, NodeDescription } from '@swarmd/model';
import { rootDigest } from './join-token.js';
import type { CertificateAndKey } from './signer.js';

/** Docker's TLSInfo of a cluster or node: the root that is trusted (PEM), and name and key of who issues (base64 DER). */
export type TlsInfo = NonNullable<NodeDescription['TLSInfo']>;

/** The root that nodes are to have their certificates from: the new one while the root is being rotated. */
export function issuingRoot({ RootCA, RootRotation }: Cluster): CertificateAndKey {
  const { Certificate, Key } = RootRotation ?? RootCA;
  return { certificatePem: Certificate, keyPem: Key };
}

/** The roots that all nodes are to trust, PEM after PEM: the present one first, and the new one during a rotation. */
export function trustedRoots({ RootCA, RootRotation }: Cluster): string {
  return RootCA.Certificate + (RootRotation?.Certificate ?? '');
}

/** What goes behind a certificate from {@link issuingRoot}, so that who trusts only the present root accepts it. */
export function chainOf({ RootRotation }: Cluster): string {
  return RootRotation?.CrossSigned ?? '';
}

/** The root of the cluster that issued a certificate (DER); `undefined` when it knows none that did. */
export function issuerOf({ RootCA, RootRotation }: Cluster, certificate: Uint8Array): string | undefined {
  const roots = [RootCA.Certificate, RootRotation?.Certificate].filter((pem) => pem !== undefined);
  try {
    const issued = new X509Certificate(certificate);
    return roots.find((pem) => issued.verify(new X509Certificate(pem).publicKey));
  } catch {
    return undefined;
  }
}

/** How a root is named in `Node.Certificate.Issuer` and `Node.RenewFrom`: by the digest of join tokens. */
export function issuerName(rootPem: string | undefined): string {
  return rootPem === undefined ? '' : rootDigest(rootPem);
}

/**
 * The {@link TlsInfo} of who trusts `trustRoot` and has certificates from `issuer`, both PEM. Without an issuer its name
 * and key are empty. Throws when `issuer` is no certificate.
 */
export function tlsInfo(trustRoot: string, issuer: string | undefined): TlsInfo {
  if (issuer === undefined) return { TrustRoot: trustRoot, CertIssuerSubject: '', CertIssuerPublicKey: '' };
  const certificate = new x509.X509Certificate(issuer);
  return {
    TrustRoot: trustRoot,
    CertIssuerSubject: Buffer.from(certificate.subjectName.toArrayBuffer()).toString('base64'),
    CertIssuerPublicKey: Buffer.from(certificate.publicKey.rawData).toString('base64'),
  };
}

/** The first of several certificates, PEM; empty when there is none. */
export function firstCertificate(pem: string): string {
  return /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----\n?/.exec(pem)?.[0] ?? '';
}
