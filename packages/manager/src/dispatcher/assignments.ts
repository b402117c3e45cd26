import {
  type Config,
  isTerminal,
  type Network,
  type NetworkAttachment,
  type ReadView,
  type Secret,
  type SpecRecord,
  specKey,
  TASK_STATE_ORDER,
  type Task,
} from '@swarmd/model';

/** One thing that a node must have. `key` is unique in a set: kind and ID. */
export type AssignmentItem =
  | { kind: 'network'; key: string; network: Network }
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
 */
export function assignmentSet(view: ReadView, nodeId: string): AssignmentSet {
  const items = new Map<string, AssignmentItem>();
  const put = (item: AssignmentItem): void => {
    items.set(item.key, item);
  };
  const hostname = view.get('node', nodeId)?.Description?.Hostname ?? '';
  for (const task of view.find('task', 'node', nodeId)) {
    if (!isAssigned(task)) continue;
    put(taskItem(task, hostname));
    const record = view.get('spec', specKey(task.ServiceID, task.SpecVersion));
    if (record !== undefined) put({ kind: 'spec', key: itemKey('spec', record.ID), record });
    if (!isTerminal(task.Status.State)) for (const item of needsOf(view, task, record)) put(item);
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

function* needsOf(view: ReadView, task: Task, record: SpecRecord | undefined): Iterable<AssignmentItem> {
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
    if (network !== undefined) yield { kind: 'network', key: itemKey('network', id), network };
  }
}

/** What a task is attached to; what its spec names while nobody has given it addresses, as on bridges of each host. */
function networkIds(task: Task, record: SpecRecord | undefined): string[] {
  if (task.NetworksAttachments?.length) return task.NetworksAttachments.map(({ Network }) => Network.ID);
  return (record?.Spec.TaskTemplate?.Networks ?? []).map(({ Target }) => Target ?? '');
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
  if (a.kind === 'network' && b.kind === 'network') return sameJson(a.network.Spec, b.network.Spec);
  return a.kind === b.kind;
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
