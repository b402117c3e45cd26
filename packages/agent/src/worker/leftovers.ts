import { asSwarmdError, type Clock, DEFAULTS } from '@swarmd/model';
import type { Logger } from 'pino';
import type { EngineClient } from '../engine/client.js';
import type { PayloadStore } from '../engine/payload-store.js';
import type { TaskEngine } from '../engine/task-engine.js';
import type { ListedContainer } from '../engine/watch.js';
import type { NetworkProvider } from '../network/overlay-networks.js';
import { findOrphans } from './orphans.js';

/** What is still wanted on this node. */
export interface Wanted {
  /** Tasks that are assigned or still going. */
  tasks: ReadonlySet<string> | ReadonlyMap<string, unknown>;
  /** Networks that are assigned. */
  networks: ReadonlyMap<string, unknown>;
  /** Networks that tasks here still use: those that have not ended. */
  usedNetworks(): ReadonlySet<string>;
}

/** A network that containers besides tasks are still on is tried again after this long. */
const RELEASE_RETRY_MS = 5_000;

/** What {@link Leftovers} need. */
export interface LeftoversDeps {
  engine: TaskEngine;
  networks: NetworkProvider;
  payloadStore: PayloadStore;
  clock: Clock;
  logger: Logger;
}

/** Removes what tasks leave behind on the engine: containers nobody assigned, networks without tasks, secret files. */
export class Leftovers {
  readonly #deps: LeftoversDeps;
  /** Networks that were withdrawn and are still there. */
  readonly #leaving = new Set<string>();
  /** Those of them that are being removed. */
  readonly #releasing = new Set<string>();
  #cancelRetry = () => {};
  #closed = false;

  constructor(deps: LeftoversDeps) {
    this.#deps = deps;
  }

  /** The assigned networks changed from `before` to `after`. */
  networksChanged(before: ReadonlyMap<string, unknown>, after: ReadonlyMap<string, unknown>): void {
    for (const id of before.keys()) if (!after.has(id)) this.#leaving.add(id);
    for (const id of after.keys()) this.#leaving.delete(id);
  }

  /** Removes withdrawn networks that no task uses any more; those that other containers use are tried again and again. */
  releaseNetworks(client: () => EngineClient | undefined, wanted: Wanted): void {
    const engine = client();
    if (engine === undefined || this.#leaving.size === 0) return;
    const used = wanted.usedNetworks();
    for (const id of this.#leaving) {
      if (used.has(id) || this.#releasing.has(id)) continue;
      this.#releasing.add(id);
      const release = async (): Promise<void> => {
        try {
          if (await this.#deps.networks.release(engine, id)) this.#leaving.delete(id);
        } finally {
          this.#releasing.delete(id);
          if (this.#leaving.has(id)) this.#retry(() => this.releaseNetworks(client, wanted));
        }
      };
      this.#spawn(release(), 'a network could not be removed');
    }
  }

  #retry(again: () => void): void {
    this.#cancelRetry();
    if (!this.#closed) this.#cancelRetry = this.#deps.clock.after(RELEASE_RETRY_MS, again);
  }

  /**
   * After a full set: removes whatever of our cluster belongs to no task of this node. Returns the tasks whose
   * containers go.
   */
  sweep(client: EngineClient, containers: readonly ListedContainer[], wanted: Wanted): string[] {
    const { networks, payloadStore, logger } = this.#deps;
    const orphans = findOrphans(containers, wanted.tasks);
    for (const orphan of orphans) {
      logger.info({ taskId: orphan.taskId }, 'removing a container that belongs to no task of this node');
      this.#spawn(this.#removeContainer(orphan), 'a container that belongs to no task could not be removed');
    }
    const sweepNetworks = async (): Promise<void> => {
      const stay = await networks.sweep(client, (id) => wanted.networks.has(id) || this.#leaving.has(id));
      for (const id of stay) this.#leaving.add(id);
      if (stay.length > 0) this.#retry(() => this.releaseNetworks(() => client, wanted));
    };
    this.#spawn(sweepNetworks(), 'networks could not be swept');
    this.#spawn(
      payloadStore.sweep((id) => wanted.tasks.has(id)),
      'files of ended tasks could not be removed',
    );
    return orphans.map((orphan) => orphan.taskId);
  }

  /** Removes everything of our cluster: this node leaves. */
  async removeAll(client: EngineClient, containers: readonly ListedContainer[]): Promise<void> {
    await Promise.all(containers.map((container) => this.#removeContainer(container)));
    await this.#deps.networks.leave(client);
    await this.#deps.payloadStore.sweep(() => false);
  }

  /** Failures are no longer of interest. */
  close(): void {
    this.#closed = true;
    this.#cancelRetry();
  }

  async #removeContainer({ id, taskId }: ListedContainer): Promise<void> {
    await this.#deps.engine.stop(id, DEFAULTS.stopGracePeriodMs);
    await this.#deps.engine.remove(id);
    await this.#deps.engine.release(taskId);
  }

  #spawn(work: Promise<unknown>, failure: string): void {
    work.catch((error: unknown) => {
      if (!this.#closed) this.#deps.logger.warn({ reason: asSwarmdError(error).message }, failure);
    });
  }
}
