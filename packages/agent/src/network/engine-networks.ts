import { NETWORK_DRIVER, SwarmdError } from '@swarmd/model';
import type Docker from 'dockerode';
import type { Logger } from 'pino';
import { type EngineClient, READ_TIMEOUT_MS, WRITE_TIMEOUT_MS, within } from '../engine/client.js';
import { engineError, isTemporary } from '../engine/errors.js';
import { CLUSTER_LABEL, NETWORK_LABEL } from '../labels.js';
import type { AssignedNetwork } from '../task/assignment.js';
import { networkRequest, type OverlayNetwork } from './overlay.js';

/** What {@link EngineNetworks} need. */
export interface EngineNetworksDeps {
  clusterId: string;
  /** A network of the cluster has made way for another one of its name. */
  madeWay(networkId: string): void;
  logger: Logger;
}

/** The networks of our cluster as the engine has them. All of it rejects with what {@link engineError} makes of the cause. */
export class EngineNetworks {
  readonly #clusterId: string;
  readonly #madeWay: EngineNetworksDeps['madeWay'];
  readonly #logger: Logger;

  constructor({ clusterId, madeWay, logger }: EngineNetworksDeps) {
    this.#clusterId = clusterId;
    this.#madeWay = madeWay;
    this.#logger = logger;
  }

  /** All that stand for networks of the cluster, or for one of them. */
  ours(client: EngineClient, id?: string): Promise<Docker.NetworkInspectInfo[]> {
    const network = id === undefined ? NETWORK_LABEL : `${NETWORK_LABEL}=${id}`;
    return this.#list(client, { label: [`${CLUSTER_LABEL}=${this.#clusterId}`, network] });
  }

  /**
   * Makes a network, if the engine does not have it, and says what it calls it. What an earlier swarmd made under its name,
   * or a network that is on its way out, goes first. It is made under another name where its own is taken for long:
   * - by a bridge of an earlier swarmd, when it is `needed`: tasks may run there until the one that this is for does, as an
   *   update starts the new task first;
   * - by the ingress network of the Docker Swarm that the engine is still in. Other networks keep their names, by which
   *   people attach containers: then it is `already-exists`.
   */
  async make(client: EngineClient, network: OverlayNetwork, needed: boolean): Promise<string> {
    const { Name, Ingress } = network.spec;
    // The engine finds names that contain this one: the other name, too.
    const existing = await this.#list(client, { name: [Name] });
    // Engines do not mind two networks of one name.
    const named = existing.filter((candidate) => candidate.Name === Name);
    if (named.some((one) => standsFor(one, network.id))) return Name;
    const beside = existing.find((candidate) => candidate.Name === nameBeside(network));
    for (const other of named) {
      const id = other.Labels?.[NETWORK_LABEL];
      const isForeign = id === undefined || other.Labels?.[CLUSTER_LABEL] !== this.#clusterId;
      if (!isForeign && (await this.remove(client, other.Id, id))) {
        if (id !== network.id) this.#madeWay(id);
        continue;
      }
      if (beside !== undefined) return beside.Name;
      if (isForeign ? Ingress : needed && other.Driver !== NETWORK_DRIVER) {
        return this.#create(client, network, nameBeside(network));
      }
      if (isForeign) throw new SwarmdError('already-exists', clashMessage(other));
      throw new SwarmdError('unavailable', `containers are still on an older network ${Name} of this node`);
    }
    if (beside !== undefined) {
      if (await this.#isUsed(client, beside)) return beside.Name;
      if (!(await this.remove(client, beside.Id, network.id))) return beside.Name;
    }
    return this.#create(client, network, Name);
  }

  /** Removes what an earlier swarmd made under the network's name; `false` while containers are on it. */
  async freeName(client: EngineClient, { id, spec: { Name } }: AssignedNetwork): Promise<boolean> {
    const older = (await this.ours(client, id)).find((one) => one.Name === Name && one.Driver !== NETWORK_DRIVER);
    return older === undefined || this.remove(client, older.Id, id);
  }

  /** Removes a network; `false` when containers are on it. */
  async remove(client: EngineClient, engineId: string, networkId: string): Promise<boolean> {
    try {
      await client.docker.getNetwork(engineId).remove({ abortSignal: within(WRITE_TIMEOUT_MS) } as object);
      return true;
    } catch (thrown) {
      const error = engineError(thrown);
      if (isTemporary(error)) throw error;
      if (error.code === 'not-found') return true;
      this.#logger.debug({ networkId, reason: error.message }, 'a network stays');
      return false;
    }
  }

  /** Takes all containers off a network. */
  async disconnectAll({ docker }: EngineClient, engineId: string): Promise<void> {
    try {
      const network = docker.getNetwork(engineId);
      const inspect = network.inspect.bind(network) as (options: object) => Promise<Docker.NetworkInspectInfo>;
      const { Containers } = await inspect({ abortSignal: within(READ_TIMEOUT_MS) });
      for (const Container of Object.keys(Containers ?? {})) {
        await network.disconnect({ Container, Force: true, abortSignal: within(WRITE_TIMEOUT_MS) });
      }
    } catch (thrown) {
      const error = engineError(thrown);
      if (error.code !== 'not-found') throw error;
    }
  }

  /** A container that was made and has not started needs a network as much as one that runs. */
  async #isUsed({ docker }: EngineClient, { Id, Name }: Docker.NetworkInspectInfo): Promise<boolean> {
    // Before its first start a container has the network by name alone.
    const filters = { network: [Id, Name] };
    try {
      const all = await docker.listContainers({ all: true, filters, abortSignal: within(READ_TIMEOUT_MS) } as object);
      return all.length > 0;
    } catch (thrown) {
      throw engineError(thrown);
    }
  }

