import { createHash } from 'node:crypto';
import {
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
import type { IssueCertificateRequest, IssueCertificateResponse, NodeRole, Peer } from '@swarmd/wire';
import type { Logger } from 'pino';
import { parseDescription } from '../dispatcher/description.js';
import { certificateDates, issueCertificate, keyOfCsr } from './certificate.js';
import { chainOf, issuerName, issuingRoot, trustedRoots } from './issuing-root.js';
import { roleOfToken } from './join-token.js';
import { clusterOf, refuseNonMember } from './members.js';

/** What of a caller's certificate decides on its renewal. */
export type CertifiedPeer = Omit<Peer, 'certificate'>;

/** Issues certificates of nodes. */
export interface CertificateIssuer {
  /**
   * A certificate for a joining node (with a token) or for `peer` (without). `requestId` is drawn by the manager that was
   * asked: the same request under the same ID, sent again because its answer was lost, is answered for the same node.
   */
  issueCertificate(
    request: IssueCertificateRequest,
    peer: CertifiedPeer | undefined,
    requestId: string,
  ): Promise<IssueCertificateResponse>;
}

/** What {@link localIssuer} needs. */
export interface IssuerDependencies {
  store: Store;
  clock: Clock;
  random: Random;
  logger: Logger;
  /** Why the cluster cannot take another manager, of this kind; `undefined` when it can. Asked before one is let in. */
  refuseManager(newcomer: { externalStore: boolean }): Promise<SwarmdError | undefined>;
}

/** The leader's {@link CertificateIssuer}: what it grants is written into its store first. Elsewhere it rejects as that does. */
export function localIssuer(deps: IssuerDependencies): CertificateIssuer {
  const log = deps.logger.child({ component: 'ca' });
  return {
    issueCertificate: async (request, peer, requestId) => {
      const joining = request.token !== '';
      const { nodeId, role, cluster } = joining
        ? await join(deps, request, requestId)
        : await renew(deps, request, peer);
      log.info({ nodeId, role }, joining ? 'node joined' : 'certificate renewed');
      const certificatePem = await sign(deps, cluster, request, nodeId, role);
      return {
        nodeId,
        role,
        clusterId: cluster.ClusterID,
        certificatePem: Buffer.from(certificatePem + chainOf(cluster)),
        rootCertificatePem: Buffer.from(trustedRoots(cluster)),
      };
    },
  };
}

/** To whom a certificate is issued; `cluster` is as it was in the transaction: its root signs, however it changes since. */
interface Grant {
  nodeId: string;
  role: NodeRole;
  cluster: Cluster;
}

async function join(deps: IssuerDependencies, request: IssueCertificateRequest, requestId: string): Promise<Grant> {
  const nodeId = nodeIdFor(requestId, request.csrPem);
  if (grantedRole(deps.store.view, nodeId, request.token) === 'manager') await checkManager(deps, request);
  // Before anything is written: a request that cannot be signed leaves no node behind.
  await keyOfCsr(request.csrPem.toString('latin1'));
  const description = parseDescription(request.description);
  return deps.store.update((tx) => {
    const granted = grantedRole(tx, nodeId, request.token);
    const cluster = clusterOf(tx);
    const grant = { nodeId, role: granted, cluster };
    if (tx.get('node', nodeId) !== undefined) return grant;
    tx.create('node', {
      ID: nodeId,
      Spec: { Role: granted, Availability: availabilityOf(request.availability), Labels: {} },
      ...(description === undefined ? {} : { Description: description }),
      Status: { State: 'unknown', Addr: request.advertiseAddr },
      CertificateRole: granted,
      // It has no other, so that this counts until it registers: a rotation waits for who joined before it began.
      Certificate: {
        Issuer: issuerName(issuingRoot(cluster).certificatePem),
        ...certificateDates(deps.clock.now(), validityMs(cluster)),
      },
    });
    return grant;
  });
}

async function checkManager({ refuseManager }: IssuerDependencies, request: IssueCertificateRequest): Promise<void> {
  const { noManagerReason: why, externalStore } = request;
  const refusal = await refuseManager({ externalStore });
  if (refusal !== undefined) throw refusal;
  if (why !== '') throw new SwarmdError('failed-precondition', `${why}, or join with the worker token`);
}

/** One ID for one request, however often it comes: the key in the CSR is part of it, so that nobody else can ask for it. */
function nodeIdFor(requestId: string, csrPem: Uint8Array): string {
  return idFromBytes(createHash('sha256').update(`${requestId}\n`).update(csrPem).digest());
}

function grantedRole(view: ReadView, nodeId: string, token: string): NodeRole {
  const joined = view.get('node', nodeId);
  // This request was granted before; the token may be another by now.
  if (joined !== undefined) return joined.CertificateRole ?? joined.Spec.Role;
  const role = roleOfToken(clusterOf(view).JoinTokens, token);
  if (role === undefined) throw noToken();
  return role;
}

function noToken(): SwarmdError {
  return new SwarmdError('invalid-argument', 'A valid join token is necessary to join this cluster', { rpc: true });
}

async function renew(
  deps: IssuerDependencies,
  request: IssueCertificateRequest,
  peer: CertifiedPeer | undefined,
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
  { clock, random }: IssuerDependencies,
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
