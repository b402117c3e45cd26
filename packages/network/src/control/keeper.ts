import { asSwarmdError, type Clock, type NodeNetwork } from '@swarmd/model';
import type { Logger } from 'pino';
import type { Mesh, NameServer, NetworkPlane } from '../parts.js';
import type { NodeState } from '../state/node-state.js';
import type { LocalRecord } from '../state/records.js';
import { coalesce } from './coalesce.js';

/** Brings the kernel and the name server to what the state says, a network at a time, and keeps them there. */
export interface Keeper {
  /** Resolves when what the state says of the network now is so. A network that is not known is fine. */
  bring(networkId: string): Promise<void>;
  /** Resolves when the network is ready for containers: at once if it has been since this process started. */
  ready(networkId: string): Promise<void>;
  /** The agent told all of a network: from now on what is not known goes away. */
  told(networkId: string): void;
  configure(): Promise<void>;
  publish(): Promise<void>;
  /** Takes the network out of the kernel and the name server. It is out of the state already. */
  drop(networkId: string): Promise<void>;
  /** Brings everything, in the background: failures are logged, shown in `problems` and tried again. */
  restore(): void;
  /** A container has joined: the mesh is told, if it is on the ingress network, once its interface is inside. */
  joined(local: LocalRecord): void;
  /** Takes everything out of the kernel. The state is empty already. */
  reset(): Promise<void>;
  problems(): string[];
  /** Nothing is tried again or watched from now on; the kernel stays as it is. */
  stop(): void;
}

/** What the keeper works with. */
export interface KeeperDeps {
  state: NodeState;
  plane: NetworkPlane;
  names: NameServer;
  mesh: Mesh;
  clock: Clock;
  logger: Logger;
}

const RETRY_FIRST_MS = 1000;
const RETRY_MAX_MS = 30_000;
/** How often all networks are compared with the kernel, where others may have changed something. */
const AUDIT_PERIOD_MS = 60_000;
const JOINED_ATTEMPTS = 40;
const JOINED_PAUSE_MS = 250;
const JOINED_AGAIN_MS = 1000;

/** How many networks are restored side by side. */
const RESTORED_AT_ONCE = 4;

/** What failed, and how often in a row. */
interface Failure {
  /** For people. */
  what: string;
  message: string;
  attempts: number;
}

/** Nothing happens before one of its methods is called. */
export function createKeeper(deps: KeeperDeps): Keeper {
  return new StateKeeper(deps);
}

class StateKeeper implements Keeper {
  readonly #deps: KeeperDeps;
  readonly #runs = new Map<string, () => Promise<void>>();
  /** Networks as they were last brought about, since this process started. */
  readonly #ensured = new Map<string, NodeNetwork>();
  /** Networks of which the state may know less than the kernel. */
  readonly #doubtful: Set<string>;
  readonly #failures = new Map<string, Failure>();
  readonly #timers = new Set<() => void>();
  readonly #configure: () => Promise<void>;
  readonly #publish: () => Promise<void>;
  /** Since this process started. */
  #configured = false;
  #stopped = false;

  constructor(deps: KeeperDeps) {
    this.#deps = deps;
    this.#doubtful = new Set(deps.state.doubtful ? deps.state.networks().keys() : []);
    const configuring = { key: '(data path)', what: 'the data path', again: () => this.configure() };
    this.#configure = coalesce(() => this.#watched(configuring, () => this.#configureNow()));
    const publishing = { key: '(published)', what: 'published ports', again: () => this.publish() };
    this.#publish = coalesce(() => this.#watched(publishing, () => this.#publishNow()));
  }

  bring(networkId: string): Promise<void> {
    let run = this.#runs.get(networkId);
    if (run === undefined) {
      run = coalesce(() => {
        const what = `network ${this.#deps.state.networks().get(networkId)?.name ?? networkId}`;
        const watched = { key: networkId, what, again: () => this.bring(networkId) };
        return this.#watched(watched, () => this.#bringNow(networkId));
      });
      this.#runs.set(networkId, run);
    }
    return run();
  }

