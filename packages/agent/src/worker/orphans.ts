import type { ListedContainer } from '../engine/watch.js';

/**
 * Containers of our cluster that belong to no task of this node: only after a full set of assignments was accepted can
 * one say so. `known` are the tasks that are assigned or still going.
 */
export function findOrphans(
  containers: readonly ListedContainer[],
  known: ReadonlySet<string> | ReadonlyMap<string, unknown>,
): ListedContainer[] {
  return containers.filter((container) => !known.has(container.taskId));
}
