import type { GoneReason } from '@swarmd/etcd';
import type { Loop } from '@swarmd/manager';
import { asSwarmdError, type Cluster, type Control, formatRefusal, pause, SwarmdError } from '@swarmd/model';
import type { Vault } from '@swarmd/store';
import type { IdentityHolder } from '@swarmd/wire';
import type { DaemonConfig } from '../config.js';
import { startManagerLock } from '../lock/manager-lock.js';
import { type ManagerRuntime, startManager } from '../manager-runtime.js';
import type { Member } from '../member-file.js';
import type { NodePorts } from '../node-ports.js';
import type { EtcdHost } from './etcd-host.js';
import { enterStore } from './join-store.js';
import { isMarkedStandby, loadDriver, removeAside, removeState, setManagerAside } from './manager-files.js';
import { openOnly, openShared, tellAddress } from './open-store.js';
import { openTimeoutMs } from './patience.js';
import { type ManagerAddress, ManagerQuestions } from './questions.js';
import { STANDBY_QUOTA_BYTES, standBy, standbyProblem } from './standby.js';
import { type StoreHost, type StoreHostDependencies, startOwnEtcd, storeMismatch } from './store-host.js';
import { Watchers } from './watchers.js';

/** Between two attempts to become a manager, doubling to the maximum. */
const RETRY_MS = { min: 500, max: 10_000 } as const;

/** What a {@link ManagerSlot} needs. */
export interface ManagerSlotDependencies {
  config: DaemonConfig;
  ports: NodePorts;
  version: string;
  identity: IdentityHolder;
  member: Member;
  /** What this node keeps its secrets in. */
  vault: Vault;
  /** Asks for a certificate with a new key. */
  renewCertificate(): void;
  /** Managers known to this node, `host:port`. */
  managers(): readonly string[];
  /** The cluster was recovered from another manager: `managers` are those that there are now. */
  onReplaced(managers: readonly ManagerAddress[]): void;
  /** The others have removed this host from their store, and its place is empty: whether it stays so is for them to say. */
  onRemoved(): void;
  onStoreFailure(reason: SwarmdError): void;
}

/** The place of a manager on this node: empty, being prepared, or serving. */
export interface ManagerSlot {
  /** Whether this node is a manager, or on its way to be one. */
  readonly taken: boolean;
  readonly control: Control | undefined;
  /** Why the manager does not serve yet; empty when it does, or when the slot is empty. */
  readonly problem: string;
  /** Whether it keeps a copy of the state and has no vote. */
  readonly isStandby: boolean;
  /** What it answers of itself and of the other managers, before it serves, too. */
  readonly questions: ManagerQuestions;
  /** See `Membership.fresh`. */
  fresh(signal: AbortSignal): Promise<void>;
  /**
   * Takes up what is on the disk, or joins the store of the other managers. The only manager serves when this resolves,
   * and what is wrong with its store rejects; one of several goes on trying in the background.
   */
  start(): Promise<void>;
  /** Resolves once the manager serves; rejects with the signal's reason. */
  serving(signal: AbortSignal): Promise<void>;
  /** Resolves once this host's part of the store has been removed by the others, and the manager has stopped for good. */
  retired(signal: AbortSignal): Promise<void>;
  /** Has another manager lead, before a stop; this one serves on. */
  handOver(): Promise<void>;
  stop(): Promise<void>;
}

/** An empty slot. */
export function createManagerSlot(deps: ManagerSlotDependencies): ManagerSlot {
  return new Slot(deps);
}

class Slot implements ManagerSlot {
  readonly #deps: ManagerSlotDependencies;
  readonly #watchers = new Watchers();
  readonly questions: ManagerQuestions;
  #abort = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #runtime: ManagerRuntime | undefined;
  /** This host's etcd, as long as it keeps a copy and has no vote. */
  #standby: EtcdHost | undefined;
  #loops: Loop[] = [];
  /** What is left of the manager before is being cleared away. */
  #clearing: Promise<void> = Promise.resolve();
  /** How often it was stopped from outside. */
  #stops = 0;
  #taken = false;
  #problem = '';

