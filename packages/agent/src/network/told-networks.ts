import { asSwarmdError, isErrorCode, type NodeNetwork, type NodeNetworks, type SwarmdError } from '@swarmd/model';
import type { Logger } from 'pino';

/** The networks that swarmd-net is to know, and what of them it was told. */
export class ToldNetworks {
  readonly #nodeNetworks: Pick<NodeNetworks, 'putNetwork' | 'removeNetwork'>;
  readonly #logger: Logger;
  #wanted = new Map<string, NodeNetwork>();
  /** As JSON. */
  readonly #told = new Map<string, string>();
  /** Those that it would not take, and why. */
  readonly #refused = new Map<string, string>();
  /** Those that it may forget. */
  readonly #dropped = new Set<string>();

  constructor(nodeNetworks: Pick<NodeNetworks, 'putNetwork' | 'removeNetwork'>, logger: Logger) {
    this.#nodeNetworks = nodeNetworks;
    this.#logger = logger;
  }

  /** The one that published ports lead into. */
  get ingress(): NodeNetwork | undefined {
    return [...this.#wanted.values()].find((network) => network.ingress);
  }

  /** The networks that this node is to have; those that are missing stay until they are dropped. */
  want(networks: readonly NodeNetwork[]): void {
    this.#wanted = new Map(networks.map((network) => [network.id, network]));
    for (const { id } of networks) this.#dropped.delete(id);
  }

  /** Nothing of the network is left on this node: swarmd-net may forget it, unless it is wanted again. */
  drop(networkId: string): void {
    if (!this.#wanted.has(networkId)) this.#dropped.add(networkId);
  }

  /** Whether swarmd-net knows the network. */
  has(networkId: string): boolean {
    return this.#told.has(networkId);
  }

  /** Whether it knows it as it is to be now. */
  isTold(networkId: string): boolean {
    const told = this.#told.get(networkId);
    const network = this.#wanted.get(networkId);
    return told !== undefined && (network === undefined || told === JSON.stringify(network));
  }

  /** Why it would not take a network; empty unless it said so. */
  refusal(networkId: string): string {
    return this.#refused.get(networkId) ?? '';
  }

  /** swarmd-net knows of these at most. */
  told(ids: readonly string[]): void {
    for (const id of [...this.#told.keys()]) if (!ids.includes(id)) this.#told.delete(id);
  }

  /** Tells what is new. One that cannot be had must not keep the others waiting. Throws while swarmd-net is not there. */
  async tell(): Promise<void> {
    for (const network of [...this.#wanted.values()]) {
      const { id, name } = network;
      if (this.isTold(id)) continue;
      try {
        await this.#nodeNetworks.putNetwork(network);
        this.#told.set(id, JSON.stringify(network));
        this.#refused.delete(id);
      } catch (thrown) {
        const { message } = unlessAway(thrown);
        if (this.#refused.get(id) !== message) this.#logger.error({ network: name, reason: message }, 'no network');
        this.#refused.set(id, message);
      }
    }
  }

  /**
   * Has swarmd-net forget what was dropped, and calls `forgotten` for each before it does. What is in use is tried again
   * next time.
   */
  async forgetDropped(forgotten: (networkId: string) => void): Promise<void> {
    for (const id of [...this.#dropped]) {
      if (!this.#dropped.has(id)) continue;
      // Before the call: the network may be wanted again, and be told of, while it is under way.
      this.#told.delete(id);
      forgotten(id);
      try {
        await this.#nodeNetworks.removeNetwork(id);
      } catch (thrown) {
        this.#logger.debug({ networkId: id, reason: unlessAway(thrown).message }, 'a network stays');
        continue;
      }
      this.#dropped.delete(id);
    }
  }

  clear(): void {
    this.#wanted.clear();
    this.#told.clear();
    this.#refused.clear();
    this.#dropped.clear();
  }
}

/** The error, unless it says that nobody is there: that is thrown on. */
function unlessAway(thrown: unknown): SwarmdError {
  const error = asSwarmdError(thrown);
  if (isErrorCode(error, 'unavailable', 'deadline-exceeded', 'aborted')) throw error;
  return error;
}
