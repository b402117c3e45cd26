import type { LeaderCallHandlers, LeaderCalls } from '@swarmd/manager';
import { CLUSTER_KEY, type SharedStore, SwarmdError, type WriteTx } from '@swarmd/model';
import { dataKeyId } from '@swarmd/store';
import { z } from 'zod';
import type { DataKeys } from './data-keys.js';

const METHOD = 'keys.sync';

const SyncSchema = z.object({
  nodeId: z.string(),
  /** IDs of the keys that the node keeps durably. */
  holds: z.array(z.string()),
});

/** Data keys as one manager gives them to another, over a connection that managers alone have. */
export const WireKeysSchema = z.array(z.object({ bytes: z.base64(), madeUnder: z.string() }));

const AnswerSchema = z.object({ keys: WireKeysSchema });

/** Keys for {@link WireKeysSchema}. */
export function keysToWire(dataKeys: DataKeys, but: readonly string[] = []): z.infer<typeof WireKeysSchema> {
  return dataKeys.ring
    .filter(({ bytes }) => !but.includes(dataKeyId(bytes)))
    .map(({ bytes, madeUnder }) => ({ bytes: Buffer.from(bytes).toString('base64'), madeUnder }));
}

/** The keys that {@link keysToWire} made something of; nothing has been sealed with them here. */
export function keysFromWire(keys: z.infer<typeof WireKeysSchema>) {
  return keys.map(({ bytes, madeUnder }) => ({ bytes: Buffer.from(bytes, 'base64'), uses: 0, madeUnder }));
}

/** What the leader does for managers that lack a data key: gives it, and notes who holds the one that is to come. */
export function keyHandlers({ store, dataKeys }: { store: SharedStore; dataKeys: DataKeys }): LeaderCallHandlers {
  return {
    [METHOD]: async (args) => {
      const { nodeId, holds } = SyncSchema.parse(args);
      if (store.view.get('node', nodeId)?.Spec.Role !== 'manager')
        throw new SwarmdError('permission-denied', `node ${nodeId} is no manager of this cluster`);
      if (notesHolder(store, nodeId, holds)) await store.update((tx) => noteHolder(tx, nodeId, holds));
      return { keys: keysToWire(dataKeys, holds) };
    },
  };
}

function notesHolder({ view }: SharedStore, nodeId: string, holds: readonly string[]): boolean {
  const next = view.get('cluster', CLUSTER_KEY)?.DataKey?.Next;
  return next !== undefined && holds.includes(next.ID) && !next.HeldBy.includes(nodeId);
}

/** In a transaction: writes down that a node holds the announced key, if it does. */
export function noteHolder(tx: WriteTx, nodeId: string, holds: readonly string[]): void {
  const cluster = tx.get('cluster', CLUSTER_KEY);
  const next = cluster?.DataKey?.Next;
  if (cluster?.DataKey === undefined || next === undefined) return;
  if (!holds.includes(next.ID) || next.HeldBy.includes(nodeId)) return;
  const Next = { ...next, HeldBy: [...next.HeldBy, nodeId] };
  tx.put('cluster', { ...cluster, DataKey: { ...cluster.DataKey, Next } });
}

/**
 * Asks the leader for all data keys that are not held here, keeps them, and tells it so. Resolves with whether there were
 * any. May be repeated.
 */
export async function syncKeys(
  dataKeys: DataKeys,
  nodeId: string,
  call: (method: string, args: unknown) => ReturnType<LeaderCalls['call']>,
): Promise<boolean> {
  const ask = async () => AnswerSchema.parse(await call(METHOD, { nodeId, holds: dataKeys.ids })).keys;
  const keys = await ask();
  if (keys.length === 0) return false;
  await dataKeys.take(keysFromWire(keys));
  await ask();
  return true;
}
