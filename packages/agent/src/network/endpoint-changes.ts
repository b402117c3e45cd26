import type { EndpointChange, NetworkEndpoint } from '@swarmd/model';
import {
  type EndpointUpdate,
  NetworkEndpoint_Phase,
  type NetworkEndpoint as NetworkEndpointMessage,
} from '@swarmd/wire';

/** The change that a manager's update asks for. What is of no known phase is taken as reserved: found by nobody. */
export function toEndpointChange(update: EndpointUpdate): EndpointChange {
  const { networkId, complete, endpoints, removedEndpoints, services, removedServices, blocks, removedBlocks } = update;
  return {
    ...{ networkId, complete, removedEndpoints, removedServices, blocks, removedBlocks },
    endpoints: endpoints.map(toEndpoint),
    services: services.map(({ id, name, aliases, virtualIps }) => ({ id, name, aliases, virtualIps })),
  };
}

function toEndpoint({ id, serviceId, nodeAddr, addresses, names, phase }: NetworkEndpointMessage): NetworkEndpoint {
  return { id, serviceId, nodeAddr, addresses, names, phase: phaseOf(phase) };
}

function phaseOf(phase: NetworkEndpoint_Phase): NetworkEndpoint['phase'] {
  if (phase === NetworkEndpoint_Phase.PHASE_READY) return 'ready';
  return phase === NetworkEndpoint_Phase.PHASE_DRAINING ? 'draining' : 'reserved';
}

/** Gate that a phase of the protocol opens, if any. */
export function gateOf(phase: NetworkEndpoint_Phase): 'reserved' | 'draining' | undefined {
  if (phase === NetworkEndpoint_Phase.PHASE_RESERVED) return 'reserved';
  return phase === NetworkEndpoint_Phase.PHASE_DRAINING ? 'draining' : undefined;
}

/** One change that does what `first` and then `second` do; both of one network. */
export function mergeChanges(first: EndpointChange | undefined, second: EndpointChange): EndpointChange {
  if (first === undefined || second.complete) return second;
  const { networkId, complete } = first;
  const endpoints = merge(
    [first.endpoints, first.removedEndpoints],
    [second.endpoints, second.removedEndpoints],
    ({ id }) => id,
  );
  const services = merge(
    [first.services, first.removedServices],
    [second.services, second.removedServices],
    ({ id }) => id,
  );
  const blocks = merge(
    [first.blocks ?? [], first.removedBlocks ?? []],
    [second.blocks ?? [], second.removedBlocks ?? []],
    ({ nodeId }) => nodeId,
  );
  return {
    ...{ networkId, complete, endpoints: endpoints.put, services: services.put, blocks: blocks.put },
    removedEndpoints: complete ? [] : endpoints.removed,
    removedServices: complete ? [] : services.removed,
    removedBlocks: complete ? [] : blocks.removed,
  };
}

/** Adds go before removals within a change: what both name is gone after it. */
function merge<T>(
  first: [put: readonly T[], removed: readonly string[]],
  second: [put: readonly T[], removed: readonly string[]],
  idOf: (item: T) => string,
): { put: T[]; removed: string[] } {
  const put = new Map<string, T>();
  const removed = new Set<string>();
  for (const [items, ids] of [first, second]) {
    for (const item of items) {
      put.set(idOf(item), item);
      removed.delete(idOf(item));
    }
    for (const id of ids) {
      put.delete(id);
      removed.add(id);
    }
  }
  return { put: [...put.values()], removed: [...removed] };
}
