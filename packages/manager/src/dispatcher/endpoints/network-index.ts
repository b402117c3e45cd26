/** Which things, by ID, may be on which networks. */
export class NetworkIndex {
  readonly #idsByNetwork = new Map<string, Set<string>>();

  /** The things of a network; not to be changed while they are walked. */
  on(networkId: string): Iterable<string> {
    return this.#idsByNetwork.get(networkId) ?? [];
  }

  /** Follows a thing from the networks `before` to those of `now`. */
  move(id: string, before: Iterable<string>, now: Iterable<string>): void {
    const kept = new Set(now);
    for (const networkId of before) {
      if (kept.has(networkId)) continue;
      const ids = this.#idsByNetwork.get(networkId);
      ids?.delete(id);
      if (ids?.size === 0) this.#idsByNetwork.delete(networkId);
    }
    for (const networkId of kept) {
      const ids = this.#idsByNetwork.get(networkId);
      if (ids === undefined) this.#idsByNetwork.set(networkId, new Set([id]));
      else ids.add(id);
    }
  }
}
