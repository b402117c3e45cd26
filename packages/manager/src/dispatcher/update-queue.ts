import type { Clock } from '@swarmd/model';
import type { Touched } from './commit-routing.js';
import type { SessionRegistry } from './registry.js';

/** Agents are brought up to date for at most this long before other work gets its turn. */
const SLICE_MS = 10;

/** Sessions that are to be brought up to date. */
export interface UpdateQueue {
  mark(touched: Touched): void;
  stop(): void;
}

/**
 * Brings sessions up to date right after the commits of this turn; a session that several of them touch is done once.
 * Many sessions are done in slices.
 */
export function createUpdateQueue(registry: SessionRegistry, clock: Clock): UpdateQueue {
  const dirty = new Set<string>();
  let scheduled = false;
  let stopped = false;

  const run = (): void => {
    scheduled = false;
    if (stopped) return;
    const until = clock.monotonic() + SLICE_MS;
    for (const nodeId of dirty) {
      if (clock.monotonic() > until) break;
      dirty.delete(nodeId);
      registry.get(nodeId)?.update();
    }
    if (dirty.size > 0) {
      scheduled = true;
      setImmediate(run);
    }
  };
  return {
    mark: ({ nodeIds, heldKey, everyone }) => {
      for (const nodeId of nodeIds) if (registry.get(nodeId) !== undefined) dirty.add(nodeId);
      if (heldKey !== undefined || everyone) {
        for (const session of registry.all()) {
          if (everyone || session.holds(heldKey!)) dirty.add(session.nodeId);
        }
      }
      if (scheduled || dirty.size === 0) return;
      scheduled = true;
      queueMicrotask(run);
    },
    stop: () => {
      stopped = true;
    },
  };
}
