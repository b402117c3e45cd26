/** How often leader and managers give each other a sign. */
export const SIGN_PERIOD_MS = 250;
/** A leader that is silent for longer is gone. */
export const LEADER_SILENCE_MS = 1_500;
/** One whose consensus moved to this host need not be waited for as long. */
export const MOVED_SILENCE_MS = 600;
/** A line that broke, as that of a process that ended does, is tried again for this long before anyone takes over. */
export const BROKEN_LINE_MS = 200;
/** A manager that has had a sign within this time hears the leader. */
export const HEARD_MS = 750;

/** What a manager knows of its leader. */
export interface LeaderObserved {
  leads: boolean;
  /** The leader as the log says. */
  leader: { nodeId: string; term: number } | undefined;
  /** This manager. */
  nodeId: string;
  /** Whether it has given this manager a sign since it leads. */
  heard: boolean;
  /** How long the leader has been silent, in milliseconds. */
  silentMs: number;
  /** For how long the line to the leader has been broken; `undefined` while it is not. */
  brokenMs: number | undefined;
  /** Whether this host's member of the log's consensus leads it. */
  leadsConsensus: boolean;
}

/**
 * What to do about the leader: nothing, `claim` its place, or `ask` the other managers whether they hear it and claim
 * when none does. A leader that is heard is left alone, wherever consensus is led from. Source: the design, decision 4.
 */
export function takeoverStep(observed: LeaderObserved): 'nothing' | 'ask' | 'claim' {
  const { leads, leader, nodeId, heard, silentMs, brokenMs, leadsConsensus } = observed;
  if (leads) return 'nothing';
  // This manager's own claim from before a restart, or from before it lost contact.
  if (leader === undefined || leader.nodeId === nodeId) return 'claim';
  if (silentMs > LEADER_SILENCE_MS || (brokenMs ?? 0) > BROKEN_LINE_MS) return 'ask';
  // On busy machines the first sign of who has just begun to lead takes its time.
  return heard && leadsConsensus && silentMs > MOVED_SILENCE_MS ? 'ask' : 'nothing';
}
