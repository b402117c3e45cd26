/** The delay's upper bound after the first failure. */
export const FIRST_BACKOFF_MS = 100;
const MAX_BACKOFF_MS = 8_000;

/** The upper bound that follows `boundMs`: 0.1 s + 2 b, at most 8 s (swarmkit's agent session). */
export function nextBackoffMs(boundMs: number): number {
  return Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS + 2 * boundMs);
}

/** The items in an order drawn with `draw` (numbers in [0, 1)), so that agents spread over managers. */
export function shuffled<T>(items: readonly T[], draw: () => number): T[] {
  const rest = [...items];
  const order: T[] = [];
  while (rest.length > 0) order.push(...rest.splice(Math.floor(draw() * rest.length), 1));
  return order;
}

/** The order in which managers are tried: drawn, but the one that was left last, which is gone or full, at the end. */
export function attemptOrder(addrs: Iterable<string>, left: string | undefined, draw: () => number): string[] {
  const order = shuffled([...new Set(addrs)], draw);
  return [...order.filter((addr) => addr !== left), ...order.filter((addr) => addr === left)];
}
