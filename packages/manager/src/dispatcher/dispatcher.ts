import { CLUSTER_KEY, type Clock, type Commit, type Random, type Store, SwarmdError } from '@swarmd/model';
import { clientStreamHandler, type DispatcherServer, type ManagerPeer } from '@swarmd/wire';
import type { Logger } from 'pino';
import { managerPeers } from './cluster-update.js';
import { touchedBy } from './commit-routing.js';
import { gracePeriodMs, heartbeatPeriodMs, type Liveness, startLiveness } from './liveness.js';
import { LogBroker } from './log-broker.js';
import { markDown, markUnknown } from './node-state.js';
import { createSessionRegistry, type SessionRegistry } from './registry.js';
import { handleSession } from './session-handler.js';
import { createStatusWriter, type StatusWriter } from './status-writer.js';
import { createUpdateQueue } from './update-queue.js';

/** A node that has just joined may take this long until it registers. */
const FIRST_GRACE_MS = 60_000;

/** What {@link createDispatcher} needs. */
export interface DispatcherDependencies {
  store: Store;
  clock: Clock;
  random: Random;
  logger: Logger;
}

/** The manager's side of all agents: sessions, assignments, statuses, liveness, logs. */
export interface Dispatcher {
  /** To be added to the gRPC server. */
  readonly service: DispatcherServer;
  readonly logs: Pick<LogBroker, 'subscribe'>;
  /** Nodes with a session here. */
  connectedNodes(): string[];
  /** Begins: every node is unknown until it registers, with twice the usual grace to do so. */
  start(): Promise<void>;
  /** Ends all sessions; writes nothing. */
  stop(): Promise<void>;
}

/** What the parts of a dispatcher share. */
export interface DispatcherContext extends DispatcherDependencies {
  registry: SessionRegistry;
  liveness: Liveness;
  statuses: StatusWriter;
  logs: LogBroker;
  /** The managers that agents may turn to; the same array as long as it holds the same. */
  managers(): readonly ManagerPeer[];
  /** The heartbeat period for the cluster as it is now. */
  periodMs(): number;
  /** A grace for a session with that period, drawn at random. */
  graceMs(): number;
}

/** A dispatcher, not yet started. */
export function createDispatcher(deps: DispatcherDependencies): Dispatcher {
  const { store, clock, random } = deps;
  const log = deps.logger.child({ component: 'dispatcher' });
  const registry = createSessionRegistry(clock);
  const periodMs = (): number => {
    const configured = store.view.get('cluster', CLUSTER_KEY)?.Spec.Dispatcher?.HeartbeatPeriod;
    return heartbeatPeriodMs(store.view.count('node'), configured);
  };
  const graceMs = (): number => gracePeriodMs(periodMs(), random.float());
  const liveness = startLiveness({ clock, onSilent: (nodeId, session) => declareDown(context, nodeId, session) });
  let managers: readonly ManagerPeer[] | undefined;
  const logs = new LogBroker({ ...deps, registry });
  const context: DispatcherContext = {
    ...deps,
    ...{ logger: log, registry, liveness, logs, periodMs, graceMs, statuses: createStatusWriter(store) },
    managers: () => {
      managers ??= managerPeers(store.view);
      return managers;
    },
  };
  const updates = createUpdateQueue(registry, clock);
  const onCommit = (commit: Commit): void => {
    for (const event of commit.events) {
      if (event.table === 'node' && event.kind === 'delete') removeNode(context, event.object.ID);
      // It has a certificate by now, and is to register soon.
      if (event.table === 'node' && event.kind === 'create')
        liveness.expect(event.object.ID, undefined, FIRST_GRACE_MS);
      const touched = touchedBy(event);
      if (touched.everyone) managers = undefined;
      updates.mark(touched);
    }
    logs.onCommit(commit);
  };
  let unwatch = (): void => {};
  let stopped = false;
  return {
    service: {
      session: (call) => {
        if (stopped) call.destroy();
        else handleSession(context, call);
      },
      publishLogs: clientStreamHandler((requests, { peer, stopReading }) =>
        logs.publish(requests, peer!.nodeId, stopReading),
      ),
    },
    logs,
    connectedNodes: () => [...registry.all()].map((session) => session.nodeId),
    start: async () => {
      unwatch = store.watch(onCommit);
      const awaited = await store.update(markUnknown);
      for (const { nodeId, session } of awaited) {
        // A node may have registered while that was being written.
        if (registry.get(nodeId) === undefined) liveness.expect(nodeId, session, 2 * graceMs());
      }
    },
    stop: async () => {
      stopped = true;
      unwatch();
      liveness.stop();
      updates.stop();
      logs.stop();
      for (const { stream } of [...registry.all()])
        stream.end(new SwarmdError('unavailable', 'the manager is stopping'));
    },
  };
}

function declareDown(context: DispatcherContext, nodeId: string, session: string | undefined): void {
  const { store, registry, logger, liveness } = context;
  const silent = registry.get(nodeId);
  if (silent?.sessionId === session) silent?.stream.end(new SwarmdError('unavailable', 'heartbeats missed'));
  const unknown = store.view.get('node', nodeId)?.Status.State === 'unknown';
  const message = unknown ? 'heartbeat failure for node in "unknown" state' : 'heartbeat failure';
  store
    .update((tx) => markDown(tx, nodeId, session, message))
    .then((written) => written && logger.warn({ nodeId, reason: message }, 'node is down'))
    .catch((error: unknown) => {
      logger.error({ err: error, nodeId }, 'node not marked down; will try again');
      liveness.expect(nodeId, session, context.periodMs());
    });
}

function removeNode({ registry, liveness }: DispatcherContext, nodeId: string): void {
  liveness.forget(nodeId);
  const removed = new SwarmdError('permission-denied', `node ${nodeId} was removed from this cluster`);
  registry.get(nodeId)?.stream.end(removed);
  registry.forget(nodeId);
}