  constructor(deps: ManagerSlotDependencies) {
    this.#deps = deps;
    this.questions = new ManagerQuestions(deps, {
      runtime: () => this.#runtime,
      standby: () => this.#standby,
      onReplaced: (managers) => {
        deps.onReplaced(managers);
        this.#gone({ kind: 'removed', detail: 'the cluster was recovered from another manager' });
      },
    });
  }

  get taken(): boolean {
    return this.#taken;
  }

  get control(): Control | undefined {
    return this.#runtime?.manager.control;
  }

  get isStandby(): boolean {
    return this.#standby !== undefined;
  }

  get problem(): string {
    const { managers, member } = this.#deps;
    if (this.isStandby) return standbyProblem(managers().filter((addr) => addr !== member.advertiseAddr));
    return this.#problem;
  }

  async fresh(signal: AbortSignal): Promise<void> {
    await this.#runtime?.host.store.fresh(signal);
  }

  async start(): Promise<void> {
    if (this.#taken) return;
    this.#taken = true;
    this.#abort = new AbortController();
    await this.#clearing;
    const { config } = this.#deps;
    const driver = await loadDriver(config.dataDir);
    if (driver === 'level' || (driver === undefined && this.#isAlone())) {
      this.#serve(await this.#startOn(await openOnly(this.#hostDeps())));
      return;
    }
    const mismatch = driver && storeMismatch(driver === 'external', config.store !== undefined);
    if (mismatch !== undefined) throw mismatch;
    this.#problem = 'this manager is being prepared';
    this.#running = this.#prepare(this.#abort.signal);
  }

  serving(signal: AbortSignal): Promise<void> {
    return this.#watchers.until(() => this.#runtime !== undefined, signal);
  }

  retired(signal: AbortSignal): Promise<void> {
    return this.#watchers.until(() => !this.#taken, signal);
  }

  async handOver(): Promise<void> {
    await this.#runtime?.manager.handOver();
  }

  async stop(): Promise<void> {
    this.#stops += 1;
    await this.#end();
    await this.#clearing;
  }

  async #end(): Promise<void> {
    this.#abort.abort(new SwarmdError('aborted', 'swarmd stops'));
    await this.#running;
    await this.questions.answerNoMore();
    for (const loop of this.#loops.splice(0)) await loop.stop();
    const runtime = this.#runtime;
    this.#runtime = undefined;
    await runtime?.stop();
    this.#taken = false;
    this.#watchers.tell();
  }

  async #prepare(signal: AbortSignal): Promise<void> {
    const { ports, config } = this.#deps;
    let pauseMs: number = RETRY_MS.min;
    for (let attempt = 0; !signal.aborted; ) {
      let bounded = signal;
      try {
        if ((await loadDriver(config.dataDir)) === undefined) await enterStore({ ...this.#deps, signal });
        await this.questions.answerOnPort();
        const running = await this.#standBy(signal);
        bounded = AbortSignal.any([signal, AbortSignal.timeout(openTimeoutMs(attempt))]);
        this.#serve(await this.#openShared(bounded, running));
        return;
      } catch (error) {
        if (signal.aborted) return;
        const { message } = asSwarmdError(error);
        if (message !== this.#problem) ports.logger.warn({ err: error }, 'not yet a manager; will try again');
        this.#problem = message;
      }
      if (bounded.aborted) attempt += 1;
      await pause(ports.clock, pauseMs, signal);
      pauseMs = Math.min(RETRY_MS.max, pauseMs * 2);
    }
  }

  #openShared(signal: AbortSignal, running: EtcdHost | undefined): Promise<ManagerRuntime> {
    const use = async (host: StoreHost): Promise<ManagerRuntime> => {
      await this.questions.answerNoMore();
      return this.#startOn(host);
    };
    return openShared({ ...this.#deps, signal }, this.#hostDeps(), use, running);
  }

  /** As a standby: waits for its vote, with no limit. Resolves with the etcd that has it; `undefined` where there is none. */
  async #standBy(signal: AbortSignal): Promise<EtcdHost | undefined> {
    if (!isMarkedStandby(this.#deps.config.dataDir)) return undefined;
    await tellAddress({ ...this.#deps, signal });
    const etcd = await startOwnEtcd(this.#hostDeps(), { quotaBytes: STANDBY_QUOTA_BYTES });
    this.#standby = etcd;
    try {
      await standBy({ ...this.#deps, etcd }, signal);
      return etcd;
    } catch (error) {
      await etcd.stop();
      throw error;
    } finally {
      this.#standby = undefined;
    }
  }

  #startOn(host: StoreHost): Promise<ManagerRuntime> {
    const { identity, member, version, ports } = this.#deps;
    return startManager(host, identity, member, version, ports, this.questions.answers);
  }

  #serve(runtime: ManagerRuntime): void {
    this.#runtime = runtime;
    this.#problem = '';
    runtime.host.etcd?.maintain(() => runtime.host.store.leads);
    // Its managers may have gone on without asking this one, if it was older than they had known.
    runtime.host.store.watch(({ events }) => {
      for (const { table, object } of events) if (table === 'cluster') this.#refuseNewer(object);
    });
    const { identity, config } = this.#deps;
    const { host, manager } = runtime;
    const nodeId = identity.current.nodeId;
    this.#loops = startManagerLock({
      ...{ ...this.#deps, host, nodeId, calls: manager.calls },
      dataDir: config.dataDir,
    });
    this.#watchers.tell();
    void removeAside(config.dataDir, this.#deps.vault, this.#deps.ports.logger);
  }

  #refuseNewer({ StateFormat }: Cluster): void {
    const refusal = formatRefusal('the cluster’s state', StateFormat);
    if (refusal !== undefined) this.#deps.onStoreFailure(refusal);
  }

  #hostDeps(): StoreHostDependencies {
    const { config, ports, identity, member, vault, onStoreFailure } = this.#deps;
    return {
      ...{ config, ports, member, vault, onFailure: onStoreFailure },
      nodeId: identity.current.nodeId,
      clusterId: identity.current.clusterId,
      onGone: (reason) => this.#gone(reason),
    };
  }

  #gone(reason: GoneReason): void {
    this.#onGone(reason).catch((error: unknown) => this.#deps.onStoreFailure(asSwarmdError(error)));
  }

  /** etcd on this host is over: for good when the others removed it; else this manager joins them anew. */
  async #onGone({ kind, detail }: GoneReason): Promise<void> {
    this.#deps.ports.logger.warn({ kind, detail }, 'this host is no member of the store any more');
    const isLost = kind === 'damaged' && this.#isAlone();
    const stops = this.#stops;
    const clearing = this.#end().then(() => (isLost ? undefined : this.#clear(kind)));
    this.#clearing = clearing.catch(() => {});
    await clearing;
    if (isLost) {
      // What is left of it is all that is left: for whoever can make something of it.
      const problem = `the data of etcd cannot be read (${detail}), and no other manager is known to have it from`;
      throw new SwarmdError('damaged', `${problem}: restore the cluster from a backup`);
    }
    if (stops !== this.#stops) return;
    if (kind === 'removed') this.#deps.onRemoved();
    else await this.start();
  }

  /** Others may be damaged as well: then what is damaged here may be what the cluster is recovered from. */
  #clear(kind: GoneReason['kind']): Promise<void> {
    const { config, vault } = this.#deps;
    return kind === 'damaged' ? setManagerAside(config.dataDir, vault) : removeState(config.dataDir);
  }

  /** Without others to have it from, a store that is not there is lost. */
  #isAlone(): boolean {
    const { managers, member } = this.#deps;
    return managers().every((addr) => addr === member.advertiseAddr);
  }
}
