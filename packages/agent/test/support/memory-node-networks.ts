import { EventEmitter, once } from 'node:events';
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

/** Who is on a network, by ID. */
interface Members {
  endpoints: Map<string, NetworkEndpoint>;
  services: Map<string, NetworkService>;
  blocks: Map<string, NodeBlocks>;
}

/** Networks of a node in memory alone, in place of a swarmd-net and a kernel. */
export class MemoryNodeNetworks extends EventEmitter implements NodeNetworks {
  up = true;
  protocol = NODE_NETWORKS_PROTOCOL;
  epoch = 1;
  config: DataPathConfig | undefined;
  networks = new Map<string, NodeNetwork>();
  members = new Map<string, Members>();
  published: readonly PublishedService[] | undefined;
  endpoints: LocalEndpoint[] = [];
  /** Networks that it will not take. */
  refuses = new Set<string>();
  /** Networks that containers are on. */
  inUse = new Set<string>();
  calls: string[] = [];
  #revision = 1;

  constructor() {
    super();
    this.setMaxListeners(0);
  }

  /** All that it was told is lost, as when its disk is replaced. */
  lose(): void {
    this.epoch++;
    this.config = undefined;
    this.networks.clear();
    this.members.clear();
    this.published = undefined;
  }

  /** Other containers are on networks here. */
  attach(endpoints: LocalEndpoint[]): void {
    this.endpoints = endpoints;
    this.#revision++;
    this.emit('change');
  }

  /** Waits until `test` holds, looking at every change. */
  async until(test: () => boolean): Promise<void> {
    while (!test()) await once(this, 'change');
  }

  async status() {
    await this.#call('status');
    const { protocol, endpoints, epoch } = this;
    return {
      protocol,
      version: 'test',
      epoch: `${epoch}`,
      networks: [...this.networks.keys()],
      endpoints,
      problems: [],
    };
  }

  async localEndpoints(after: string, signal?: AbortSignal) {
    await this.#call('localEndpoints');
    while (after === `${this.#revision}`) await once(this, 'change', { ...(signal ? { signal } : {}) });
    return { revision: `${this.#revision}`, endpoints: this.endpoints };
  }

  async configure(config: DataPathConfig) {
    await this.#call('configure');
    this.config = config;
    this.emit('change');
  }

  async putNetwork(network: NodeNetwork) {
    await this.#call(`put ${network.id}`);
    if (this.refuses.has(network.id)) throw new SwarmdError('failed-precondition', 'the VNI is taken');
    this.networks.set(network.id, network);
    this.emit('change');
  }

  async removeNetwork(networkId: string) {
    await this.#call(`remove ${networkId}`);
    if (this.inUse.has(networkId)) throw new SwarmdError('failed-precondition', 'containers are on it');
    this.networks.delete(networkId);
    this.members.delete(networkId);
    this.emit('change');
  }

  async changeEndpoints(changes: readonly EndpointChange[]) {
    await this.#call('changeEndpoints');
    for (const change of changes) {
      if (!this.networks.has(change.networkId)) continue;
      const known = this.members.get(change.networkId);
      this.members.set(change.networkId, applyChange(known, change));
    }
    this.emit('change');
  }

  async publish(services: readonly PublishedService[]) {
    await this.#call('publish');
    this.published = services;
    this.emit('change');
  }

  async reset() {
    await this.#call('reset');
    this.lose();
  }

  /** What is done takes a turn of the event loop, as over a socket. */
  async #call(name: string): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    this.calls.push(name);
    this.emit('change');
    if (!this.up) throw new SwarmdError('unavailable', 'swarmd-net does not answer');
  }
}

/** What a change makes of those who are on a network. */
export function applyChange(known: Members | undefined, change: EndpointChange): Members {
  const from = change.complete ? undefined : known;
  const endpoints = new Map(from?.endpoints);
  const services = new Map(from?.services);
  const blocks = new Map(from?.blocks);
  for (const endpoint of change.endpoints) endpoints.set(endpoint.id, endpoint);
  for (const service of change.services) services.set(service.id, service);
  for (const id of change.removedEndpoints) endpoints.delete(id);
  for (const id of change.removedServices) services.delete(id);
  for (const ranges of change.blocks ?? []) blocks.set(ranges.nodeId, ranges);
  for (const id of change.removedBlocks ?? []) blocks.delete(id);
  return { endpoints, services, blocks };
}
