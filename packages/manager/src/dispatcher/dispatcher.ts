import { type Clock, type Commit, isStandby, type Random, type Store, SwarmdError } from '@swarmd/model';
import {
  clientStreamHandler,
  type DispatcherServer,
  type LogRelayServer,
  type ManagerPeer,
  type NodeInquiryServer,
  type SessionProbeServer,
} from '@swarmd/wire';
import type { Logger } from 'pino';
import type { LeaderContact } from '../cluster/leader-calls.js';
import type { ManagerPeers } from '../cluster/manager-peers.js';
import { type AskNode, createAskNode, createNodeInquiryService } from './ask-node.js';
import { type DataPathAddresses, dataPathAddresses, managerPeers } from './cluster-update.js';
import { touchedBy } from './commit-routing.js';
import type { DispatcherContext } from './context.js';
import { createEndpoints } from './endpoints/endpoints.js';
import { overFailover } from './failover.js';
import { clusterPeriodMs, gracePeriodMs, startLiveness } from './liveness.js';
import { LogBroker } from './log-broker.js';
import { createLogRelayService } from './log-relay.js';
import { NodeInquiries } from './node-inquiries.js';
import { NodeLogs } from './node-logs.js';
import type { NodeReports } from './node-reports.js';
import { createNodeWatch } from './node-watch.js';
import { sessionsToMove } from './rebalance.js';
import { createSessionRegistry } from './registry.js';
import { handleSession } from './session-handler.js';
import { createSessionProbe } from './session-probe.js';
import { createStatusQueue } from './status-writer.js';
import { createUpdateQueue } from './update-queue.js';

/** Without a leader for longer than this, a manager is of no use to its agents. */
const LEADER_LOST_MS = 5_000;
/** How often a dispatcher looks whether its sessions should be elsewhere. */
const UPKEEP_MS = 1_000;

/** What {@link createDispatcher} needs. */
export interface DispatcherDependencies {
  /** Need not be writable: what is to be written goes through `reports`. */
  store: Pick<Store, 'view' | 'index' | 'watch' | 'waitFor'>;
  clock: Clock;
  random: Random;
  logger: Logger;
  /** This manager, by its node ID. */
  managerId: string;
  /** The leader's, whichever manager that is. */
  reports: NodeReports;
  /** Where the leader may be another manager. */
  leaderContact?: LeaderContact;
  /** Where there may be other managers. */
  peers?: ManagerPeers;
}

/** An agent with a session. */
export interface SessionAbout {
  nodeId: string;
  swarmdVersion: string;
  /** How far its wall clock is ahead of this manager's, in milliseconds; `undefined` while it has not said. */
  clockAheadMs: number | undefined;
}

/** One manager's side of its agents: sessions, assignments, statuses, liveness, logs. */
export interface Dispatcher {
  /** To be added to the gRPC server. */
  readonly service: DispatcherServer;
  /** To be added to the gRPC server where there may be other managers. */
  readonly relay: LogRelayServer;
  /** To be added to the gRPC server where there may be other managers. */
  readonly probe: SessionProbeServer;
  /** To be added to the gRPC server where there may be other managers. */
  readonly inquiry: NodeInquiryServer;
  /** Asks nodes, whichever manager they are connected to. */
  readonly ask: AskNode;
  /** Logs of all nodes, whichever manager they are connected to. */
  readonly logs: Pick<LogBroker, 'subscribe'>;
  /** Nodes with a session here. */
  connectedNodes(): string[];
  /** What is known of the agents that have a session here. */
  sessions(): SessionAbout[];
  /** Begins: nodes that were connected here are unknown until they register, with twice the usual grace to do so. */
  start(): Promise<void>;
  /** Ends all sessions; writes nothing. */
  stop(): Promise<void>;
}

/** A dispatcher, not yet started. */
export function createDispatcher(deps: DispatcherDependencies): Dispatcher {
  const { store, clock } = deps;
  const logger = deps.logger.child({ component: 'dispatcher' });
  const stopping = new AbortController();
  const { context, nodeLogs, broker, inquiries, updates, forgetPeers } = createContext(
    { ...deps, logger },
    stopping.signal,
  );
  const { registry, liveness, endpoints } = context;
  const nodes = createNodeWatch(context);
  const relay = createLogRelayService({ nodeLogs, logger });
  const onCommit = (commit: Commit): void => {
    endpoints.onCommit(commit);
    for (const event of commit.events) {
      const touched = touchedBy(event);
      if (touched.everyone) forgetPeers();
      if (event.table === 'node') nodes.onEvent(event);
      updates.mark(touched);
    }
    broker.onCommit(commit);
  };
  const upkeep = (): void => {
    if (stopping.signal.aborted) return;
    if (context.leaderContact.lostForMs() > LEADER_LOST_MS)
      endAll(context, 'this manager has lost the cluster’s leader');
    else rebalance(context);
    nodes.review();
    cancelUpkeep = clock.after(UPKEEP_MS, upkeep);
  };
  let cancelUpkeep = (): void => {};
  let unwatch = (): void => {};
  return {
    service: {
      session: (call) => {
        if (stopping.signal.aborted) call.destroy();
        else handleSession(context, call);
      },
      publishLogs: clientStreamHandler((requests, { peer, stopReading }) =>
        nodeLogs.publish(requests, peer!.nodeId, stopReading),
      ),
    },
    relay: relay.service,
    probe: { ...createSessionProbe(registry), awaitEndpoints: endpoints.awaitEndpoints },
    inquiry: createNodeInquiryService(inquiries),
    ask: createAskNode({ ...deps, inquiries, stopping: stopping.signal }),
    logs: broker,
    connectedNodes: () => [...registry.all()].map((session) => session.nodeId),
    sessions: () =>
      [...registry.all()].map(({ nodeId, swarmdVersion, clockAheadMs }) => ({ nodeId, swarmdVersion, clockAheadMs })),
    start: async () => {
      unwatch = store.watch(onCommit);
      cancelUpkeep = clock.after(UPKEEP_MS, upkeep);
      await nodes.start();
    },
    stop: async () => {
      stopping.abort();
      unwatch();
      cancelUpkeep();
      liveness.stop();
      updates.stop();
      endpoints.stop();
      broker.stop();
      relay.stop();
      endAll(context, 'the manager is stopping');
    },
  };
}

