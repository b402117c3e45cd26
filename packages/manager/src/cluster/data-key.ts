import { CLUSTER_KEY, type Node, type ReadView } from '@swarmd/model';

/** How far the replacement of the cluster's data key is. */
export interface DataKeyRotation {
  /** `waiting`: not all managers hold the new key yet; `sealing`: what is stored is being sealed anew with it. */
  State: 'waiting' | 'sealing';
  /** Since when the new key waits, RFC 3339. */
  Since?: string;
  /** The managers that do not hold it yet. */
  WaitingFor: { NodeID: string; Hostname: string; Reachability: string }[];
}

/**
 * The managers that do not hold the announced data key yet; none without one. A node that is only about to become a
 * manager is none of them: it is given all keys when it is let in.
 */
export function managersWithoutNextKey(view: ReadView): Node[] {
  const held = view.get('cluster', CLUSTER_KEY)?.DataKey?.Next?.HeldBy;
  if (held === undefined) return [];
  const managers = [...view.all('node')].filter(
    ({ Spec, ManagerStatus }) => Spec.Role === 'manager' && ManagerStatus !== undefined,
  );
  return managers.filter(({ ID }) => !held.includes(ID));
}

/** What is under way with the cluster's data key; `undefined`: nothing. */
export function dataKeyRotation(view: ReadView): DataKeyRotation | undefined {
  const key = view.get('cluster', CLUSTER_KEY)?.DataKey;
  if (key?.Resealing) return { State: 'sealing', WaitingFor: [] };
  if (key?.Next === undefined) return undefined;
  const WaitingFor = managersWithoutNextKey(view).map(({ ID, Description, ManagerStatus }) => ({
    NodeID: ID,
    Hostname: Description?.Hostname ?? '',
    Reachability: ManagerStatus?.Reachability ?? 'unknown',
  }));
  return { State: 'waiting', Since: key.Next.Since, WaitingFor };
}
