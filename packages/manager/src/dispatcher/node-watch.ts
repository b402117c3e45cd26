import { isErrorCode, type StoreEvent, SwarmdError } from '@swarmd/model';
import type { DispatcherContext } from './context.js';
import { awaitedSessions, type NodeSession } from './node-state.js';

const RESTART_MESSAGE = 'Node moved to "unknown" state due to leadership change in cluster';

/** Follows what the store says of nodes: for whom this manager answers, and who has moved on. */
export interface NodeWatch {
  /**
   * Begins to answer for the nodes whose sessions were here before this manager started: unknown until they register,
   * with twice the usual grace to do so.
   */
  start(): Promise<void>;
  onEvent(event: StoreEvent & { table: 'node' }): void;
  /** Looks for nodes with a session here of which the store says that they are not there, and has that put right. */
  review(): void;
}

/**
 * A {@link NodeWatch}. The manager that the store names answers for a node, whoever believes otherwise: this one forgets a
 * node, and ends its session, as soon as the store names another.
 */
export function createNodeWatch(context: DispatcherContext): NodeWatch {
  const { store, registry, liveness, managerId, logger } = context;
  let reporting = false;
  let reviewing = false;

  const end = (nodeId: string, error: SwarmdError): void => registry.get(nodeId)?.stream.end(error);
  const onSession = ({ object }: StoreEvent & { table: 'node' }): void => {
    const { ID, Manager } = object.Session ?? { ID: undefined, Manager: undefined };
    if (Manager === managerId) {
      liveness.expect(object.ID, ID, context.graceMs());
      return;
    }
    liveness.forget(object.ID);
    // A session that has not begun yet is newer than what the store says.
    if (registry.get(object.ID)?.begun)
      end(object.ID, new SwarmdError('aborted', 'the node has opened a session with another manager'));
  };
  const review = (): void => {
    reviewing = false;
    if (reporting) return;
    const sessions = [...registry.all()].flatMap(({ nodeId }) => mistakenSession(context, nodeId) ?? []);
    if (sessions.length === 0) return;
    reporting = true;
    context.reports
      .found(sessions)
      .catch((error: unknown) => logger.warn({ err: error, nodes: sessions.length }, 'nodes not reported as connected'))
      .finally(() => {
        reporting = false;
      });
  };
  const onEvent = (event: StoreEvent & { table: 'node' }): void => {
    const { kind, object, previous } = event;
    if (kind === 'delete') {
      liveness.forget(object.ID);
      end(object.ID, new SwarmdError('permission-denied', `node ${object.ID} was removed from this cluster`));
      registry.forget(object.ID);
      return;
    }
    if (object.Session !== undefined && object.Session.ID !== previous?.Session?.ID) onSession(event);
    if (reviewing || mistakenSession(context, object.ID) === undefined) return;
    reviewing = true;
    // After this turn's commits: what they say of many nodes is answered once.
    setImmediate(review);
  };
  return {
    onEvent,
    review,
    start: async () => {
      const sessions = awaitedSessions(store.view, ({ ID, Session }) => {
        return Session?.Manager === managerId && registry.get(ID) === undefined;
      });
      for (const { nodeId, session, backWithinMs = 0 } of sessions)
        liveness.expect(nodeId, session, Math.max(backWithinMs, 2 * context.graceMs()));
      if (sessions.length === 0) return;
      try {
        await context.reports.lost(sessions, RESTART_MESSAGE);
      } catch (error) {
        if (!isErrorCode(error, 'not-leader', 'unavailable')) throw error;
        // A manager that has only begun may not have found the leader yet.
        void context
          .overFailover(() => context.reports.lost(sessions, RESTART_MESSAGE))
          // Only a word to users: when they are down is counted here all the same.
          .catch((again: unknown) => logger.warn({ err: again }, 'nodes not reported as unknown'));
      }
    },
  };
}

/** The session that a node has here, if the store says that the node is not there. */
function mistakenSession({ store, registry }: DispatcherContext, nodeId: string): NodeSession | undefined {
  const held = registry.get(nodeId);
  const node = store.view.get('node', nodeId);
  if (held === undefined || !held.begun || !held.stream.open || node?.Session?.ID !== held.sessionId) return undefined;
  return node.Status.State === 'ready' ? undefined : { nodeId, session: held.sessionId };
}
