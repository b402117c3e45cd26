import type { Shortage } from './service-addresses.js';

/** What waits for something to become free: a hint for what to look at again, forgotten with the leader. */
export class Waiting {
  readonly #services = new Map<string, Set<string>>();
  readonly #networkOf = new Map<string, string>();
  readonly #networks = new Set<string>();

  /** A service waits on the network that its shortage names, or for nothing. */
  setService(id: string, shortage: Shortage | undefined): void {
    const before = this.#networkOf.get(id);
    if (before !== undefined && before !== shortage?.networkId) {
      const others = this.#services.get(before);
      others?.delete(id);
      if (others?.size === 0) this.#services.delete(before);
      this.#networkOf.delete(id);
    }
    if (shortage === undefined) return;
    this.#networkOf.set(id, shortage.networkId);
    const together = this.#services.get(shortage.networkId);
    if (together === undefined) this.#services.set(shortage.networkId, new Set([id]));
    else together.add(id);
  }

  /** Services that wait on a network. */
  services(networkId: string): readonly string[] {
    return [...(this.#services.get(networkId) ?? [])];
  }

  /** Whether somebody waits on a network. */
  isShort(networkId: string): boolean {
    return this.#services.has(networkId);
  }

  /** A network waits for a subnet, or does no more. */
  setNetwork(id: string, waits: boolean): void {
    if (waits) this.#networks.add(id);
    else this.#networks.delete(id);
  }

  /** Networks that wait for a subnet. */
  networks(): readonly string[] {
    return [...this.#networks];
  }
}
