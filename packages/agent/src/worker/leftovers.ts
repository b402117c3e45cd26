import { asSwarmdError, DEFAULTS } from '@swarmd/model';
import type { Logger } from 'pino';
import type { NetworkProvider } from '../engine/bridge-networks.js';
import type { EngineClient } from '../engine/client.js';
import type { PayloadStore } from '../engine/payload-store.js';
import type { TaskEngine } from '../engine/task-engine.js';
import type { ListedContainer } from '../engine/watch.js';
import { findOrphans } from './orphans.js';

/** What is still wanted on this node. */
export interface Wanted {
  /** Tasks that are assigned or still going. */
  tasks: ReadonlySet<string> | ReadonlyMap<string, unknown>;
  /** Networks that are assigned. */
  networks: ReadonlyMap<string, unknown>;
  /** Networks that tasks here still use. */
  usedNetworks(): ReadonlySet<string>;
}

/** Removes what tasks leave behind on the engine: containers nobody assigned, networks without tasks, secret files. */
export class Leftovers {
  readonly #deps: { engine: TaskEngine; networks: NetworkProvider; payloadStore: PayloadStore; logger: Logger };
  /** Networks that were withdrawn while tasks still used them. */
  readonly #leaving = new Set<string>();
  #closed = false;

  constructor(deps: { engine: TaskEngine; networks: NetworkProvider; payloadStore: PayloadStore; logger: Logger }) {
    this.#deps = deps;
  }

  /** The assigned networks changed from `before` to `after`. */
  networksChanged(before: ReadonlyMap<string, unknown>, after: ReadonlyMap<string, unknown>): void {
    for (const id of before.keys()) if (!after.has(id)) this.#leaving.add(id);
    for (const id of after.keys()) this.#leaving.delete(id);
  }

  /** Removes withdrawn networks that no task uses any more. */
  releaseNetworks(client: EngineClient | undefined, wanted: Wanted): void {
    if (client === undefined || this.#leaving.size === 0) return;
    const used = wanted.usedNetworks();
    for (const id of this.#leaving) {
      if (used.has(id)) continue;
      this.#leaving.delete(id);
      this.#spawn(this.#deps.networks.release(client, id), 'a network could not be removed');
    }
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
    this.#spawn(
      networks.sweep(client, (id) => wanted.networks.has(id) || this.#leaving.has(id)),
      'networks could not be swept',
    );
    this.#spawn(
      payloadStore.sweep((id) => wanted.tasks.has(id)),
      'files of ended tasks could not be removed',
    );
    return orphans.map((orphan) => orphan.taskId);
  }

  /** Removes everything of our cluster: this node leaves. */
  async removeAll(client: EngineClient, containers: readonly ListedContainer[]): Promise<void> {
    await Promise.all(containers.map((container) => this.#removeContainer(container)));
    await this.#deps.networks.sweep(client, () => false);
    await this.#deps.payloadStore.sweep(() => false);
  }

  /** Failures are no longer of interest. */
  close(): void {
    this.#closed = true;
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
