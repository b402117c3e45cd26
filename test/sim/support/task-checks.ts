import { nodeMatches, parseConstraints } from '@swarmd/manager';
import {
  type Commit,
  compareStates,
  DEFAULTS,
  holdsResources,
  isTerminal,
  type Node,
  type ReadView,
  type Service,
  type ServiceSpec,
  type StoreEvent,
  specKey,
  type Task,
  type UpdateConfig,
} from '@swarmd/model';

/** What is wrong after a commit, one line each. `view` is the state that the commit led to. */
export type CommitCheck = (commit: Commit, view: ReadView) => string[];

type TaskEvent = Extract<StoreEvent, { table: 'task' }>;

function taskEvents({ events }: Commit): TaskEvent[] {
  return events.filter((event): event is TaskEvent => event.table === 'task');
}

/** States only climb; what a task is made of never changes; only what has ended, or never began, is deleted. */
export const checkLadder: CommitCheck = (commit, view) => {
  const wrong: string[] = [];
  for (const { kind, object: task, previous } of taskEvents(commit)) {
    const name = `task ${task.ID} (${task.ServiceName}.${task.Slot})`;
    if (kind === 'create') {
      const service = view.get('service', task.ServiceID);
      if (task.Status.State !== 'new') wrong.push(`${name} was created ${task.Status.State}`);
      if (service === undefined || service.PendingDelete) wrong.push(`${name} was created for a removed service`);
      if (view.get('spec', specKey(task.ServiceID, task.SpecVersion)) === undefined) wrong.push(`${name} has no spec`);
    } else if (kind === 'delete') {
      if (compareStates(task.Status.State, 'assigned') >= 0 && !isTerminal(task.Status.State))
        wrong.push(`${name} was deleted while ${task.Status.State} on ${task.NodeID}`);
    } else if (previous !== undefined) {
      if (compareStates(task.Status.State, previous.Status.State) < 0)
        wrong.push(`${name} went down from ${previous.Status.State} to ${task.Status.State}`);
      if (compareStates(task.DesiredState, previous.DesiredState) < 0)
        wrong.push(`${name} was desired ${previous.DesiredState} and is now desired ${task.DesiredState}`);
      if (previous.NodeID !== '' && task.NodeID !== previous.NodeID) wrong.push(`${name} changed its node`);
      for (const field of ['ServiceID', 'SpecVersion', 'Slot', 'StartAfter', 'CreatedAt'] as const)
        if (task[field] !== previous[field]) wrong.push(`${name} changed its ${field}`);
    }
  }
  return wrong;
};

/** A task comes only to a node that is ready, active, allowed and has room for it. */
export const checkPlacement: CommitCheck = (commit, view) => {
  const wrong: string[] = [];
  for (const { kind, object: task, previous } of taskEvents(commit)) {
    if (kind !== 'update' || previous?.Status.State !== 'pending' || task.Status.State !== 'assigned') continue;
    const name = `task ${task.ID} (${task.ServiceName}.${task.Slot})`;
    const node = view.get('node', task.NodeID);
    const spec = view.get('spec', specKey(task.ServiceID, task.SpecVersion))?.Spec;
    if (node === undefined || spec === undefined) {
      wrong.push(`${name} was assigned to ${task.NodeID} without ${node === undefined ? 'node' : 'spec'}`);
      continue;
    }
    if (node.Status.State !== 'ready' || node.Spec.Availability !== 'active')
      wrong.push(`${name} was assigned to ${node.ID}, ${node.Status.State} and ${node.Spec.Availability}`);
    const constraints = parseConstraints(spec.TaskTemplate?.Placement?.Constraints ?? []);
    if (!nodeMatches(constraints, node)) wrong.push(`${name} is not allowed on ${node.ID}`);
    if (task.NetworksAttachments?.length && lacksNetworks(node))
      wrong.push(`${name} is on networks and ${node.ID} on none`);
    for (const problem of crowding(task, node, spec, view)) wrong.push(`${name} on ${node.ID}: ${problem}`);
  }
  return wrong;
};

