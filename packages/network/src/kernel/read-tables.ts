import { isIP } from 'node:net';
import type { NodeNetwork } from '@swarmd/model';
import { canonicalAddress, subnetsOf } from './addresses.js';
import type { Commands } from './commands.js';
import { BASE_CHAINS } from './rules.js';
import { emptyTables, type NetworkTables } from './tables.js';

/** A line of `bridge -j fdb`. */
export interface ForwardingEntry {
  mac: string;
  ifname: string;
  flags?: string[];
  master?: string;
  dst?: string;
  state?: string;
}

/** What of a network stands in the kernel, and the bridge's forwarding table as it is. */
export interface KernelTables {
  tables: NetworkTables;
  forwarding: ForwardingEntry[];
}

/** Reads a network's tables back from its namespace. */
export async function readTables(commands: Commands, path: string, network: NodeNetwork): Promise<KernelTables> {
  const [addresses, fdb, ruleset] = await Promise.all([
    commands.run(path, ['ip', '-j', '-batch', '-'], 'addr show dev br0\nneigh show dev vx0 nud permanent\n'),
    commands.run(path, ['bridge', '-j', 'fdb', 'show']),
    commands.run(path, ['nft', '-j', 'list', 'ruleset', 'inet']),
  ]);
  const tables = emptyTables();
  const [links = [], neighbours = []] = addresses
    .split('\n')
    .filter((line) => line.startsWith('['))
    .map((line) => JSON.parse(line) as unknown[]);
  readAddresses(tables, links as AddressedLink[], network);
  for (const { dst, lladdr } of neighbours as { dst: string; lladdr?: string }[]) {
    if (lladdr !== undefined) tables.neighbours.set(canonicalAddress(dst), lladdr);
  }
  const forwarding = JSON.parse(fdb) as ForwardingEntry[];
  readForwarding(tables, forwarding);
  readRules(tables, (JSON.parse(ruleset) as { nftables: NftObject[] }).nftables);
  return { tables, forwarding };
}

interface AddressedLink {
  addr_info?: { family: string; local: string; prefixlen: number; scope: string }[];
}

function readAddresses(tables: NetworkTables, links: AddressedLink[], network: NodeNetwork): void {
  const gateways = new Set(subnetsOf(network.subnets).map(({ gateway }) => gateway));
  for (const { local, prefixlen, scope } of links[0]?.addr_info ?? []) {
    const address = canonicalAddress(local);
    const whole = prefixlen === (isIP(address) === 4 ? 32 : 128);
    if (scope === 'global' && whole && !gateways.has(address)) tables.virtualIps.add(address);
  }
}

function readForwarding(tables: NetworkTables, entries: readonly ForwardingEntry[]): void {
  for (const { mac, ifname, master, dst, state } of entries) {
    // The device's own address is permanent; entries of ours are static on the bridge.
    // What leads to nodes is the routing mesh's.
    if (ifname !== 'vx0' || !mac.startsWith('02:42:')) continue;
    if (dst !== undefined) tables.tunnels.set(mac, canonicalAddress(dst));
    else if (master !== undefined && state === 'static') tables.bridged.add(mac);
  }
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
    } else if (chain?.table === 'swarmd' && !BASE_CHAINS.includes(chain.name)) {
      tables.chains.set(chain.name, []);
    } else if (rule?.table === 'swarmd') {
      if (BASE_CHAINS.includes(rule.chain)) base.push(rule.comment ?? '');
      else tables.chains.set(rule.chain, backendsOf(rule.expr));
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
