import type { NodeInfo } from './node-info.js';

/** The existing nodes in the order of their IDs: the scheduler's last word between equals, so that it is repeatable. */
export class NodeOrder {
  #sorted: readonly NodeInfo[] = [];
  readonly #added = new Set<NodeInfo>();
  readonly #removed = new Set<NodeInfo>();

  /** Adds a node that is not in the order. */
  add(node: NodeInfo): void {
    if (!this.#removed.delete(node)) this.#added.add(node);
  }

  /** Removes a node. */
  remove(node: NodeInfo): void {
    if (!this.#added.delete(node)) this.#removed.add(node);
  }

  /** Forgets all nodes. */
  clear(): void {
    this.#sorted = [];
    this.#added.clear();
    this.#removed.clear();
  }

  /** The nodes, by ID. The array does not change later. */
  list(): readonly NodeInfo[] {
    if (this.#added.size === 0 && this.#removed.size === 0) return this.#sorted;
    const kept = this.#removed.size === 0 ? this.#sorted : this.#sorted.filter((node) => !this.#removed.has(node));
    const added = [...this.#added].sort((a, b) => (a.id < b.id ? -1 : 1));
    this.#added.clear();
    this.#removed.clear();
    this.#sorted = kept.length === 0 ? added : merge(kept, added);
    return this.#sorted;
  }
}

function merge(a: readonly NodeInfo[], b: readonly NodeInfo[]): NodeInfo[] {
  const merged: NodeInfo[] = [];
  let i = 0;
  for (const node of b) {
    while (i < a.length && a[i]!.id < node.id) merged.push(a[i++]!);
    merged.push(node);
  }
  while (i < a.length) merged.push(a[i++]!);
  return merged;
}
