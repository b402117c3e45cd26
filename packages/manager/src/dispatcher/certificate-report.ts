import { type Cluster, type Node, type NodeDescription, rfc3339 } from '@swarmd/model';
import type { Peer } from '@swarmd/wire';
import { firstCertificate, issuerName, issuerOf, tlsInfo } from '../ca/issuing-root.js';

/** The certificate of a session, as the node's object keeps it; `undefined` while there is no cluster to compare it with. */
export function certificateOf(cluster: Cluster | undefined, peer: Peer): Node['Certificate'] {
  if (cluster === undefined) return undefined;
  return {
    Issuer: issuerName(issuerOf(cluster, peer.certificate)),
    NotBefore: rfc3339(peer.notBefore),
    NotAfter: rfc3339(peer.notAfter),
  };
}

/**
 * The description with what `docker node inspect` shows of a node's certificate: the first root that the node says it
 * trusts (the present one, as long as a rotation goes on), and who issued the certificate of its session.
 */
export function withTlsInfo(
  cluster: Cluster | undefined,
  peer: Peer,
  description: NodeDescription | undefined,
): NodeDescription | undefined {
  if (description === undefined || cluster === undefined) return description;
  const trusted = firstCertificate(description.TLSInfo?.TrustRoot ?? '') || cluster.RootCA.Certificate;
  return { ...description, TLSInfo: tlsInfo(trusted, issuerOf(cluster, peer.certificate)) };
}
