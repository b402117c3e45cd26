import {
  type DataPathConfig,
  type EndpointChange,
  type LocalEndpoint,
  type NetworkEndpoint,
  type NetworkService,
  NODE_NETWORKS_PROTOCOL,
  type NodeBlocks,
  type NodeNetwork,
  type NodeNetworks,
  type PublishedService,
  SwarmdError,
} from '@swarmd/model';
import type { ManualClock } from '@swarmd/testkit';
import type { Dice } from '../support/dice.js';
import { GRAIN_MS, type Process } from './process.js';

/** A call takes up to so many grains; ten times as many while its host is busy. */
const CALL_GRAINS = 4;
/** One that asks for what is new is answered after this long at the latest. */
const FOLLOW_MS = 30_000;

/** Who is on a network, as a node was told. */
export interface Members {
  endpoints: Map<string, NetworkEndpoint>;
  services: Map<string, NetworkService>;
  blocks: Map<string, NodeBlocks>;
}

/** A host's swarmd-net over all its lives: what it was told is on its disk, and survives all but the loss of that. */
export class SimulatedSwarmdNet {
  readonly #clock: ManualClock;
  readonly #dice: Dice;
  #epoch = 1;
  #life = 1;
  #revision = 1;
  #turn: Promise<unknown> = Promise.resolve();
  #onGone = new Set<() => void>();
  #onChange = new Set<() => void>();
  /** Since when it does not run; `undefined` while it does. */
  downSinceMs: number | undefined;
  /** Whether calls take ten times as long. */
  busy = false;
  config: DataPathConfig | undefined;
  published: readonly PublishedService[] = [];
  readonly networks = new Map<string, NodeNetwork>();
  readonly members = new Map<string, Members>();
  /** By endpoint ID. */
  readonly endpoints = new Map<string, LocalEndpoint>();

  constructor(clock: ManualClock, dice: Dice) {
    this.#clock = clock;
    this.#dice = dice;
  }

  get up(): boolean {
    return this.downSinceMs === undefined;
  }

  /** Who is on a network, as far as this node was told. */
  endpoint(networkId: string, id: string): NetworkEndpoint | undefined {
    return this.members.get(networkId)?.endpoints.get(id);
  }

