import type { NodeInfo } from './node-info.js';
import type { Chooser } from './spread-tree.js';

/** Nodes in order of preference, as a binary heap over their ranks; between equal ranks the node added first wins. */
export class NodeHeap {
  readonly #nodes: NodeInfo[] = [];
  /** Heap of positions in `#nodes`, with each one's rank beside it: comparisons stay in two flat arrays. */
  readonly #heap: number[] = [];
  readonly #ranks: number[] = [];

  /** Adds a node. */
  add(node: NodeInfo, rank: number): void {
    this.#heap.push(this.#nodes.length);
    this.#nodes.push(node);
    this.#ranks.push(rank);
  }

  /** To be called once, after all `add`s. */
  arrange(): void {
    for (let at = (this.#heap.length >> 1) - 1; at >= 0; at--) this.#sink(at);
  }

  /** Rank of the preferred node when it was last looked at; infinite when none is left. */
  get best(): number {
    return this.#ranks[0] ?? Number.POSITIVE_INFINITY;
  }

  /** See `SpreadTree.place`. */
  place(chooser: Chooser, place: (node: NodeInfo) => void): NodeInfo | undefined {
    while (this.#heap.length > 0) {
      const node = this.#nodes[this.#heap[0]!]!;
      if (!chooser.accepts(node)) {
        this.#dropFirst();
        continue;
      }
      const rank = chooser.rank(node);
      if (rank > this.#ranks[0]!) {
        // Something else was put there since: find its place before deciding.
        this.#ranks[0] = rank;
        this.#sink(0);
        continue;
      }
      place(node);
      if (chooser.accepts(node)) {
        this.#ranks[0] = chooser.rank(node);
        this.#sink(0);
      } else {
        this.#dropFirst();
      }
      return node;
    }
    return undefined;
  }

  #dropFirst(): void {
    const last = this.#heap.pop()!;
    const rank = this.#ranks.pop()!;
    if (this.#heap.length === 0) return;
    this.#heap[0] = last;
    this.#ranks[0] = rank;
    this.#sink(0);
  }

  #sink(start: number): void {
    const heap = this.#heap;
    const ranks = this.#ranks;
    const size = heap.length;
    const node = heap[start]!;
    const rank = ranks[start]!;
    let at = start;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= size) break;
      const right = child + 1;
      if (right < size && isBefore(ranks[right]!, heap[right]!, ranks[child]!, heap[child]!)) child = right;
      if (!isBefore(ranks[child]!, heap[child]!, rank, node)) break;
      heap[at] = heap[child]!;
      ranks[at] = ranks[child]!;
      at = child;
    }
    heap[at] = node;
    ranks[at] = rank;
  }
}

function isBefore(rankA: number, a: number, rankB: number, b: number): boolean {
  return rankA < rankB || (rankA === rankB && a < b);
}
