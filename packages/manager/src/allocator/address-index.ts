import { isTerminal, type Network, type ReadView, type StoreEvent } from '@swarmd/model';
import { type AddressPool, QUARANTINE_MS } from './address-pool.js';
import { type Claim, claimsInEvent, claimsOfNode, claimsOfService, claimsOfTask, poolsFor } from './holders.js';
import { hostBits, parseCidr } from './ip.js';

/** A network as the index knows it. */
export interface IndexedNetwork {
  /** One a subnet, in the network's order. */
  pools: readonly AddressPool[];
}

/** An address, or a range of so many, that is given in a transaction under way; `at` is its pool's place in the network. */
export interface Provisional {
  networkId: string;
  at: number;
  offset: number;
  blockSize?: number;
}

/** How long a removed network's identifier is left alone at least: hosts still take the network down. */
const RETIRED_MS = 30_000;

/**
 * Who has which address, of all networks: built from the store once and kept by its events. Addresses that were given in
 * transactions which are not durable yet are held besides (see {@link Giving}). Its claims are at least those of the
 * store, so what is free here is free there.
 */
export class AddressIndex {
  #networks = new Map<string, IndexedNetwork>();
  /** Addresses in use (not ranges) by network ID, of removed networks too. */
  #users = new Map<string, number>();
  readonly #provisional = new Set<Provisional>();
  readonly #retired = new Map<string, { vni: number; atMs: number }>();

  /** Looks at everything again. What only memory knows (what was freed when) is kept. */
  rebuild(view: ReadView, nowMs: number): void {
    const older = this.#networks;
    this.#networks = new Map();
    this.#users = new Map();
    for (const network of view.all('network')) this.#add(network);
    for (const service of view.all('service')) this.#claim(claimsOfService(service));
    for (const node of view.all('node')) this.#claim(claimsOfNode(node));
    for (const task of view.all('task')) {
      this.#claim(claimsOfTask(task));
      if (isTerminal(task.Status.State))
        this.#noteEnded(task.NetworksAttachments, task.Status.AppliedAt ?? task.Status.Timestamp, nowMs);
    }
    for (const given of this.#provisional) this.#holdProvisional(given);
    for (const [id, { pools }] of this.#networks) {
      const known = older.get(id)?.pools;
      for (const [at, pool] of pools.entries()) {
        const before = known?.[at];
        if (before === undefined) pool.skipHeld();
        else pool.remember(before);
      }
    }
  }

  /** Forgets what was released long ago. */
  forget(nowMs: number): void {
    for (const { pools } of this.#networks.values()) for (const pool of pools) pool.forget(nowMs);
    for (const [id, { atMs }] of this.#retired)
      if (atMs + RETIRED_MS <= nowMs && !this.#users.has(id)) this.#retired.delete(id);
  }

  apply(event: StoreEvent, nowMs: number): void {
    if (event.table === 'network') {
      const { object, previous } = event;
      if (event.kind === 'delete') {
        this.#networks.delete(object.ID);
        if (object.Allocation !== undefined) this.#retired.set(object.ID, { vni: object.Allocation.VNI, atMs: nowMs });
      } else if (previous?.Allocation === undefined) this.#add(object);
      return;
    }
    const { before, after } = claimsInEvent(event);
    this.#claim(after);
    for (const claim of before) this.#release(claim, nowMs);
  }

  /** Notes what was just taken from a pool in a transaction that is not durable yet. */
  provide(given: Provisional): void {
    this.#provisional.add(given);
  }

  /** Ends what {@link provide} noted: by now the store's events hold it, or it was never given. */
  withdraw(given: Provisional): void {
    if (!this.#provisional.delete(given)) return;
    const pool = this.#networks.get(given.networkId)?.pools[given.at];
    if (given.blockSize === undefined) pool?.drop(given.offset, undefined);
    else pool?.unblock(given.offset, given.blockSize, undefined);
  }

  network(id: string): IndexedNetwork | undefined {
    return this.#networks.get(id);
  }

  networkIds(): Iterable<string> {
    return this.#networks.keys();
  }

  /** How many addresses of a network somebody uses; ranges of nodes do not count. */
  users(networkId: string): number {
    return this.#users.get(networkId) ?? 0;
  }

  /** Identifiers of networks that are removed, and that hosts may still have. */
  retiredVnis(nowMs: number): Set<number> {
    const retired = [...this.#retired].filter(([id, { atMs }]) => atMs + RETIRED_MS > nowMs || this.#users.has(id));
    return new Set(retired.map(([, { vni }]) => vni));
  }

  #holdProvisional({ networkId, at, offset, blockSize }: Provisional): void {
    const pool = this.#networks.get(networkId)?.pools[at];
    if (blockSize === undefined) pool?.hold(offset);
    else pool?.block(offset, blockSize);
  }

  #add(network: Network): void {
    this.#networks.set(network.ID, { pools: poolsFor(network) });
  }

  #claim(claims: readonly Claim[]): void {
    for (const { networkId, address, block } of claims) {
      const pools = this.#networks.get(networkId)?.pools ?? [];
      if (address !== undefined) {
        this.#users.set(networkId, (this.#users.get(networkId) ?? 0) + 1);
        locate(pools, address, (pool, offset) => pool.hold(offset));
      } else if (block !== undefined) locateBlock(pools, block, (pool, from, size) => pool.block(from, size));
    }
  }

  #release({ networkId, address, block }: Claim, nowMs: number): void {
    const pools = this.#networks.get(networkId)?.pools ?? [];
    if (address !== undefined) {
      const users = (this.#users.get(networkId) ?? 0) - 1;
      if (users > 0) this.#users.set(networkId, users);
      else this.#users.delete(networkId);
      locate(pools, address, (pool, offset) => pool.drop(offset, nowMs));
    } else if (block !== undefined) locateBlock(pools, block, (pool, from, size) => pool.unblock(from, size, nowMs));
  }

  #noteEnded(
    attachments: readonly { Network: { ID: string }; Addresses: string[] }[] | undefined,
    endedAt: string,
    nowMs: number,
  ): void {
    const atMs = Date.parse(endedAt);
    if (!attachments?.length || !(atMs + QUARANTINE_MS > nowMs)) return;
    for (const { Network, Addresses } of attachments)
      for (const address of Addresses ?? [])
        locate(this.#networks.get(Network.ID)?.pools ?? [], address, (pool, offset) =>
          pool.noteReleased(offset, Math.min(atMs, nowMs)),
        );
  }
}

function locate(pools: readonly AddressPool[], text: string, found: (pool: AddressPool, offset: number) => void): void {
  for (const pool of pools) {
    const offset = pool.offsetOfText(text);
    if (offset === undefined) continue;
    found(pool, offset);
    return;
  }
}

/** Ranges larger than this are nobody's of ours. */
const MAX_BLOCK = 2 ** 16;

function locateBlock(
  pools: readonly AddressPool[],
  text: string,
  found: (pool: AddressPool, from: number, size: number) => void,
): void {
  const cidr = parseCidr(text);
  if (cidr === undefined) return;
  const size = 2 ** hostBits(cidr.family, cidr.bits);
  if (size > MAX_BLOCK) return;
  for (const pool of pools) {
    const offset = pool.offsetOf({ family: cidr.family, value: cidr.base });
    if (offset !== undefined) found(pool, offset, size);
  }
}
