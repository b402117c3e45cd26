/** Tells whoever waits that something has changed. */
export class Changes {
  readonly #waiting = new Set<() => void>();

  /** Something has changed. */
  tell(): void {
    for (const wake of [...this.#waiting]) wake();
  }

  /**
   * Resolves with what `find` finds as soon as `test` holds of it: at once, or after a change. With `undefined` when
   * there is nothing to find, or when `signal` aborts.
   */
  async until<T>(find: () => T | undefined, test: (found: T) => boolean, signal: AbortSignal): Promise<T | undefined> {
    for (;;) {
      const found = find();
      if (signal.aborted || found === undefined) return undefined;
      if (test(found)) return found;
      await this.#next(signal);
    }
  }

  #next(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        this.#waiting.delete(wake);
        signal.removeEventListener('abort', wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal.addEventListener('abort', wake, { once: true });
    });
  }
}
