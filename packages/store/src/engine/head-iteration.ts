import type { AnyObject } from '@swarmd/model';
import type { OverlayTable, PendingOperation } from './overlay.js';

/**
 * Walks of the head that stay sound while their transaction writes, without copying what may be 100,000 IDs.
 *
 * Each object that was there when the walk began is visited once, as it is when its turn comes, and left out when by
 * then it is deleted or has another key. Objects that were added since are left out; one that was moved away and back
 * may come twice, or not. Pending objects come first: what the walker writes moves into the overlay, which by then is
 * behind it.
 */
export function* overlayObjects(table: OverlayTable, own: readonly PendingOperation[]): Generator<AnyObject> {
  const start = own.length;
  let left = table.operations.size;
  for (const operation of table.operations.values()) {
    if (left-- === 0) break;
    if (operation.value !== undefined && !isNew(operation, own, start)) yield operation.value;
  }
  for (const [id, object] of table.durable.objects) {
    const operation = table.operations.get(id);
    if (operation === undefined) yield object;
    else if (operation.value !== undefined && isNew(operation, own, start)) yield operation.value;
  }
}

/** The same for the objects under one key of a secondary index. */
export function* overlayObjectsByKey(
  table: OverlayTable,
  indexName: string,
  key: string,
  own: readonly PendingOperation[],
): Generator<AnyObject> {
  const start = own.length;
  if (table.operations.size > 0) {
    const index = table.index(indexName);
    const ids = index.ids(key);
    let left = ids === undefined || typeof ids === 'string' ? 1 : ids.size;
    for (const id of typeof ids === 'string' ? [ids] : (ids ?? [])) {
      // An ID that a write has removed and put back comes round again at the end of the set.
      if (left-- === 0) break;
      const operation = table.operations.get(id);
      if (operation?.value === undefined || isNew(operation, own, start)) continue;
      if (index.keyOf(operation.value) === key) yield operation.value;
    }
  }
  const durable = table.durable.indexes.named(indexName);
  const ids = durable.ids(key);
  for (const id of typeof ids === 'string' ? [ids] : (ids ?? [])) {
    const operation = table.operations.size === 0 ? undefined : table.operations.get(id);
    if (operation === undefined) yield table.durable.objects.get(id) as AnyObject;
    else if (operation.value !== undefined && isNew(operation, own, start) && durable.keyOf(operation.value) === key)
      yield operation.value;
  }
}

/** Whether the object had no pending operation when the walk began: the walker's own transaction gave it one since. */
function isNew(operation: PendingOperation, own: readonly PendingOperation[], start: number): boolean {
  return operation.position >= start && own[operation.position] === operation && !operation.replaced;
}