function createContext(deps: DispatcherDependencies, signal: AbortSignal) {
  const { store, clock, random, reports } = deps;
  const registry = createSessionRegistry(clock);
  const nodeLogs = new NodeLogs({ registry, random });
  const broker = new LogBroker({ ...deps, nodeLogs });
  const inquiries = new NodeInquiries({ registry, random, clock });
  const updates = createUpdateQueue(registry, clock);
  const periodMs = (): number => clusterPeriodMs(store.view);
  const again = <R>(attempt: () => Promise<R>): Promise<R> => overFailover(attempt, { clock, signal });
  let managers: readonly ManagerPeer[] | undefined;
  let dataPaths: DataPathAddresses | undefined;
  const context: DispatcherContext = {
    ...deps,
    registry,
    endpoints: createEndpoints({ ...deps, wake: updates.markEndpoints }),
    logs: broker,
    inquiries,
    leaderContact: deps.leaderContact ?? { lostForMs: () => 0 },
    liveness: startLiveness({ clock, onSilent: (nodeId, session) => declareDown(context, nodeId, session) }),
    statuses: createStatusQueue((submissions) => again(() => reports.statuses(submissions))),
    periodMs,
    graceMs: () => gracePeriodMs(periodMs(), random.float()),
    managers: () => {
      managers ??= managerPeers(store.view);
      return managers;
    },
    dataPaths: () => {
      dataPaths ??= dataPathAddresses(store.view);
      return dataPaths;
    },
    overFailover: again,
  };
  const forgetPeers = (): void => {
    managers = undefined;
    dataPaths = undefined;
  };
  return { context, nodeLogs, broker, inquiries, updates, forgetPeers };
}

function declareDown(context: DispatcherContext, nodeId: string, session: string | undefined): void {
  const { store, registry, logger, liveness, reports } = context;
  const silent = registry.get(nodeId);
  if (silent?.sessionId === session) silent?.stream.end(new SwarmdError('unavailable', 'heartbeats missed'));
  const unknown = store.view.get('node', nodeId)?.Status.State === 'unknown';
  const message = unknown ? 'heartbeat failure for node in "unknown" state' : 'heartbeat failure';
  reports
    .silent(nodeId, session, message)
    .then((written) => written && logger.warn({ nodeId, reason: message }, 'node is down'))
    .catch((error: unknown) => {
      logger.error({ err: error, nodeId }, 'node not marked down; will try again');
      // Not where the store has named another manager meanwhile.
      if (store.view.get('node', nodeId)?.Session?.ID === session) liveness.expect(nodeId, session, context.periodMs());
    });
}

function endAll({ registry }: DispatcherContext, why: string): void {
  for (const { stream } of [...registry.all()]) stream.end(new SwarmdError('unavailable', why));
}

/** Asks some agents to move when this manager has more than its part; those longest here first. */
function rebalance({ store, registry, leaderContact, logger }: DispatcherContext): void {
  if (registry.size === 0 || leaderContact.lostForMs() > 0) return;
  let [everywhere, managers] = [0, 0];
  for (const { Spec, Status, Session, ManagerStatus } of store.view.all('node')) {
    if (Session?.Manager !== undefined && Status.State === 'ready') everywhere += 1;
    if (Spec.Role !== 'manager' || isStandby({ Spec })) continue;
    if (ManagerStatus?.Reachability === 'reachable') managers += 1;
  }
  const moving = [...registry.all()].filter(({ begun }) => begun);
  const count = sessionsToMove({ here: moving.length, everywhere, managers });
  for (const { nodeId, stream } of moving.slice(0, count)) {
    logger.info({ nodeId, sessions: moving.length, everywhere, managers }, 'node is asked to move to another manager');
    stream.end(new SwarmdError('aborted', 'this manager has more than its part of the sessions: go to another'));
  }
}
