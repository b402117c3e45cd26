import { X509Certificate } from 'node:crypto';
import type { Cluster } from '@swarmd/model';
import type { TlsInfo } from './node-shapes.js';

/** Reads the {@link TlsInfo} of a cluster, parsing each root certificate once. */
export type TlsInfoReader = (cluster: Cluster | undefined) => TlsInfo | undefined;

/** A {@link TlsInfoReader} that remembers the last root. */
export function createTlsInfoReader(): TlsInfoReader {
  let last: TlsInfo | undefined;
  return (cluster) => {
    const pem = cluster?.RootCA.Certificate;
    if (!pem) return undefined;
    if (last?.TrustRoot !== pem) last = readTlsInfo(pem);
    return last;
  };
}

/** Trust root as given, issuer's subject (DER) and public key (SPKI DER) in base64. Throws when `pem` is no certificate. */
export function readTlsInfo(pem: string): TlsInfo {
  const certificate = new X509Certificate(pem);
  return {
    TrustRoot: pem,
    CertIssuerSubject: subjectOf(certificate.raw).toString('base64'),
    CertIssuerPublicKey: certificate.publicKey.export({ type: 'spki', format: 'der' }).toString('base64'),
  };
}

/** The DER of a certificate's subject: Node gives it only as text. */
function subjectOf(certificate: Buffer): Buffer {
  const outer = readElement(certificate, 0);
  const tbs = readElement(certificate, outer.contentStart);
  const members: Buffer[] = [];
  for (let at = tbs.contentStart; at < tbs.end; ) {
    const element = readElement(certificate, at);
    members.push(certificate.subarray(at, element.end));
    at = element.end;
  }
  // version [0] is optional; then serial, algorithm, issuer, validity, subject.
  const first = members[0]?.[0] === 0xa0 ? 1 : 0;
  return members[first + 4] ?? Buffer.alloc(0);
}

function readElement(der: Buffer, at: number): { contentStart: number; end: number } {
  const first = der[at + 1] ?? 0;
  if (first < 0x80) return { contentStart: at + 2, end: at + 2 + first };
  const bytes = first & 0x7f;
  const length = der.readUIntBE(at + 2, bytes);
  return { contentStart: at + 2 + bytes, end: at + 2 + bytes + length };
}
