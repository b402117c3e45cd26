import { SwarmdError } from '@swarmd/model';

/** Calls of a read that share answers: those made while one is under way share the next, which begins after them. */
export class SharedRead<Result> {
  readonly #read: () => Promise<Result>;
  #current: Promise<Result> | undefined;
  #next: Promise<Result> | undefined;

  constructor(read: () => Promise<Result>) {
    this.#read = read;
  }

  /** The answer of a read that began after the call. Rejects with `aborted` on the signal, else as the read does. */
  call(signal: AbortSignal): Promise<Result> {
    if (signal.aborted) return Promise.reject(new SwarmdError('aborted', 'the read was given up'));
    return new Promise((resolve, reject) => {
      const onAbort = (): void => reject(new SwarmdError('aborted', 'the read was given up'));
      signal.addEventListener('abort', onAbort, { once: true });
      this.#shared()
        .then(resolve, reject)
        .finally(() => signal.removeEventListener('abort', onAbort));
    });
  }

  #shared(): Promise<Result> {
    if (this.#current === undefined) return this.#begin();
    this.#next ??= this.#current.then(
      () => this.#begin(),
      () => this.#begin(),
    );
    return this.#next;
  }

  #begin(): Promise<Result> {
    this.#next = undefined;
    const reading = this.#read();
    this.#current = reading;
    const forget = (): void => {
      if (this.#current === reading) this.#current = undefined;
    };
    reading.then(forget, forget);
    return reading;
  }
}
