import {
  type AnyObject,
  type Leader,
  type LogEvent,
  type LogOperation,
  type ResealableSharedLog,
  SwarmdError,
  TABLE_NAMES,
} from '@swarmd/model';
import { perTable } from './engine/table.js';

/** How one manager reaches the memory that all share. Both may take their time, or reject with `unavailable`. */
export interface Reach {
  /** On the way there: a rejection means that nothing happened. */
  request(): Promise<void>;
  /** On the way back: a rejection means that it happened, and the manager does not know. */
  reply(): Promise<void>;
}

/** What several {@link ResealableSharedLog}s of one process share, as etcd does between hosts: for simulations and tests. */
export interface SharedMemory {
  /** A manager's log on it. `tell` is how events come to followers: at once unless given. */
  open(reach?: Partial<Reach>, tell?: (deliver: () => void) => void): ResealableSharedLog;
  /** Forgets all events: those who follow and have not seen them can no longer be told. */
  compact(): void;
}

type Stamped = { revision: number; event: LogEvent };

/** An empty {@link SharedMemory}. */
export function createSharedMemory(): SharedMemory {
  const tables = perTable(() => new Map<string, string>());
  const followers = new Set<() => void>();
  let events: Stamped[] = [];
  let forgotten = 0;
  let revision = 0;
  let index = 0;
  let leader: Leader | undefined;

  const happen = (event: LogEvent): void => {
    events.push({ revision: ++revision, event });
    for (const wake of [...followers]) wake();
  };
  /** Writes it, and gives what another process would read of it: nothing is shared with the writer's objects. */
  const write = ({ table, key, value }: LogOperation): LogOperation => {
    if (value === undefined) {
      tables[table].delete(key);
      return { table, key, value };
    }
    const json = JSON.stringify(value);
    tables[table].set(key, json);
    return { table, key, value: JSON.parse(json) as AnyObject };
  };

  const open = (
    reach: Partial<Reach> = {},
    tell: (deliver: () => void) => void = queueMicrotask,
  ): ResealableSharedLog => {
    const request = async (): Promise<void> => {
      await reach.request?.();
      if (closed) throw new SwarmdError('unavailable', 'the log is closed');
    };
    const reply = async (): Promise<void> => reach.reply?.();
    let closed = false;
    let position = 0;
    let known: Leader | undefined;
    let claimed: number | undefined;
    let last: Promise<void> = Promise.resolve();

    const follow = (onEvent: (event: LogEvent) => void): (() => void) => {
      let ended = false;
      let waking = false;
      const deliver = (): void => {
        waking = false;
        if (!ended && position < forgotten) {
          ended = true;
          onEvent({ kind: 'lost', reason: 'what happened meanwhile has been forgotten' });
        }
        // The follower may end itself while it is told.
        for (const { revision: at, event } of events.slice(Math.max(0, position - forgotten))) {
          if (ended) return;
          position = at;
          if (event.kind === 'leader') known = event.leader;
          onEvent(event);
        }
      };
      const wake = (): void => {
        if (waking || ended) return;
        waking = true;
        tell(deliver);
      };
      followers.add(wake);
      wake();
      return () => {
        ended = true;
        followers.delete(wake);
      };
    };
    return {
      get leader() {
        return known;
      },
      async replay(onObject) {
        closed = false;
        await request();
        for (const table of TABLE_NAMES)
          for (const [key, json] of tables[table]) onObject(table, key, JSON.parse(json) as AnyObject);
        position = revision;
        known = leader;
        return { index };
      },
      append(entries) {
        const appended = last.then(async () => {
          await request();
          if (leader === undefined || leader.term !== claimed)
            throw new SwarmdError('not-leader', 'another manager leads');
          for (const entry of entries) {
            const operations = entry.operations.map(write);
            index = entry.index;
            happen({ kind: 'entry', entry: { index, operations }, term: leader.term });
          }
          const reached = revision;
          await reply();
          position = reached;
        });
        last = appended.catch(() => {});
        return appended;
      },
      // Nothing is sealed here.
      async reseal() {
        await request();
        if (leader === undefined || leader.term !== claimed)
          throw new SwarmdError('not-leader', 'another manager leads');
        await reply();
      },
      follow,
      async claim({ nodeId, addr }, over, _signal) {
        await request();
        if (leader?.term !== over) return undefined;
        const next = { nodeId, addr, term: revision + 1 };
        leader = next;
        claimed = next.term;
        happen({ kind: 'leader', leader });
        await reply();
        return next;
      },
      async resign(term) {
        await request();
        if (leader?.term !== term) return;
        leader = undefined;
        happen({ kind: 'leader', leader: undefined });
      },
      async barrier() {
        await request();
        const seen = { index, term: leader?.term };
        await reply();
        return seen;
      },
      async close() {
        await last;
        closed = true;
      },
    };
  };
  return {
    open,
    compact: () => {
      events = [];
      forgotten = revision;
    },
  };
}
