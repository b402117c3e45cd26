import { CLUSTER_KEY, type Cluster, type ReadView, type SharedStore, SwarmdError } from '@swarmd/model';

/** The cluster object. `unavailable` while there is none. */
export function clusterOf(view: ReadView): Cluster {
  const cluster = view.get('cluster', CLUSTER_KEY);
  if (cluster === undefined) throw new SwarmdError('unavailable', 'this manager has no cluster yet');
  return cluster;
}

/**
 * The refusal for a node whose certificate still says that it is a manager, and that is none: it was demoted, or its
 * promotion was taken back. `unavailable` where another manager leads, as this one may not have heard of a promotion yet.
 */
export function refuseNonManager({ view, leads }: Pick<SharedStore, 'view' | 'leads'>, nodeId: string) {
  if (view.get('node', nodeId)?.Spec.Role === 'manager') return undefined;
  return leads
    ? new SwarmdError('permission-denied', `node ${nodeId} is no manager of this cluster any more`)
    : new SwarmdError('unavailable', `this manager does not know node ${nodeId} as a manager`);
}

/** The refusal for a node that was removed, or never was; `undefined` for a member. */
export function refuseNonMember(view: ReadView, nodeId: string): SwarmdError | undefined {
  if (clusterOf(view).RemovedNodes[nodeId] === undefined && view.get('node', nodeId) !== undefined) return undefined;
  return new SwarmdError('permission-denied', `node ${nodeId} is not a member of this cluster: it was removed`);
}
