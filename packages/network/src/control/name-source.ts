import type { Asker, NameSource } from '../parts.js';
import type { NodeState } from '../state/node-state.js';
import type { LocalRecord } from '../state/records.js';

/** What the name server looks things up in. */
export function createNameSource(state: NodeState): NameSource {
  let index = indexLocals(state);
  state.onLocals(() => {
    index = undefined;
  });
  return {
    network: (networkId) => state.networks().get(networkId),
    members: (networkId) => state.members(networkId),
    asker(networkId, address) {
      index ??= indexLocals(state);
      const asking = index?.byAddress.get(`${networkId}/${address}`);
      if (asking === undefined) return askerOfSet(state, networkId, address);
      const others = (index?.bySandbox.get(asking.sandbox) ?? []).filter((local) => local !== asking);
      const all = asking.sandbox === '' ? [asking] : [asking, ...others];
      const networks = all.map((local) => state.networks().get(local.networkId));
      return {
        networkIds: all.map((local) => local.networkId),
        dns: [...new Set(all.flatMap((local) => local.dns))],
        outside: networks.some((network) => network !== undefined && !network.internal),
        ...(asking.sandbox === '' ? {} : { sandbox: asking.sandbox, plain: all.every(({ taskId }) => taskId === '') }),
      };
    },
  };
}

interface LocalIndex {
  byAddress: Map<string, LocalRecord>;
  bySandbox: Map<string, LocalRecord[]>;
}

function indexLocals(state: NodeState): LocalIndex | undefined {
  const index: LocalIndex = { byAddress: new Map(), bySandbox: new Map() };
  for (const local of state.locals().values()) {
    for (const address of local.addresses) index.byAddress.set(`${local.networkId}/${address}`, local);
    const same = index.bySandbox.get(local.sandbox);
    if (same === undefined) index.bySandbox.set(local.sandbox, [local]);
    else same.push(local);
  }
  return index;
}

/**
 * A task of this node that is known from the network's endpoints alone: after a loss of the state, containers that have
 * been running all the time still get answers.
 */
function askerOfSet(state: NodeState, networkId: string, address: string): Asker | undefined {
  const own = state.config()?.addr;
  const endpoints = state.members(networkId)?.endpoints.values() ?? [];
  const found = [...endpoints].find(({ nodeAddr, addresses }) => nodeAddr === own && addresses.includes(address));
  if (found === undefined) return undefined;
  const others = [...state.networks().keys()].filter(
    (id) => id !== networkId && state.members(id)?.endpoints.has(found.id),
  );
  const networkIds = [networkId, ...others];
  return { networkIds, dns: [], outside: networkIds.some((id) => state.networks().get(id)?.internal === false) };
}
