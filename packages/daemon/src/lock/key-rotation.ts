import { type LeaderCalls, type Loop, managersWithoutNextKey, startLoop } from '@swarmd/manager';
import {
  CLUSTER_KEY,
  type Clock,
  type Cluster,
  type ClusterDataKey,
  isErrorCode,
  type ResealableSharedLog,
  type SharedStore,
  type WriteTx,
} from '@swarmd/model';
import { createDataKey, dataKeyId, parseUnlockKey, type Vault } from '@swarmd/store';
import type { Logger } from 'pino';
import type { DataKeys } from './data-keys.js';
import { noteHolder, syncKeys } from './key-exchange.js';

/** A manager that has not taken the new key by then is named in the log. */
const PATIENCE_MS = 30_000;
/** Asking the leader again. */
const RETRY_MS = 1_000;

/** What {@link startKeyRotation} needs. */
export interface KeyRotationDependencies {
  store: SharedStore;
  nodeId: string;
  vault: Vault;
  dataKeys: DataKeys;
  calls: LeaderCalls;
  /** The log that several managers share; `undefined` while the store is not on one. */
  log(): ResealableSharedLog | undefined;
  /** Has the log keep nothing of values that were replaced: called on the leader before all others forget the old key. */
  forgetReplaced(): Promise<void>;
  /** Called where an old key was forgotten. */
  onForgotten?(): void;
  clock: Clock;
  logger: Logger;
}

/** Has `dataKeys` seal with the key that the cluster object names, at once when it changes. Returns the end of that. */
export function followDataKey(store: SharedStore, dataKeys: DataKeys): () => void {
  const follow = (): void => {
    const id = store.view.get('cluster', CLUSTER_KEY)?.DataKey?.ID;
    if (id !== undefined) dataKeys.use(id);
  };
  follow();
  return store.watch(({ events }) => {
    if (events.some(({ table }) => table === 'cluster')) follow();
  });
}

/**
 * Replaces the data key of managers that share a log. The leader announces a new one by its ID; every manager fetches it
 * from the leader, keeps it and says so; when all do, the leader writes with it, seals anew what was written before, and
 * then all forget the old one. What the leader does next follows from the cluster object alone, so that another leader
 * goes on wherever it finds it.
 */
export function startKeyRotation(deps: KeyRotationDependencies): Loop {
  const { store, vault } = deps;
  const rotation = new KeyRotation(deps);
  const loop = startLoop<'keys'>(
    {
      name: 'data-keys',
      dirtiedBy: ({ table }, mark) => {
        const waits = store.view.get('cluster', CLUSTER_KEY)?.DataKey?.Next !== undefined;
        if (table === 'cluster' || (table === 'node' && waits)) mark('keys');
      },
      allKeys: () => ['keys'],
      pass: async (_keys, { signal, wakeAfter }) => {
        // A key is never on the disk as it was before the lock changed; who seals it says so with a resync.
        if ((vault.key?.id ?? '') !== rotation.unlockKeyId) return;
        try {
          if (await rotation.step(signal)) wakeAfter('keys', RETRY_MS);
        } catch (error) {
          if (!isErrorCode(error, 'not-leader') && !signal.aborted) throw error;
          wakeAfter('keys', RETRY_MS);
        }
      },
    },
    deps,
  );
  const unlisten = store.onLeadership(() => loop.resync());
  return {
    resync: () => loop.resync(),
    stop: () => {
      unlisten();
      return loop.stop();
    },
  };
}

class KeyRotation {
  readonly #deps: KeyRotationDependencies;
  /** The key that waits, since when this manager has seen it wait, and who was named for it. */
  #waiting: { id: string; sinceMs: number; named: string } | undefined;

  constructor(deps: KeyRotationDependencies) {
    this.#deps = deps;
  }

  get unlockKeyId(): string {
    const text = this.#cluster?.UnlockKey;
    return text === undefined ? '' : parseUnlockKey(text).id;
  }

