import type { Clock, NodeNetwork } from '@swarmd/model';
import type { Logger } from 'pino';
import type { Mesh, NameServer, NetworkMembers, NetworkPlane } from '../parts.js';
import type { NodeState } from '../state/node-state.js';
import type { LocalRecord } from '../state/records.js';
import { coalesce, createQueues, createSlots } from './coalesce.js';
import { tellMesh, tellNames } from './joined.js';
import { createRetries, type Retries } from './retries.js';

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
  /**
   * A container has joined: once its namespace is there its questions for names are led here, and the mesh is told if it
   * is on the ingress network.
   */
  joined(local: LocalRecord): void;
  /** A container has left one of its networks. */
  left(sandbox: string): void;
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

/** How often all networks are compared with the kernel, where others may have changed something. */
const AUDIT_PERIOD_MS = 60_000;
/** How many networks are worked on at a time: each takes some processes. */
const AT_ONCE = 6;

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
  readonly #retries: Retries;
  readonly #slots = createSlots(AT_ONCE);
  readonly #inTurn = createQueues();
  readonly #configure: () => Promise<void>;
  readonly #publish: () => Promise<void>;
  /** Since this process started. */
  #configured = false;

  constructor(deps: KeeperDeps) {
    this.#deps = deps;
    this.#retries = createRetries(deps.clock, deps.logger);
    this.#doubtful = new Set(deps.state.doubtful ? deps.state.networks().keys() : []);
    const configuring = { key: '(data path)', what: 'the data path', again: () => this.configure() };
    this.#configure = coalesce(() => this.#retries.watched(configuring, () => this.#configureNow()));
    const publishing = { key: '(published)', what: 'published ports', again: () => this.publish() };
    this.#publish = coalesce(() => this.#retries.watched(publishing, () => this.#publishNow()));
  }

  bring(networkId: string): Promise<void> {
    let run = this.#runs.get(networkId);
    if (run === undefined) {
      run = coalesce(() => {
        const what = `network ${this.#deps.state.networks().get(networkId)?.name ?? networkId}`;
        const attempted = { key: networkId, what, again: () => this.bring(networkId) };
        return this.#retries.watched(attempted, () => this.#slots.run(networkId, () => this.#bringNow(networkId)));
      });
      this.#runs.set(networkId, run);
    }
    return run();
  }

  async ready(networkId: string): Promise<void> {
    const network = this.#deps.state.networks().get(networkId);
    if (network === undefined || this.#ensured.get(networkId) === network) return;
    const brought = this.bring(networkId);
    this.#slots.hurry(networkId);
    await brought;
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
    this.#retries.forget(networkId);
    if (ingress) await this.publish();
    await this.#deps.names.stop(networkId);
    await this.#deps.plane.remove(networkId);
  }

  restore(): void {
    const { state, names, logger } = this.#deps;
    const restoring = [...state.networks().values()].map(async (network) => {
      // In the namespace of an earlier process names are answered before anything else: containers wait seconds for one.
      await names.serve(network).catch(() => {});
      // What fails is logged and tried again where it fails.
      await this.bring(network.id).catch(() => {});
    });
    Promise.all(restoring)
      .then(() => {
        logger.info({ networks: this.#ensured.size, of: state.networks().size }, 'networks are restored');
        for (const local of state.locals().values()) if (local.sandbox !== '') this.joined(local);
        return this.publish();
      })
      .catch((error: unknown) => logger.debug({ err: error }, 'published ports are tried again'));
    this.#retries.later(AUDIT_PERIOD_MS, () => this.#auditAll());
  }

  joined(local: LocalRecord): void {
    tellMesh({ ...this.#deps, retries: this.#retries }, local);
    this.#tellNames(local.sandbox);
  }

  left(sandbox: string): void {
    if (sandbox !== '') this.#tellNames(sandbox);
  }

  #tellNames(sandbox: string): void {
    tellNames({ ...this.#deps, retries: this.#retries, inTurn: this.#inTurn }, sandbox);
  }

  async reset(): Promise<void> {
    // After what is being done: the state is empty, so nothing new is begun.
    await Promise.allSettled([...this.#runs.values()].map((run) => run()));
    for (const networkId of this.#ensured.keys()) await this.#deps.names.stop(networkId);
    this.#ensured.clear();
    this.#runs.clear();
    this.#doubtful.clear();
    this.#retries.forgetAll();
    this.#configured = false;
    await this.#deps.mesh.reset();
    await this.#deps.plane.reset();
  }

  problems(): string[] {
    return [...this.#retries.problems(), ...this.#deps.mesh.problems()];
  }

  stop(): void {
    this.#retries.stop();
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
    const members = this.#membersOf(networkId);
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

  #membersOf(networkId: string): NetworkMembers | undefined {
    const members = this.#deps.state.members(networkId);
    if (members === undefined) return undefined;
    const locals = [...this.#deps.state.locals().values()].filter((local) => local.networkId === networkId);
    return { ...members, here: new Set(locals.flatMap(({ addresses }) => addresses)) };
  }

  async #auditAll(): Promise<void> {
    const { state, plane, names, logger } = this.#deps;
    try {
      for (const [networkId, network] of [...this.#ensured]) {
        const members = this.#membersOf(networkId);
        if (members === undefined || this.#doubtful.has(networkId)) continue;
        const ports = [...state.locals().values()].filter(
          (local) => local.networkId === networkId && local.sandbox !== '',
        );
        const found = await this.#slots.run(networkId, () => plane.audit(network, members, ports));
        for (const sentence of found) logger.warn({ network: network.name }, sentence);
        // A namespace that had to be made anew has no sockets in it.
        if (found.length > 0 && this.#ensured.get(networkId) === network) await names.serve(network);
      }
      const sandboxes = new Set([...state.locals().values()].map(({ sandbox }) => sandbox));
      for (const sandbox of sandboxes) if (sandbox !== '') this.#tellNames(sandbox);
    } finally {
      this.#retries.later(AUDIT_PERIOD_MS, () => this.#auditAll());
    }
  }
}
