/** Those who wait for something to become so. */
export class Watchers {
  readonly #watchers = new Set<() => void>();

  /** Resolves once `condition` holds, which is asked now and at each {@link tell}; rejects with the signal's reason. */
  until(condition: () => boolean, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        if (!condition() && !signal.aborted) return;
        this.#watchers.delete(look);
        signal.removeEventListener('abort', look);
        if (condition()) resolve();
        else reject(signal.reason as Error);
      };
      this.#watchers.add(look);
      signal.addEventListener('abort', look);
      look();
    });
  }

  /** Something has changed. */
  tell(): void {
    for (const look of [...this.#watchers]) look();
  }
}
