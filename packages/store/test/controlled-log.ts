import type { Log, LogEntry } from '@swarmd/model';
import { createMemoryLog } from '../src/index.js';

/** A memory log whose appends wait until the test lets them go or fail: a disk of the test's making. */
export class ControlledLog implements Log {
  /** What each append so far was given. */
  readonly appends: (readonly LogEntry[])[] = [];
  readonly #log = createMemoryLog();
  #waiting: { succeed: () => void; fail: (error: unknown) => void }[] = [];

  /** Appends that have not been let go. */
  get waiting(): number {
    return this.#waiting.length;
  }

  replay: Log['replay'] = (onObject) => this.#log.replay(onObject);

  async append(entries: readonly LogEntry[]): Promise<void> {
    this.appends.push(entries);
    await new Promise<void>((succeed, fail) => this.#waiting.push({ succeed, fail }));
    await this.#log.append(entries);
  }

  /** Lets the append that waits succeed, and whoever waits for it run. */
  async release(): Promise<void> {
    this.#waiting.shift()?.succeed();
    await turn();
  }

  /** Makes the append that waits fail, and lets whoever waits for it run. */
  async fail(error: unknown): Promise<void> {
    this.#waiting.shift()?.fail(error);
    await turn();
  }

  async close(): Promise<void> {
    await this.#log.close();
  }
}

/** Lets all promises that can go on do so. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
