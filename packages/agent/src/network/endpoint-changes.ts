import type { EndpointChange, NetworkEndpoint } from '@swarmd/model';
import {
  type EndpointUpdate,
  NetworkEndpoint_Phase,
  type NetworkEndpoint as NetworkEndpointMessage,
} from '@swarmd/wire';

/** The change that a manager's update asks for. What is of no known phase is taken as reserved: found by nobody. */
export function toEndpointChange(update: EndpointUpdate): EndpointChange {
  const { networkId, complete, endpoints, removedEndpoints, services, removedServices } = update;
  return {
    ...{ networkId, complete, removedEndpoints, removedServices },
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
  const [endpoints, removedEndpoints] = merge(first.endpoints, first.removedEndpoints, second, 'Endpoints');
  const [services, removedServices] = merge(first.services, first.removedServices, second, 'Services');
  return complete
    ? { networkId, complete, endpoints, removedEndpoints: [], services, removedServices: [] }
    : { networkId, complete, endpoints, removedEndpoints, services, removedServices };
}

/** Adds go before removals within a change: what both name is gone after it. */
function merge<T extends { id: string }>(
  put: readonly T[],
  removed: readonly string[],
  second: EndpointChange,
  what: 'Endpoints' | 'Services',
): [put: T[], removed: string[]] {
  const items = (what === 'Endpoints' ? second.endpoints : second.services) as unknown as readonly T[];
  const going = new Set(removed);
  const left = new Map(put.filter(({ id }) => !going.has(id)).map((item) => [item.id, item]));
  for (const item of items) {
    left.set(item.id, item);
    going.delete(item.id);
  }
  for (const id of what === 'Endpoints' ? second.removedEndpoints : second.removedServices) {
    left.delete(id);
    going.add(id);
  }
  return [[...left.values()], [...going]];
}
