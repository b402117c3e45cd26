import type { NetworkEndpoint, NetworkService, NodeNetwork } from '@swarmd/model';
import type { Asker, NameSource, NetworkMembers } from '../../src/parts.js';

/** A network `10.<octet>.0.0/24`, also with `fd00:<octet>::/64`. */
export function network(name: string, octet: number, over: Partial<NodeNetwork> = {}): NodeNetwork {
  return {
    id: `id-${name}`,
    name,
    vni: 2 ** 20 + octet,
    subnets: [
      { subnet: `10.${octet}.0.0/24`, gateway: `10.${octet}.0.1` },
      { subnet: `fd00:${octet}::/64`, gateway: `fd00:${octet}::1` },
    ],
    mtu: 1450,
    internal: false,
    ingress: false,
    attachable: true,
    addressBlocks: [],
    ...over,
  };
}

export function service(name: string, over: Partial<NetworkService> = {}): NetworkService {
  return { id: `s-${name}`, name, aliases: [], virtualIps: [], ...over };
}

export function endpoint(id: string, address: string, over: Partial<NetworkEndpoint> = {}): NetworkEndpoint {
  return { id, serviceId: '', nodeAddr: '192.0.2.1', addresses: [address], phase: 'ready', names: [id], ...over };
}

export function members(services: NetworkService[], endpoints: NetworkEndpoint[]): NetworkMembers {
  return {
    services: new Map(services.map((each) => [each.id, each])),
    endpoints: new Map(endpoints.map((each) => [each.id, each])),
  };
}

/** What a node knows; containers are found by `<network ID> <address>`. */
export interface Known {
  networks: Map<string, NodeNetwork>;
  members: Map<string, NetworkMembers>;
  askers: Map<string, Asker>;
}

export function nothingKnown(): Known {
  return { networks: new Map(), members: new Map(), askers: new Map() };
}

export function know(known: Known, added: NodeNetwork, on: NetworkMembers): void {
  known.networks.set(added.id, added);
  known.members.set(added.id, on);
}

export function sourceOf(known: Known): NameSource {
  return {
    asker: (networkId, address) => known.askers.get(`${networkId} ${address}`),
    network: (id) => known.networks.get(id),
    members: (id) => known.members.get(id),
  };
}