  async ready(networkId: string): Promise<void> {
    const network = this.#deps.state.networks().get(networkId);
    if (network !== undefined && this.#ensured.get(networkId) !== network) await this.bring(networkId);
  }

  told(networkId: string): void {
    this.#doubtful.delete(networkId);
  }

  configure(): Promise<void> {
    return this.#configure();
  }

  publish(): Promise<void> {
    return this.#publish();
  }

  async drop(networkId: string): Promise<void> {
    // After what is being done to it.
    await this.bring(networkId).catch(() => {});
    const ingress = this.#ensured.get(networkId)?.ingress;
    this.#ensured.delete(networkId);
    this.#runs.delete(networkId);
    this.#doubtful.delete(networkId);
    this.#failures.delete(networkId);
    if (ingress) await this.publish();
    await this.#deps.names.stop(networkId);
    await this.#deps.plane.remove(networkId);
  }

  restore(): void {
    const { state, logger } = this.#deps;
    const waiting = [...state.networks().keys()];
    const restoreSome = async (): Promise<void> => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        // It is logged and tried again where it failed.
        await this.ready(next).catch(() => {});
      }
    };
    Promise.all(Array.from({ length: RESTORED_AT_ONCE }, restoreSome))
      .then(() => {
        logger.info({ networks: this.#ensured.size, of: state.networks().size }, 'networks are restored');
        for (const local of state.locals().values()) if (local.sandbox !== '') this.joined(local);
        return this.publish();
      })
      .catch((error: unknown) => logger.debug({ err: error }, 'published ports are tried again'));
    this.#later(AUDIT_PERIOD_MS, () => this.#auditAll());
  }

  joined({ sandbox }: LocalRecord): void {
    // Another network of the container may be the one that its default route leads to.
    for (const local of this.#deps.state.locals().values()) {
      if (local.sandbox === sandbox && this.#deps.state.networks().get(local.networkId)?.ingress) {
        this.#joined(local, JOINED_ATTEMPTS);
      }
    }
  }

  async reset(): Promise<void> {
    for (const networkId of this.#ensured.keys()) await this.#deps.names.stop(networkId);
    this.#ensured.clear();
    this.#runs.clear();
    this.#doubtful.clear();
    this.#failures.clear();
    this.#configured = false;
    await this.#deps.mesh.reset();
    await this.#deps.plane.reset();
  }

  problems(): string[] {
    const failures = [...this.#failures.values()].map(({ what, message }) => `${what}: ${message}`);
    return [...failures, ...this.#deps.mesh.problems()];
  }

  stop(): void {
    this.#stopped = true;
    for (const cancel of this.#timers) cancel();
    this.#timers.clear();
  }

  async #configureNow(): Promise<void> {
    const config = this.#deps.state.config();
    if (config === undefined) return;
    await this.#deps.plane.configure(config);
    await this.#deps.mesh.configure(config);
    this.#configured = true;
  }

  async #bringNow(networkId: string): Promise<void> {
    const { state, plane, names } = this.#deps;
    const network = state.networks().get(networkId);
    if (network === undefined) return;
    if (!this.#configured) await this.configure();
    const fresh = this.#ensured.get(networkId) !== network;
    if (fresh) await plane.ensure(network);
    const members = state.members(networkId);
    if (members !== undefined && !this.#doubtful.has(networkId)) await plane.apply(network, members);
    if (fresh) {
      await names.serve(network);
      this.#ensured.set(networkId, network);
    }
    // What goes wrong there is noted there; the network itself is fine.
    if (network.ingress) await this.publish().catch(() => {});
  }

  async #publishNow(): Promise<void> {
    const { state, mesh } = this.#deps;
    const ingress = [...state.networks().values()].find((network) => network.ingress);
    if (ingress !== undefined && (this.#doubtful.has(ingress.id) || !this.#ensured.has(ingress.id))) return;
    const members = ingress && state.members(ingress.id);
    await mesh.apply(ingress, members, state.published());
  }

  /** Notes how `attempt` ended under `key`; after a failure `again` is called later. */
  async #watched(
    of: { key: string; what: string; again(): Promise<void> },
    attempt: () => Promise<void>,
  ): Promise<void> {
    const { key, what, again } = of;
    try {
      await attempt();
      this.#failures.delete(key);
    } catch (error) {
      const attempts = (this.#failures.get(key)?.attempts ?? 0) + 1;
      this.#failures.set(key, { what, message: asSwarmdError(error).message, attempts });
      this.#deps.logger.warn({ err: error, attempts }, `${what}: it does not work; it is tried again`);
      this.#later(Math.min(RETRY_FIRST_MS * 2 ** (attempts - 1), RETRY_MAX_MS), () => {
        if (this.#failures.get(key)?.attempts === attempts) return again();
      });
      throw error;
    }
  }

  #joined(local: LocalRecord, attempts: number): void {
    const { state, mesh, logger } = this.#deps;
    const { sandbox, endpointId, addresses, macAddress, networkId } = local;
    const ingress = state.networks().get(networkId);
    if (ingress === undefined || state.locals().get(endpointId)?.sandbox !== sandbox) return;
    mesh.joined(sandbox, ingress, { endpointId, addresses, macAddress }).then(
      // The engine moves one interface after the other into the container: the default route may come last.
      () => attempts > 1 && this.#later(JOINED_AGAIN_MS, () => this.#joined(local, 1)),
      (error: unknown) => {
        if (attempts > 1) this.#later(JOINED_PAUSE_MS, () => this.#joined(local, attempts - 1));
        else logger.warn({ err: error, endpointId, sandbox }, 'a container does not answer on published ports');
      },
    );
  }

  async #auditAll(): Promise<void> {
    const { state, plane, logger } = this.#deps;
    try {
      for (const [networkId, network] of [...this.#ensured]) {
        const members = state.members(networkId);
        if (members === undefined || this.#doubtful.has(networkId)) continue;
        const ports = [...state.locals().values()].filter((local) => local.networkId === networkId);
        const found = await plane.audit(network, members, ports);
        for (const sentence of found) logger.warn({ network: network.name }, sentence);
      }
    } finally {
      this.#later(AUDIT_PERIOD_MS, () => this.#auditAll());
    }
  }

  #later(delayMs: number, task: () => Promise<void> | void | undefined): void {
    if (this.#stopped) return;
    const cancel = this.#deps.clock.after(delayMs, () => {
      this.#timers.delete(cancel);
      Promise.resolve(task()).catch((error: unknown) => this.#deps.logger.debug({ err: error }, 'tried again in vain'));
    });
    this.#timers.add(cancel);
  }
}
