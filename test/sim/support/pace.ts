import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ManualClock } from '@swarmd/testkit';

/** More commits than this without time passing: loops answer each other for ever. */
const MAX_COMMITS_PER_INSTANT = 2_000;
/** So many turns of the event loop without a commit mean that nothing is under way but what waits for time to pass. */
const QUIET_TURNS = 3;

/** The passing of simulated time: from one timer to the next, each time until nothing is under way any more. */
export class Pace {
  readonly #clock: ManualClock;
  readonly #commits: () => number;

  /** `commits` counts what the cluster has written; it may throw to end the simulation. */
  constructor(clock: ManualClock, commits: () => number) {
    this.#clock = clock;
    this.#commits = commits;
  }

  /** Lets `ms` pass. Throws when the cluster never stops writing at some instant. */
  async elapse(ms: number): Promise<void> {
    const until = this.#clock.monotonic() + ms;
    for (;;) {
      await this.#settle();
      const left = until - this.#clock.monotonic();
      if (left <= 0) return;
      this.#clock.advance(Math.min(left, this.#clock.nextTimerMs() ?? left));
    }
  }

  /** Lets as much time pass as `promise` takes. */
  async until<T>(promise: Promise<T>): Promise<T> {
    let done = false;
    const finished = promise.finally(() => {
      done = true;
    });
    finished.catch(() => {});
    while (!done) {
      await nextTurn();
      if (!done) this.#clock.advance(Math.min(5, this.#clock.nextTimerMs() ?? 5));
    }
    return finished;
  }

  async #settle(): Promise<void> {
    const before = this.#commits();
    let seen = before;
    for (let quiet = 0; quiet < QUIET_TURNS; ) {
      await nextTurn();
      const now = this.#commits();
      quiet = now === seen ? quiet + 1 : 0;
      seen = now;
      if (now - before > MAX_COMMITS_PER_INSTANT) throw new Error('loops answer each other for ever');
    }
  }
}
