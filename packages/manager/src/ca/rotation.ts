import type { Cluster, Node } from '@swarmd/model';
import { issuerName, issuingRoot } from './issuing-root.js';

/** What the certificates of a cluster's nodes need now. Node IDs are in the order in which the nodes were given. */
export interface CertificatePlan {
  /** Digest of the root that all are to have their certificates from. */
  issuer: string;
  /** Nodes to ask for a renewal: reachable, with another root's certificate, and not asked for this one yet. */
  ask: string[];
  /** Nodes whose request is done with. */
  settled: string[];
  /** Nodes that still use another root's certificate, asked or not. */
  waitingFor: string[];
  /** The rotation is over: every node uses a certificate of the new root. */
  finished: boolean;
}

/**
 * Decides who is to renew. The same rule serves a rotation, its end and its abort: every node is to have a certificate
 * of the root that issues now. A node that is not reachable is not asked, but it is waited for: it could not come back
 * once its root is gone. A node whose issuer was never recorded counts as one that has the wrong one in a rotation, and
 * is left in peace without.
 */
export function planCertificates(cluster: Cluster, nodes: Iterable<Node>): CertificatePlan {
  const issuer = issuerName(issuingRoot(cluster).certificatePem);
  const rotating = cluster.RootRotation !== undefined;
  const plan: CertificatePlan = { issuer, ask: [], settled: [], waitingFor: [], finished: false };
  let count = 0;
  for (const { ID, Status, Certificate, RenewFrom } of nodes) {
    count += 1;
    const right = Certificate === undefined ? !rotating : Certificate.Issuer === issuer;
    if (right) {
      if (RenewFrom !== undefined) plan.settled.push(ID);
      continue;
    }
    plan.waitingFor.push(ID);
    if (Status.State === 'ready' && RenewFrom !== issuer) plan.ask.push(ID);
  }
  plan.finished = rotating && count > 0 && plan.waitingFor.length === 0;
  return plan;
}
