import {
  CLUSTER_KEY,
  type Clock,
  type Cluster,
  DEFAULTS,
  durationMs,
  idFromBytes,
  type Node,
  type Random,
  type ReadView,
  type Store,
  SwarmdError,
} from '@swarmd/model';
import type {
  CertificateAuthorityServer,
  GetRootCertificateResponse,
  IssueCertificateRequest,
  IssueCertificateResponse,
  NodeRole,
  Peer,
} from '@swarmd/wire';
import { unaryHandler } from '@swarmd/wire';
import type { Logger } from 'pino';
import { parseDescription } from '../dispatcher/description.js';
import { certificateDates, issueCertificate, keyOfCsr } from './certificate.js';
import { chainOf, issuerName, issuingRoot, trustedRoots } from './issuing-root.js';
import { roleOfToken } from './join-token.js';

/** What {@link createCertificateAuthority} needs. */
export interface AuthorityDependencies {
  store: Store;
  clock: Clock;
  random: Random;
  logger: Logger;
  /** Whether the cluster can take another manager: it cannot on a store with a single writer. */
  managersMayJoin: boolean;
}

/** The cluster object. `unavailable` while there is none. */
export function clusterOf(view: ReadView): Cluster {
  const cluster = view.get('cluster', CLUSTER_KEY);
  if (cluster === undefined) throw new SwarmdError('unavailable', 'this manager has no cluster yet');
  return cluster;
}

/** The refusal for a node that was removed, or never was; `undefined` for a member. */
export function refuseNonMember(view: ReadView, nodeId: string): SwarmdError | undefined {
  if (clusterOf(view).RemovedNodes[nodeId] === undefined && view.get('node', nodeId) !== undefined) return undefined;
  return new SwarmdError('permission-denied', `node ${nodeId} is not a member of this cluster: it was removed`);
}

/** The gRPC service that hands out the root certificate and certificates of nodes (see `proto/swarmd/v1/join.proto`). */
export function createCertificateAuthority(deps: AuthorityDependencies): CertificateAuthorityServer {
  const log = deps.logger.child({ component: 'ca' });
  const root = async (): Promise<GetRootCertificateResponse> => ({
    certificatePem: Buffer.from(clusterOf(deps.store.view).RootCA.Certificate),
  });
  const issue = async (request: IssueCertificateRequest, peer: Peer | undefined): Promise<IssueCertificateResponse> => {
    const joining = request.token !== '';
    const { nodeId, role, cluster } = joining ? await join(deps, request) : await renew(deps, request, peer);
    log.info({ nodeId, role }, joining ? 'node joined' : 'certificate renewed');
    const certificatePem = await sign(deps, cluster, request, nodeId, role);
    return {
      nodeId,
      role,
      clusterId: cluster.ClusterID,
      certificatePem: Buffer.from(certificatePem + chainOf(cluster)),
      rootCertificatePem: Buffer.from(trustedRoots(cluster)),
    };
  };
  return {
    getRootCertificate: unaryHandler(root),
    issueCertificate: unaryHandler((request, { peer }) => issue(request, peer)),
  };
}

/** To whom a certificate is issued; `cluster` is as it was in the transaction: its root signs, however it changes since. */
interface Grant {
  nodeId: string;
  role: NodeRole;
  cluster: Cluster;
}

async function join(deps: AuthorityDependencies, request: IssueCertificateRequest): Promise<Grant> {
  const nodeId = idFromBytes(deps.random.bytes(17));
  grantedRole(deps, deps.store.view, request.token);
  // Before anything is written: a request that cannot be signed leaves no node behind.
  await keyOfCsr(request.csrPem.toString('latin1'));
  const description = parseDescription(request.description);
  return deps.store.update((tx) => {
    const granted = grantedRole(deps, tx, request.token);
    const cluster = clusterOf(tx);
    const now = deps.clock.now();
    tx.create('node', {
      ID: nodeId,
      Spec: { Role: granted, Availability: availabilityOf(request.availability), Labels: {} },
      ...(description === undefined ? {} : { Description: description }),
      Status: { State: 'unknown', Addr: request.advertiseAddr },
      CertificateRole: granted,
      // It has no other, so that this counts until it registers: a rotation waits for who joined before it began.
      Certificate: {
        Issuer: issuerName(issuingRoot(cluster).certificatePem),
        ...certificateDates(now, validityMs(cluster)),
      },
    });
    return { nodeId, role: granted, cluster };
  });
}

function grantedRole({ managersMayJoin }: AuthorityDependencies, view: ReadView, token: string): NodeRole {
  const role = roleOfToken(clusterOf(view).JoinTokens, token);
  if (role === undefined) throw noToken();
  if (role === 'manager' && !managersMayJoin) {
    throw new SwarmdError(
      'failed-precondition',
      'this cluster keeps its state on one manager and cannot take another: join with the worker token',
    );
  }
  return role;
}

function noToken(): SwarmdError {
  return new SwarmdError('invalid-argument', 'A valid join token is necessary to join this cluster', { rpc: true });
}

async function renew(
  deps: AuthorityDependencies,
  request: IssueCertificateRequest,
  peer: Peer | undefined,
): Promise<Grant> {
  if (peer === undefined) throw noToken();
  await keyOfCsr(request.csrPem.toString('latin1'));
  return deps.store.update((tx) => {
    const cluster = clusterOf(tx);
    if (peer.clusterId !== cluster.ClusterID || peer.notAfter <= deps.clock.now()) {
      throw new SwarmdError('unauthenticated', 'the certificate is expired or of another cluster');
    }
    const refusal = refuseNonMember(tx, peer.nodeId);
    if (refusal !== undefined) throw refusal;
    const node = tx.get('node', peer.nodeId)!;
    if (node.CertificateRole !== node.Spec.Role) tx.put('node', { ...node, CertificateRole: node.Spec.Role });
    return { nodeId: peer.nodeId, role: node.Spec.Role, cluster };
  });
}

function sign(
  { clock, random }: AuthorityDependencies,
  cluster: Cluster,
  request: IssueCertificateRequest,
  nodeId: string,
  role: NodeRole,
): Promise<string> {
  return issueCertificate(
    {
      root: issuingRoot(cluster),
      csrPem: request.csrPem.toString('latin1'),
      nodeId,
      role,
      clusterId: cluster.ClusterID,
      nowMs: clock.now(),
      validityMs: validityMs(cluster),
    },
    random,
  );
}

function validityMs({ Spec }: Cluster): number {
  return durationMs(Spec.CAConfig?.NodeCertExpiry, DEFAULTS.nodeCertExpiryMs);
}

function availabilityOf(asked: string): Node['Spec']['Availability'] {
  return asked === 'pause' || asked === 'drain' ? asked : 'active';
}
