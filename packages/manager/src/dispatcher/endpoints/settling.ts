import type { Clock } from '@swarmd/model';
import type { NetworkEndpoint_Phase } from '@swarmd/wire';
import type { SessionEndpoints } from './session-endpoints.js';

/** How long the nodes that share a network with a task have to learn of its phase. */
export const SETTLE_MS = 2_000;
/** Questions under way at once; those after them wait, and become one. */
const MAX_UNDER_WAY = 64;

/** What is asked of every manager: do the nodes connected to it know of all on these networks up to this index? */
export interface EndpointQuestion {
  index: number;
  networkIds: readonly string[];
}

/** Resolves once they do; gives up when the signal fires, or before. Never rejects. */
export type AskManagers = (question: EndpointQuestion, signal: AbortSignal) => Promise<void>;

interface Group extends EndpointQuestion {
  tasks: { session: SessionEndpoints; taskId: string; phase: NetworkEndpoint_Phase }[];
}

/** What {@link createSettling} needs. */
export interface SettlingOptions {
  clock: Clock;
  /** Index of the store, as sessions are told it. */
  index(): number;
  ask: AskManagers;
  /** The session was told (`SessionEndpoints.tell`) and is to be brought up to date. */
  told(session: SessionEndpoints): void;
}

/** Finds out when phases of tasks are known wherever they must be. */
export interface Settling {
  /** Tells the session once a phase is known to all, or {@link SETTLE_MS} are over. */
  settle(session: SessionEndpoints, taskId: string, phase: NetworkEndpoint_Phase, networkIds: readonly string[]): void;
  stop(): void;
}

/** Tasks of one turn that share their networks are one question, however many they are. */
export function createSettling({ clock, index, ask, told }: SettlingOptions): Settling {
  const questions = new Set<AbortController>();
  let stopped = false;
  let waiting = new Map<string, Group>();
  let underWay = 0;
  let scheduled = false;

  const finish = (group: Group): void => {
    underWay -= 1;
    if (stopped) return;
    const sessions = new Set<SessionEndpoints>();
    for (const { session, taskId, phase } of group.tasks) {
      session.tell(taskId, phase);
      sessions.add(session);
    }
    for (const session of sessions) told(session);
    schedule();
  };
  const start = (group: Group): void => {
    underWay += 1;
    const over = new AbortController();
    const cancel = clock.after(SETTLE_MS, () => over.abort());
    questions.add(over);
    void ask(group, over.signal).finally(() => {
      cancel();
      questions.delete(over);
      finish(group);
    });
  };
  const run = (): void => {
    scheduled = false;
    if (stopped) return;
    const room = MAX_UNDER_WAY - underWay;
    if (room <= 0) return;
    const groups = waiting.size <= room ? [...waiting.values()] : [united([...waiting.values()])];
    waiting = new Map();
    for (const group of groups) start(group);
  };
  const schedule = (): void => {
    if (scheduled || waiting.size === 0) return;
    scheduled = true;
    // After this turn's updates of sessions: they say what else is to settle.
    setImmediate(run);
  };
  return {
    settle: (session, taskId, phase, networkIds) => {
      const sorted = [...networkIds].sort();
      const key = sorted.join(' ');
      const group = waiting.get(key) ?? { index: 0, networkIds: sorted, tasks: [] };
      group.index = Math.max(group.index, index());
      group.tasks.push({ session, taskId, phase });
      waiting.set(key, group);
      schedule();
    },
    stop: () => {
      stopped = true;
      for (const question of questions) question.abort();
    },
  };
}

/** One question in place of many: its tasks then wait for each other. */
function united(groups: readonly Group[]): Group {
  return {
    index: Math.max(...groups.map((group) => group.index)),
    networkIds: [...new Set(groups.flatMap((group) => group.networkIds))],
    tasks: groups.flatMap((group) => group.tasks),
  };
}
