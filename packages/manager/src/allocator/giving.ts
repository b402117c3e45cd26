import type { WriteTx } from '@swarmd/model';
import type { AddressIndex, Provisional } from './address-index.js';
import type { AddressPool } from './address-pool.js';
import { formatIp, parseIp } from './ip.js';

const FAMILIES = [4, 6] as const;

/** What asking for an address came to. `waitMs`: when to ask again, if none becomes free before. */
export type Given = { addresses: string[] } | { error: string; waitMs: number | undefined };

/**
 * The addresses that one transaction gives. They are held in the index from the moment that they are given until the
 * transaction is durable, when the store's own events hold them, or has failed: transactions under way at the same time
 * cannot give the same. What others have written meanwhile without being durable (addresses that nodes report) is
 * looked up in the transaction.
 */
export class Giving {
  readonly #index: AddressIndex;
  readonly #tx: WriteTx;
  readonly #nowMs: number;
  readonly #held: Provisional[] = [];
  readonly #reported = new Map<string, Set<string>>();

  constructor(index: AddressIndex, tx: WriteTx, nowMs: number) {
    this.#index = index;
    this.#tx = tx;
    this.#nowMs = nowMs;
  }

  /**
   * An address of a network for each of `families` that it has subnets of, in their order, with prefix length: all of
   * them or none.
   */
  take(networkId: string, families: readonly (4 | 6)[] = FAMILIES): Given {
    const network = this.#tx.get('network', networkId);
    const name = network?.Spec.Name;
    const pools = this.#index.network(networkId)?.pools ?? [];
    if (network === undefined) return { error: `network ${networkId} is not there any more`, waitMs: undefined };
    if (pools.length === 0) return { error: `network "${name}" has no addresses yet`, waitMs: undefined };
    const mark = this.mark();
    const addresses: string[] = [];
    for (const family of families) {
      const candidates = pools.filter(({ cidr }) => cidr.family === family);
      if (candidates.length === 0) continue;
      const taken = this.#takeFrom(pools, family, networkId);
      if (typeof taken === 'string') {
        addresses.push(taken);
        continue;
      }
      this.returnTo(mark);
      return { error: `network "${name}" has no free address: ${inUse(candidates)}`, waitMs: taken.waitMs };
    }
    return { addresses };
  }

  /** How much has been given, for {@link returnTo}. */
  mark(): number {
    return this.#held.length;
  }

  /** Takes back what was given since `mark`: it was never used. */
  returnTo(mark: number): void {
    for (const given of this.#held.splice(mark)) this.#index.withdraw(given);
  }

  /** The transaction is durable, or has failed. */
  end(): void {
    this.returnTo(0);
  }

  #takeFrom(pools: readonly AddressPool[], family: 4 | 6, networkId: string): string | { waitMs: number | undefined } {
    const waits: number[] = [];
    const reported = this.#reportedOn(networkId);
    for (const [at, pool] of pools.entries()) {
      if (pool.cidr.family !== family) continue;
      const isTaken = (offset: number): boolean => reported.size > 0 && reported.has(pool.addressAt(offset));
      const taken = pool.take(this.#nowMs, isTaken);
      if ('offset' in taken) {
        const given = { networkId, at, offset: taken.offset };
        this.#index.provide(given);
        this.#held.push(given);
        return `${pool.addressAt(taken.offset)}/${pool.cidr.bits}`;
      }
      if (taken.waitMs !== undefined) waits.push(taken.waitMs);
    }
    return { waitMs: waits.length === 0 ? undefined : Math.min(...waits) };
  }

  #reportedOn(networkId: string): ReadonlySet<string> {
    const known = this.#reported.get(networkId);
    if (known !== undefined) return known;
    const reported = new Set<string>();
    if (this.#tx.get('network', networkId)?.Spec.Attachable) {
      const here = [...this.#tx.all('node')].flatMap(({ Attachments = [] }) =>
        Attachments.filter(({ NetworkID }) => NetworkID === networkId).flatMap(({ Addresses }) => Addresses),
      );
      for (const address of here) {
        const ip = parseIp(address);
        if (ip !== undefined) reported.add(formatIp(ip));
      }
    }
    this.#reported.set(networkId, reported);
    return reported;
  }
}

function inUse(pools: readonly AddressPool[]): string {
  const total = pools.reduce((sum, pool) => sum + pool.total, 0);
  return `all ${total} of its subnet${pools.length > 1 ? 's' : ''} are in use, or were until just now`;
}
