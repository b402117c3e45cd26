import { type Clock, SwarmdError } from '@swarmd/model';
import type { Logger } from 'pino';
import type { WantedNetwork } from '../convert/networks.js';
import type { TaskNetwork } from '../convert/request.js';
import type { EngineClient } from '../engine/client.js';
import { engineError } from '../engine/errors.js';
import { NETWORK_LABEL } from '../labels.js';
import type { AssignedNetwork } from '../task/assignment.js';
import { EngineNetworks } from './engine-networks.js';
import type { NetworkLink } from './link.js';
import { isOverlay, type OverlayNetwork, taskNetwork, toNodeNetwork } from './overlay.js';

/** An attachable network that could not be made in the engine is tried again after this long. */
const RETRY_MS = 2_000;
/** Whether a network's own name has become free is looked at this often. */
const FREE_NAMES_MS = 10_000;

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
  /** Whether one of the networks is not yet in the data plane as managers say. */
  behind(networkIds: readonly string[]): boolean;
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
  link: Pick<NetworkLink, 'want' | 'drop' | 'sweep' | 'ready' | 'answers' | 'isBehind' | 'reset'>;
  clock: Clock;
  logger: Logger;
}

/** A {@link NetworkProvider} of overlays: the engine's networks are swarmd-net's, which knows the cluster's. */
export function createOverlayNetworks(deps: OverlayNetworksDeps): NetworkProvider {
  return new OverlayNetworks(deps);
}

class OverlayNetworks implements NetworkProvider {
  readonly #deps: OverlayNetworksDeps;
  readonly #engine: EngineNetworks;
  /** One thing at a time for each network: engines do not mind two networks of one name. */
  readonly #turns = new Map<string, Promise<unknown>>();
  /** Names of the networks that the engine has, by the cluster's ID. */
  readonly #made = new Map<string, string>();
  /** Why attachable networks could not be made, by ID: said once. */
  readonly #failed = new Map<string, string>();
  #assigned: ReadonlyMap<string, AssignedNetwork> = new Map();
  #client: EngineClient | undefined;
  #cancelRetry = () => {};
  #cancelFreeing = () => {};

  constructor(deps: OverlayNetworksDeps) {
    this.#deps = deps;
    const madeWay = (id: string): void => {
      this.#made.delete(id);
      deps.link.drop(id);
    };
    this.#engine = new EngineNetworks({ ...deps, madeWay });
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
    const name = await this.#ensure(client, network, true, signal);
    return { ...taskNetwork(network, wanted, task), name };
  }

  async release(client: EngineClient, networkId: string): Promise<boolean> {
    return this.#inTurn(networkId, async () => {
      if (this.#assigned.has(networkId)) return true;
      for (const { Id } of await this.#engine.ours(client, networkId)) {
        // It may have been assigned again meanwhile.
        if (this.#assigned.has(networkId)) return true;
        if (!(await this.#remove(client, Id, networkId))) return false;
      }
      this.#failed.delete(networkId);
      this.#deps.link.drop(networkId);
      return true;
    });
  }

  async sweep(client: EngineClient, keep: (networkId: string) => boolean): Promise<readonly string[]> {
    const stays = new Set<string>();
    for (const { Id, Labels } of await this.#engine.ours(client)) {
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

  behind(networkIds: readonly string[]): boolean {
    return this.#deps.link.isBehind(networkIds);
  }

  async leave(client: EngineClient): Promise<void> {
    const { link, logger } = this.#deps;
    this.#assigned = new Map();
    this.#cancelRetry();
    this.#cancelFreeing();
    const networks = await this.#engine.ours(client);
    for (const { Id, Labels } of networks) {
      await this.#engine.disconnectAll(client, Id);
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
      this.#ensure(client, network, false, new AbortController().signal).catch((thrown: unknown) => {
        if (!this.#assigned.has(network.id)) return;
        const reason = engineError(thrown).message;
        // It is tried again for as long as it is there, which may be days.
        const level = this.#failed.get(network.id) === reason ? 'debug' : 'warn';
        this.#failed.set(network.id, reason);
        this.#deps.logger[level]({ network: network.spec.Name, reason }, 'an attachable network could not be made');
        this.#cancelRetry();
        this.#cancelRetry = this.#deps.clock.after(RETRY_MS, () => this.#makeAttachable());
      });
    }
  }

  /** The name under which the engine has the network; `needed`: a task waits for it. */
  async #ensure(client: EngineClient, network: OverlayNetwork, needed: boolean, signal: AbortSignal): Promise<string> {
    await this.#deps.link.ready(network.id, signal);
    return this.#inTurn(network.id, async () => {
      const known = this.#made.get(network.id);
      if (known !== undefined) return known;
      // It may have gone meanwhile: nobody would remove it.
      if (!this.#assigned.has(network.id)) {
        throw new SwarmdError('failed-precondition', `network ${network.spec.Name} is not this node’s any more`);
      }
      const name = await this.#engine.make(client, network, needed);
      this.#made.set(network.id, name);
      this.#failed.delete(network.id);
      if (name !== network.spec.Name) this.#freeNamesLater();
      return name;
    });
  }

  /** What holds the names of networks that had to be made under others goes as soon as nobody uses it. */
  #freeNamesLater(): void {
    this.#cancelFreeing();
    this.#cancelFreeing = this.#deps.clock.after(FREE_NAMES_MS, () => {
      this.#freeNames().catch(() => this.#freeNamesLater());
    });
  }

  async #freeNames(): Promise<void> {
    for (const [id, name] of this.#made) {
      const network = this.#assigned.get(id);
      const client = this.#client;
      if (network === undefined || client === undefined || name === network.spec.Name) continue;
      if (await this.#inTurn(id, () => this.#engine.freeName(client, network))) this.#made.delete(id);
      else this.#freeNamesLater();
    }
    // Under their own names, once nobody is on them under the others.
    this.#makeAttachable();
  }

  /** Removes a network from the engine; `false` when containers are on it. Throws while the engine does not answer. */
  async #remove(client: EngineClient, engineId: string, networkId: string): Promise<boolean> {
    this.#made.delete(networkId);
    return this.#engine.remove(client, engineId, networkId);
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
