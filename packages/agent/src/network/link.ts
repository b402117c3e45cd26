import {
  asSwarmdError,
  type Clock,
  type DataPathConfig,
  NODE_NETWORKS_PROTOCOL,
  type NodeNetwork,
  type NodeNetworks,
  type NodeNetworksStatus,
  pause,
  SwarmdError,
} from '@swarmd/model';
import type { EndpointUpdate } from '@swarmd/wire';
import type { Logger } from 'pino';
import { Changes } from '../worker/changes.js';
import { EndpointQueue } from './endpoint-queue.js';
import { PublishedPorts } from './published-ports.js';
import { ToldNetworks } from './told-networks.js';

/** swarmd-net is asked how it is this often: it may have been started anew. */
const STATUS_PERIOD_MS = 5_000;
const STATUS_TIMEOUT_MS = 5_000;
/** One that does not answer is asked again after this long. */
const RETRY_MS = 250;
/** A task that needs a network is told that swarmd-net does not have it after this long. */
const READY_TIMEOUT_MS = 10_000;

/** A session with a manager, as far as networks go. */
export interface NetworkSession {
  /** It has told the manager how this node takes part in overlays. */
  takesPart: boolean;
  /** The data plane is as everything up to this store index says. */
  applied(index: number): void;
  /** Ends the session, so that the next one tells everything from the start. */
  renew(reason: SwarmdError): void;
}

/** What a {@link NetworkLink} needs. */
export interface NetworkLinkDeps {
  nodeNetworks: NodeNetworks;
  /** What swarmd-net is configured with besides peers and port. */
  own: Pick<DataPathConfig, 'nodeId' | 'clusterId' | 'addr'>;
  clock: Clock;
  logger: Logger;
}

/**
 * Passes on to swarmd-net what managers say of networks, one call at a time and in order, and tells them when it is so.
 * What comes while it does not answer is merged, and told once it does.
 */
export class NetworkLink {
  readonly #deps: NetworkLinkDeps;
  readonly #changes = new Changes();
  readonly #queue = new EndpointQueue();
  readonly #published = new PublishedPorts();
  #publish = false;
  readonly #networks: ToldNetworks;
  #config: DataPathConfig | undefined;
  #toldConfig = '';
  #acknowledged = 0;
  #session: NetworkSession | undefined;
  /** Networks of which this session has told. */
  readonly #heard = new Set<string>();
  /** Something that swarmd-net is to know is not known here any more. */
  #lost = false;
  #status: NodeNetworksStatus | undefined;
  #asked = Number.NEGATIVE_INFINITY;
  /** Why it is not there; empty while it is. */
  #down = '';
  #work = 0;

  constructor(deps: NetworkLinkDeps) {
    this.#deps = deps;
    this.#networks = new ToldNetworks(deps.nodeNetworks, deps.logger);
  }

  /** Whether swarmd-net still lacks something of what managers have said of the networks, or are to say in this session. */
  isBehind(networkIds: readonly string[]): boolean {
    const expects = this.#session?.takesPart ?? false;
    return this.#lost || networkIds.some((id) => this.#queue.has(id) || (expects && !this.#heard.has(id)));
  }

  /** Whether swarmd-net answers, in a protocol that both know. */
  async answers(): Promise<boolean> {
    try {
      const { protocol } = await this.#deps.nodeNetworks.status(AbortSignal.timeout(STATUS_TIMEOUT_MS));
      return protocol === NODE_NETWORKS_PROTOCOL;
    } catch {
      return false;
    }
  }

  /** A session has begun: what a manager says of networks starts anew. */
  begin(session: NetworkSession): void {
    this.#session = session;
    this.#heard.clear();
    this.#queue.restart();
    this.#published.restart();
    this.#lost = false;
    this.#acknowledged = 0;
    this.#asked = Number.NEGATIVE_INFINITY;
    this.#wake();
  }

  /** The session is over. What it told is still passed on. */
  end(): void {
    this.#session = undefined;
    this.#queue.restart();
  }

  /** The networks that this node is to have; those that are missing stay until they are dropped. */
  want(networks: readonly NodeNetwork[]): void {
    this.#networks.want(networks);
    this.#wake();
  }

  /** Nothing of the network is left on this node: swarmd-net forgets it, unless it is wanted again. */
  drop(networkId: string): void {
    this.#networks.drop(networkId);
    this.#wake();
  }

