import { type Family, protocolOf } from './addresses.js';

/** A chain of nft that decides on packets, with a hook of its own. */
export interface FilterChain {
  family: string;
  table: string;
  name: string;
  policy: string;
}

/** The chains that decide on packets of a version of IP at a hook, in what `nft list chains` says. */
export function filterChains(listing: string, hook: 'forward' | 'input', version: Family = 4): FilterChain[] {
  const chains: FilterChain[] = [];
  const start = new RegExp(`type filter hook ${hook} priority [^;]*; policy (\\w+);`);
  for (const [, family = '', table = '', body = ''] of listing.matchAll(/^table (\S+) (\S+) \{\n([\s\S]*?)^\}/gm)) {
    if (family !== protocolOf(version) && family !== 'inet') continue;
    for (const [, name = '', text = ''] of body.matchAll(/^\tchain (\S+) \{\n([\s\S]*?)^\t\}/gm)) {
      const [, policy] = start.exec(text) ?? [];
      if (policy !== undefined) chains.push({ family, table, name, policy });
    }
  }
  return chains;
}

/** Chains of iptables, the engine's among them, are looked at as such. */
export function isIptables({ family, table, name }: FilterChain): boolean {
  return family !== 'inet' && table === 'filter' && (name === 'FORWARD' || name === 'INPUT');
}
