import { type Cidr, contains, formatIp, hostBits, type Ip, ipv4Number, lastOf, parseIp } from './ip.js';

/** An address that somebody had is given to nobody for this long: connections, caches and peers forget it meanwhile. */
export const QUARANTINE_MS = 30_000;
/** Of a subnet with more addresses, these are looked at: more than a cluster has tasks. */
const MAX_OFFSETS = 2 ** 24;

/** What a search for an address came to. `waitMs`: when to search again, if none becomes free before. */
export type TakenAddress = { offset: number } | { waitMs: number | undefined };

/**
 * Who has which address of one subnet, counted: an address that is held twice stays taken until both let go. Addresses
 * are offsets from the subnet's lowest one. Time is given in milliseconds since the epoch.
 */
export class AddressPool {
  readonly cidr: Cidr;
  readonly #base4: number;
  readonly #count: number;
  /** Offsets that may be given: a part of the subnet where its owner says so. */
  readonly #first: number;
  readonly #last: number;
  /** The subnet's own addresses: network, broadcast, gateway, and what its owner uses himself. */
  readonly #reserved: ReadonlySet<number>;
  readonly #held = new Map<number, number>();
  /** In ranges of nodes: not for tasks, and not in use by that. */
  readonly #blocked = new Map<number, number>();
  readonly #released = new Map<number, number>();
  #cursor: number;
  /** No search before that time can find anything. */
  #nothingUntilMs = 0;
  #used = 0;

  constructor(cidr: Cidr, reserved: readonly Ip[], range?: Cidr) {
    this.cidr = cidr;
    const count = Math.min(MAX_OFFSETS, 2 ** hostBits(cidr.family, cidr.bits));
    this.#count = count;
    this.#base4 = cidr.family === 4 ? Number(cidr.base) : 0;
    const within = range ?? cidr;
    this.#first = Math.min(count - 1, Number(within.base - cidr.base));
    this.#last = Math.min(count - 1, Number(lastOf(within) - cidr.base));
    const own = reserved.flatMap((ip) => this.offsetOf(ip) ?? []);
    if (cidr.family === 4) own.push(Number(lastOf(cidr) - cidr.base));
    this.#reserved = new Set([0, ...own]);
    this.#cursor = this.#first;
  }

