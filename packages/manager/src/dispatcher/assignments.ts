import {
  type Config,
  isTerminal,
  type Network,
  type NetworkAttachment,
  type Node,
  type ReadView,
  type Secret,
  type SpecRecord,
  specKey,
  TASK_STATE_ORDER,
  type Task,
} from '@swarmd/model';
import { predefinedNetwork } from '../control/predefined-networks.js';

/** One thing that a node must have. `key` is unique in a set: kind and ID. */
export type AssignmentItem =
  | { kind: 'network'; key: string; network: Network; addressBlocks: readonly string[] }
  | { kind: 'spec'; key: string; record: SpecRecord }
  | { kind: 'secret'; key: string; secret: Secret }
  | { kind: 'config'; key: string; config: Config }
  | { kind: 'task'; key: string; task: Task; hostname: string; ended: boolean };

/** Everything that one node must have, by {@link AssignmentItem} key. */
export type AssignmentSet = ReadonlyMap<string, AssignmentItem>;

/** What leads from one set to another: `put` in the order in which it is needed, then `remove` in the reverse order. */
export interface AssignmentDiff {
  put: AssignmentItem[];
  remove: AssignmentItem[];
}

/** The order within a set: what tasks need comes before them. */
const KIND_ORDER: Readonly<Record<AssignmentItem['kind'], number>> = {
  network: 0,
  spec: 1,
  secret: 2,
  config: 3,
  task: 4,
};

/**
 * What `nodeId` must have: its tasks from assigned on, ended ones too (their containers are kept for their logs), the
 * spec of each, and the secrets, configs and networks of those that have not ended. Source: swarmkit's assignment set.
 * A node of the data path has the networks `everywhere` besides.
 */
export function assignmentSet(view: ReadView, nodeId: string, everywhere: readonly Network[] = []): AssignmentSet {
  const items = new Map<string, AssignmentItem>();
  const put = (item: AssignmentItem): void => {
    items.set(item.key, item);
  };
  const node = view.get('node', nodeId);
  const hostname = node?.Description?.Hostname ?? '';
  if (node?.DataPath !== undefined) for (const network of everywhere) put(networkItem(network, node));
  for (const task of view.find('task', 'node', nodeId)) {
    if (!isAssigned(task)) continue;
    put(taskItem(task, hostname));
    const record = view.get('spec', specKey(task.ServiceID, task.SpecVersion));
    if (record !== undefined) put({ kind: 'spec', key: itemKey('spec', record.ID), record });
    if (!isTerminal(task.Status.State)) for (const item of needsOf(view, task, record, node)) put(item);
  }
  return items;
}

/** Whether a task has come to its node: it is at least assigned. */
export function isAssigned(task: Task): boolean {
  return TASK_STATE_ORDER[task.Status.State] >= TASK_STATE_ORDER.assigned;
}

/** The item that stands for a task, whatever its node needs besides. */
export function taskItem(task: Task, hostname: string): AssignmentItem & { kind: 'task' } {
  const ended = isTerminal(task.Status.State);
  return { kind: 'task', key: itemKey('task', task.ID), task, hostname, ended };
}

/** The key of a thing in assignment sets. */
export function itemKey(kind: AssignmentItem['kind'], id: string): string {
  return `${kind}/${id}`;
}

/** The item that stands for a network, with the ranges of it that the node may use. */
export function networkItem(network: Network, node: Node | undefined): AssignmentItem & { kind: 'network' } {
  const addressBlocks = node?.AddressBlocks?.[network.ID] ?? [];
  return { kind: 'network', key: itemKey('network', network.ID), network, addressBlocks };
}

function* needsOf(
  view: ReadView,
  task: Task,
  record: SpecRecord | undefined,
  node: Node | undefined,
): Iterable<AssignmentItem> {
  const container = record?.Spec.TaskTemplate?.ContainerSpec;
  for (const { SecretID } of container?.Secrets ?? []) {
    const secret = view.get('secret', SecretID);
    if (secret !== undefined) yield { kind: 'secret', key: itemKey('secret', SecretID), secret };
  }
  for (const { ConfigID } of container?.Configs ?? []) {
    const config = view.get('config', ConfigID);
    if (config !== undefined) yield { kind: 'config', key: itemKey('config', ConfigID), config };
  }
  for (const id of networkIds(task, record)) {
    const network = view.get('network', id);
    if (network !== undefined && usable(network, node)) yield networkItem(network, node);
  }
}