  get #cluster(): Cluster | undefined {
    return this.#deps.store.view.get('cluster', CLUSTER_KEY);
  }

  /** Does what is due here. Resolves with whether to look again soon, though nothing changes. */
  async step(signal: AbortSignal): Promise<boolean> {
    const { store } = this.#deps;
    const log = this.#deps.log();
    if (log === undefined) return false;
    return store.leads ? this.#lead(log, signal) : this.#follow(signal);
  }

  /** A manager that does not lead: holds what is announced, and forgets what nothing needs. */
  async #follow(signal: AbortSignal): Promise<boolean> {
    const { store, dataKeys, nodeId, calls } = this.#deps;
    const key = this.#cluster?.DataKey;
    // Who is being demoted is given no key any more.
    if (key === undefined || store.view.get('node', nodeId)?.Spec.Role !== 'manager') return false;
    const lacks = dataKeys.get(key.ID) === undefined || (key.Next !== undefined && !key.Next.HeldBy.includes(nodeId));
    if (lacks) await syncKeys(dataKeys, nodeId, (method, args) => calls.call(method, args, { signal }));
    else await this.#forget(key);
    return lacks;
  }

  async #lead(log: ResealableSharedLog, signal: AbortSignal): Promise<boolean> {
    const { dataKeys } = this.#deps;
    const key = this.#cluster?.DataKey;
    if (key === undefined || !dataKeys.use(key.ID)) await this.#begin(key?.ID);
    else if (key.Resealing) await this.#reseal(log, key.ID, signal);
    else if (key.Next !== undefined) return this.#complete(key.ID, key.Next);
    else {
      await this.#forget(key);
      if (dataKeys.isDue(this.unlockKeyId)) await this.#announce(key.ID, undefined);
    }
    return false;
  }

  /** Names the key in use in the cluster object: nothing, or the key of another store, is named there. */
  async #begin(named: string | undefined): Promise<void> {
    const { dataKeys } = this.#deps;
    const ID = dataKeys.cipher.keyId;
    // What a rotation before the store was shared has left to do is done now.
    const DataKey = { ID, ...(dataKeys.ids.length > 1 ? { Resealing: true } : {}) };
    await this.#put((key) => (key?.ID === named ? DataKey : undefined));
  }

  /** Makes a key and announces it, in place of one that was announced before and is not to be used. */
  async #announce(id: string, instead: string | undefined): Promise<void> {
    const { store, dataKeys, nodeId, logger } = this.#deps;
    const made = createDataKey(this.unlockKeyId);
    const ID = dataKeyId(made.bytes);
    await dataKeys.take([made]);
    await store.update((tx) => {
      const cluster = tx.get('cluster', CLUSTER_KEY);
      if (cluster?.DataKey?.ID !== id || cluster.DataKey.Next?.ID !== instead) return;
      const Next = { ID, Since: tx.now, HeldBy: [nodeId] };
      tx.put('cluster', { ...cluster, DataKey: { ...cluster.DataKey, Next } });
    });
    logger.info({ dataKey: ID, before: id }, 'a new data key: it is used once all managers hold it');
  }

  /** Puts the announced key into use, once all managers hold it. Resolves with whether it still waits. */
  async #complete(id: string, next: NonNullable<ClusterDataKey['Next']>): Promise<boolean> {
    const { store, dataKeys, nodeId, logger } = this.#deps;
    const held = dataKeys.get(next.ID);
    const outdated = this.unlockKeyId !== '' && held?.madeUnder !== this.unlockKeyId;
    if (held === undefined || outdated) {
      await this.#announce(id, next.ID);
      return false;
    }
    if (!next.HeldBy.includes(nodeId)) await store.update((tx) => noteHolder(tx, nodeId, dataKeys.ids));
    if (managersWithoutNextKey(store.view).length > 0) {
      this.#tellWaiting(next.ID);
      return true;
    }
    const used = await store.update((tx) => {
      const cluster = tx.get('cluster', CLUSTER_KEY);
      if (cluster?.DataKey?.ID !== id || cluster.DataKey.Next?.ID !== next.ID) return false;
      if (managersWithoutNextKey(tx).length > 0) return false;
      tx.put('cluster', { ...cluster, DataKey: { ID: next.ID, Resealing: true } });
      return true;
    });
    if (used) logger.info({ dataKey: next.ID }, 'all managers hold the new data key: the store is sealed anew');
    return !used;
  }

  async #reseal(log: ResealableSharedLog, id: string, signal: AbortSignal): Promise<void> {
    const { forgetReplaced, logger } = this.#deps;
    await log.reseal(signal);
    await forgetReplaced();
    await this.#put((key) => (key?.ID === id && key.Resealing ? { ID: id } : undefined));
    logger.info({ dataKey: id }, 'the store is sealed with the new data key alone');
  }

  /** Forgets the keys that nothing needs any more. */
  async #forget({ ID, Resealing, Next }: ClusterDataKey): Promise<void> {
    const { dataKeys, onForgotten, logger } = this.#deps;
    if (Resealing || Next !== undefined || dataKeys.cipher.keyId !== ID) return;
    if (!(await dataKeys.retain([ID]))) return;
    logger.info({ dataKey: ID }, 'the old data key is forgotten');
    onForgotten?.();
  }

  #tellWaiting(id: string): void {
    const { store, clock, logger } = this.#deps;
    const nowMs = clock.monotonic();
    if (this.#waiting?.id !== id) this.#waiting = { id, sinceMs: nowMs, named: '' };
    if (nowMs - this.#waiting.sinceMs < PATIENCE_MS) return;
    const managers = managersWithoutNextKey(store.view).map(({ ID, Description }) => Description?.Hostname || ID);
    const named = managers.join(', ');
    if (named === this.#waiting.named) return;
    this.#waiting.named = named;
    logger.warn({ dataKey: id, managers }, 'the new data key waits for managers that are down: start or demote them');
  }

  #put(change: (key: ClusterDataKey | undefined) => ClusterDataKey | undefined): Promise<void> {
    return this.#deps.store.update((tx: WriteTx) => {
      const cluster = tx.get('cluster', CLUSTER_KEY);
      const DataKey = cluster && change(cluster.DataKey);
      if (cluster !== undefined && DataKey !== undefined) tx.put('cluster', { ...cluster, DataKey });
    });
  }
}
