import { type Driver, type ServiceSpec, SwarmdError } from '@swarmd/model';
import { toContainerRequest } from '../convert/container.js';
import { expandSpec, templateContext } from '../convert/expand.js';
import { ENGINE_NETWORKS, wantedNetworks } from '../convert/networks.js';
import { type PayloadFile, type Payloads, payloadFiles } from '../convert/payload-files.js';
import { hostPorts } from '../convert/ports.js';
import type { ContainerRequest, NodeFacts, TaskNetwork } from '../convert/request.js';
import { CLUSTER_LABEL, NETWORKS_LABEL, TASK_ID_LABEL } from '../labels.js';
import { engineNetwork, type NetworkProvider } from '../network/overlay-networks.js';
import type { AssignedNetwork, AssignedSpec, Assignment } from '../task/assignment.js';
import type { EngineClient } from './client.js';
import type { Inspection } from './container-facts.js';
import { Containers } from './containers.js';
import type { Images } from './images.js';
import type { PayloadStore } from './payload-store.js';

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
  /** The task has ended or goes: its files are not needed any more. */
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
}

/** A {@link TaskEngine} on dockerode. */
export function createTaskEngine(deps: TaskEngineDeps): TaskEngine {
  return new DockerTaskEngine(deps);
}

/** A task's spec with its templates expanded, and the files that it asks for. */
interface Plan {
  node: NodeFacts;
  spec: ServiceSpec;
  files: PayloadFile[];
}

class DockerTaskEngine implements TaskEngine {
  readonly #deps: TaskEngineDeps;
  readonly #containers: Containers;

  constructor(deps: TaskEngineDeps) {
    this.#deps = deps;
    this.#containers = new Containers(() => deps.client());
  }

  async prepare(work: TaskWork, signal: AbortSignal): Promise<void> {
    const { images, payloadStore } = this.#deps;
    const { assignment } = work;
    const plan = this.#plan(work);
    // A spec that cannot run here must not pull an image first.
    this.#request(work, plan, []);
    const image = plan.spec.TaskTemplate?.ContainerSpec?.Image ?? '';
    const [networks] = await Promise.all([
      this.#joinNetworks(work, plan.spec, signal),
      images.ensure(this.#deps.client(), image, work.spec.registryAuth, signal),
      payloadStore.write(assignment.id, plan.files),
    ]);
    await this.#create(work, this.#request(work, plan, networks), signal);
  }

  async start(work: TaskWork, containerId: string): Promise<void> {
    const { payloadStore } = this.#deps;
    const { files } = this.#plan(work);
    const taskId = work.assignment.id;
    // Written when preparing; lost if the host was restarted since.
    if (files.length > 0 && !(await payloadStore.has(taskId, files.length))) await payloadStore.write(taskId, files);
    await this.#containers.start(containerId);
  }

  stop(containerId: string, graceMs: number): Promise<void> {
    return this.#containers.stop(containerId, graceMs);
  }

  remove(containerId: string): Promise<void> {
    return this.#containers.remove(containerId);
  }

  async inspect(idOrName: string): Promise<Inspection | undefined> {
    const found = await this.#ours(idOrName);
    return found === undefined || isHalfMade(found) ? undefined : found;
  }

  async release(taskId: string): Promise<void> {
    await this.#deps.payloadStore.remove(taskId);
  }

  async #ours(idOrName: string): Promise<Inspection | undefined> {
    const found = await this.#containers.inspect(idOrName);
    return found?.labels[CLUSTER_LABEL] === this.#deps.node().clusterId ? found : undefined;
  }

  #plan({ assignment, spec: assigned }: TaskWork): Plan {
    const node = this.#deps.node();
    const context = templateContext(assignment, assigned.spec, node);
    const spec = expandSpec(assigned.spec, context);
    return { node, spec, files: payloadFiles(spec, this.#deps.payloads, context) };
  }

  #request({ assignment }: TaskWork, { node, spec, files }: Plan, networks: readonly TaskNetwork[]): ContainerRequest {
    const { payloadStore, payloads, defaultLogDriver } = this.#deps;
    const driver = defaultLogDriver();
    const mounted = payloadStore.paths(assignment.id, files);
    return toContainerRequest(
      {
        assignment,
        spec,
        node,
        files: mounted,
        networks,
        ports: hostPorts(assignment.ports, spec.EndpointSpec),
        ...(driver ? { defaultLogDriver: driver } : {}),
      },
      (configId) => {
        const config = payloads.config(configId);
        return config && Buffer.from(config.data).toString('utf8');
      },
    );
  }

  #joinNetworks({ assignment }: TaskWork, spec: ServiceSpec, signal: AbortSignal): Promise<TaskNetwork[]> {
    const { networks, network, client } = this.#deps;
    const nameservers = spec.TaskTemplate?.ContainerSpec?.DNSConfig?.Nameservers ?? [];
    return Promise.all(
      wantedNetworks(assignment.networks, spec).map((wanted) => {
        const known = network(wanted.target);
        if (known === undefined) {
          throw new SwarmdError('failed-precondition', `network ${wanted.target} is not on this node`);
        }
        if (ENGINE_NETWORKS.includes(known.spec.Name)) return engineNetwork(known.spec.Name);
        return networks.join(client(), known, wanted, { id: assignment.id, nameservers }, signal);
      }),
    );
  }

  async #create(work: TaskWork, request: ContainerRequest, signal: AbortSignal): Promise<void> {
    let id: string;
    let connect = request.connect;
    try {
      id = await this.#containers.create(request, signal);
    } catch (thrown) {
      if (!(thrown instanceof SwarmdError) || thrown.code !== 'already-exists') throw thrown;
      const existing = await this.#ours(request.name);
      // Somebody else's container may have the name; ours of an earlier attempt is as good as new.
      if (existing?.labels[TASK_ID_LABEL] !== work.assignment.id) throw thrown;
      id = existing.id;
      connect = connect.filter(({ network }) => !(network in existing.addresses));
    }
    try {
      await this.#containers.connect(id, connect);
    } catch (thrown) {
      await this.#containers.remove(id);
      throw thrown;
    }
  }
}

/** Whether a container was made, but is not on all its networks yet: preparing the task again sees to that. */
function isHalfMade({ facts, labels, addresses }: Inspection): boolean {
  return facts.kind === 'created' && Object.keys(addresses).length < Number(labels[NETWORKS_LABEL] ?? 0);
}
