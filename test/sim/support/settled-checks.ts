import { nodeMatches, parseConstraints } from '@swarmd/manager';
import {
  compareStates,
  DEFAULTS,
  holdsResources,
  isTerminal,
  type Node,
  type ReadView,
  type Service,
  specKey,
  type Task,
} from '@swarmd/model';
import { hostPorts, isLive, lacksNetworks } from './task-checks.js';

/** A node, as far as containers are concerned. */
export interface RunningContainers {
  /** IDs of the tasks whose containers run there. */
  readonly running: readonly string[];
}

/** What is not as it should be once everything has come to rest: a dumb reading of what each service wants. */
export function checkSettled(view: ReadView, agents: ReadonlyMap<string, RunningContainers>): string[] {
  const wrong: string[] = [];
  for (const service of view.all('service')) {
    if (service.PendingDelete) wrong.push(`removed service ${service.Spec.Name} is still there`);
    else for (const problem of checkService(view, service)) wrong.push(`${service.Spec.Name}: ${problem}`);
  }
  for (const task of view.all('task')) {
    if (view.get('service', task.ServiceID) === undefined) wrong.push(`task ${task.ID} of no service`);
    if (isLive(task) && !isTerminal(task.Status.State)) {
      if (task.Status.State === 'pending') wrong.push(...checkWaiting(view, task));
      else if (task.Status.State !== 'running' && !(task.Status.State === 'new' && task.Status.Err))
        wrong.push(`task ${task.ID} of ${task.ServiceName} is stuck: ${task.Status.State}/${task.DesiredState}`);
    } else if (!isTerminal(task.Status.State) && !isPlaceholder(view, task))
      wrong.push(`task ${task.ID} of ${task.ServiceName} never stopped: ${task.Status.State}/${task.DesiredState}`);
  }
  wrong.push(...checkRecords(view), ...checkPorts(view), ...checkContainers(view, agents));
  return wrong;
}

/** A task that never had a node is kept as long as an update of its service is under way. */
function isPlaceholder(view: ReadView, { ServiceID, Status }: Task): boolean {
  const updating = view.get('service', ServiceID)?.UpdateProgress !== undefined;
  return updating && compareStates(Status.State, 'assigned') < 0;
}

function checkService(view: ReadView, service: Service): string[] {
  const mode = service.Spec.Mode;
  const tasks = [...view.find('task', 'service', service.ID)].filter((task) => task.DesiredState !== 'remove');
  const wrong = checkHistory(service, tasks);
  if (mode?.Replicated) wrong.push(...checkReplicas(service, tasks));
  else if (mode?.Global) wrong.push(...checkGlobal(view, service, tasks));
  else if (mode?.ReplicatedJob) wrong.push(...checkReplicatedJob(service, tasks));
  else wrong.push(...checkGlobalJob(view, service, tasks));
  if (mode?.Replicated || mode?.Global) wrong.push(...checkUpdate(view, service, tasks));
  return wrong;
}

function checkReplicas(service: Service, tasks: readonly Task[]): string[] {
  const wanted = service.Spec.Mode?.Replicated?.Replicas ?? 1;
  const live = tasks.filter((task) => isLive(task) && !isTerminal(task.Status.State));
  const slots = new Set(live.map((task) => task.Slot));
  const together = live.filter((task) => !isWaiting(task) || !isUpdating(service));
  if (new Set(together.map((task) => task.Slot)).size !== together.length)
    return [`several tasks share a slot: ${live.map((task) => task.Slot)}`];
  const resting = new Set(tasks.filter((task) => !slots.has(task.Slot)).map((task) => task.Slot));
  if (slots.size + resting.size !== wanted)
    return [`${slots.size} tasks and ${resting.size} at rest for ${wanted} replicas`];
  return [...resting]
    .filter((slot) => !mayRest(service, tasks, (task) => task.Slot === slot))
    .map((slot) => `slot ${slot} is empty`);
}

function checkGlobal(view: ReadView, service: Service, tasks: readonly Task[]): string[] {
  const wrong: string[] = [];
  for (const node of view.all('node')) {
    const here = (task: Task): boolean => task.NodeID === node.ID;
    const live = tasks.filter((task) => here(task) && isLive(task) && !isTerminal(task.Status.State));
    if (live.filter((task) => !isWaiting(task) || !isUpdating(service)).length > 1)
      wrong.push(`${live.length} tasks on ${node.ID}`);
    const fits = allowed(service, node);
    const takes = fits && node.Status.State === 'ready' && node.Spec.Availability === 'active';
    if (takes && live.length === 0 && !mayRest(service, tasks, here)) wrong.push(`nothing on ${node.ID}`);
    if ((!fits || node.Spec.Availability === 'drain') && live.length > 0)
      wrong.push(`it is on ${node.ID} against the rules`);
  }
  return wrong;
}

