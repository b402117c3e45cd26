import {
  type Commit,
  type Control,
  type Filters,
  modeName,
  type Node,
  NS_PER_MS,
  type Service,
  type StoreEvent,
  SwarmdError,
} from '@swarmd/model';
import type { ControlDependencies } from './dependencies.js';
import { matchesLabels } from './filters.js';
import { nameOf } from './references.js';

/** A client that reads slower than this many events behind is cut off rather than allowed to fill memory. */
const MAX_QUEUED_EVENTS = 10_000;

/** One Docker event of scope swarm. */
export type SwarmEvent = {
  Type: 'service' | 'node' | 'secret' | 'config' | 'network';
  Action: 'create' | 'update' | 'remove';
  Actor: { ID: string; Attributes: Record<string, string> };
  scope: 'swarm';
  time: number;
  timeNano: number;
};

/** Events made from the store's commits, from the moment of the call on. */
export function eventControl({ store, clock }: ControlDependencies): Pick<Control, 'events'> {
  return {
    events(filters, signal) {
      const queue: SwarmEvent[] = [];
      let overflowed = false;
      let wake: (() => void) | undefined;
      const onCommit = (commit: Commit): void => {
        const now = clock.now();
        for (const change of commit.events) {
          const event = toSwarmEvent(change, now);
          if (event === undefined || !matches(event, change, filters)) continue;
          if (queue.length >= MAX_QUEUED_EVENTS) overflowed = true;
          else queue.push(event);
        }
        wake?.();
      };
      const stop = store.watch(onCommit);
      signal.addEventListener('abort', () => wake?.(), { once: true });
      return (async function* () {
        try {
          while (!signal.aborted) {
            for (let event = queue.shift(); event !== undefined; event = queue.shift()) yield event;
            if (overflowed) throw new SwarmdError('aborted', `more than ${MAX_QUEUED_EVENTS} events were not read`);
            if (signal.aborted) return;
            await new Promise<void>((resolve) => {
              wake = resolve;
            });
          }
        } finally {
          stop();
        }
      })();
    },
  };
}

const TYPES: ReadonlySet<string> = new Set(['service', 'node', 'secret', 'config', 'network']);

/** The Docker event for one change of the store, or undefined when clients hear nothing of it. */
export function toSwarmEvent(change: StoreEvent, nowMs: number): SwarmEvent | undefined {
  if (!TYPES.has(change.table)) return undefined;
  const Type = change.table as SwarmEvent['Type'];
  const action = actionOf(change);
  if (action === undefined) return undefined;
  const object = change.object as Service;
  const Attributes: Record<string, string> = { name: nameOf(Type, object as never) };
  if (action === 'update') Object.assign(Attributes, changedAttributes(change));
  return {
    Type,
    Action: action,
    Actor: { ID: object.ID, Attributes },
    scope: 'swarm',
    time: Math.floor(nowMs / 1000),
    timeNano: nowMs * NS_PER_MS,
  };
}

function actionOf(change: StoreEvent): SwarmEvent['Action'] | undefined {
  if (change.table === 'service') {
    // To clients a service is gone once it is marked; its real deletion later is nobody's news.
    if (change.kind === 'delete') return change.object.PendingDelete ? undefined : 'remove';
    if (change.kind === 'update' && change.object.PendingDelete) {
      return change.previous?.PendingDelete ? undefined : 'remove';
    }
  }
  return change.kind === 'delete' ? 'remove' : change.kind;
}

function changedAttributes(change: StoreEvent): Record<string, string> {
  const changed: Record<string, string> = {};
  const note = (key: string, before: string | undefined, after: string | undefined): void => {
    if (before === after) return;
    if (after !== undefined) changed[`${key}.new`] = after;
    if (before !== undefined) changed[`${key}.old`] = before;
  };
  if (change.table === 'service' && change.previous) {
    const [before, after] = [change.previous, change.object];
    note('image', imageOf(before), imageOf(after));
    if (modeName(after.Spec) === 'replicated') note('replicas', replicasOf(before), replicasOf(after));
    if (after.UpdateStatus) note('updatestate', before.UpdateStatus?.State, after.UpdateStatus.State);
  }
  if (change.table === 'node' && change.previous) {
    const [before, after]: Node[] = [change.previous, change.object];
    note('availability', before?.Spec.Availability, after?.Spec.Availability);
    note('role', before?.Spec.Role, after?.Spec.Role);
    note('state', before?.Status.State, after?.Status.State);
    note('leader', leaderOf(before), leaderOf(after));
    note('reachability', before?.ManagerStatus?.Reachability, after?.ManagerStatus?.Reachability);
  }
  return changed;
}

const imageOf = (service: Service): string | undefined => service.Spec.TaskTemplate?.ContainerSpec?.Image;
const replicasOf = (service: Service): string => String(service.Spec.Mode?.Replicated?.Replicas ?? 1);
const leaderOf = (node: Node | undefined): string | undefined =>
  node?.ManagerStatus ? String(node.ManagerStatus.Leader ?? false) : undefined;

function matches(event: SwarmEvent, change: StoreEvent, filters: Filters): boolean {
  const any = (name: string, test: (value: string) => boolean): boolean => filters[name]?.some(test) ?? true;
  const { ID, Attributes } = event.Actor;
  const labels = (change.object as Service).Spec?.Labels;
  for (const own of TYPES) {
    const wanted = filters[own];
    if (wanted?.length && (own !== event.Type || !wanted.some((w) => w === ID || w === Attributes['name'])))
      return false;
  }
  return (
    any('type', (v) => v === event.Type) &&
    any('event', (v) => v === event.Action) &&
    any('scope', (v) => v === 'swarm') &&
    matchesLabels(filters['label'] ?? [], labels) &&
    ['container', 'image', 'volume', 'plugin', 'daemon'].every((kind) => !filters[kind]?.length)
  );
}
