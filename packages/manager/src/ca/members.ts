import { CLUSTER_KEY, type Cluster, type ReadView, SwarmdError } from '@swarmd/model';

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
