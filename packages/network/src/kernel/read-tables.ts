import { isIP } from 'node:net';
import type { NodeNetwork } from '@swarmd/model';
import { canonicalAddress, subnetsOf } from './addresses.js';
import type { Commands } from './commands.js';
import type { KernelView } from './kernel-view.js';
import { BASE_CHAINS, MARK_CHAIN } from './rules.js';
import { emptyTables, type NetworkTables } from './tables.js';

/** A network's tables as they stand in its namespace, of which `view` is what was seen there. */
export async function readTables(
  commands: Commands,
  path: string,
  network: NodeNetwork,
  view: KernelView,
): Promise<NetworkTables> {
  const tables = viewedTables(network, view);
  const ruleset = await commands.run(path, ['nft', '-j', 'list', 'ruleset', 'inet']);
  readRules(tables, (JSON.parse(ruleset) as { nftables: NftObject[] }).nftables);
  return tables;
}

/** Like {@link readTables}, where the mark has told that the rules are those of `rules`: nothing is started for it. */
export function markedTables(network: NodeNetwork, view: KernelView, rules: NetworkTables): NetworkTables {
  const { base, chains, dispatch, selves } = rules;
  return { ...viewedTables(network, view), base, chains, dispatch, selves };
}

function viewedTables(network: NodeNetwork, view: KernelView): NetworkTables {
  const tables = emptyTables();
  const gateways = new Set(subnetsOf(network.subnets).map(({ gateway }) => gateway));
  for (const { address, prefix } of view.links.get('br0')?.addresses ?? []) {
    const whole = prefix === (isIP(address) === 4 ? 32 : 128);
    if (whole && !gateways.has(address)) tables.virtualIps.add(address);
  }
  for (const { address, macAddress, link } of view.neighbours) {
    if (link === 'vx0') tables.neighbours.set(address, macAddress);
    if (link === 'br0') tables.backends.set(address, macAddress);
  }
  for (const { macAddress, link, node, fixed } of view.forwarding) {
    // What leads to nodes, not to containers, is the routing mesh's.
    if (link !== 'vx0' || !macAddress.startsWith('02:42:')) continue;
    if (node !== '') tables.tunnels.set(macAddress, node);
    else if (fixed) tables.bridged.add(macAddress);
  }
  return tables;
}

/** An object of `nft -j list`, as far as we make such. */
interface NftObject {
  map?: NftSet;
  set?: NftSet;
  chain?: { table: string; name: string };
  rule?: { table: string; chain: string; comment?: string; expr: Record<string, unknown>[] };
}

interface NftSet {
  table: string;
  name: string;
  elem?: unknown[];
}

function readRules(tables: NetworkTables, objects: readonly NftObject[]): void {
  const base: string[] = [];
  for (const { map, set, chain, rule } of objects) {
    if (map?.table === 'swarmd' && map.name.startsWith('vips')) {
      for (const element of (map.elem ?? []) as [string, { goto?: { target: string } }][]) {
        tables.dispatch.set(canonicalAddress(element[0]), element[1].goto?.target ?? '');
      }
    } else if (set?.table === 'swarmd' && set.name.startsWith('self')) {
      for (const element of (set.elem ?? []) as { concat: [string, string] }[]) {
        tables.selves.add(canonicalAddress(element.concat[0]));
      }
    } else if (chain?.table === 'swarmd' && ![...BASE_CHAINS, MARK_CHAIN].includes(chain.name)) {
      tables.chains.set(chain.name, []);
    } else if (rule?.table === 'swarmd') {
      if (BASE_CHAINS.includes(rule.chain)) base.push(rule.comment ?? '');
      else if (rule.chain !== MARK_CHAIN) tables.chains.set(rule.chain, backendsOf(rule.expr));
    }
  }
  const digest = base[0] ?? '';
  const whole = base.every((comment) => comment === digest) && digest.endsWith(`/${base.length}`);
  tables.base = whole ? digest : '';
}

/** The addresses that a service's rule leads to; none when it is no rule of ours. */
function backendsOf(expressions: readonly Record<string, unknown>[]): string[] {
  const dnat = expressions[0]?.['dnat'] as { addr?: unknown } | undefined;
  if (typeof dnat?.addr === 'string') return [canonicalAddress(dnat.addr)];
  const map = (dnat?.addr as { map?: { data?: { set?: [number, string][] } } } | undefined)?.map;
  return (map?.data?.set ?? []).map(([, address]) => canonicalAddress(address)).sort();
}
