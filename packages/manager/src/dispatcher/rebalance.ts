/** A manager may hold this much more than its fair share of sessions. */
const TOLERANCE = 1.25;
/** And this many besides: in small clusters chance alone makes a difference of some. */
const SLACK = 4;
/** The most that are asked to move at once: each is a transaction, and a full set at another manager. */
const MAX_MOVES = 3;

/** How the sessions of a cluster are spread. */
export interface SessionSpread {
  /** Sessions at this manager. */
  here: number;
  /** Sessions at all managers. */
  everywhere: number;
  /** Managers that can hold sessions, this one among them. */
  managers: number;
}

/**
 * How many sessions a manager is to give up now, so that a manager that has joined or come back gets its part: agents choose
 * by chance, and stay where they are as long as they can.
 */
export function sessionsToMove({ here, everywhere, managers }: SessionSpread): number {
  if (managers < 2) return 0;
  const most = Math.ceil((everywhere / managers) * TOLERANCE) + SLACK;
  return Math.min(MAX_MOVES, Math.max(0, here - most));
}
