import { callEngine, type Host } from '@swarmd/testkit';
import { type Cluster, SWARMD_SOCKET } from './cluster.js';
import { waitFor } from './wait.js';

/** What the tests read of a task, as the API shows it. */
export interface TaskView {
  ID: string;
  ServiceID: string;
  NodeID?: string;
  Slot?: number;
  DesiredState: string;
  Spec: { ContainerSpec: { Env?: string[] } };
  Status: {
    /** RFC 3339. */
    Timestamp: string;
    State: string;
    Err?: string;
    Message?: string;
    ContainerStatus?: { ContainerID?: string; ExitCode?: number };
  };
}

/** What the tests read of a service, as the API shows it. */
export interface ServiceView {
  ID: string;
  Version: { Index: number };
  Spec: {
    Name: string;
    TaskTemplate: { ContainerSpec: { Image: string } };
  };
  Endpoint?: { Ports?: { TargetPort: number; PublishedPort: number }[] };
  UpdateStatus?: { State: string; Message: string };
}

/** What the tests read of a container, as an engine lists it. */
export interface ContainerView {
  Id: string;
  State: string;
  Image: string;
  Labels: Record<string, string>;
}

/** A GET on a host's swarmd. */
export async function apiGet<T>(host: Host, path: string): Promise<T> {
  return JSON.parse(await callEngine(host.path(SWARMD_SOCKET), { path })) as T;
}

/** A service by name. */
export function serviceOf(manager: Host, name: string): Promise<ServiceView> {
  return apiGet<ServiceView>(manager, `/services/${name}`);
}

/** All tasks of a service that the manager still knows, history included. */
export function tasksOf(manager: Host, service: string): Promise<TaskView[]> {
  return apiGet<TaskView[]>(manager, `/tasks?${filtersOf({ service: [service] })}`);
}

/** A service's tasks that are to run and do. */
export async function runningTasks(manager: Host, service: string): Promise<TaskView[]> {
  const tasks = await tasksOf(manager, service);
  return tasks.filter((task) => task.DesiredState === 'running' && task.Status.State === 'running');
}

/** Host names of nodes by their ID. */
export async function nodeNames(manager: Host): Promise<Map<string, string>> {
  const nodes = await apiGet<{ ID: string; Description?: { Hostname?: string } }[]>(manager, '/nodes');
  return new Map(nodes.map((node) => [node.ID, node.Description?.Hostname ?? '']));
}

/** Names of the hosts where a service's tasks run, sorted, one for each task. */
export async function placesOf(manager: Host, service: string): Promise<string[]> {
  const [names, tasks] = await Promise.all([nodeNames(manager), runningTasks(manager, service)]);
  return tasks.map((task) => names.get(task.NodeID ?? '') ?? '').sort();
}

/** Waits until exactly `count` tasks of a service are to run and all of them do; resolves with them. */
export async function waitForRunning(manager: Host, service: string, count: number): Promise<TaskView[]> {
  let running: TaskView[] = [];
  await waitFor(
    `${count} tasks of ${service} run`,
    async () => {
      const wanted = (await tasksOf(manager, service)).filter((task) => task.DesiredState === 'running');
      running = wanted.filter((task) => task.Status.State === 'running');
      return wanted.length === count && running.length === count;
    },
    { describe: () => describeTasks(manager) },
  );
  return running;
}

/** A service's containers on a host, stopped ones too; all of the cluster's without a name. */
export async function containersOn(host: Host, service?: string): Promise<ContainerView[]> {
  const label = service === undefined ? 'com.docker.swarm.task' : `com.docker.swarm.service.name=${service}`;
  const path = `/containers/json?all=1&${filtersOf({ label: [label] })}`;
  return JSON.parse(await callEngine(host.engineSocket, { path })) as ContainerView[];
}

/** What an engine says about a container. */
export async function inspectContainer<T = Record<string, unknown>>(host: Host, id: string): Promise<T> {
  return JSON.parse(await callEngine(host.engineSocket, { path: `/containers/${id}/json` })) as T;
}

