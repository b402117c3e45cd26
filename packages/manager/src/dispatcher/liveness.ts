import { CLUSTER_KEY, type Clock, DEFAULTS, durationMs, type Random, type ReadView } from '@swarmd/model';

/** Heartbeats that all agents together may cost a manager each second. */
const BEATS_PER_SECOND = 1_000;
/** The shortest period between an agent's heartbeats. */
const MIN_PERIOD_MS = 1_000;
/** What a user may set it to: less would be silence to the tick below, more is past what timers take. */
const CHOSEN_PERIOD_MS = { min: 200, max: 24 * 3_600_000 };
/** Silence is looked at this often. */
const TICK_MS = 100;
/** The most that the silence of others may grow by in one turn of the event loop, however long the turn took. */
const MAX_ADVANCE_MS = 200;
/** A node may miss this many periods, and a part of one more drawn at random: nodes that fell silent together do not all go down in one transaction. */
const GRACE_PERIODS = 3;

/**
 * The period between a node's heartbeats. One second in small clusters, longer when there are more than a thousand
 * nodes, so that heartbeats cost the same; what the user sets in place of Docker's default is taken as it is, between
 * 200 ms and a day.
 * `configuredNs`: `Spec.Dispatcher.HeartbeatPeriod` in nanoseconds.
 */
export function heartbeatPeriodMs(nodes: number, configuredNs: number | null | undefined): number {
  const chosen = configuredNs !== DEFAULTS.heartbeatPeriodNs && configuredNs !== 0;
  const automatic = Math.max(MIN_PERIOD_MS, Math.ceil((nodes / BEATS_PER_SECOND) * 1000));
  if (!chosen) return automatic;
  return Math.min(CHOSEN_PERIOD_MS.max, Math.max(CHOSEN_PERIOD_MS.min, durationMs(configuredNs, automatic)));
}

/** The heartbeat period for a cluster as it is now. */
export function clusterPeriodMs(view: ReadView): number {
  const configured = view.get('cluster', CLUSTER_KEY)?.Spec.Dispatcher?.HeartbeatPeriod;
  return heartbeatPeriodMs(view.count('node'), configured);
}

/** How long a node with this heartbeat period may be silent before it is down. `fraction` in [0, 1), drawn per session. */
export function gracePeriodMs(periodMs: number, fraction: number): number {
  return periodMs * (GRACE_PERIODS + 0.5 + fraction / 2);
}

/** Watches for nodes that fall silent. */
export interface Liveness {
  /** Starts counting a node's silence from now; replaces what was counted for it. `session` comes back with the verdict. */
  expect(nodeId: string, session: string | undefined, graceMs: number): void;
  /** The node was heard, in the session that is counted; `graceMs` may change with the heartbeat period. */
  heard(nodeId: string, session: string, graceMs: number): void;
  /** Stops counting. */
  forget(nodeId: string): void;
  stop(): void;
}

/**
 * Calls `onSilent` once for each node that was silent longer than its grace. Silence is counted on a clock of its own,
 * which advances by at most 200 ms per turn of the event loop: when this process stalls (garbage collection, a
 * suspended machine), what others sent meanwhile is read before anyone is declared dead.
 */
export function startLiveness({
  clock,
  onSilent,
}: {
  clock: Clock;
  onSilent: (nodeId: string, session: string | undefined) => void;
}): Liveness {
  const nodes = new Map<string, { session: string | undefined; lastHeardMs: number; graceMs: number }>();
  let countedMs = 0;
  let lastTick = clock.monotonic();
  let cancel = (): void => {};

  const tick = (): void => {
    const now = clock.monotonic();
    countedMs += Math.min(MAX_ADVANCE_MS, now - lastTick);
    lastTick = now;
    for (const [nodeId, entry] of nodes) {
      if (countedMs - entry.lastHeardMs <= entry.graceMs) continue;
      nodes.delete(nodeId);
      onSilent(nodeId, entry.session);
    }
    cancel = clock.after(TICK_MS, tick);
  };
  cancel = clock.after(TICK_MS, tick);

  return {
    expect: (nodeId, session, graceMs) => {
      nodes.set(nodeId, { session, lastHeardMs: countedMs, graceMs });
    },
    heard: (nodeId, session, graceMs) => {
      const entry = nodes.get(nodeId);
      if (entry === undefined || entry.session !== session) return;
      entry.lastHeardMs = countedMs;
      entry.graceMs = graceMs;
    },
    forget: (nodeId) => {
      nodes.delete(nodeId);
    },
    stop: () => cancel(),
  };
}

/** A period as told to one agent: up to a tenth more or less, so that agents that started together drift apart. */
export function jittered(periodMs: number, random: Random): number {
  return Math.round(periodMs * (0.9 + 0.2 * random.float()));
}