  /** Drops all that swarmd-net has and `keep` does not want. */
  sweep(keep: (networkId: string) => boolean): void {
    for (const id of this.#status?.networks ?? []) if (!keep(id)) this.drop(id);
  }

  /** Where the other nodes are, and the port of the overlays (UDP). */
  peers(port: number, peers: readonly string[]): void {
    this.#config = { ...this.#deps.own, port, peers: [...peers] };
    this.#wake();
  }

  /** Who is on a network has changed. */
  update(update: EndpointUpdate): void {
    if (this.#published.take(update)) this.#publish = true;
    if (!this.#queue.add(update)) this.#lost = true;
    if (update.lastPart) this.#heard.add(update.networkId);
    this.#wake();
  }

  /** Resolves once swarmd-net has the network with all that is known of it; `unavailable` when that takes too long. */
  async ready(networkId: string, signal: AbortSignal): Promise<void> {
    const late = new AbortController();
    const cancel = this.#deps.clock.after(READY_TIMEOUT_MS, () => late.abort());
    const is = () => this.#networks.isTold(networkId) && !this.#queue.has(networkId);
    const found = await this.#changes.until(() => this, is, AbortSignal.any([signal, late.signal]));
    cancel();
    if (found !== undefined) return;
    if (signal.aborted) throw signal.reason;
    const why = this.#networks.refusal(networkId) || this.#down;
    throw new SwarmdError('unavailable', `swarmd-net does not have network ${networkId}${why && `: ${why}`}`);
  }

  /** Passes on whatever comes in until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const work = this.#work;
      try {
        // What a manager says in one go is told in one go, and acknowledged as one.
        await new Promise((resolve) => setImmediate(resolve));
        await this.#pass();
        this.#changes.tell();
        await this.#idle(work, signal);
      } catch (thrown) {
        if (signal.aborted) return;
        this.#fell(asSwarmdError(thrown));
        await pause(this.#deps.clock, RETRY_MS, signal);
      }
    }
  }

  /** Has swarmd-net remove all that is ours from this host: this node leaves. */
  async reset(): Promise<void> {
    this.#networks.clear();
    this.#queue.clear();
    await this.#deps.nodeNetworks.reset();
  }

  async #pass(): Promise<void> {
    const { nodeNetworks } = this.#deps;
    await this.#ask();
    if (this.#config !== undefined && JSON.stringify(this.#config) !== this.#toldConfig) {
      const config = this.#config;
      await nodeNetworks.configure(config);
      this.#toldConfig = JSON.stringify(config);
    }
    const session = this.#session;
    // As of now: of a network that comes in while others are told, nothing is made in this turn.
    const { index } = this.#queue;
    await this.#networks.tell();
    await this.#queue.make(
      (id) => this.#networks.has(id),
      (changes) => nodeNetworks.changeEndpoints(changes),
    );
    if (session !== undefined && session === this.#session && index > this.#acknowledged) {
      this.#acknowledged = index;
      session.applied(index);
    }
    await this.#publishPorts();
    await this.#networks.forgetDropped((id) => {
      this.#queue.forget(id);
      this.#published.forget(id);
    });
  }

  /** Asks how swarmd-net is, when that is due; one that has lost what it was told is told again. */
  async #ask(): Promise<void> {
    const { nodeNetworks, clock, logger } = this.#deps;
    const asked = clock.monotonic();
    if (this.#down === '' && asked - this.#asked < STATUS_PERIOD_MS) return;
    this.#asked = asked;
    const status = await nodeNetworks.status(AbortSignal.timeout(STATUS_TIMEOUT_MS));
    if (status.protocol !== NODE_NETWORKS_PROTOCOL) {
      throw new SwarmdError('incompatible', `it speaks protocol ${status.protocol}, not ${NODE_NETWORKS_PROTOCOL}`);
    }
    if (this.#down !== '' || this.#status === undefined) logger.info({ version: status.version }, 'swarmd-net answers');
    const said = this.#status?.problems ?? [];
    for (const problem of status.problems) if (!said.includes(problem)) logger.warn({ problem }, 'networks');
    if (this.#status !== undefined && this.#status.epoch !== status.epoch) {
      this.#networks.told([]);
      this.#toldConfig = '';
      this.#lost = true;
    }
    this.#networks.told(status.networks);
    this.#down = '';
    this.#status = status;
    const session = this.#session;
    if (session !== undefined && (this.#lost || !session.takesPart)) {
      this.#toldConfig = '';
      this.#queue.clear();
      this.#session = undefined;
      session.renew(new SwarmdError('aborted', 'swarmd-net is to be told everything from the start'));
    }
  }

  async #publishPorts(): Promise<void> {
    const { ingress } = this.#networks;
    const services = ingress && this.#published.services(ingress.id);
    // Before the first complete set, what was published before goes on.
    if (!this.#publish || services === undefined) return;
    this.#publish = false;
    try {
      await this.#deps.nodeNetworks.publish(services);
    } catch (thrown) {
      this.#publish = true;
      throw thrown;
    }
  }

  #fell({ message }: SwarmdError): void {
    if (message !== this.#down) this.#deps.logger.warn({ reason: message }, 'swarmd-net is not there');
    this.#down = message;
    // One that comes back may be another one.
    this.#toldConfig = '';
  }

  #wake(): void {
    this.#work++;
    this.#changes.tell();
  }

  /** Until there is more to do than `done`, or swarmd-net is to be asked how it is. */
  async #idle(done: number, signal: AbortSignal): Promise<void> {
    let due = false;
    // Signals made of signals would cost more than all else here.
    const cancel = this.#deps.clock.after(STATUS_PERIOD_MS, () => {
      due = true;
      this.#changes.tell();
    });
    await this.#changes.until(
      () => this,
      () => due || this.#work !== done,
      signal,
    );
    cancel();
  }
}
