/** Others that a node tries to reach. */
export const MAX_PAIRS_PER_NODE = 16;

/** A way that is tried: from one node to others. */
export interface ProbePlan {
  from: string;
  to: string[];
}

/**
 * Which node tries to reach which: in a ring, so that each is sender and receiver at least once, and some more drawn with
 * `random`, to {@link MAX_PAIRS_PER_NODE} each. With `about`, only ways from and to that node. Pure.
 */
export function probePairs(nodes: readonly string[], random: () => number, about?: string): ProbePlan[] {
  const ring = [...nodes].sort();
  if (ring.length < 2) return [];
  if (about !== undefined) {
    if (!ring.includes(about)) return [];
    const others = sampled(
      ring.filter((id) => id !== about),
      random,
    );
    return [{ from: about, to: others }, ...others.map((from) => ({ from, to: [about] }))];
  }
  return ring.map((from, i) => {
    const next = ring[(i + 1) % ring.length]!;
    const to = new Set([next]);
    const wanted = Math.min(MAX_PAIRS_PER_NODE, ring.length - 1);
    if (wanted === ring.length - 1) for (const id of ring) to.add(id);
    to.delete(from);
    while (to.size < wanted) {
      const drawn = ring[Math.floor(random() * ring.length)]!;
      if (drawn !== from) to.add(drawn);
    }
    return { from, to: [...to] };
  });
}

/** {@link MAX_PAIRS_PER_NODE} of `all`, or all where there are no more, drawn with `random`. */
export function sampled<T>(all: readonly T[], random: () => number): T[] {
  const drawn = [...all];
  for (let i = drawn.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [drawn[i], drawn[j]] = [drawn[j]!, drawn[i]!];
  }
  return drawn.slice(0, MAX_PAIRS_PER_NODE);
}
