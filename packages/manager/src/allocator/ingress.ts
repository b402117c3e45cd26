import { CLUSTER_KEY, type ReadView, type WriteTx } from '@swarmd/model';
import type { IngressState } from './service-addresses.js';

/**
 * Makes the network that published ports lead into, once in a cluster's life: whoever removes it does without. `newId` is
 * used for it.
 */
export function ensureIngress(tx: WriteTx, newId: string): void {
  const cluster = tx.get('cluster', CLUSTER_KEY);
  if (cluster === undefined || cluster.IngressMade) return;
  if (ingressId(tx) === undefined)
    tx.create('network', { ID: newId, Spec: { Name: freeName(tx), Labels: {}, Ingress: true } });
  tx.put('cluster', { ...cluster, IngressMade: true });
}

/** Which network published ports lead into. */
export function ingressOf(view: ReadView): IngressState {
  const id = ingressId(view);
  if (id !== undefined) return { id };
  return view.get('cluster', CLUSTER_KEY) === undefined ? 'unknown' : 'none';
}

function ingressId(view: ReadView): string | undefined {
  for (const { ID, Spec } of view.all('network')) if (Spec.Ingress) return ID;
  return undefined;
}

/** Clusters that are older than ingress networks may have one by that name. */
function freeName(view: ReadView): string {
  for (let number = 1; ; number++) {
    const name = number === 1 ? 'ingress' : `ingress${number}`;
    if ([...view.find('network', 'name', name)].length === 0) return name;
  }
}
