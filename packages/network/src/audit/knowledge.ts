import type { DataPathConfig, LocalEndpoint, NodeNetwork } from '@swarmd/model';
import type { NetworkMembers } from '../parts.js';

/** What audits and probes read of what this node was told, and of what its engine asked for. */
export interface NetworkKnowledge {
  config(): DataPathConfig | undefined;
  networks(): ReadonlyMap<string, NodeNetwork>;
  members(networkId: string): NetworkMembers | undefined;
  /** By the engine's endpoint ID. */
  locals(): ReadonlyMap<string, LocalEndpoint>;
}

/** The container here with an address on a network; `undefined` when there is none. */
export function localAt(knowledge: NetworkKnowledge, networkId: string, address: string): LocalEndpoint | undefined {
  for (const local of knowledge.locals().values())
    if (local.networkId === networkId && local.addresses.includes(address)) return local;
  return undefined;
}
