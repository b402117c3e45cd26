import type { Network, Node, StoreEvent } from '@swarmd/model';
import { trustedRoots } from '../ca/issuing-root.js';
import { isAssigned, itemKey, sameItem, taskItem } from './assignments.js';
import { taskLogDriver } from './cluster-update.js';
import { isEverywhere } from './endpoints/endpoints.js';

/** Whom a store event concerns: nodes by ID, the nodes that hold a thing, or every node. */
export interface Touched {
  nodeIds: readonly string[];
  /** Key of a thing (see `itemKey`): the sessions that hold it. */
  heldKey?: string;
  everyone?: boolean;
}

const NOBODY: Touched = { nodeIds: [] };

/** Whose assignments, or knowledge of the cluster, an event may change. Cheap: it runs for every event of every commit. */
export function touchedBy(event: StoreEvent): Touched {
  switch (event.table) {
    case 'task':
      return touchedByTask(event);
    case 'node':
      return touchedByNode(event);
    case 'cluster':
      return touchedByCluster(event);
    case 'network':
      return touchedByNetwork(event);
    case 'secret':
    case 'config':
    case 'spec':
      // What is new is not held by anyone yet: the tasks that need it bring it along.
      return event.kind === 'create' ? NOBODY : { ...NOBODY, heldKey: itemKey(event.table, event.object.ID) };
    case 'service':
    case 'request':
      return NOBODY;
  }
}

function touchedByCluster({ object, previous }: StoreEvent & { table: 'cluster' }): Touched {
  const sameRoots = previous !== undefined && trustedRoots(previous) === trustedRoots(object);
  return sameRoots && taskLogDriver(previous) === taskLogDriver(object) ? NOBODY : { ...NOBODY, everyone: true };
}

/** Addresses may come to a network after tasks did, and to one that every node has: whom that concerns, only they know. */
function touchedByNetwork({ kind, object, previous }: StoreEvent & { table: 'network' }): Touched {
  const common = (network: Network | undefined): boolean => network !== undefined && isEverywhere(network);
  const [before, now] = kind === 'delete' ? [object, undefined] : [previous, object];
  if (common(before) !== common(now)) return { ...NOBODY, everyone: true };
  if (before !== undefined && before.Allocation === undefined && now?.Allocation !== undefined)
    return { ...NOBODY, everyone: true };
  return kind === 'create' ? NOBODY : { ...NOBODY, heldKey: itemKey('network', object.ID) };
}

function touchedByTask({ kind, object, previous }: StoreEvent & { table: 'task' }): Touched {
  if (kind === 'update' && previous !== undefined && previous.NodeID === object.NodeID) {
    const same = isAssigned(previous) === isAssigned(object) && sameItem(taskItem(previous, ''), taskItem(object, ''));
    return same || object.NodeID === '' ? NOBODY : { nodeIds: [object.NodeID] };
  }
  const nodeIds = new Set([object.NodeID, previous?.NodeID ?? '']);
  nodeIds.delete('');
  return { nodeIds: [...nodeIds] };
}

function touchedByNode({ object, previous }: StoreEvent & { table: 'node' }): Touched {
  const manager = (node: typeof previous): string =>
    node?.Spec.Role === 'manager' ? (node.ManagerStatus?.Addr ?? '') : '';
  const moved = previous?.DataPath?.Addr !== object.DataPath?.Addr;
  if (moved || manager(object) !== manager(previous)) return { ...NOBODY, everyone: true };
  const seen = previous?.Spec !== object.Spec || previous?.Description !== object.Description;
  if (seen || previous?.RenewFrom !== object.RenewFrom) return { nodeIds: [object.ID] };
  const overlays = (node: Node | undefined): string => JSON.stringify([node?.DataPath, node?.AddressBlocks]);
  return overlays(previous) === overlays(object) ? NOBODY : { nodeIds: [object.ID] };
}
