import type { Clock } from '@swarmd/model';

/** A clock that stands still until told: for tests and simulations. */
export interface ManualClock extends Clock {
  /** Moves time on by `ms`, calling due timers in order. Awaits nothing; let promises settle between steps. */
  advance(ms: number): void;
  /** Moves wall time alone by `ms`, as an administrator or NTP would. */
  jumpWall(ms: number): void;
  /** Milliseconds until the next timer, or `undefined` when none waits. */
  nextTimerMs(): number | undefined;
}

interface Timer {
  at: number;
  id: number;
  /** `undefined` once it has been cancelled. */
  fn: (() => void) | undefined;
}

/** A {@link ManualClock} that starts at `startMs` (wall; default 2026-01-01). */
export function manualClock(startMs: number = Date.UTC(2026, 0, 1)): ManualClock {
  let mono = 0;
  let wallOffset = startMs;
  let sequence = 0;
  const timers: Timer[] = [];
  const next = (): Timer | undefined => {
    while (timers.length > 0 && timers[0]!.fn === undefined) pop(timers);
    return timers[0];
  };
  return {
    now: () => wallOffset + mono,
    monotonic: () => mono,
    after: (delayMs, fn) => {
      const timer: Timer = { at: mono + Math.max(0, delayMs), id: ++sequence, fn };
      push(timers, timer);
      return () => {
        timer.fn = undefined;
      };
    },
    advance: (ms) => {
      const target = mono + ms;
      for (let due = next(); due !== undefined && due.at <= target; due = next()) {
        pop(timers);
        mono = Math.max(mono, due.at);
        due.fn!();
      }
      mono = target;
    },
    jumpWall: (ms) => {
      wallOffset += ms;
    },
    nextTimerMs: () => {
      const due = next();
      return due === undefined ? undefined : Math.max(0, due.at - mono);
    },
  };
}

function before(a: Timer, b: Timer): boolean {
  return a.at < b.at || (a.at === b.at && a.id < b.id);
}

/** Adds to a binary heap with the earliest timer on top. */
function push(heap: Timer[], timer: Timer): void {
  let at = heap.length;
  for (heap.push(timer); at > 0; ) {
    const parent = (at - 1) >> 1;
    if (before(heap[parent]!, timer)) break;
    heap[at] = heap[parent]!;
    at = parent;
  }
  heap[at] = timer;
}

/** Takes the top of the heap away. */
function pop(heap: Timer[]): void {
  const last = heap.pop()!;
  if (heap.length === 0) return;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
    if (before(last, heap[child]!)) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = last;
}
