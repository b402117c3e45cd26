import type { Clock, Commit, Node, Random, Store, StoreEvent } from '@swarmd/model';
import type { Logger } from 'pino';
import type { AttachedManagers } from '../cluster/manager-peers.js';
import { clusterPeriodMs, gracePeriodMs, type Liveness, startLiveness } from './liveness.js';
import { awaitedSessions, markDown, markUnknown, type NodeSession } from './node-state.js';

/** A manager may be away this long before its nodes are in doubt. */
const ABSENT_MS = 1_000;
/** The same when this manager has only begun to lead: the others must first find it. */
const FIRST_ABSENT_MS = 1_500;
/** A node that has just joined may take this long until it registers. */
const FIRST_GRACE_MS = 60_000;

const UNKNOWN_MESSAGE = 'Node moved to "unknown" state: the manager that it was connected to is gone';

/** What {@link startAbsentManagers} needs. */
export interface AbsentManagersDependencies {
  store: Store;
  clock: Clock;
  random: Random;
  logger: Logger;
  /** This manager, which leads. */
  managerId: string;
  attached: AttachedManagers;
}

/**
 * The leader's part in liveness. A manager answers for the nodes whose sessions it holds as long as it is attached; the
 * leader answers for nodes without a session, and for those of managers that are gone: they are unknown, and down when
 * they have not registered elsewhere within twice the usual grace. Nodes of managers that are there keep their state over
 * a change of leader.
 */
export function startAbsentManagers(deps: AbsentManagersDependencies): { stop(): Promise<void> } {
  const watch = new AbsentManagers(deps);
  return {
    stop: async () => watch.stop(),
  };
}

class AbsentManagers {
  readonly #deps: AbsentManagersDependencies;
  readonly #log: Logger;
  readonly #liveness: Liveness;
  /** Managers that were away for too long; for their nodes this one counts. */
  readonly #gone = new Set<string>();
  /** Managers that are away, not yet for too long. */
  readonly #doubted = new Map<string, () => void>();
  readonly #ends: (() => void)[];
  #stopped = false;

  constructor(deps: AbsentManagersDependencies) {
    const { store, clock, attached } = deps;
    this.#deps = deps;
    this.#log = deps.logger.child({ component: 'absent-managers' });
    this.#liveness = startLiveness({ clock, onSilent: (nodeId, session) => this.#declareDown(nodeId, session) });
    this.#ends = [store.watch((commit) => this.#onCommit(commit)), attached.onChange(() => this.#onAttached())];
    this.#doubt(FIRST_ABSENT_MS);
    this.#take(awaitedSessions(store.view, ({ Session }) => Session?.Manager === undefined));
  }

  stop(): void {
    this.#stopped = true;
    for (const end of this.#ends) end();
    for (const cancel of this.#doubted.values()) cancel();
    this.#liveness.stop();
  }

  #isThere(managerId: string): boolean {
    return managerId === this.#deps.managerId || this.#deps.attached.has(managerId);
  }

  #onAttached(): void {
    for (const [managerId, cancel] of [...this.#doubted]) {
      if (!this.#isThere(managerId)) continue;
      cancel();
      this.#doubted.delete(managerId);
    }
    for (const managerId of [...this.#gone]) {
      if (!this.#isThere(managerId)) continue;
      this.#gone.delete(managerId);
      for (const node of this.#deps.store.view.all('node')) {
        if (node.Session?.Manager === managerId) this.#liveness.forget(node.ID);
      }
    }
    this.#doubt(ABSENT_MS);
  }

  /** Gives every manager that holds nodes and is not there so long to come. */
  #doubt(ms: number): void {
    const holders = new Set<string>();
    for (const { Session } of this.#deps.store.view.all('node')) if (Session?.Manager) holders.add(Session.Manager);
    for (const managerId of holders) this.#doubtOne(managerId, ms);
  }

  #doubtOne(managerId: string, ms: number): void {
    if (this.#isThere(managerId) || this.#gone.has(managerId) || this.#doubted.has(managerId)) return;
    const decide = (): void => {
      this.#doubted.delete(managerId);
      this.#gone.add(managerId);
      const sessions = awaitedSessions(this.#deps.store.view, ({ Session }) => Session?.Manager === managerId);
      this.#log.warn({ managerId, nodes: sessions.length }, 'a manager is gone: its nodes are waited for elsewhere');
      this.#take(sessions);
    };
    this.#doubted.set(managerId, this.#deps.clock.after(ms, decide));
  }

  /** Takes the answer for these nodes upon this manager: unknown until they register. */
  #take(sessions: readonly NodeSession[]): void {
    if (sessions.length === 0) return;
    for (const { nodeId, session, backWithinMs } of sessions) this.#expect(nodeId, session, backWithinMs);
    this.#deps.store
      .update((tx) => markUnknown(tx, sessions, UNKNOWN_MESSAGE))
      // What could not be written makes no difference to when they are down.
      .catch((error: unknown) => this.#stopped || this.#log.error({ err: error }, 'nodes not marked unknown'));
  }

  /** Begins to count, unless the node said how long it would be away. */
  #expect(nodeId: string, session: string | undefined, backWithinMs = 0): void {
    const { store, random } = this.#deps;
    const graceMs = 2 * gracePeriodMs(clusterPeriodMs(store.view), random.float());
    this.#liveness.expect(nodeId, session, Math.max(backWithinMs, graceMs));
  }

  #onCommit({ events }: Commit): void {
    for (const event of events) if (event.table === 'node') this.#onNode(event);
  }

  #onNode({ kind, object, previous }: StoreEvent & { table: 'node' }): void {
    if (kind === 'delete') this.#liveness.forget(object.ID);
    // It has a certificate by now, and is to register soon.
    else if (object.Session === undefined) {
      if (kind === 'create') this.#liveness.expect(object.ID, undefined, FIRST_GRACE_MS);
    } else if (object.Session.ID !== previous?.Session?.ID || cameBack(object, previous)) {
      const { ID, Manager } = object.Session;
      if (Manager === undefined || this.#gone.has(Manager)) this.#expect(object.ID, ID);
      else {
        this.#liveness.forget(object.ID);
        this.#doubtOne(Manager, ABSENT_MS);
      }
    }
  }

  #declareDown(nodeId: string, session: string | undefined): void {
    const { store } = this.#deps;
    const message = 'heartbeat failure for node in "unknown" state';
    store
      .update((tx) => markDown(tx, nodeId, session, message))
      .then((written) => written && this.#log.warn({ nodeId, reason: message }, 'node is down'))
      .catch((error: unknown) => {
        if (this.#stopped) return;
        this.#log.error({ err: error, nodeId }, 'node not marked down; will try again');
        this.#liveness.expect(nodeId, session, clusterPeriodMs(store.view));
      });
  }
}

/** Whether a node that was in doubt is said to be there. */
function cameBack(node: Node, previous: Node | undefined): boolean {
  return node.Status.State === 'ready' && previous?.Status.State !== 'ready';
}