function crowding(task: Task, node: Node, spec: ServiceSpec, view: ReadView): string[] {
  const wrong: string[] = [];
  const holding = [...view.find('task', 'node', node.ID)].filter(({ Status }) => holdsResources(Status.State));
  const reserved = (other: Task): { NanoCPUs?: number | undefined; MemoryBytes?: number | undefined } =>
    view.get('spec', specKey(other.ServiceID, other.SpecVersion))?.Spec.TaskTemplate?.Resources?.Reservations ?? {};
  const mine = reserved(task);
  for (const kind of ['NanoCPUs', 'MemoryBytes'] as const) {
    if (!mine[kind]) continue;
    const sum = holding.reduce((total, other) => total + (reserved(other)[kind] ?? 0), 0);
    const offered = node.Description?.Resources[kind] ?? 0;
    if (sum > offered) wrong.push(`${kind} reserved ${sum} of ${offered}`);
  }
  const ports = hostPorts(task);
  for (const other of holding)
    if (other !== task && hostPorts(other).some((port) => ports.includes(port)))
      wrong.push(`host port shared with ${other.ID}`);
  const most = spec.TaskTemplate?.Placement?.MaxReplicas ?? 0;
  const siblings = holding.filter((other) => other.ServiceID === task.ServiceID && isLive(other));
  if (most > 0 && siblings.length > most) wrong.push(`${siblings.length} replicas of ${most} allowed`);
  return wrong;
}

/** Whether a node has come without a data path; one that has not come yet may have one. */
export function lacksNetworks({ Session, DataPath }: Node): boolean {
  return Session !== undefined && DataPath === undefined;
}

/** The host-mode ports that a task publishes. */
export function hostPorts(task: Task): string[] {
  return (task.Endpoint?.Ports ?? [])
    .filter((port) => port.PublishMode === 'host' && port.PublishedPort)
    .map((port) => `${port.Protocol}/${port.PublishedPort}`);
}

/** Whether a task is wanted. */
export function isLive(task: Task): boolean {
  return compareStates(task.DesiredState, 'complete') <= 0;
}

/** Tasks of the same replica: of a slot, or of a node in global services. */
export function sameReplica(service: Service, task: Task): (other: Task) => boolean {
  const global = service.Spec.Mode?.Global ?? service.Spec.Mode?.GlobalJob;
  return global ? (other) => other.NodeID === task.NodeID : (other) => other.Slot === task.Slot;
}

/**
 * One task per replica is wanted at a time, unless an update starts the new one first; and a replacement starts only once
 * the task before it has stopped, its node is lost, or a minute has passed.
 */
export function createSlotCheck(): CommitCheck {
  /** Services that have ever been updated start-first: their slots may hold two. */
  const overlapping = new Set<string>();
  const startFirst = (config: UpdateConfig | null | undefined): boolean => config?.Order === 'start-first';
  return (commit, view) => {
    const wrong: string[] = [];
    for (const { object, table } of commit.events) {
      if (table !== 'service') continue;
      const { Spec, PreviousSpec, ID } = object;
      for (const spec of [Spec, PreviousSpec])
        if (startFirst(spec?.UpdateConfig) || startFirst(spec?.RollbackConfig)) overlapping.add(ID);
    }
    for (const { kind, object: task, previous } of taskEvents(commit)) {
      if (kind === 'delete' || !isLive(task) || previous?.DesiredState === task.DesiredState) continue;
      const service = view.get('service', task.ServiceID);
      if (service === undefined || overlapping.has(service.ID)) continue;
      const iteration = task.JobIteration?.Index;
      const others = [...view.find('task', 'service', service.ID)]
        .filter(sameReplica(service, task))
        .filter((other) => other.ID !== task.ID && other.JobIteration?.Index === iteration);
      for (const other of others) {
        const both = `${other.ID} and ${task.ID} of ${task.ServiceName}.${task.Slot || task.NodeID}`;
        if (isLive(other) && !isTerminal(other.Status.State)) wrong.push(`${both} are both wanted`);
        else if (task.DesiredState !== 'ready' && stillStopping(other, task, commit, view))
          wrong.push(`${both}: one was started while the other still stops`);
      }
    }
    return wrong;
  };
}

function stillStopping(old: Task, task: Task, { events }: Commit, view: ReadView): boolean {
  // Slots that were scaled away and are used again do not wait for what was there.
  if (old.DesiredState !== 'shutdown' || isTerminal(old.Status.State)) return false;
  if (compareStates(old.Status.State, 'assigned') < 0) return false;
  const node = view.get('node', old.NodeID);
  if (node === undefined || node.Status.State === 'down') return false;
  const now = Date.parse((events[0]?.object.UpdatedAt ?? '') as string);
  return now < Date.parse(task.CreatedAt) + DEFAULTS.oldTaskTimeoutMs;
}
