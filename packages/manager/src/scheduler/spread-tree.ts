import { labelValue } from '@swarmd/model';
import type { SpreadLabel } from './needs.js';
import { NodeHeap } from './node-heap.js';
import type { NodeInfo } from './node-info.js';

/** What the tree asks about nodes while tasks are placed. */
export interface Chooser {
  /** Whether the node still takes a task of the group. */
  accepts(node: NodeInfo): boolean;
  /** The node's rank in the order of preference: lower is better. It changes as tasks are placed. */
  rank(node: NodeInfo): number;
}

/**
 * Nodes under nested spread preferences: each level divides them by the values of one label ('' where it is missing),
 * and the lowest holds them in order of preference. A task goes down the branch with the fewest tasks of the service;
 * between equal ones down that whose best node is preferred. A branch without room is left out from then on, so that
 * the others take what it cannot: together this fills branches as evenly as they allow (swarmkit's
 * `scheduleNTasksOnSubtree`), one task at a time, in logarithmic time each.
 */
export class SpreadTree {
  readonly #root: Branch;
  readonly #spreads: readonly SpreadLabel[];

  constructor(spreads: readonly SpreadLabel[]) {
    this.#spreads = spreads;
    this.#root = new Branch(spreads.length > 0);
  }

  /** Counts tasks of the service on a node, whether that can take more or not. */
  count(node: NodeInfo, tasks: number): void {
    if (tasks === 0) return;
    for (const branch of this.#path(node)) branch.tasks += tasks;
  }

  /** Adds a node that takes tasks. Nodes must come in the order that decides between equals. */
  add(node: NodeInfo, rank: number): void {
    let leaf = this.#root;
    for (const branch of this.#path(node)) leaf = branch;
    leaf.nodes.add(node, rank);
  }

  /** To be called once, after all `add`s and `count`s. */
  arrange(): void {
    this.#root.arrange();
  }

  /** Chooses the node for one more task, counts the task, and calls `place` with the node; `undefined` when none takes it. */
  place(chooser: Chooser, place: (node: NodeInfo) => void): NodeInfo | undefined {
    return this.#root.place(chooser, place);
  }

  #path(node: NodeInfo): Branch[] {
    let branch = this.#root;
    return this.#spreads.map((spread, depth) => {
      branch = branch.child(labelOf(node, spread), depth + 1 < this.#spreads.length);
      return branch;
    });
  }
}

function labelOf({ node }: NodeInfo, { source, label }: SpreadLabel): string {
  const labels = source === 'node' ? node?.Spec.Labels : node?.Description?.Engine?.Labels;
  return labelValue(labels, label) ?? '';
}

class Branch {
  /** Tasks of the service below. */
  tasks = 0;
  /** Rank of the best node below; infinite when there is no room. */
  best = Number.POSITIVE_INFINITY;
  readonly nodes = new NodeHeap();
  readonly #children: Map<string, Branch> | undefined;
  /** Children with room, a heap: fewest tasks first, then best node, then label value. */
  #open: Branch[] = [];
  #value = '';

  constructor(divided: boolean) {
    this.#children = divided ? new Map() : undefined;
  }

  get hasRoom(): boolean {
    return this.best !== Number.POSITIVE_INFINITY;
  }

  child(value: string, divided: boolean): Branch {
    let child = this.#children!.get(value);
    if (child === undefined) {
      child = new Branch(divided);
      child.#value = value;
      this.#children!.set(value, child);
    }
    return child;
  }

  arrange(): void {
    if (this.#children === undefined) {
      this.nodes.arrange();
      this.best = this.nodes.best;
      return;
    }
    for (const child of this.#children.values()) child.arrange();
    const withRoom = [...this.#children.values()].filter((child) => child.hasRoom);
    this.#open = withRoom.sort((a, b) => (a.#before(b) ? -1 : 1));
    this.#refreshBest();
  }

  place(chooser: Chooser, place: (node: NodeInfo) => void): NodeInfo | undefined {
    if (this.#children === undefined) {
      const node = this.nodes.place(chooser, place);
      this.best = this.nodes.best;
      return node;
    }
    while (this.#open.length > 0) {
      const child = this.#open[0]!;
      const node = child.place(chooser, place);
      if (node !== undefined) child.tasks++;
      if (!child.hasRoom) this.#dropFirst();
      this.#sink();
      this.#refreshBest();
      if (node !== undefined) return node;
    }
    return undefined;
  }

  /** Only the rank of the branch that is next in turn: scanning all branches would cost more than it tells. */
  #refreshBest(): void {
    this.best = this.#open[0]?.best ?? Number.POSITIVE_INFINITY;
  }

  #before(other: Branch): boolean {
    if (this.tasks !== other.tasks) return this.tasks < other.tasks;
    if (this.best !== other.best) return this.best < other.best;
    return this.#value < other.#value;
  }

  #dropFirst(): void {
    const last = this.#open.pop()!;
    if (this.#open.length > 0) this.#open[0] = last;
  }

  #sink(): void {
    const open = this.#open;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= open.length) return;
      if (child + 1 < open.length && open[child + 1]!.#before(open[child]!)) child++;
      if (!open[child]!.#before(open[at]!)) return;
      [open[at], open[child]] = [open[child]!, open[at]!];
      at = child;
    }
  }
}
