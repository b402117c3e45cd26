import { type Driver, SwarmdError } from '@swarmd/model';
import type Docker from 'dockerode';
import { toContainerRequest } from '../convert/container.js';
import { expandSpec, templateContext } from '../convert/expand.js';
import { ENGINE_NETWORKS, wantedNetworks } from '../convert/networks.js';
import { type PayloadFile, type Payloads, payloadFiles } from '../convert/payload-files.js';
import { taskPorts } from '../convert/ports.js';
import { apiAtLeast, type ContainerRequest, type NodeFacts, type TaskNetwork } from '../convert/request.js';
import { CLUSTER_LABEL, TASK_ID_LABEL } from '../labels.js';
import type { AssignedNetwork, AssignedSpec, Assignment } from '../task/assignment.js';
import { engineNetwork, type NetworkProvider } from './bridge-networks.js';
import { type EngineClient, READ_TIMEOUT_MS, WRITE_TIMEOUT_MS, within } from './client.js';
import { type Inspection, readInspection } from './container-facts.js';
import { engineError } from './errors.js';
import type { Images } from './images.js';
import type { IngressPublisher } from './ingress.js';
import { createLimiter } from './limiter.js';
import type { PayloadStore } from './payload-store.js';

/** More than four creates or starts at a time gain nothing (measured). */
const STARTS_AT_ONCE = 4;
/** Stops mostly wait for the container. */
const STOPS_AT_ONCE = 32;
const REMOVALS_AT_ONCE = 4;
const INSPECTIONS_AT_ONCE = 8;
/** A stop is given up this long after its container's grace period. */
const STOP_MARGIN_MS = 60_000;

/** What a task is made from. */
export interface TaskWork {
  assignment: Assignment;
  spec: AssignedSpec;
}

/** Does to the engine what steps ask for. All methods throw `SwarmdError`s and can be repeated. */
export interface TaskEngine {
  /** Image, networks, files and container of a task. `signal` ends the waiting, never a creation half-way. */
  prepare(work: TaskWork, signal: AbortSignal): Promise<void>;
  start(work: TaskWork, containerId: string): Promise<void>;
  /** Stops a container with the signal and grace period that it was made with. */
  stop(containerId: string, graceMs: number): Promise<void>;
  remove(containerId: string): Promise<void>;
  /** What the engine says of a container, or `undefined` when there is none of our cluster by that ID or name. */
  inspect(idOrName: string): Promise<Inspection | undefined>;
  /** The task has ended or goes: its files and ports are free. */
  release(taskId: string): Promise<void>;
}

/** What a {@link TaskEngine} needs. The functions are asked at each use, so that what they give may change. */
export interface TaskEngineDeps {
  client(): EngineClient;
  node(): NodeFacts;
  payloads: Payloads;
  network(idOrName: string): AssignedNetwork | undefined;
  defaultLogDriver(): Driver | undefined;
  images: Images;
  networks: NetworkProvider;
  payloadStore: PayloadStore;
  ingress: IngressPublisher;
}

