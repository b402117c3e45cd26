import type { ServerResponse } from 'node:http';

/** The requests that are being answered. */
export class OpenRequests {
  readonly #open = new Set<ServerResponse>();
  readonly #waiting = new Set<() => void>();

  /** Counts a request until its answer is complete or its client has gone. */
  add(response: ServerResponse): void {
    this.#open.add(response);
    response.once('close', () => {
      this.#open.delete(response);
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
