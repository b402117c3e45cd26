import { isTerminal, type ReadView, type Service, type StoreEvent } from '@swarmd/model';
import { claimsInEvent } from './holders.js';
import { isOverlay } from './network-allocation.js';
import { isIngress } from './ports.js';
import type { Waiting } from './waiting.js';

/** What the allocator reconciles one by one. */
export type Key = 'cluster' | `network/${string}` | `service/${string}` | `node/${string}`;

const RANKS = ['cluster', 'network', 'service', 'node'] as const;

/** What a key stands for. */
export function keyOf(key: Key): { kind: (typeof RANKS)[number]; id: string } {
  const slash = key.indexOf('/');
  if (slash < 0) return { kind: 'cluster', id: '' };
  return { kind: key.slice(0, slash) as (typeof RANKS)[number], id: key.slice(slash + 1) };
}

/** Lower ones come first: what later ones are given follows from them. */
export function rankOf(key: Key): number {
  return RANKS.indexOf(keyOf(key).kind);
}

/** Every key there is. */
export function* allKeys(view: ReadView): Iterable<Key> {
  yield 'cluster';
  for (const network of view.all('network')) if (isOverlay(network)) yield `network/${network.ID}`;
  for (const { ID } of view.all('service')) yield `service/${ID}`;
  for (const { ID } of view.all('node')) yield `node/${ID}`;
}

/** Marks what an event is a reason to look at. */
export function markDirty(event: StoreEvent, view: ReadView, waiting: Waiting, mark: (key: Key) => void): void {
  if (event.table === 'cluster') mark('cluster');
  else if (event.table === 'network') markForNetwork(event, view, waiting, mark);
  else if (event.table === 'task') markForTask(event, waiting, mark);
  else if (event.table === 'service') markForService(event, view, waiting, mark);
  else if (event.table === 'node') markForNode(event, view, waiting, mark);
}

function markForTask(event: StoreEvent & { table: 'task' }, waiting: Waiting, mark: (key: Key) => void): void {
  const { object, previous, kind } = event;
  if (kind === 'create' && object.Status.State === 'new') mark(`service/${object.ServiceID}`);
  const held = previous === undefined || !isTerminal(previous.Status.State);
  if (kind === 'create' || !held || !(kind === 'delete' || isTerminal(object.Status.State))) return;
  for (const { Network } of object.NetworksAttachments ?? []) markWaiting(waiting, Network.ID, mark);
}

function markWaiting(waiting: Waiting, networkId: string, mark: (key: Key) => void): void {
  for (const id of waiting.services(networkId)) mark(`service/${id}`);
}

function markForNetwork(
  event: StoreEvent & { table: 'network' },
  view: ReadView,
  waiting: Waiting,
  mark: (key: Key) => void,
): void {
  const { object, previous, kind } = event;
  if (!isOverlay(object)) return;
  if (kind !== 'delete' && object.Allocation === undefined) mark(`network/${object.ID}`);
  if (kind === 'delete') for (const id of waiting.networks()) mark(`network/${id}`);
  if (kind === 'update' && previous?.Allocation !== undefined && object.Allocation !== undefined) return;
  markWaiting(waiting, object.ID, mark);
  // Those that wait for there to be an ingress network.
  if (object.Spec.Ingress) markWaiting(waiting, '', mark);
  if (object.Spec.Attachable) for (const { ID } of view.all('node')) mark(`node/${ID}`);
}

function markForService(
  event: StoreEvent & { table: 'service' },
  view: ReadView,
  waiting: Waiting,
  mark: (key: Key) => void,
): void {
  const { object, previous, kind } = event;
  mark(`service/${object.ID}`);
  const freed =
    kind === 'delete' || (kind === 'update' && object.Endpoint !== previous?.Endpoint) || object.PendingDelete;
  if (!freed) return;
  if (hasPorts(previous ?? object))
    for (const service of view.all('service'))
      if ((service.Spec.EndpointSpec?.Ports ?? []).some(isIngress)) mark(`service/${service.ID}`);
  for (const { networkId } of claimsInEvent(event).before) markWaiting(waiting, networkId, mark);
}

function hasPorts({ Spec, Endpoint }: Service): boolean {
  return (Endpoint?.Ports ?? []).some(isIngress) || (Spec.EndpointSpec?.Ports ?? []).some(isIngress);
}

function markForNode(
  event: StoreEvent & { table: 'node' },
  view: ReadView,
  waiting: Waiting,
  mark: (key: Key) => void,
): void {
  const { object, previous, kind } = event;
  const { before } = claimsInEvent(event);
  for (const { networkId } of before) markWaiting(waiting, networkId, mark);
  const sameDataPath = kind === 'update' && JSON.stringify(object.DataPath) === JSON.stringify(previous?.DataPath);
  const sameAttachments = kind === 'update' && object.Attachments === previous?.Attachments;
  if (kind === 'delete' || (sameDataPath && sameAttachments)) return;
  mark(`node/${object.ID}`);
  if (!sameDataPath) for (const network of view.all('network')) if (isOverlay(network)) mark(`network/${network.ID}`);
}