  /** The process dies: whoever waits for an answer gets none. */
  crash(): void {
    this.downSinceMs ??= this.#clock.monotonic();
    this.#life++;
    for (const gone of [...this.#onGone]) gone();
  }

  /** It is started again; `lost`: with an empty disk. Containers that have ended meanwhile are not there any more. */
  boot(running: (endpointId: string) => boolean, lost = false): void {
    if (this.up) return;
    this.downSinceMs = undefined;
    if (lost) {
      this.#epoch++;
      this.config = undefined;
      this.published = [];
      for (const map of [this.networks, this.members, this.endpoints]) map.clear();
    }
    for (const id of [...this.endpoints.keys()]) if (!running(id)) this.endpoints.delete(id);
    this.#changed();
  }

  /** The engine attaches a container: throws what its driver would. */
  attach(endpoint: LocalEndpoint): void {
    if (!this.up) throw new SwarmdError('unavailable', 'the network driver does not answer');
    if (!this.networks.has(endpoint.networkId))
      throw new SwarmdError('internal', 'the network driver knows no such network');
    for (const other of this.endpoints.values())
      if (other.networkId === endpoint.networkId && other.addresses.some((ip) => endpoint.addresses.includes(ip)))
        throw new SwarmdError('internal', `address in use: ${other.addresses} by ${other.endpointId}`);
    this.endpoints.set(endpoint.endpointId, endpoint);
    this.#changed();
  }

  detach(endpointId: string): void {
    if (this.up && this.endpoints.delete(endpointId)) this.#changed();
  }

  /** It as one agent sees it; what was asked for is done even when the agent has died meanwhile. */
  api(process: Process): NodeNetworks {
    // Signals of agents are of real time: nothing is given up here before swarmd-net is gone.
    const call = <T>(work: () => T): Promise<T> => this.#call(process, work);
    return {
      status: () =>
        call(() => ({
          ...{ protocol: NODE_NETWORKS_PROTOCOL, version: 'simulated', epoch: String(this.#epoch), problems: [] },
          ...{ networks: [...this.networks.keys()], endpoints: [...this.endpoints.values()] },
        })),
      localEndpoints: async (after) => {
        await this.#news(process, after);
        return call(() => ({ revision: `${this.#life}/${this.#revision}`, endpoints: [...this.endpoints.values()] }));
      },
      configure: (config) =>
        call(() => {
          this.config = config;
        }),
      putNetwork: (network) => call(() => void this.networks.set(network.id, network)),
      removeNetwork: (id) => call(() => this.#remove(id)),
      changeEndpoints: (changes) =>
        call(() => {
          for (const change of changes) this.#change(change);
        }),
      publish: (services) =>
        call(() => {
          this.published = services;
        }),
      reset: () => call(() => this.networks.clear()),
    };
  }

  /** One call after the other; each is done at its end, or not at all, and the answer may be lost. */
  #call<T>(process: Process, work: () => T): Promise<T> {
    const life = this.#life;
    const answer = new Promise<T>((resolve, reject) => {
      const gone = (): void => {
        this.#onGone.delete(gone);
        reject(new SwarmdError('unavailable', 'swarmd-net does not answer'));
      };
      if (!this.up) {
        this.#clock.after(GRAIN_MS, gone);
        return;
      }
      this.#onGone.add(gone);
      const mine = async (): Promise<void> => {
        await this.#pause(this.#dice.int(0, this.busy ? 10 * CALL_GRAINS : CALL_GRAINS));
        if (life !== this.#life) return;
        try {
          const result = work();
          // What is done, and not answered for, is done.
          await this.#pause(this.#dice.int(0, 1));
          if (life === this.#life) resolve(result);
        } catch (error) {
          reject(error as Error);
        }
        this.#onGone.delete(gone);
      };
      this.#turn = this.#turn.then(mine);
    });
    answer.catch(() => {});
    return new Promise((resolve, reject) => {
      answer.then(
        (result) => process.alive && resolve(result),
        (error: unknown) => process.alive && reject(error as Error),
      );
    });
  }

  #news(process: Process, after: string): Promise<void> {
    if (!this.up || `${this.#life}/${this.#revision}` !== after) return Promise.resolve();
    return new Promise((resolve) => {
      const go = (): void => {
        cancel();
        this.#onChange.delete(go);
        this.#onGone.delete(go);
        if (process.alive) resolve();
      };
      const cancel = this.#clock.after(FOLLOW_MS, go);
      this.#onChange.add(go);
      this.#onGone.add(go);
    });
  }

  #pause(grains: number): Promise<void> {
    if (grains === 0) return Promise.resolve();
    return new Promise((resolve) => void this.#clock.after(grains * GRAIN_MS, resolve));
  }

  #changed(): void {
    this.#revision++;
    for (const go of [...this.#onChange]) go();
  }

  #remove(id: string): void {
    for (const { networkId } of this.endpoints.values())
      if (networkId === id) throw new SwarmdError('failed-precondition', 'containers are on the network');
    this.networks.delete(id);
    this.members.delete(id);
  }

  #change({ networkId, complete, ...change }: EndpointChange): void {
    if (!this.networks.has(networkId)) return;
    const before = complete ? undefined : this.members.get(networkId);
    const { endpoints, services, blocks } = before ?? { endpoints: new Map(), services: new Map(), blocks: new Map() };
    for (const endpoint of change.endpoints) endpoints.set(endpoint.id, endpoint);
    for (const service of change.services) services.set(service.id, service);
    for (const ranges of change.blocks ?? []) blocks.set(ranges.nodeId, ranges);
    for (const id of change.removedEndpoints) endpoints.delete(id);
    for (const id of change.removedServices) services.delete(id);
    for (const id of change.removedBlocks ?? []) blocks.delete(id);
    this.members.set(networkId, { endpoints, services, blocks });
  }
}
