import { type Clock, steadyClock } from '@swarmd/model';
import type { ManualClock } from '@swarmd/testkit';

/** All that happens, happens at multiples of this: things coincide as they do under load, and a run has fewer instants. */
export const GRAIN_MS = 10;

/** A process on a simulated host: it may stand still for a while, and it dies once. */
export interface Process {
  readonly host: string;
  readonly alive: boolean;
  readonly paused: boolean;
  /** Its timers stand still while it does, and never fire once it is dead. */
  readonly clock: Clock;
  pause(): void;
  /** Goes on: timers that were due meanwhile fire at once, in order. */
  wake(): void;
  kill(): void;
  /** Moves the host's wall clock as this process sees it. */
  jumpWall(ms: number): void;
  /** Calls `fn` when it dies; the returned function ends that. */
  onDeath(fn: () => void): () => void;
}

/** A process that has just started on `host`. */
export function startProcess(host: string, world: ManualClock, wallOffsetMs = 0): Process {
  let alive = true;
  let paused = false;
  let offset = wallOffsetMs;
  let due: (() => void)[] = [];
  const mourners = new Set<() => void>();
  const after = (delayMs: number, fn: () => void): (() => void) => {
    let cancelled = false;
    const run = (): void => {
      if (alive && !cancelled) fn();
    };
    const at = Math.ceil((world.monotonic() + Math.max(0, delayMs)) / GRAIN_MS) * GRAIN_MS;
    const cancel = world.after(at - world.monotonic(), () => {
      if (paused) due.push(run);
      else run();
    });
    return () => {
      cancelled = true;
      cancel();
    };
  };
  return {
    host,
    get alive() {
      return alive;
    },
    get paused() {
      return paused;
    },
    clock: steadyClock({ now: () => world.now() + offset, monotonic: () => world.monotonic(), after }),
    pause: () => {
      paused = true;
    },
    wake: () => {
      paused = false;
      const now = due;
      due = [];
      for (const run of now) run();
    },
    kill: () => {
      if (!alive) return;
      alive = false;
      due = [];
      for (const mourn of [...mourners]) mourn();
    },
    jumpWall: (ms) => {
      offset += ms;
    },
    onDeath: (fn) => {
      mourners.add(fn);
      return () => {
        mourners.delete(fn);
      };
    },
  };
}