  /** How many addresses there are to give, given or not. */
  get total(): number {
    const reserved = [...this.#reserved].filter((offset) => offset >= this.#first && offset <= this.#last).length;
    return this.#last - this.#first + 1 - reserved;
  }

  /** How many addresses of all are the subnet's own. */
  get reserved(): number {
    return this.#reserved.size;
  }

  /** How many addresses somebody has. */
  get used(): number {
    return this.#used;
  }

  /** How many addresses nodes have ranges for, used or not. */
  get blocked(): number {
    return this.#blocked.size;
  }

  /** How many addresses nobody has, whether they may be given yet or not. */
  get free(): number {
    let both = 0;
    for (const offset of this.#blocked.keys()) if (this.#held.has(offset)) both++;
    return this.total - this.#used - this.#blocked.size + both;
  }

  offsetOf(ip: Ip): number | undefined {
    if (!contains(this.cidr, ip)) return undefined;
    const offset = ip.value - this.cidr.base;
    return offset < MAX_OFFSETS ? Number(offset) : undefined;
  }

  /** Where an address lies, given as text with or without a prefix length; `undefined` where it is none of this subnet. */
  offsetOfText(text: string): number | undefined {
    if (this.cidr.family === 4) {
      const value = ipv4Number(text);
      const offset = value < 0 ? -1 : value - this.#base4;
      return offset >= 0 && offset < this.#count ? offset : undefined;
    }
    const slash = text.indexOf('/');
    const ip = parseIp(slash < 0 ? text : text.slice(0, slash));
    return ip && this.offsetOf(ip);
  }

  /** The address at `offset`, without prefix length. */
  addressAt(offset: number): string {
    return formatIp({ family: this.cidr.family, value: this.cidr.base + BigInt(offset) });
  }

  hold(offset: number): void {
    const count = this.#held.get(offset) ?? 0;
    this.#held.set(offset, count + 1);
    if (count === 0 && !this.#reserved.has(offset)) this.#used++;
  }

  /** Ends one hold. `releasedMs`: when the address was last in use; absent: it never was. */
  drop(offset: number, releasedMs: number | undefined): void {
    const count = this.#held.get(offset);
    if (count === undefined) return;
    if (count > 1) {
      this.#held.set(offset, count - 1);
      return;
    }
    this.#held.delete(offset);
    if (!this.#reserved.has(offset)) this.#used--;
    if (releasedMs === undefined) this.#nothingUntilMs = 0;
    else this.noteReleased(offset, releasedMs);
  }

  /** Notes that an address was in use until then. */
  noteReleased(offset: number, atMs: number): void {
    this.#released.set(offset, Math.max(atMs, this.#released.get(offset) ?? 0));
    this.#nothingUntilMs = Math.min(this.#nothingUntilMs, atMs + QUARANTINE_MS);
  }

  block(from: number, size: number): void {
    for (let offset = from; offset < from + size; offset++)
      this.#blocked.set(offset, (this.#blocked.get(offset) ?? 0) + 1);
  }

  unblock(from: number, size: number, releasedMs: number | undefined): void {
    for (let offset = from; offset < from + size; offset++) {
      const count = this.#blocked.get(offset) ?? 0;
      if (count > 1) this.#blocked.set(offset, count - 1);
      else if (this.#blocked.delete(offset) && releasedMs !== undefined) this.noteReleased(offset, releasedMs);
    }
    if (releasedMs === undefined) this.#nothingUntilMs = 0;
  }

  /** Finds an address that is free, the next after the last one that was found, and holds it. */
  take(nowMs: number, isTaken: (offset: number) => boolean = () => false): TakenAddress {
    if (nowMs < this.#nothingUntilMs) return this.#nothing(nowMs);
    let earliest = Number.POSITIVE_INFINITY;
    const count = this.#last - this.#first + 1;
    for (let step = 0; step < count; step++) {
      const offset = this.#first + ((this.#cursor - this.#first + step) % count);
      if (this.#isHeld(offset) || isTaken(offset)) continue;
      const freeMs = this.#quarantinedUntil(offset);
      if (freeMs > nowMs) {
        earliest = Math.min(earliest, freeMs);
        continue;
      }
      this.#released.delete(offset);
      this.#cursor = offset + 1 > this.#last ? this.#first : offset + 1;
      this.hold(offset);
      return { offset };
    }
    this.#nothingUntilMs = earliest;
    return this.#nothing(nowMs);
  }

  /** Finds `size` addresses (a power of two, aligned) that are all free, the highest there are; blocks them. */
  takeBlock(size: number, nowMs: number): number | undefined {
    for (let from = Math.floor((this.#last + 1) / size) * size - size; from >= this.#first; from -= size) {
      let free = true;
      for (let offset = from; free && offset < from + size; offset++)
        free = !this.#isHeld(offset) && this.#quarantinedUntil(offset) <= nowMs;
      if (!free) continue;
      this.block(from, size);
      return from;
    }
    return undefined;
  }

  /** Goes on after the highest address that is held: what a leader before this one has just freed is left alone longest. */
  skipHeld(): void {
    let highest = this.#first - 1;
    for (const offset of this.#held.keys()) if (offset > highest && offset <= this.#last) highest = offset;
    this.#cursor = highest + 1 > this.#last ? this.#first : highest + 1;
  }

  /** Forgets what was released long ago. */
  forget(nowMs: number): void {
    for (const [offset, atMs] of this.#released) if (atMs + QUARANTINE_MS <= nowMs) this.#released.delete(offset);
  }

  /** Takes over what `older`, of the same subnet, remembers and the store does not: what was released, and where to go on. */
  remember(older: AddressPool): void {
    for (const [offset, atMs] of older.#released) if (!this.#held.has(offset)) this.noteReleased(offset, atMs);
    this.#cursor = Math.min(Math.max(older.#cursor, this.#first), this.#last);
  }

  /** What is held and blocked, each by offset with its count; for comparisons. */
  contents(): { held: [number, number][]; blocked: [number, number][] } {
    const sorted = (map: Map<number, number>): [number, number][] => [...map].sort(([a], [b]) => a - b);
    return { held: sorted(this.#held), blocked: sorted(this.#blocked) };
  }

  #isHeld(offset: number): boolean {
    return this.#held.has(offset) || this.#blocked.has(offset) || this.#reserved.has(offset);
  }

  #quarantinedUntil(offset: number): number {
    const atMs = this.#released.get(offset);
    return atMs === undefined ? 0 : atMs + QUARANTINE_MS;
  }

  #nothing(nowMs: number): TakenAddress {
    const untilMs = this.#nothingUntilMs;
    return { waitMs: Number.isFinite(untilMs) ? untilMs - nowMs : undefined };
  }
}