  async #create(client: EngineClient, network: OverlayNetwork, name: string): Promise<string> {
    const request = { ...networkRequest(network, this.#clusterId), Name: name, abortSignal: within(WRITE_TIMEOUT_MS) };
    try {
      await client.docker.createNetwork(request);
    } catch (thrown) {
      const error = engineError(thrown);
      // A call that an earlier swarmd had sent may have come to its end meanwhile.
      const isThere = error.code === 'already-exists' && (await this.#has(client, network.id, name));
      if (!isThere) throw error;
    }
    this.#logger.info({ network: name, networkId: network.id }, 'made a network');
    return name;
  }

  async #has(client: EngineClient, networkId: string, name: string): Promise<boolean> {
    return (await this.ours(client, networkId)).some((one) => one.Name === name && standsFor(one, networkId));
  }

  async #list(client: EngineClient, filters: Record<string, string[]>): Promise<Docker.NetworkInspectInfo[]> {
    try {
      return await client.docker.listNetworks({ filters, abortSignal: within(READ_TIMEOUT_MS) } as object);
    } catch (thrown) {
      throw engineError(thrown);
    }
  }
}

/** Whether an engine's network is the overlay of a network, and no bridge that an earlier swarmd made for it. */
function standsFor({ Labels, Driver }: Docker.NetworkInspectInfo, networkId: string): boolean {
  return Labels?.[NETWORK_LABEL] === networkId && Driver === NETWORK_DRIVER;
}

/** Why a network cannot be made where the engine has another one of its name, and what is to be done there. */
function clashMessage({ Name, Scope }: Docker.NetworkInspectInfo): string {
  return Scope === 'swarm'
    ? `this node's engine has a network ${Name} of the Docker Swarm that it is still in: drain the node there and run \`docker swarm leave\` on it`
    : `this node's engine has a network ${Name} that is not the cluster's: run \`docker network rm ${Name}\` on it, or choose another name`;
}

/** What a network is called on a node where its own name is taken. */
function nameBeside({ id, spec }: OverlayNetwork): string {
  return `${spec.Name}.${id.slice(0, 12)}`;
}
