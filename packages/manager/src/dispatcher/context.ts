import type { Clock, Random, Store } from '@swarmd/model';
import type { ManagerPeer } from '@swarmd/wire';
import type { Logger } from 'pino';
import type { LeaderContact } from '../cluster/leader-calls.js';
import type { ManagerPeers } from '../cluster/manager-peers.js';
import type { DataPathAddresses } from './cluster-update.js';
import type { Endpoints } from './endpoints/endpoints.js';
import type { Liveness } from './liveness.js';
import type { LogBroker } from './log-broker.js';
import type { NodeInquiries } from './node-inquiries.js';
import type { NodeReports } from './node-reports.js';
import type { SessionRegistry } from './registry.js';
import type { StatusWriter } from './status-writer.js';

/** What the parts of a dispatcher share. */
export interface DispatcherContext {
  store: Pick<Store, 'view' | 'index' | 'waitFor'>;
  clock: Clock;
  random: Random;
  logger: Logger;
  /** This manager, by its node ID. */
  managerId: string;
  reports: NodeReports;
  leaderContact: LeaderContact;
  peers?: ManagerPeers;
  registry: SessionRegistry;
  liveness: Liveness;
  statuses: StatusWriter;
  endpoints: Endpoints;
  logs: Pick<LogBroker, 'nodeConnected' | 'nodeGone'>;
  inquiries: Pick<NodeInquiries, 'answered' | 'nodeGone'>;
  /** The managers that agents may turn to; the same array as long as it holds the same. */
  managers(): readonly ManagerPeer[];
  /** Data path addresses of all nodes; the same map as long as it holds the same. */
  dataPaths(): DataPathAddresses;
  /** The heartbeat period for the cluster as it is now. */
  periodMs(): number;
  /** A grace for a session with that period, drawn at random. */
  graceMs(): number;
  /** Tries again over a change of leader what is harmless to repeat; `unavailable` when that takes too long. */
  overFailover<R>(attempt: () => Promise<R>): Promise<R>;
}
