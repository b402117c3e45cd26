import type { Clock } from '@swarmd/model';

/** How long a manager may be without a line to the leader before it counts as unreachable. */
const DETACHED_GRACE_MS = 1_000;
/** A line without a sign for this long is dead. */
const SILENCE_MS = 2_000;
/** Silence is looked at this often, */
const TICK_MS = 100;
/** and grows by at most this much in one turn of the event loop. */
const MAX_ADVANCE_MS = 200;

/** What a manager said of itself on its line. */
export interface AttachedManager {
  swarmdVersion: string;
  /** Where it is reached now: `host:port`. */
  addr: string;
  protocol: number;
  /** The newest form of the cluster's state that it can work on. */
  stateFormat: number;
  /** How far its wall clock is ahead of the leader's, in milliseconds, as of its first sign. */
  clockAheadMs: number;
}

/** The managers that have a line to this one, which leads. */
export interface Attachments {
  has(nodeId: string): boolean;
  get(nodeId: string): AttachedManager | undefined;
  /** A line from a manager; the returned handle takes its signs and its end. `onDead` is called when it falls silent. */
  add(nodeId: string, about: AttachedManager, onDead: () => void): { sign(): void; end(): void };
  /** Calls `listener` when a manager has come, or has been gone for a second; the returned function ends that. */
  onChange(listener: () => void): () => void;
  stop(): void;
}

/** No managers yet. Those that lose their line are kept for a second, in which they mostly come back. */
export function createAttachments(clock: Clock): Attachments {
  const lines = new Map<string, { about: AttachedManager; lastMs: number; onDead: () => void; goneMs?: number }>();
  const listeners = new Set<() => void>();
  let countedMs = 0;
  let lastTick = clock.monotonic();
  let cancel = (): void => {};

  const tell = (): void => {
    for (const listener of [...listeners]) listener();
  };
  const tick = (): void => {
    const now = clock.monotonic();
    countedMs += Math.min(MAX_ADVANCE_MS, now - lastTick);
    lastTick = now;
    let changed = false;
    for (const [nodeId, line] of lines) {
      if (line.goneMs === undefined && countedMs - line.lastMs > SILENCE_MS) {
        line.goneMs = countedMs;
        line.onDead();
      }
      if (line.goneMs === undefined || countedMs - line.goneMs < DETACHED_GRACE_MS) continue;
      lines.delete(nodeId);
      changed = true;
    }
    if (changed) tell();
    cancel = clock.after(TICK_MS, tick);
  };
  cancel = clock.after(TICK_MS, tick);

  return {
    has: (nodeId) => lines.has(nodeId),
    get: (nodeId) => lines.get(nodeId)?.about,
    add: (nodeId, about, onDead) => {
      const line: { about: AttachedManager; lastMs: number; onDead: () => void; goneMs?: number } = {
        about,
        lastMs: countedMs,
        onDead,
      };
      lines.set(nodeId, line);
      tell();
      return {
        sign: () => {
          line.lastMs = countedMs;
        },
        end: () => {
          line.goneMs ??= countedMs;
        },
      };
    },
    onChange: (listener) => {
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
      };
    },
    stop: () => cancel(),
  };
}
