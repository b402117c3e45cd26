import type { Clock } from '@swarmd/model';
import type { Touched } from './commit-routing.js';
import type { SessionRegistry } from './registry.js';

/** Agents are brought up to date for at most this long before other work gets its turn. */
const SLICE_MS = 10;

/** Sessions that are to be brought up to date. */
export interface UpdateQueue {
  mark(touched: Touched): void;
  /** Nodes that are to be told of others on their networks, and of nothing else. */
  markEndpoints(nodeIds: readonly string[]): void;
  stop(): void;
}

/**
 * Brings sessions up to date right after the commits of this turn; a session that several of them touch is done once.
 * Many sessions are done in slices.
 */
export function createUpdateQueue(registry: SessionRegistry, clock: Clock): UpdateQueue {
  /** Nodes, and whether more than endpoints may have changed for them. */
  const dirty = new Map<string, boolean>();
  let scheduled = false;
  let stopped = false;

  const run = (): void => {
    scheduled = false;
    if (stopped) return;
    const until = clock.monotonic() + SLICE_MS;
    for (const [nodeId, all] of dirty) {
      if (clock.monotonic() > until) break;
      dirty.delete(nodeId);
      const session = registry.get(nodeId);
      if (all) session?.update();
      else session?.updateEndpoints();
    }
    if (dirty.size > 0) {
      scheduled = true;
      setImmediate(run);
    }
  };
  const schedule = (): void => {
    if (scheduled || dirty.size === 0) return;
    scheduled = true;
    queueMicrotask(run);
  };
  return {
    markEndpoints: (nodeIds) => {
      for (const nodeId of nodeIds) if (!dirty.has(nodeId)) dirty.set(nodeId, false);
      schedule();
    },
    mark: ({ nodeIds, heldKey, everyone }) => {
      for (const nodeId of nodeIds) if (registry.get(nodeId) !== undefined) dirty.set(nodeId, true);
      if (heldKey !== undefined || everyone) {
        for (const session of registry.all()) {
          if (everyone || session.holds(heldKey!)) dirty.set(session.nodeId, true);
        }
      }
      schedule();
    },
    stop: () => {
      stopped = true;
    },
  };
}