/**
 * What a task is attached to, and of what its spec names the networks that every node has by itself: they take no
 * attachment. All that its spec names while nobody has given it addresses, as on bridges of each host.
 */
function networkIds(task: Task, record: SpecRecord | undefined): Set<string> {
  const named = (record?.Spec.TaskTemplate?.Networks ?? []).map(({ Target }) => Target ?? '');
  if (!task.NetworksAttachments?.length) return new Set(named);
  const attached = task.NetworksAttachments.map(({ Network }) => Network.ID);
  return new Set([...attached, ...named.filter((id) => predefinedNetwork(id) !== undefined)]);
}

/** A node of the data path can do nothing with a network that has no addresses; others make a bridge of their own of it. */
function usable({ ID, Allocation }: Network, node: Node | undefined): boolean {
  return node?.DataPath === undefined || Allocation !== undefined || predefinedNetwork(ID) !== undefined;
}

/** What leads from `from` to `to`; both lists are empty when nothing that the agent sees differs. */
export function diffAssignments(from: AssignmentSet, to: AssignmentSet): AssignmentDiff {
  const put: AssignmentItem[] = [];
  const remove: AssignmentItem[] = [];
  for (const [key, item] of to) {
    const had = from.get(key);
    if (had === undefined || !sameItem(had, item)) put.push(item);
  }
  for (const [key, item] of from) if (!to.has(key)) remove.push(item);
  put.sort((a, b) => KIND_ORDER[a.kind] - KIND_ORDER[b.kind]);
  remove.sort((a, b) => KIND_ORDER[b.kind] - KIND_ORDER[a.kind]);
  return { put, remove };
}

/** Whether the agent would see no difference between two items of the same key. */
export function sameItem(a: AssignmentItem, b: AssignmentItem): boolean {
  if (a.kind === 'task' && b.kind === 'task') return sameTask(a, b);
  // Spec records are immutable; of a secret or config users can change the labels, which agents do not see.
  if (a.kind === 'secret' && b.kind === 'secret') return sameContent(a.secret.Spec, b.secret.Spec);
  if (a.kind === 'config' && b.kind === 'config') return sameContent(a.config.Spec, b.config.Spec);
  if (a.kind === 'network' && b.kind === 'network') return sameNetwork(a, b);
  return a.kind === b.kind;
}

type NetworkItem = AssignmentItem & { kind: 'network' };

function sameNetwork(a: NetworkItem, b: NetworkItem): boolean {
  if (a.network === b.network && a.addressBlocks === b.addressBlocks) return true;
  const sent = ({ network: { Spec, Allocation }, addressBlocks }: NetworkItem) => [Spec, Allocation, addressBlocks];
  return sameJson(sent(a), sent(b));
}

type TaskItem = AssignmentItem & { kind: 'task' };

function sameTask(a: TaskItem, b: TaskItem): boolean {
  if (a.ended !== b.ended || a.hostname !== b.hostname) return false;
  const [x, y] = [a.task, b.task];
  if (x === y) return true;
  return (
    x.DesiredState === y.DesiredState &&
    x.ServiceID === y.ServiceID &&
    x.SpecVersion === y.SpecVersion &&
    x.Slot === y.Slot &&
    x.ServiceName === y.ServiceName &&
    sameJson(x.Endpoint?.Ports, y.Endpoint?.Ports) &&
    sameJson<NetworkAttachment[] | undefined>(x.NetworksAttachments, y.NetworksAttachments) &&
    sameJson(x.AssignedGenericResources, y.AssignedGenericResources)
  );
}

function sameContent(a: Secret['Spec'] | Config['Spec'], b: Secret['Spec'] | Config['Spec']): boolean {
  return a === b || (a.Name === b.Name && a.Data === b.Data && a.Templating?.Name === b.Templating?.Name);
}

function sameJson<T>(a: T, b: T): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}
