import type { AnyObject, Commit, StoreEvent } from '@swarmd/model';
import type { Logger } from 'pino';
import type { PendingOperation } from './overlay.js';

/** The event that tells watchers of an operation. */
export function eventOf({ table, before, value }: PendingOperation): StoreEvent {
  // The table decides the object's type, which the operation no longer knows.
  if (value === undefined) return { table, kind: 'delete', object: before as AnyObject } as StoreEvent;
  if (before === undefined) return { table, kind: 'create', object: value } as StoreEvent;
  return { table, kind: 'update', object: value, previous: before } as StoreEvent;
}

/** Those who are told of each durable transaction, in the order in which they came. */
export class Watchers {
  readonly #logger: Logger | undefined;
  #watchers: readonly { onCommit: (commit: Commit) => void; ended: boolean }[] = [];

  constructor(logger: Logger | undefined) {
    this.#logger = logger;
  }

  /** Adds a watcher; the returned function removes it. */
  add(onCommit: (commit: Commit) => void): () => void {
    const watcher = { onCommit, ended: false };
    this.#watchers = [...this.#watchers, watcher];
    return () => {
      watcher.ended = true;
      this.#watchers = this.#watchers.filter((other) => other !== watcher);
    };
  }

  /** Tells everyone who watched before the call. One that throws is logged and does not keep others from hearing. */
  tell(index: number, operations: readonly PendingOperation[]): void {
    if (this.#watchers.length === 0) return;
    const commit: Commit = { index, events: operations.map(eventOf) };
    for (const watcher of this.#watchers) {
      if (watcher.ended) continue;
      try {
        watcher.onCommit(commit);
      } catch (error) {
        this.#logger?.error({ err: error, index }, 'a watcher of the store failed');
      }
    }
  }
}

interface Waiter {
  index: number;
  done: () => void;
  failed: (reason: unknown) => void;
}

/** Those who wait for the store to reach an index. */
export class IndexWaiters {
  readonly #waiters = new Set<Waiter>();

  /** Resolves when {@link reached} is called with at least `index`; rejects with the signal's reason, or `fail`'s. */
  wait(index: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.reject(signal.reason);
    return new Promise((resolve, reject) => {
      const onAbort = () => waiter.failed(signal.reason);
      const forget = () => {
        this.#waiters.delete(waiter);
        signal.removeEventListener('abort', onAbort);
      };
      const waiter: Waiter = {
        index,
        done: () => {
          forget();
          resolve();
        },
        failed: (reason) => {
          forget();
          reject(reason);
        },
      };
      this.#waiters.add(waiter);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** Lets those go who wait for `index` or less. */
  reached(index: number): void {
    for (const waiter of this.#waiters) if (waiter.index <= index) waiter.done();
  }

  /** Turns everyone away: no later index will come. */
  fail(reason: unknown): void {
    for (const waiter of this.#waiters) waiter.failed(reason);
  }
}
