import type { Cluster } from '@swarmd/model';
import { issuingRoot, type TlsInfo, tlsInfo } from '../ca/issuing-root.js';

/** Reads the {@link TlsInfo} of a cluster, parsing each root certificate once. */
export type TlsInfoReader = (cluster: Cluster | undefined) => TlsInfo | undefined;

/**
 * A {@link TlsInfoReader} that remembers the last root. While the root is being rotated, the trust root is still the old
 * one and the issuer already the new one, as Docker Swarm shows it: clients tell by that who has been rotated.
 */
export function createTlsInfoReader(): TlsInfoReader {
  let last: { issuer: string; info: TlsInfo } | undefined;
  return (cluster) => {
    const trustRoot = cluster?.RootCA.Certificate;
    if (cluster === undefined || !trustRoot) return undefined;
    const issuer = issuingRoot(cluster).certificatePem;
    if (last?.info.TrustRoot !== trustRoot || last.issuer !== issuer)
      last = { issuer, info: tlsInfo(trustRoot, issuer) };
    return last.info;
  };
}
