import type { NameSource } from '../parts.js';
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
      if (asking === undefined) return undefined;
      const others = (index?.bySandbox.get(asking.sandbox) ?? []).filter((local) => local !== asking);
      const all = asking.sandbox === '' ? [asking] : [asking, ...others];
      const networks = all.map((local) => state.networks().get(local.networkId));
      return {
        networkIds: all.map((local) => local.networkId),
        dns: [...new Set(all.flatMap((local) => local.dns))],
        outside: networks.some((network) => network !== undefined && !network.internal),
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
