import { X509Certificate } from 'node:crypto';
import { type Cluster, type Node, type NodeDescription, rfc3339 } from '@swarmd/model';
import { firstCertificate, issuerName, issuerOf, tlsInfo } from '../ca/issuing-root.js';

/**
 * The certificate (DER) of a session, as the node's object keeps it; `undefined` when it cannot be read, or while there is
 * no cluster to compare it with.
 */
export function certificateOf(cluster: Cluster | undefined, certificate: Uint8Array): Node['Certificate'] {
  if (cluster === undefined || certificate.length === 0) return undefined;
  const { validFrom, validTo } = new X509Certificate(certificate);
  return {
    Issuer: issuerName(issuerOf(cluster, certificate)),
    NotBefore: rfc3339(Date.parse(validFrom)),
    NotAfter: rfc3339(Date.parse(validTo)),
  };
}

/**
 * The description with what `docker node inspect` shows of a node's certificate: the first root that the node says it
 * trusts (the present one, as long as a rotation goes on), and who issued the certificate of its session.
 */
export function withTlsInfo(
  cluster: Cluster | undefined,
  certificate: Uint8Array,
  description: NodeDescription | undefined,
): NodeDescription | undefined {
  if (description === undefined || cluster === undefined) return description;
  const trusted = firstCertificate(description.TLSInfo?.TrustRoot ?? '') || cluster.RootCA.Certificate;
  return { ...description, TLSInfo: tlsInfo(trusted, issuerOf(cluster, certificate)) };
}

/** A description that a node sends in a session: the issuer stays the one of the session's certificate. */
export function withReportedRoot(before: NodeDescription | undefined, reported: NodeDescription): NodeDescription {
  const TLSInfo = before?.TLSInfo;
  if (TLSInfo === undefined) return reported;
  const TrustRoot = firstCertificate(reported.TLSInfo?.TrustRoot ?? '') || TLSInfo.TrustRoot;
  return { ...reported, TLSInfo: { ...TLSInfo, TrustRoot } };
}
