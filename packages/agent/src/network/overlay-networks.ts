import { type Clock, NETWORK_DRIVER, SwarmdError } from '@swarmd/model';
import type Docker from 'dockerode';
import type { Logger } from 'pino';
import type { WantedNetwork } from '../convert/networks.js';
import type { TaskNetwork } from '../convert/request.js';
import { type EngineClient, READ_TIMEOUT_MS, WRITE_TIMEOUT_MS, within } from '../engine/client.js';
import { engineError, isTemporary } from '../engine/errors.js';
import { CLUSTER_LABEL, NETWORK_LABEL } from '../labels.js';
import type { AssignedNetwork } from '../task/assignment.js';
import type { NetworkLink } from './link.js';
import { isOverlay, networkRequest, type OverlayNetwork, taskNetwork, toNodeNetwork } from './overlay.js';

/** An attachable network that could not be made in the engine is tried again after this long. */
const RETRY_MS = 2_000;

/** A task that is to join networks. */
export interface JoiningTask {
  id: string;
  /** Name servers that its spec names. */
  nameservers: readonly string[];
}

/** Gives tasks their networks on this node. */
export interface NetworkProvider {
  /** The networks that this node is to have. Attachable ones are made at once, those that only tasks need with these. */
  assigned(client: EngineClient | undefined, networks: ReadonlyMap<string, AssignedNetwork>): void;
  /** Makes sure that this node has `network` and says how a task joins it. */
  join(
    client: EngineClient,
    network: AssignedNetwork,
    wanted: WantedNetwork,
    task: JoiningTask,
    signal: AbortSignal,
  ): Promise<TaskNetwork>;
  /** Nobody assigns the network any more: it goes. `false` while containers are on it. */
  release(client: EngineClient, networkId: string): Promise<boolean>;
  /** Removes every network of our cluster that `keep` does not want. Resolves with those that containers are on. */
  sweep(client: EngineClient, keep: (networkId: string) => boolean): Promise<readonly string[]>;
  /** Whether the data plane does not answer, so that it is not as managers say. */
  behind(): boolean;
  /** The engine came up: it may have lost networks. */
  engineUp(client: EngineClient): void;
  /** Removes all networks of ours from this host, whoever is on them: this node leaves. */
  leave(client: EngineClient): Promise<void>;
}

/** The task's way onto a network that every engine has. */
export function engineNetwork(name: string): TaskNetwork {
  return { name, aliases: [] };
}

/** What {@link createOverlayNetworks} needs. */
export interface OverlayNetworksDeps {
  clusterId: string;
  link: Pick<NetworkLink, 'want' | 'drop' | 'sweep' | 'ready' | 'answers' | 'behind' | 'reset'>;
  clock: Clock;
  logger: Logger;
}

/** A {@link NetworkProvider} of overlays: the engine's networks are swarmd-net's, which knows the cluster's. */
export function createOverlayNetworks(deps: OverlayNetworksDeps): NetworkProvider {
  return new OverlayNetworks(deps);
}

class OverlayNetworks implements NetworkProvider {
  readonly #deps: OverlayNetworksDeps;
  /** One thing at a time for each network: engines do not mind two networks of one name. */
  readonly #turns = new Map<string, Promise<unknown>>();
  /** Networks that the engine has. */
  readonly #made = new Set<string>();
  #assigned: ReadonlyMap<string, AssignedNetwork> = new Map();
  #client: EngineClient | undefined;
  #cancelRetry = () => {};

  constructor(deps: OverlayNetworksDeps) {
    this.#deps = deps;
  }

  assigned(client: EngineClient | undefined, networks: ReadonlyMap<string, AssignedNetwork>): void {
    this.#assigned = networks;
    this.#client = client;
    this.#deps.link.want([...networks.values()].filter(isOverlay).map(toNodeNetwork));
    this.#makeAttachable();
  }

  async join(
    client: EngineClient,
    network: AssignedNetwork,
    wanted: WantedNetwork,
    task: JoiningTask,
    signal: AbortSignal,
  ): Promise<TaskNetwork> {
    if (!isOverlay(network)) {
      throw new SwarmdError('unavailable', `network ${network.spec.Name} has not been given addresses yet`);
    }
    await this.#ensure(client, network, signal);
    return taskNetwork(network, wanted, task);
  }

