import { CLUSTER_KEY, DEFAULTS, holdsResources, type Node, type Store, type WriteTx } from '@swarmd/model';
import { type Loop, type LoopDependencies, startLoop } from '../loop/loop.js';

/** Tasks declared orphaned in one transaction. */
const MAX_TASKS_PER_TRANSACTION = 1_000;

/**
 * The loop over nodes that are down: after 24 hours their tasks are orphaned, so that nothing waits for them any
 * longer. It also forgets removed nodes whose certificates have expired. Source: swarmkit's dispatcher.
 */
export function startNodeLoop({ store, clock, logger }: LoopDependencies): Loop {
  const log = logger.child({ component: 'node-loop' });
  return startLoop<string>(
    {
      name: 'node-loop',
      dirtiedBy: ({ table, object }, mark) => {
        if (table === 'node' && (object as Node).DownSince !== undefined) mark(object.ID);
        if (table === 'cluster') mark(CLUSTER_KEY);
      },
      allKeys: () => [CLUSTER_KEY, ...[...store.view.all('node')].map((node) => node.ID)],
      pass: async (keys, { now, wakeAfter, signal }) => {
        for (const key of keys) {
          if (key === CLUSTER_KEY) await forgetRemovedNodes(store, now);
          else {
            const waitMs = await orphanTasks(store, key, now, signal, (count) =>
              log.warn({ nodeId: key, count }, 'tasks orphaned'),
            );
            if (waitMs !== undefined) wakeAfter(key, waitMs);
          }
        }
      },
    },
    { store, clock, logger },
  );
}

/** How long the tasks of a node still have, in milliseconds; `undefined` when it is not down. */
export function orphaningDueMs(node: Node | undefined, nowMs: number): number | undefined {
  if (node?.Status.State !== 'down' || node.DownSince === undefined) return undefined;
  return Date.parse(node.DownSince) + DEFAULTS.nodeDownOrphanMs - nowMs;
}

async function orphanTasks(
  store: Store,
  nodeId: string,
  nowMs: number,
  signal: AbortSignal,
  report: (count: number) => void,
): Promise<number | undefined> {
  while (!signal.aborted) {
    const dueMs = orphaningDueMs(store.view.get('node', nodeId), nowMs);
    if (dueMs === undefined || dueMs > 0) return dueMs;
    const count = await store.update((tx) => orphanSome(tx, nodeId, nowMs));
    if (count > 0) report(count);
    if (count < MAX_TASKS_PER_TRANSACTION) return undefined;
  }
  return undefined;
}

function orphanSome(tx: WriteTx, nodeId: string, nowMs: number): number {
  if ((orphaningDueMs(tx.get('node', nodeId), nowMs) ?? 1) > 0) return 0;
  const held = [...tx.find('task', 'node', nodeId)].filter((task) => holdsResources(task.Status.State));
  const some = held.slice(0, MAX_TASKS_PER_TRANSACTION);
  for (const task of some) {
    const Status = { ...task.Status, State: 'orphaned' as const, Timestamp: tx.now, AppliedAt: tx.now };
    tx.put('task', { ...task, Status: { ...Status, Message: 'the node has been down for 24 hours' } });
  }
  return some.length;
}

async function forgetRemovedNodes(store: Store, nowMs: number): Promise<void> {
  const expired = (removed: Record<string, { Expiry: string }>): string[] =>
    Object.keys(removed).filter((id) => Date.parse(removed[id]!.Expiry) <= nowMs);
  if (expired(store.view.get('cluster', CLUSTER_KEY)?.RemovedNodes ?? {}).length === 0) return;
  await store.update((tx) => {
    const cluster = tx.get('cluster', CLUSTER_KEY);
    if (cluster === undefined) return;
    const RemovedNodes = { ...cluster.RemovedNodes };
    for (const id of expired(RemovedNodes)) delete RemovedNodes[id];
    tx.put('cluster', { ...cluster, RemovedNodes });
  });
}
