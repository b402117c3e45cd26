import { idFromBytes, type Random, type Store } from '@swarmd/model';
import type { CertificateAuthorityServer, GetRootCertificateResponse } from '@swarmd/wire';
import { unaryHandler } from '@swarmd/wire';
import { withoutLeader } from '../dispatcher/failover.js';
import type { CertificateIssuer } from './issuer.js';
import { clusterOf } from './members.js';

/** What {@link createCertificateAuthority} needs. */
export interface AuthorityDependencies {
  store: Pick<Store, 'view'>;
  random: Random;
  /** The leader's, whichever manager that is. */
  issuer: CertificateIssuer;
}

/**
 * The gRPC service that hands out the root certificate and certificates of nodes (see `proto/swarmd/v1/join.proto`). Every
 * manager answers; certificates come from the leader, and `unavailable` while there is none.
 */
export function createCertificateAuthority({
  store,
  random,
  issuer,
}: AuthorityDependencies): CertificateAuthorityServer {
  const root = async (): Promise<GetRootCertificateResponse> => ({
    certificatePem: Buffer.from(clusterOf(store.view).RootCA.Certificate),
  });
  return {
    getRootCertificate: unaryHandler(root),
    issueCertificate: unaryHandler(async (request, { peer }) => {
      try {
        return await issuer.issueCertificate(request, peer, idFromBytes(random.bytes(17)));
      } catch (error) {
        throw withoutLeader(error);
      }
    }),
  };
}
