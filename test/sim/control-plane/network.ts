import type { ManualClock } from '@swarmd/testkit';
import type { Dice } from '../support/dice.js';
import { GRAIN_MS, type Process } from './process.js';

/** The longest delay of a message, in grains. */
const DELAY_GRAINS = 3;
const SLOW_GRAINS = 30;

/** Where the shared log is, for partitions. */
export const LOG = 'log';

/** How a process hears of a connection. */
export interface Ends {
  /** The other process died, or nobody listened: told to each side that is still there. */
  broken(side: 'caller' | 'callee'): void;
}

/** A connection between two processes: messages arrive in order, however late, or it breaks. */
export interface Connection {
  /** Has the other side run `deliver`. */
  send(to: 'caller' | 'callee', deliver: () => void): void;
  close(): void;
}

/** The network between simulated hosts: it delays, reorders between connections, and is cut in two. */
export class Network {
  readonly #clock: ManualClock;
  readonly #dice: Dice;
  readonly #cuts = new Set<string>();
  /** Whether messages take ten times as long. */
  slow = false;

  constructor(clock: ManualClock, dice: Dice) {
    this.#clock = clock;
    this.#dice = dice;
  }

  cut(a: string, b: string): void {
    this.#cuts.add(pair(a, b));
  }

  mend(a: string, b: string): void {
    this.#cuts.delete(pair(a, b));
  }

  mendAll(): void {
    this.#cuts.clear();
    this.slow = false;
  }

  reaches(a: string, b: string): boolean {
    return !this.#cuts.has(pair(a, b));
  }

  /** What a message takes now, in milliseconds. */
  delayMs(): number {
    return GRAIN_MS * this.#dice.int(0, this.slow ? SLOW_GRAINS : DELAY_GRAINS);
  }

  /** A connection from `caller` to whichever process `callee` finds on `host` when the first message gets there. */
  connect(caller: Process, host: string, callee: () => Process | undefined, ends: Ends): Connection {
    let server: Process | undefined;
    let open = true;
    const close = (): void => {
      open = false;
      for (const end of unmourn) end();
    };
    const broken = (side: 'caller' | 'callee'): void => {
      if (!open) return;
      close();
      ends.broken(side);
    };
    const lane = (to: 'caller' | 'callee'): ((deliver: () => void) => void) => {
      const queue: { at: number; deliver: () => void }[] = [];
      let last = 0;
      let waiting = false;
      const flush = (): void => {
        if (!open || waiting || queue.length === 0) return;
        if (to === 'callee' && server === undefined && this.reaches(caller.host, host)) {
          server = callee();
          if (server === undefined) {
            broken('caller');
            return;
          }
          unmourn.push(server.onDeath(() => lanes.caller(() => broken('caller'))));
        }
        const target = to === 'caller' ? caller : server;
        if (!this.reaches(caller.host, host) || target === undefined || target.paused) {
          waiting = true;
          this.#clock.after(5 * GRAIN_MS, () => {
            waiting = false;
            flush();
          });
          return;
        }
        const now = this.#clock.monotonic();
        while (open && queue.length > 0 && queue[0]!.at <= now) {
          const { deliver } = queue.shift()!;
          if (target.alive) deliver();
        }
      };
      return (deliver) => {
        last = Math.max(last, this.#clock.monotonic() + this.delayMs());
        queue.push({ at: last, deliver });
        this.#clock.after(last - this.#clock.monotonic(), flush);
      };
    };
    const lanes = { caller: lane('caller'), callee: lane('callee') };
    const unmourn: (() => void)[] = [caller.onDeath(() => lanes.callee(() => broken('callee')))];
    return {
      send: (to, deliver) => {
        const sender = to === 'callee' ? caller : server;
        if (open && sender?.alive) lanes[to](deliver);
      },
      close,
    };
  }
}

function pair(a: string, b: string): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}
