import { type Cluster, type ClusterSpec, rfc3339 } from '@swarmd/model';
import { createRootCa } from '../ca/certificate.js';
import { crossSign, isSameCertificate, parseRootCa } from '../ca/root.js';
import type { CertificateAndKey } from '../ca/signer.js';
import type { ControlDependencies } from './dependencies.js';
import { invalid, outOfSequence, rpcError } from './errors.js';

/** A change of a cluster's roots, made ready outside of any transaction; `undefined` leaves them as they are. */
export type RootChange = ((cluster: Cluster) => Pick<Cluster, 'RootCA' | 'RootRotation'>) | undefined;

type CaConfig = NonNullable<ClusterSpec['CAConfig']>;

/**
 * What a client's `CAConfig` asks of the cluster's roots, in Docker Swarm's terms: `SigningCACert` with its key is the
 * root to rotate to; a `ForceRotate` other than the stored one asks for a new root of our own. The present root ends a
 * rotation that is under way: all nodes go back to it. Any other takes the place of the one that was being rotated to.
 * `invalid-argument` names the field of a root that cannot be used.
 */
export async function prepareRootChange(
  cluster: Cluster,
  asked: ClusterSpec['CAConfig'],
  { clock, random }: Pick<ControlDependencies, 'clock' | 'random'>,
): Promise<RootChange> {
  const next = await nextRoot(cluster, asked ?? {}, { clock, random });
  if (next === undefined) return undefined;
  const { Certificate, Key } = cluster.RootCA;
  const change = (roots: Pick<Cluster, 'RootCA' | 'RootRotation'>): RootChange => {
    return (now) => {
      // Whoever ended or replaced a rotation meanwhile has changed what this one was made from.
      if (now.RootCA.Certificate !== Certificate) throw outOfSequence();
      return roots;
    };
  };
  if (isSameCertificate(Certificate, next.certificatePem)) return change({ RootCA: { Certificate, Key: next.keyPem } });
  const { RootRotation } = cluster;
  if (RootRotation !== undefined && isSameCertificate(RootRotation.Certificate, next.certificatePem)) return undefined;
  const CrossSigned = await crossSign({ certificatePem: Certificate, keyPem: Key }, next.certificatePem, random);
  return change({
    RootCA: cluster.RootCA,
    RootRotation: {
      Certificate: next.certificatePem,
      Key: next.keyPem,
      CrossSigned,
      StartedAt: rfc3339(clock.now()),
    },
  });
}

/** The spec without what is only for {@link prepareRootChange}: keys are not part of what is shown and sent back. */
export function withoutRoots(spec: ClusterSpec): ClusterSpec {
  if (!spec.CAConfig) return spec;
  const { SigningCACert: _certificate, SigningCAKey: _key, ExternalCAs: _external, ...CAConfig } = spec.CAConfig;
  return { ...spec, CAConfig };
}

/** Refuses external CAs, which nothing here could ask. */
export function checkExternalCas({ ExternalCAs }: CaConfig): void {
  if ((ExternalCAs ?? []).length === 0) return;
  const message = 'external CAs that sign over the network are not supported: give the root certificate with its key';
  throw rpcError('unimplemented', message, 'CAConfig.ExternalCAs');
}

async function nextRoot(
  { Spec }: Cluster,
  asked: CaConfig,
  { clock, random }: Pick<ControlDependencies, 'clock' | 'random'>,
): Promise<CertificateAndKey | undefined> {
  const [certificatePem, keyPem] = [asked.SigningCACert ?? '', asked.SigningCAKey ?? ''];
  if (certificatePem !== '' && keyPem !== '') return parseRootCa({ certificatePem, keyPem }, clock.now());
  if (certificatePem !== '') {
    throw invalid('the new root CA certificate needs its key, too: managers sign with it', 'CAConfig.SigningCAKey');
  }
  if (keyPem !== '') {
    throw invalid('the key of a new root CA needs its certificate, too', 'CAConfig.SigningCACert');
  }
  const forced = asked.ForceRotate ?? undefined;
  if (forced === undefined || forced === (Spec.CAConfig?.ForceRotate ?? 0)) return undefined;
  return createRootCa(clock.now(), random);
}