/** A {@link TaskEngine} on dockerode. */
export function createTaskEngine(deps: TaskEngineDeps): TaskEngine {
  const starts = createLimiter(STARTS_AT_ONCE);
  const stops = createLimiter(STOPS_AT_ONCE);
  const removals = createLimiter(REMOVALS_AT_ONCE);
  const inspections = createLimiter(INSPECTIONS_AT_ONCE);

  const call = async <T>(act: (docker: Docker) => Promise<T>): Promise<T> => {
    try {
      return await act(deps.client().docker);
    } catch (thrown) {
      throw engineError(thrown);
    }
  };

  const inspect = (idOrName: string): Promise<Inspection | undefined> =>
    inspections.run(async () => {
      try {
        const info = await call((docker) =>
          docker.getContainer(idOrName).inspect({ abortSignal: within(READ_TIMEOUT_MS) } as object),
        );
        const inspection = readInspection(info as Docker.ContainerInspectInfo);
        if (inspection.labels[CLUSTER_LABEL] !== deps.node().clusterId) return undefined;
        // After a restart of swarmd this is how it learns who publishes what.
        if (inspection.facts.kind === 'running')
          deps.ingress.claim(inspection.labels[TASK_ID_LABEL] ?? '', inspection.ports);
        return inspection;
      } catch (thrown) {
        if (thrown instanceof SwarmdError && thrown.code === 'not-found') return undefined;
        throw thrown;
      }
    });

  const joinNetworks = (work: TaskWork, signal: AbortSignal): Promise<TaskNetwork[]> =>
    Promise.all(
      wantedNetworks(work.assignment.networks, work.spec.spec).map((wanted) => {
        const network = deps.network(wanted.target);
        if (network === undefined) {
          throw new SwarmdError('failed-precondition', `network ${wanted.target} is not on this node`);
        }
        if (ENGINE_NETWORKS.includes(network.spec.Name)) return engineNetwork(network.spec.Name);
        return deps.networks.join(deps.client(), network, wanted, work.assignment.serviceName, signal);
      }),
    );

  const create = async (work: TaskWork, request: ContainerRequest): Promise<void> => {
    try {
      const container = await call((docker) =>
        docker.createContainer({
          name: request.name,
          ...request.body,
          abortSignal: within(WRITE_TIMEOUT_MS),
        } as Docker.ContainerCreateOptions),
      );
      await connect(container.id, request.connect);
    } catch (thrown) {
      if (!(thrown instanceof SwarmdError) || thrown.code !== 'already-exists') throw thrown;
      const existing = await inspect(request.name);
      // Somebody else's container may have the name; ours of an earlier attempt is as good as new.
      if (existing?.labels[TASK_ID_LABEL] !== work.assignment.id) throw thrown;
      await connect(
        existing.id,
        request.connect.filter(({ network }) => !(network in existing.addresses)),
      );
    }
  };

  const connect = async (containerId: string, connections: ContainerRequest['connect']): Promise<void> => {
    for (const { network, endpoint } of connections) {
      await call((docker) =>
        docker.getNetwork(network).connect({
          Container: containerId,
          EndpointConfig: endpoint,
          abortSignal: within(WRITE_TIMEOUT_MS),
        } as Parameters<Docker.Network['connect']>[0]),
      );
    }
  };

  const plan = (work: TaskWork) => {
    const node = deps.node();
    const context = templateContext(work.assignment, work.spec.spec, node);
    const spec = expandSpec(work.spec.spec, context);
    return { node, spec, files: payloadFiles(spec, deps.payloads, context) };
  };

  const credentialSpec = (configId: string): string | undefined => {
    const config = deps.payloads.config(configId);
    return config && Buffer.from(config.data).toString('utf8');
  };

  return {
    async prepare(work, signal) {
      const { assignment } = work;
      const { node, spec, files } = plan(work);
      const image = spec.TaskTemplate?.ContainerSpec?.Image ?? '';
      const request = (networks: readonly TaskNetwork[], ingress: ReturnType<typeof taskPorts>['ingress']) => {
        const defaultLogDriver = deps.defaultLogDriver();
        return toContainerRequest(
          {
            ...{ assignment, spec, node, networks, files: deps.payloadStore.paths(assignment.id, files) },
            ports: [...host, ...ingress],
            ...(defaultLogDriver ? { defaultLogDriver } : {}),
          },
          credentialSpec,
        );
      };
      const { host, ingress } = taskPorts(assignment.ports, spec.EndpointSpec);
      // A spec that cannot run here must not pull an image first.
      request([], []);
      const [networks] = await Promise.all([
        joinNetworks(work, signal),
        deps.images.ensure(deps.client(), image, work.spec.registryAuth, signal),
        deps.payloadStore.write(assignment.id, files),
      ]);
      await starts.run(() => create(work, request(networks, deps.ingress.claim(assignment.id, ingress))), { signal });
    },

    async start(work, containerId) {
      const { files } = plan(work);
      await rewriteFiles(deps.payloadStore, work.assignment.id, files);
      if (!apiAtLeast(deps.client().apiVersion, '1.44') && work.assignment.networks.length > 1) {
        // An earlier life of ours may have made the container and died before it was on all networks.
        const existing = await inspect(containerId);
        const networks = await joinNetworks(work, AbortSignal.timeout(WRITE_TIMEOUT_MS));
        const missing = networks.filter((network) => existing && !(network.name in existing.addresses));
        await connect(
          containerId,
          missing.map(({ name, aliases }) => ({ network: name, endpoint: { Aliases: [...aliases] } as never })),
        );
      }
      await starts.run(
        () =>
          ignoring(304, () =>
            deps
              .client()
              .docker.getContainer(containerId)
              .start({ abortSignal: within(WRITE_TIMEOUT_MS) }),
          ),
        { urgent: true },
      );
    },

    stop: (containerId, graceMs) =>
      stops.run(() =>
        ignoring([304, 404], () =>
          deps
            .client()
            .docker.getContainer(containerId)
            .stop({ abortSignal: within(graceMs + STOP_MARGIN_MS) }),
        ),
      ),

    remove: (containerId) =>
      removals.run(() =>
        ignoring(404, () =>
          deps
            .client()
            .docker.getContainer(containerId)
            .remove({ v: true, force: true, abortSignal: within(WRITE_TIMEOUT_MS) } as object),
        ),
      ),

    inspect,

    async release(taskId) {
      deps.ingress.release(taskId);
      await deps.payloadStore.remove(taskId);
    },
  };
}

/** The files of a container that is about to start: written when preparing, lost when the host was restarted since. */
async function rewriteFiles(store: PayloadStore, taskId: string, files: readonly PayloadFile[]): Promise<void> {
  if (files.length > 0 && !(await store.has(taskId, files.length))) await store.write(taskId, files);
}

async function ignoring(status: number | number[], act: () => Promise<unknown>): Promise<void> {
  try {
    await act();
  } catch (thrown) {
    const code = (thrown as { statusCode?: number }).statusCode;
    if (code === undefined || ![status].flat().includes(code)) throw engineError(thrown);
  }
}
