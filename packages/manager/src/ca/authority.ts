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
import { issueCertificate, keyOfCsr } from './certificate.js';
import { roleOfToken } from './join-token.js';

/** What {@link createCertificateAuthority} needs. */
export interface AuthorityDependencies {
  store: Store;
  clock: Clock;
  random: Random;
  logger: Logger;
  /** Why the cluster cannot take another manager; `undefined` when it can. Asked before one is let in. */
  refuseManager(): Promise<SwarmdError | undefined>;
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
    const { nodeId, role } = joining ? await join(deps, request) : await renew(deps, request, peer);
    log.info({ nodeId, role }, joining ? 'node joined' : 'certificate renewed');
    const cluster = clusterOf(deps.store.view);
    const certificatePem = await sign(deps, cluster, request, nodeId, role);
    return {
      nodeId,
      role,
      clusterId: cluster.ClusterID,
      certificatePem: Buffer.from(certificatePem),
      rootCertificatePem: Buffer.from(cluster.RootCA.Certificate),
    };
  };
  return {
    getRootCertificate: unaryHandler(root),
    issueCertificate: unaryHandler((request, { peer }) => issue(request, peer)),
  };
}

async function join(
  deps: AuthorityDependencies,
  request: IssueCertificateRequest,
): Promise<{ nodeId: string; role: NodeRole }> {
  const nodeId = idFromBytes(deps.random.bytes(17));
  if (grantedRole(deps.store.view, request.token) === 'manager') {
    const refusal = request.noManagerReason
      ? new SwarmdError('failed-precondition', `${request.noManagerReason}, or join with the worker token`)
      : await deps.refuseManager();
    if (refusal !== undefined) throw refusal;
  }
  // Before anything is written: a request that cannot be signed leaves no node behind.
  await keyOfCsr(request.csrPem.toString('latin1'));
  const description = parseDescription(request.description);
  const role = await deps.store.update((tx) => {
    const granted = grantedRole(tx, request.token);
    tx.create('node', {
      ID: nodeId,
      Spec: { Role: granted, Availability: availabilityOf(request.availability), Labels: {} },
      ...(description === undefined ? {} : { Description: description }),
      Status: { State: 'unknown', Addr: request.advertiseAddr },
      CertificateRole: granted,
    });
    return granted;
  });
  return { nodeId, role };
}

function grantedRole(view: ReadView, token: string): NodeRole {
  const role = roleOfToken(clusterOf(view).JoinTokens, token);
  if (role === undefined) throw noToken();
  return role;
}

function noToken(): SwarmdError {
  return new SwarmdError('invalid-argument', 'A valid join token is necessary to join this cluster', { rpc: true });
}

async function renew(
  deps: AuthorityDependencies,
  request: IssueCertificateRequest,
  peer: Peer | undefined,
): Promise<{ nodeId: string; role: NodeRole }> {
  if (peer === undefined) throw noToken();
  await keyOfCsr(request.csrPem.toString('latin1'));
  const role = await deps.store.update((tx) => {
    if (peer.clusterId !== clusterOf(tx).ClusterID || peer.notAfter <= deps.clock.now()) {
      throw new SwarmdError('unauthenticated', 'the certificate is expired or of another cluster');
    }
    const refusal = refuseNonMember(tx, peer.nodeId);
    if (refusal !== undefined) throw refusal;
    const node = tx.get('node', peer.nodeId)!;
    if (node.CertificateRole !== node.Spec.Role) tx.put('node', { ...node, CertificateRole: node.Spec.Role });
    return node.Spec.Role;
  });
  return { nodeId: peer.nodeId, role };
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
      root: { certificatePem: cluster.RootCA.Certificate, keyPem: cluster.RootCA.Key },
      csrPem: request.csrPem.toString('latin1'),
      nodeId,
      role,
      clusterId: cluster.ClusterID,
      nowMs: clock.now(),
      validityMs: durationMs(cluster.Spec.CAConfig?.NodeCertExpiry, DEFAULTS.nodeCertExpiryMs),
    },
    random,
  );
}

function availabilityOf(asked: string): Node['Spec']['Availability'] {
  return asked === 'pause' || asked === 'drain' ? asked : 'active';
}