function checkReplicatedJob(service: Service, tasks: readonly Task[]): string[] {
  const mode = service.Spec.Mode?.ReplicatedJob;
  const iteration = service.JobStatus?.JobIteration.Index ?? 0;
  const current = tasks.filter((task) => (task.JobIteration?.Index ?? 0) === iteration);
  if (current.length < tasks.length) return ['tasks of an earlier iteration are left'];
  const open: number[] = [];
  for (let slot = 0; slot < (mode?.TotalCompletions ?? 1); slot++) {
    const here = (task: Task): boolean => task.Slot === slot;
    if (current.some((task) => here(task) && task.Status.State === 'complete')) continue;
    if (!current.some((task) => here(task) && isWaiting(task)) && !mayRest(service, current, here)) open.push(slot);
  }
  // Those that wait for room keep others from being begun.
  const waiting = current.filter(isWaiting).length;
  return open.length > 0 && waiting < (mode?.MaxConcurrent ?? 1) ? [`completions ${open} are missing`] : [];
}

function checkGlobalJob(view: ReadView, service: Service, tasks: readonly Task[]): string[] {
  const iteration = service.JobStatus?.JobIteration.Index ?? 0;
  const wrong: string[] = [];
  for (const node of view.all('node')) {
    if (!allowed(service, node) || node.Status.State !== 'ready' || node.Spec.Availability !== 'active') continue;
    const here = (task: Task): boolean => task.NodeID === node.ID && (task.JobIteration?.Index ?? 0) === iteration;
    if (tasks.some((task) => here(task) && (task.Status.State === 'complete' || isWaiting(task)))) continue;
    if (!mayRest(service, tasks, here)) wrong.push(`no completion on ${node.ID}`);
  }
  return wrong;
}

/** An update that starts the new task first holds both while the new one finds no room. */
function isUpdating({ UpdateStatus }: Service): boolean {
  return UpdateStatus !== undefined && !UpdateStatus.State.endsWith('completed');
}

function isWaiting(task: Task): boolean {
  return isLive(task) && (task.Status.State === 'pending' || task.Status.State === 'new');
}

function allowed(service: Service, node: Node): boolean {
  return nodeMatches(parseConstraints(service.Spec.TaskTemplate?.Placement?.Constraints ?? []), node);
}

/** Whether a replica without a task can be explained by its restart policy. */
function mayRest(service: Service, tasks: readonly Task[], here: (task: Task) => boolean): boolean {
  const ended = tasks.filter(here);
  const policy = service.Spec.TaskTemplate?.RestartPolicy;
  if (ended.length === 0) return false;
  const condition = policy?.Condition || 'any';
  if (condition === 'none') return true;
  if (condition === 'on-failure' && ended.some((task) => task.Status.State === 'complete')) return true;
  const attempts = policy?.MaxAttempts ?? 0;
  return attempts > 0 && ended.length > attempts;
}

function checkUpdate(view: ReadView, service: Service, tasks: readonly Task[]): string[] {
  const state = service.UpdateStatus?.State;
  const waits = tasks.some(isWaiting);
  const pausedNode = [...view.all('node')].some((node) => node.Spec.Availability === 'pause');
  if (state === 'updating' || state === 'rollback_started')
    return waits || pausedNode ? [] : [`its update never ended (${state})`];
  if (state === 'paused' || state === 'rollback_paused') return [];
  // A policy may forbid to try the new task again where it failed; what an update start-first has left there stays.
  const policy = service.Spec.TaskTemplate?.RestartPolicy;
  if ((policy?.Condition || 'any') !== 'any' || policy?.MaxAttempts) return [];
  const current = JSON.stringify([service.Spec.TaskTemplate?.ContainerSpec, service.Spec.TaskTemplate?.ForceUpdate]);
  return tasks
    .filter((task) => isLive(task) && task.SpecVersion !== service.SpecVersion)
    .filter((task) => {
      const made = view.get('spec', specKey(service.ID, task.SpecVersion))?.Spec.TaskTemplate;
      return JSON.stringify([made?.ContainerSpec, made?.ForceUpdate]) !== current;
    })
    .map((task) => `task ${task.ID} is of an old version although the update is ${state ?? 'not under way'}`);
}

