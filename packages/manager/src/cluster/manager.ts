import { asSwarmdError, type Clock, type Random, type Store } from '@swarmd/model';
import { CertificateAuthorityService, createServer, DispatcherService, type IdentityHolder } from '@swarmd/wire';
import type { Logger } from 'pino';
import { createCertificateAuthority } from '../ca/authority.js';
import { localIssuer } from '../ca/issuer.js';
import { createJoinToken } from '../ca/join-token.js';
import { clusterOf, refuseNonMember } from '../ca/members.js';
import { startAbsentManagers } from '../dispatcher/absent-managers.js';
import { createDispatcher, type Dispatcher } from '../dispatcher/dispatcher.js';
import { startNodeLoop } from '../dispatcher/node-loop.js';
import { localReports } from '../dispatcher/node-reports.js';
import type { AttachedManagers } from './manager-peers.js';

/** How long calls may take to finish when a manager stops. */
const STOP_GRACE_MS = 2_000;

/** What every loop of a manager is started with. */
export interface ManagerLoopDependencies {
  store: Store;
  clock: Clock;
  random: Random;
  logger: Logger;
}

/** No other manager is attached to one that is alone. */
const ALONE: AttachedManagers = { has: () => false, onChange: () => () => {} };

/** Starts one loop (scheduler, orchestrator, …); it is stopped with the manager. */
export type StartManagerLoop = (deps: ManagerLoopDependencies) => { stop(): Promise<void> };

/** What {@link createManager} needs. */
export interface ManagerOptions extends ManagerLoopDependencies {
  /** The node's own identity, a manager's. The server follows it when it is renewed. */
  identity: IdentityHolder;
  /** `host:port` to listen on; port 0 takes any. */
  listenAddr: string;
  /** Where others reach this manager: `host`, or `host:port` when that is not the port it listens on. */
  advertiseAddr: string;
  /** Started in this order once the manager serves, stopped in the reverse order. */
  loops?: readonly StartManagerLoop[];
  /** Whether others may join as managers: not on a store that only this process can write. Default false. */
  managersMayJoin?: boolean;
}

/** One manager: the gRPC server for agents and joining nodes, the dispatcher, and the loops. */
export interface Manager {
  /** Resolves once it serves; rejects with `unavailable` when the address cannot be had, leaving nothing running. */
  start(): Promise<void>;
  /** Stops loops, sessions and server; containers and other nodes go on. The store stays open. */
  stop(): Promise<void>;
  /** The port that it listens on, once started. */
  readonly port: number;
  /** Log lines of tasks, for control. */
  readonly logSource: Dispatcher['logs'];
  /** New join tokens, for control. */
  readonly tokens: { rotateJoinToken(kind: 'worker' | 'manager'): string };
  /** Nodes with a session here. */
  connectedNodes(): string[];
}

/** A manager, not yet started. The store must hold a cluster (see `bootstrapCluster`). */
export function createManager(options: ManagerOptions): Manager {
  const { store, identity, clock, random, logger } = options;
  const log = logger.child({ component: 'manager' });
  const managerId = identity.current.nodeId;
  const reports = localReports({ store, logger });
  const dispatcher = createDispatcher({ store, clock, random, logger, managerId, reports });
  const server = createServer({
    identity,
    now: () => clock.now(),
    admit: (peer) => refuseNonMember(store.view, peer.nodeId),
  });
  const managersMayJoin = options.managersMayJoin ?? false;
  const issuer = localIssuer({ store, clock, random, logger, managersMayJoin });
  const authority = createCertificateAuthority({ store, random, issuer });
  server.addService(CertificateAuthorityService, authority);
  server.addService(DispatcherService, dispatcher.service);
  let loops: { stop(): Promise<void> }[] = [];
  let port = 0;

  const stop = async (): Promise<void> => {
    const stopping = loops.reverse();
    loops = [];
    for (const loop of stopping) await loop.stop();
    await dispatcher.stop();
    await server.stop(STOP_GRACE_MS);
  };
  return {
    start: async () => {
      try {
        await dispatcher.start();
        loops.push(startAbsentManagers({ store, clock, random, logger, managerId, attached: ALONE }));
        port = await server.listen(options.listenAddr);
        await recordManager(store, managerId, withPort(options.advertiseAddr, port));
        for (const start of [startNodeLoop, ...(options.loops ?? [])]) {
          loops.push(start({ store, clock, random, logger }));
        }
        log.info({ port, nodeId: identity.current.nodeId }, 'manager serves');
      } catch (error) {
        await stop();
        throw asSwarmdError(error);
      }
    },
    stop,
    get port() {
      return port;
    },
    logSource: dispatcher.logs,
    tokens: { rotateJoinToken: () => createJoinToken(clusterOf(store.view).RootCA.Certificate, random) },
    connectedNodes: () => dispatcher.connectedNodes(),
  };
}

/** Keeps the list of managers true: this one leads (it is the only one that can write) and is reached at `addr`. */
async function recordManager(store: Store, nodeId: string, addr: string): Promise<void> {
  await store.update((tx) => {
    for (const node of tx.all('node')) {
      const { ManagerStatus, ...rest } = node;
      if (node.ID === nodeId) {
        const same = ManagerStatus?.Leader && ManagerStatus.Reachability === 'reachable' && ManagerStatus.Addr === addr;
        if (!same) tx.put('node', { ...rest, ManagerStatus: { Leader: true, Reachability: 'reachable', Addr: addr } });
      } else if (ManagerStatus?.Leader) tx.put('node', { ...rest, ManagerStatus: { ...ManagerStatus, Leader: false } });
    }
  });
}

function withPort(addr: string, port: number): string {
  return /(^[^:]*|\]):\d+$/.test(addr) ? addr : `${addr}:${port}`;
}
