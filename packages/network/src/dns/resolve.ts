import { BlockList, isIPv4 } from 'node:net';
import type { Random } from '@swarmd/model';
import type { Asker } from '../parts.js';
import { canonicalAddress, foldName, type NamedAddresses, type NameTables } from './name-table.js';

/** What is known of a reverse name: the name to answer, that it is ours and nobody has it, or that others must tell. */
export type Reverse = { kind: 'name'; name: string } | { kind: 'nobody' } | { kind: 'elsewhere' };

/**
 * Addresses that `asker` finds under `name`, in no particular order; `undefined` when none of its networks knows the name.
 * The first of its networks where the name leads anywhere decides. `<name>.<network's name>` asks that network alone, as
 * in Docker.
 *
 * A name that is known but leads nowhere now (a `dnsrr` service without a ready task) is found, without addresses. Docker
 * Swarm forgets such names, so that the question goes to the outside and comes back NXDOMAIN: this tells strangers the
 * names of services, and "no such name" is kept by caches for longer than a restart takes.
 */
export function resolveName(name: string, asker: Asker, tables: NameTables): NamedAddresses | undefined {
  const folded = foldName(name);
  const whole = inNetworks(folded, asker.networkIds, tables);
  if (whole !== undefined) return whole;
  for (let dot = folded.lastIndexOf('.'); dot > 0; dot = folded.lastIndexOf('.', dot - 1)) {
    const networkName = folded.slice(dot + 1);
    const named = asker.networkIds.filter((id) => foldName(tables.network(id)?.name ?? '') === networkName);
    const found = inNetworks(folded.slice(0, dot), named, tables);
    if (found !== undefined) return found;
  }
  return undefined;
}

function inNetworks(name: string, networkIds: readonly string[], tables: NameTables): NamedAddresses | undefined {
  let known: NamedAddresses | undefined;
  for (const id of networkIds) {
    const found = tables.table(id)?.names.get(name);
    if (found === undefined) continue;
    if (found.v4.length + found.v6.length > 0) return found;
    known ??= found;
  }
  return known;
}

/**
 * The name behind a name of `in-addr.arpa` or `ip6.arpa`: `<name>.<network's name>`, as Docker writes it. Addresses of the
 * asker's networks that nobody has are nobody's; all others are elsewhere.
 */
export function resolveReverse(name: string, asker: Asker, tables: NameTables): Reverse {
  const address = addressOfReverse(foldName(name));
  if (address === undefined) return { kind: 'elsewhere' };
  let ours = false;
  for (const id of asker.networkIds) {
    const network = tables.network(id);
    if (network === undefined) continue;
    const found = tables.table(id)?.nameOf(address);
    if (found !== undefined) return { kind: 'name', name: `${found}.${network.name}` };
    ours ||= network.subnets.some(({ subnet }) => isInside(subnet, address));
  }
  return { kind: ours ? 'nobody' : 'elsewhere' };
}

/** The canonical address that a folded reverse name is of; `undefined` for a part of one, and for other names. */
export function addressOfReverse(name: string): string | undefined {
  if (name.endsWith('.in-addr.arpa')) {
    const parts = name.slice(0, -'.in-addr.arpa'.length).split('.');
    return parts.length === 4 ? canonicalAddress(parts.reverse().join('.')) : undefined;
  }
  if (!name.endsWith('.ip6.arpa')) return undefined;
  const digits = name.slice(0, -'.ip6.arpa'.length).split('.');
  if (digits.length !== 32 || !digits.every((digit) => /^[0-9a-f]$/.test(digit))) return undefined;
  return canonicalAddress(digits.reverse().join('').match(/.{4}/g)!.join(':'));
}

/** Whether `address`, in its canonical form, lies in `subnet` (CIDR). */
export function isInside(subnet: string, address: string): boolean {
  const [base, prefix] = subnet.split('/');
  const canonical = canonicalAddress(base ?? '');
  if (canonical === undefined || isIPv4(canonical) !== isIPv4(address)) return false;
  const family = isIPv4(address) ? 'ipv4' : 'ipv6';
  const list = new BlockList();
  list.addSubnet(canonical, Number(prefix), family);
  return list.check(address, family);
}

/** `list` in random order. */
export function shuffled<T>(list: readonly T[], random: Random): T[] {
  const result = [...list];
  for (let last = result.length - 1; last > 0; last--) {
    const other = Math.floor(random.float() * (last + 1));
    [result[last], result[other]] = [result[other]!, result[last]!];
  }
  return result;
}
