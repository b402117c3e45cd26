import { readFileSync } from 'node:fs';
import type { Commands } from '../kernel/commands.js';
import type { Namespaces } from '../parts.js';
import { type Family, protocolOf } from './addresses.js';
import { type FilterChain, filterChains, isIptables } from './filter-chains.js';
import { HOST_LINK } from './node-rules.js';

/** Of connections that the mesh leads into the ingress network, and of what comes back: all that a firewall must let pass. */
const acceptRules = [
  `-o ${HOST_LINK} -m conntrack --ctstate DNAT -j ACCEPT`,
  `-i ${HOST_LINK} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`,
];

/**
 * Lets the mesh's packets through the engine's own firewall: rules in `DOCKER-USER`, where the engine leaves them alone.
 * Resolves with a sentence for each other firewall that drops them, with the command that changes it; nothing of
 * those is touched.
 */
export async function openFirewall(
  commands: Commands,
  namespaces: Namespaces,
  host: string,
  family: Family = 4,
): Promise<string[]> {
  const problems: string[] = [];
  const chains = filterChains(await commands.run(host, ['nft', 'list', 'chains']), 'forward', family);
  for (const iptables of iptablesInUse(namespaces, host, chains, family)) {
    const rules = await commands.run(host, [iptables, '-w', '-S']).catch(() => '');
    if (/^-N DOCKER-USER$/m.test(rules)) {
      for (const rule of acceptRules) {
        if (!rules.includes(`-A DOCKER-USER ${rule}`))
          await commands.run(host, [iptables, '-w', '-I', 'DOCKER-USER', ...rule.split(' ')]);
      }
    } else problems.push(...iptablesProblem(rules, iptables));
  }
  for (const chain of chains) {
    if (chain.table !== 'firewalld' && (chain.policy !== 'drop' || isIptables(chain))) continue;
    const { family, table, name } = chain;
    // firewalld's zones name interfaces in chains of their own.
    const what = table === 'firewalld' ? ['table', family, table] : ['chain', family, table, name];
    problems.push(...nftProblem(chain, await commands.run(host, ['nft', 'list', ...what])));
  }
  return problems;
}

/** Removes what {@link openFirewall} added. */
export async function closeFirewall(commands: Commands, namespaces: Namespaces, host: string): Promise<void> {
  const listing = await commands.run(host, ['nft', 'list', 'chains']);
  const variants = ([4, 6] as const).flatMap((family) =>
    iptablesInUse(namespaces, host, filterChains(listing, 'forward', family), family),
  );
  for (const iptables of variants) {
    const rules = await commands.run(host, [iptables, '-w', '-S']).catch(() => '');
    for (const rule of acceptRules) {
      if (rules.includes(`-A DOCKER-USER ${rule}`))
        await commands.run(host, [iptables, '-w', '-D', 'DOCKER-USER', ...rule.split(' ')]);
    }
  }
}

/** What to say of the output of `iptables -S` on a host without Docker's chain. */
export function iptablesProblem(rules: string, iptables: string): string[] {
  const [how] = /^-P FORWARD DROP$|^-A FORWARD -j (DROP|REJECT)\b.*$/m.exec(rules) ?? [];
  if (how === undefined || acceptRules.every((rule) => rules.includes(rule))) return [];
  // firewalld's, and others that let pass what was led elsewhere.
  if (/^-A FORWARD -m conntrack --ctstate \S*DNAT\S* -j ACCEPT$/m.test(rules)) return [];
  if (/^-N ufw6?-/m.test(rules)) {
    if (new RegExp(`^-A ufw6?-user-forward .*-o ${HOST_LINK} .*-j ACCEPT$`, 'm').test(rules)) return [];
    return [`ufw drops what published ports lead to other nodes: run \`ufw route allow out on ${HOST_LINK}\``];
  }
  const repair = acceptRules.map((rule) => `${iptables} -I FORWARD ${rule}`).join(' && ');
  return [`the firewall drops what published ports lead to other nodes (${how}): run \`${repair}\``];
}

/** What to say of a chain that may drop forwarded packets; `listing` is what nft says of it, of firewalld the table. */
export function nftProblem(chain: FilterChain, listing: string): string[] {
  if (listing.includes(HOST_LINK) || listing.includes('ct status dnat accept')) return [];
  if (chain.table === 'firewalld') {
    const repair = `firewall-cmd --permanent --zone=trusted --add-interface=${HOST_LINK} && firewall-cmd --reload`;
    return [`firewalld rejects what published ports lead to other nodes: run \`${repair}\``];
  }
  const place = `${chain.family} ${chain.table} ${chain.name}`;
  const repair =
    `nft insert rule ${place} oifname ${HOST_LINK} ct status dnat accept && ` +
    `nft insert rule ${place} iifname ${HOST_LINK} ct state established,related accept`;
  return [`the chain ${place} drops what published ports lead to other nodes: run \`${repair}\``];
}

/**
 * The variants of iptables that have rules here: only those are asked, as the mere question makes tables where there
 * are none.
 */
function iptablesInUse(namespaces: Namespaces, host: string, chains: readonly FilterChain[], family: Family): string[] {
  const tool = `${protocolOf(family)}tables`;
  const variants: string[] = [];
  if (chains.some(isIptables)) variants.push(`${tool}-nft`);
  const legacy = namespaces.inside(host, () => {
    try {
      return readFileSync(`/proc/net/${protocolOf(family)}_tables_names`, 'utf8');
    } catch {
      return '';
    }
  });
  if (legacy.split('\n').includes('filter')) variants.push(`${tool}-legacy`);
  return variants;
}
