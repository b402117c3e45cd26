import { setTimeout as delay } from 'node:timers/promises';
import { callEngine } from '@swarmd/testkit';
import type Docker from 'dockerode';
import { COMMAND, GRACE_SECONDS, IMAGE, type System } from './system.js';

/** Fine against the seconds that are measured, coarse against what a look costs the manager. */
const POLL_MS = 50;
const DEADLINE_MS = 300_000;
const LABEL = 'swarmd.bench.service';

interface ServiceSpec {
  Name: string;
  TaskTemplate: { ContainerSpec: { Env?: string[] } & Record<string, unknown> } & Record<string, unknown>;
  UpdateConfig?: Record<string, unknown>;
  [field: string]: unknown;
}

interface Service {
  ID: string;
  Version: { Index: number };
  Spec: ServiceSpec;
  ServiceStatus?: { RunningTasks: number };
}

interface Task {
  Status: { State: string };
  Spec: { ContainerSpec: { Env?: string[] } };
}

/**
 * A cluster driven by the service calls of the Docker Engine API through a manager's socket: Docker Swarm or
 * swarmd. `engines` are asked whether containers are gone.
 */
export function createOrchestratedSystem(
  name: 'swarm' | 'swarmd',
  managerSocket: string,
  engines: readonly Docker[],
): System {
  const api = serviceCalls(managerSocket);
  const serviceName = `bench-${name}`;
  let round = 0;
  let replicasWanted = 0;
  return {
    name,
    async create(replicas) {
      replicasWanted = replicas;
      await api.post('/services/create', specOf(serviceName, replicas));
      await until(async () => (await api.listed(serviceName)).ServiceStatus?.RunningTasks === replicas);
    },
    async update(parallelism) {
      const { ID, Version, Spec } = await api.get<Service>(`/services/${serviceName}`);
      const mark = `ROUND=${++round}`;
      Spec.TaskTemplate.ContainerSpec.Env = [mark];
      Spec.UpdateConfig = { ...Spec.UpdateConfig, Parallelism: parallelism, Order: 'stop-first', Delay: 0 };
      await api.post(`/services/${ID}/update?version=${Version.Index}`, Spec);
      await until(async () => {
        const filters = encodeURIComponent(JSON.stringify({ service: [serviceName], 'desired-state': ['running'] }));
        const tasks = await api.get<Task[]>(`/tasks?filters=${filters}`);
        const updated = tasks.filter(
          (task) => task.Status.State === 'running' && task.Spec.ContainerSpec.Env?.includes(mark),
        );
        return updated.length === replicasWanted;
      });
    },
    async remove() {
      await api.delete(`/services/${serviceName}`);
      const filters = { label: [`${LABEL}=${serviceName}`] };
      await until(async () => {
        const lists = await Promise.all(engines.map((engine) => engine.listContainers({ all: true, filters })));
        return lists.every((list) => list.length === 0);
      });
    },
  };
}

function specOf(name: string, replicas: number): ServiceSpec {
  return {
    Name: name,
    TaskTemplate: {
      ContainerSpec: {
        Image: IMAGE,
        Args: [...COMMAND],
        Labels: { [LABEL]: name },
        StopGracePeriod: GRACE_SECONDS * 1e9,
      },
    },
    Mode: { Replicated: { Replicas: replicas } },
  };
}

interface ServiceCalls {
  get<T>(path: string): Promise<T>;
  post(path: string, body: object): Promise<void>;
  delete(path: string): Promise<void>;
  /** A service as lists show it, with counts of its tasks. */
  listed(name: string): Promise<Service>;
}

function serviceCalls(socket: string): ServiceCalls {
  const get = async <T>(path: string): Promise<T> => JSON.parse(await callEngine(socket, { path })) as T;
  return {
    get,
    post: async (path, body) => void (await callEngine(socket, { method: 'POST', path, body })),
    delete: async (path) => void (await callEngine(socket, { method: 'DELETE', path })),
    async listed(name) {
      const filters = encodeURIComponent(JSON.stringify({ name: [name] }));
      // Docker counts a service's tasks from API 1.41 on, and only when the version is said.
      const [service] = await get<Service[]>(`/v1.41/services?status=true&filters=${filters}`);
      if (service === undefined) throw new Error(`no service ${name}`);
      return service;
    },
  };
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`the cluster is not done after ${DEADLINE_MS / 1000} s`);
    await delay(POLL_MS);
  }
}