  async release(client: EngineClient, networkId: string): Promise<boolean> {
    return this.#inTurn(networkId, async () => {
      if (this.#assigned.has(networkId)) return true;
      for (const { Id } of await this.#list(client, { label: this.#ours(networkId) })) {
        // It may have been assigned again meanwhile.
        if (this.#assigned.has(networkId)) return true;
        if (!(await this.#remove(client, Id, networkId))) return false;
      }
      this.#deps.link.drop(networkId);
      return true;
    });
  }

  async sweep(client: EngineClient, keep: (networkId: string) => boolean): Promise<readonly string[]> {
    const stays = new Set<string>();
    for (const { Id, Labels } of await this.#list(client, { label: this.#ours() })) {
      const id = Labels?.[NETWORK_LABEL] ?? '';
      const goes = (): boolean => !keep(id) && !this.#assigned.has(id);
      const remove = async (): Promise<boolean> => !goes() || this.#remove(client, Id, id);
      if (goes() && !(await this.#inTurn(id, remove))) stays.add(id);
    }
    this.#deps.link.sweep((id) => keep(id) || stays.has(id));
    return [...stays];
  }

  engineUp(client: EngineClient): void {
    this.#client = client;
    this.#made.clear();
    this.#makeAttachable();
  }

  behind(): boolean {
    return this.#deps.link.behind;
  }

  async leave(client: EngineClient): Promise<void> {
    const { link, logger } = this.#deps;
    this.#assigned = new Map();
    this.#cancelRetry();
    const networks = await this.#list(client, { label: this.#ours() });
    for (const { Id, Labels } of networks) {
      await this.#disconnectAll(client, Id);
      await this.#remove(client, Id, Labels?.[NETWORK_LABEL] ?? '');
    }
    if (await link.answers()) await link.reset();
    else if (networks.length > 0) logger.warn('swarmd-net does not answer: what it made stays until the host restarts');
  }

  #makeAttachable(): void {
    const client = this.#client;
    this.#cancelRetry();
    if (client === undefined) return;
    for (const network of this.#assigned.values()) {
      if (!isOverlay(network) || !network.spec.Attachable || this.#made.has(network.id)) continue;
      this.#ensure(client, network, new AbortController().signal).catch((thrown: unknown) => {
        if (!this.#assigned.has(network.id)) return;
        const reason = engineError(thrown).message;
        this.#deps.logger.warn({ network: network.spec.Name, reason }, 'an attachable network could not be made');
        this.#cancelRetry();
        this.#cancelRetry = this.#deps.clock.after(RETRY_MS, () => this.#makeAttachable());
      });
    }
  }

  async #ensure(client: EngineClient, network: OverlayNetwork, signal: AbortSignal): Promise<void> {
    await this.#deps.link.ready(network.id, signal);
    await this.#inTurn(network.id, async () => {
      if (this.#made.has(network.id)) return;
      // It may have gone meanwhile: nobody would remove it.
      if (!this.#assigned.has(network.id)) {
        throw new SwarmdError('failed-precondition', `network ${network.spec.Name} is not this node’s any more`);
      }
      try {
        await this.#make(client, network);
      } catch (thrown) {
        throw engineError(thrown);
      }
      this.#made.add(network.id);
    });
  }

  async #make(client: EngineClient, network: OverlayNetwork): Promise<void> {
    const { clusterId, logger } = this.#deps;
    const { Name } = network.spec;
    const existing = await this.#list(client, { name: [Name] });
    const same = existing.find((candidate) => candidate.Name === Name);
    if (same !== undefined) {
      const id = same.Labels?.[NETWORK_LABEL];
      if (id === network.id && same.Driver === NETWORK_DRIVER) return;
      if (id === undefined || same.Labels?.[CLUSTER_LABEL] !== clusterId) {
        throw new SwarmdError('already-exists', `this node has a network ${Name} already that is not the cluster's`);
      }
      // One of an earlier swarmd, or one of this name that is on its way out.
      if (!(await this.#remove(client, same.Id, id))) {
        throw new SwarmdError('unavailable', `containers are still on an older network ${Name} of this node`);
      }
      if (id !== network.id) this.#deps.link.drop(id);
    }
    const request = { ...networkRequest(network, clusterId), abortSignal: within(WRITE_TIMEOUT_MS) };
    await client.docker.createNetwork(request);
    logger.info({ network: Name, networkId: network.id }, 'made a network');
  }

  /** Removes a network from the engine; `false` when containers are on it. Throws while the engine does not answer. */
  async #remove(client: EngineClient, engineId: string, networkId: string): Promise<boolean> {
    this.#made.delete(networkId);
    try {
      await client.docker.getNetwork(engineId).remove({ abortSignal: within(WRITE_TIMEOUT_MS) } as object);
      return true;
    } catch (thrown) {
      const error = engineError(thrown);
      if (isTemporary(error)) throw error;
      if (error.code === 'not-found') return true;
      this.#deps.logger.debug({ networkId, reason: error.message }, 'a network stays');
      return false;
    }
  }

  /** Takes the containers that are no tasks off a network. */
  async #disconnectAll({ docker }: EngineClient, engineId: string): Promise<void> {
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

  async #list(client: EngineClient, filters: Record<string, string[]>): Promise<Docker.NetworkInspectInfo[]> {
    try {
      return await client.docker.listNetworks({ filters, abortSignal: within(READ_TIMEOUT_MS) } as object);
    } catch (thrown) {
      throw engineError(thrown);
    }
  }

  #ours(id?: string): string[] {
    const network = id === undefined ? NETWORK_LABEL : `${NETWORK_LABEL}=${id}`;
    return [`${CLUSTER_LABEL}=${this.#deps.clusterId}`, network];
  }

  #inTurn<T>(networkId: string, work: () => Promise<T>): Promise<T> {
    const turn = (this.#turns.get(networkId) ?? Promise.resolve()).then(work, work);
    const settled = turn.catch(() => {});
    this.#turns.set(networkId, settled);
    void settled.then(() => {
      if (this.#turns.get(networkId) === settled) this.#turns.delete(networkId);
    });
    return turn;
  }
}
