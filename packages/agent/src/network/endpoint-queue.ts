import type { EndpointChange } from '@swarmd/model';
import type { EndpointUpdate } from '@swarmd/wire';
import { mergeChanges, toEndpointChange } from './endpoint-changes.js';

/** While nobody takes changes, removals pile up; with more of them it is better to begin again with complete sets. */
const MAX_REMOVALS = 10_000;

/** Changes of endpoints that are still to be made, one merged change a network. */
export class EndpointQueue {
  readonly #pending = new Map<string, EndpointChange>();
  /** Updates of which the last part is still to come. */
  readonly #parts = new Map<string, EndpointChange>();
  #underWay: readonly EndpointChange[] = [];
  #index = 0;

  /** Store index up to which everything has come in since the session began. */
  get index(): number {
    return this.#index;
  }

  /** A session begins or ends: half an update is worth nothing. What is whole stays to be made. */
  restart(): void {
    this.#parts.clear();
    this.#index = 0;
  }

  /** Takes an update or a part of one; `false` when there is too much to keep: it is dropped, all of it. */
  add(update: EndpointUpdate): boolean {
    const { networkId, lastPart, index } = update;
    const before = this.#parts.get(networkId);
    // Every part of a complete update says that it is complete.
    const part = toEndpointChange(before === undefined ? update : { ...update, complete: false });
    const change = mergeChanges(before, part);
    if (!lastPart) {
      this.#parts.set(networkId, change);
      return true;
    }
    this.#parts.delete(networkId);
    this.#put(mergeChanges(this.#pending.get(networkId), change));
    this.#index = Math.max(this.#index, index);
    return this.#bounded();
  }

  /** Whether changes of a network are still to be made. */
  has(networkId: string): boolean {
    return this.#pending.has(networkId) || this.#underWay.some((change) => change.networkId === networkId);
  }

  forget(networkId: string): void {
    this.#pending.delete(networkId);
  }

  clear(): void {
    this.#pending.clear();
    this.#parts.clear();
  }

  /**
   * Has `make` make the changes of the networks that are `known`, all at once; those of others wait. What fails is merged
   * with what came in meanwhile. Resolves with the index up to which all is made.
   */
  async make(
    known: (networkId: string) => boolean,
    make: (changes: readonly EndpointChange[]) => Promise<void>,
  ): Promise<number> {
    const index = this.#index;
    this.#underWay = [...this.#pending.values()].filter(({ networkId }) => known(networkId));
    if (this.#underWay.length === 0) return index;
    for (const { networkId } of this.#underWay) this.#pending.delete(networkId);
    try {
      await make(this.#underWay);
      return index;
    } catch (thrown) {
      for (const change of this.#underWay) {
        const later = this.#pending.get(change.networkId);
        this.#put(later === undefined ? change : mergeChanges(change, later));
      }
      throw thrown;
    } finally {
      this.#underWay = [];
    }
  }

  #put(change: EndpointChange): void {
    this.#pending.set(change.networkId, change);
  }

  #bounded(): boolean {
    let removals = 0;
    for (const change of this.#pending.values()) {
      removals += change.removedEndpoints.length + change.removedServices.length;
    }
    if (removals <= MAX_REMOVALS) return true;
    this.clear();
    return false;
  }
}
