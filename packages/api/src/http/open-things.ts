import type { EventEmitter } from 'node:events';

/** Connections, or requests that are being answered: whatever says `close` when it is over. */
export class OpenThings {
  readonly #open = new Set<EventEmitter>();
  readonly #waiting = new Set<() => void>();

  /** Counts one until it is over: a request's answer is complete, or its client has gone. */
  add(thing: EventEmitter): void {
    this.#open.add(thing);
    thing.once('close', () => {
      this.#open.delete(thing);
      if (this.#open.size > 0) return;
      for (const resolve of this.#waiting) resolve();
      this.#waiting.clear();
    });
  }

  /** Resolves once none is left. */
  settled(): Promise<void> {
    if (this.#open.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiting.add(resolve);
    });
  }
}