function checkHistory(service: Service, tasks: readonly Task[]): string[] {
  const attempts = service.Spec.TaskTemplate?.RestartPolicy?.MaxAttempts ?? 0;
  const limit = Math.max(DEFAULTS.taskHistoryRetentionLimit, attempts + 1);
  const kept = new Map<string, number>();
  for (const task of tasks) {
    if (task.Status.State === 'complete' && service.JobStatus !== undefined) continue;
    const global = service.Spec.Mode?.Global ?? service.Spec.Mode?.GlobalJob;
    const key = global ? task.NodeID : String(task.Slot);
    kept.set(key, (kept.get(key) ?? 0) + 1);
  }
  return [...kept].filter(([, count]) => count > limit).map(([key, count]) => `${count} tasks are kept of ${key}`);
}

/** A task that waits says why, and there is indeed no node for it. */
function checkWaiting(view: ReadView, task: Task): string[] {
  const wrong: string[] = [];
  const name = `task ${task.ID} of ${task.ServiceName}`;
  if (!task.Status.Err) wrong.push(`${name} waits and does not say why`);
  const spec = view.get('spec', specKey(task.ServiceID, task.SpecVersion))?.Spec.TaskTemplate;
  for (const node of view.all('node')) {
    if (task.NodeID !== '' && task.NodeID !== node.ID) continue;
    if (node.Status.State !== 'ready' || node.Spec.Availability !== 'active') continue;
    if (!nodeMatches(parseConstraints(spec?.Placement?.Constraints ?? []), node)) continue;
    if (task.NetworksAttachments?.length && lacksNetworks(node)) continue;
    const holding = [...view.find('task', 'node', node.ID)].filter(({ Status }) => holdsResources(Status.State));
    const used = holding.reduce(
      (total, other) =>
        total +
        (view.get('spec', specKey(other.ServiceID, other.SpecVersion))?.Spec.TaskTemplate?.Resources?.Reservations
          ?.NanoCPUs ?? 0),
      0,
    );
    const needed = spec?.Resources?.Reservations?.NanoCPUs ?? 0;
    if (needed > 0 && used + needed > (node.Description?.Resources.NanoCPUs ?? 0)) continue;
    if (holding.some((other) => hostPorts(other).some((port) => hostPorts(task).includes(port)))) continue;
    const most = spec?.Placement?.MaxReplicas ?? 0;
    if (most > 0 && holding.filter((other) => other.ServiceID === task.ServiceID && isLive(other)).length >= most)
      continue;
    wrong.push(`${name} waits although ${node.ID} would take it (${task.Status.Err})`);
  }
  return wrong;
}

/** Every spec record is somebody's. */
function checkRecords(view: ReadView): string[] {
  const needed = new Set<string>();
  for (const { ID, SpecVersion, PreviousSpecVersion } of view.all('service')) {
    needed.add(specKey(ID, SpecVersion));
    if (PreviousSpecVersion !== undefined) needed.add(specKey(ID, PreviousSpecVersion));
  }
  for (const task of view.all('task')) needed.add(specKey(task.ServiceID, task.SpecVersion));
  const kept = new Set([...view.all('spec')].map((record) => record.ID));
  return [
    ...[...kept].filter((id) => !needed.has(id)).map((id) => `spec ${id} is nobody's`),
    ...[...needed].filter((id) => !kept.has(id)).map((id) => `spec ${id} is missing`),
  ];
}

function checkPorts(view: ReadView): string[] {
  const owners = new Map<string, string>();
  const wrong: string[] = [];
  for (const service of view.all('service')) {
    for (const { Protocol, PublishedPort, PublishMode } of service.Endpoint?.Ports ?? []) {
      if (PublishMode === 'host') continue;
      const key = `${Protocol}/${PublishedPort}`;
      if (owners.has(key)) wrong.push(`${key} belongs to ${owners.get(key)} and ${service.Spec.Name}`);
      owners.set(key, service.Spec.Name ?? '');
    }
  }
  return wrong;
}

/** What runs on the nodes is what the cluster believes to run. */
function checkContainers(view: ReadView, agents: ReadonlyMap<string, RunningContainers>): string[] {
  const wrong: string[] = [];
  for (const [id, agent] of agents) {
    if (view.get('node', id) === undefined) continue;
    const running = new Set(agent.running);
    for (const taskId of running) {
      const task = view.get('task', taskId);
      if (task === undefined || compareStates(task.Status.State, 'running') !== 0 || !isLive(task))
        wrong.push(`${id} runs ${taskId}, which is ${task?.Status.State ?? 'unknown'}/${task?.DesiredState ?? '-'}`);
    }
    for (const task of view.find('task', 'node', id))
      if (task.Status.State === 'running' && !running.has(task.ID)) wrong.push(`${id} does not run ${task.ID}`);
  }
  return wrong;
}