/** IDs of a service's running containers by host name, sorted. */
export async function runningContainers(hosts: readonly Host[], service: string): Promise<Record<string, string[]>> {
  const found = await Promise.all(
    hosts.map(async (host) => {
      const running = (await containersOn(host, service)).filter(({ State }) => State === 'running');
      return [host.name, running.map(({ Id }) => Id).sort()] as const;
    }),
  );
  return Object.fromEntries(found);
}

/**
 * Waits until `count` tasks of a service run and the running containers of all hosts are just theirs; resolves with
 * the containers' IDs by host name. `manager` is asked for the tasks: the first host unless told.
 */
export async function waitForExactly(
  hosts: readonly Host[],
  service: string,
  count: number,
  manager: Host = hosts[0]!,
): Promise<Record<string, string[]>> {
  let containers: Record<string, string[]> = {};
  await waitFor(
    `${count} tasks of ${service} run, each in one container, and no other container does`,
    async () => {
      const tasks = await waitForRunning(manager, service, count);
      containers = await runningContainers(hosts, service);
      const wanted = tasks.map(({ Status }) => Status.ContainerStatus?.ContainerID).sort();
      return JSON.stringify(Object.values(containers).flat().sort()) === JSON.stringify(wanted);
    },
    { describe: async () => `${JSON.stringify(containers)}\n${await describeTasks(manager)}` },
  );
  return containers;
}

/** Waits until no host has a container of the cluster left. */
export async function waitForNoContainers(hosts: readonly Host[], service?: string): Promise<void> {
  await waitFor(`no container of ${service ?? 'the cluster'} is left`, async () => {
    const found = await Promise.all(hosts.map((host) => containersOn(host, service)));
    return found.every((containers) => containers.length === 0);
  });
}

/** Waits until a host runs no container of the cluster; stopped ones may stay for their logs. */
export async function waitForIdle(host: Host): Promise<void> {
  await waitFor(`no container of the cluster runs on ${host.name}`, async () => {
    return (await containersOn(host)).every(({ State }) => State !== 'running');
  });
}

/** `state` of a node's status, by host name: `ready`, `down`, … */
export async function nodeState(manager: Host, name: string): Promise<string> {
  const nodes = await apiGet<{ Description?: { Hostname?: string }; Status?: { State?: string } }[]>(manager, '/nodes');
  return nodes.find((node) => node.Description?.Hostname === name)?.Status?.State ?? 'missing';
}

/** The host whose manager leads, as `manager` sees it, once there is one. */
export async function leaderOf(
  { hosts, tryDocker }: Pick<Cluster, 'hosts' | 'tryDocker'>,
  manager: Host,
): Promise<Host> {
  let leader: Host | undefined;
  await waitFor('somebody leads', async () => {
    const { stdout } = await tryDocker(manager, 'node', 'ls', '--format', '{{.Hostname}} {{.ManagerStatus}}');
    const name = /^(\S+) Leader$/m.exec(stdout)?.[1];
    leader = hosts.find((host) => host.name === name);
    return leader !== undefined;
  });
  return leader!;
}

/** All tasks, a line each, for the message of a test that failed. */
export async function describeTasks(manager: Host): Promise<string> {
  const [names, tasks] = await Promise.all([nodeNames(manager), apiGet<TaskView[]>(manager, '/tasks')]);
  const lines = tasks.map(({ ID, ServiceID, NodeID, Slot, DesiredState, Status }) => {
    const where = names.get(NodeID ?? '') ?? '-';
    const why = Status.Err ?? Status.Message ?? '';
    return `${ServiceID.slice(0, 5)}.${Slot ?? '-'}.${ID.slice(0, 5)} ${where} ${DesiredState} ${Status.State} ${why}`;
  });
  return lines.slice(0, 40).join('\n');
}

function filtersOf(filters: Record<string, string[]>): string {
  return new URLSearchParams({ filters: JSON.stringify(filters) }).toString();
}
