import {
  asSwarmdError,
  type Clock,
  type Control,
  isStandby,
  type Random,
  type SharedStore,
  type Store,
  type SwarmdError,
  VERSIONS,
} from '@swarmd/model';
import type { IdentityHolder } from '@swarmd/wire';
import type { Logger } from 'pino';
import { createCertificateAuthority } from '../ca/authority.js';
import { localIssuer } from '../ca/issuer.js';
import { createJoinToken } from '../ca/join-token.js';
import { clusterOf, refuseNonManager, refuseNonMember } from '../ca/members.js';
import { issuerHandlers, remoteIssuer } from '../ca/remote-issuer.js';
import { createControl } from '../control/control.js';
import type { ControlDependencies } from '../control/dependencies.js';
import { startAbsentManagers } from '../dispatcher/absent-managers.js';
import { createDispatcher, type Dispatcher } from '../dispatcher/dispatcher.js';
import { startNodeLoop } from '../dispatcher/node-loop.js';
import { localReports } from '../dispatcher/node-reports.js';
import { remoteReports, reportHandlers } from '../dispatcher/remote-reports.js';
import { explainService } from '../scheduler/explain.js';
import { createAttachments } from './attachments.js';
import { createClusterService } from './cluster-service.js';
import { createDuties, type StartDuty } from './duties.js';
import { createLeaderCalls, patientCalls } from './forward.js';
import { controlHandlers, forwardingControl } from './forwarding-control.js';
import type { LeaderCallHandlers, LeaderCalls, LeaderHandlers } from './leader-calls.js';
import { type Leadership, startLeadership } from './leadership.js';
import { createGrpcNetwork, type ManagerNetwork } from './manager-network.js';
import { startManagerStatuses } from './manager-statuses.js';
import { onceStore, randomOf } from './once.js';
import { startRequestReaper } from './request-reaper.js';
import { startStateFormat } from './state-format.js';

/** How long calls may take to finish when a manager stops. */
const STOP_GRACE_MS = 2_000;

/** What every loop of a manager is started with. */
export interface ManagerLoopDependencies {
  store: Store;
  clock: Clock;
  random: Random;
  logger: Logger;
}

/** Starts one loop (scheduler, orchestrator, …); it is stopped when this manager leads no more. */
export type StartManagerLoop = (deps: ManagerLoopDependencies) => { stop(): Promise<void> };

/** What {@link createManager} needs. */
export interface ManagerOptions extends Omit<AssemblyOptions, 'nodeId' | 'network'> {
  /** The node's own identity, a manager's. The server follows it when it is renewed. */
  identity: IdentityHolder;
  /** `host:port` to listen on; port 0 takes any. */
  listenAddr: string;
}

/** What {@link assembleManager} needs. */
export interface AssemblyOptions extends Omit<ManagerLoopDependencies, 'store'> {
  store: SharedStore;
  /** This manager's node. */
  nodeId: string;
  network: ManagerNetwork;
  /** Where others reach this manager: `host`, or `host:port` when that is not the port it listens on. */
  advertiseAddr: string;
  /** Of swarmd, for other managers and for backups. */
  version?: string;
  /** Started in this order when this manager comes to lead, stopped in the reverse order. */
  loops?: readonly StartManagerLoop[];
  /** What else is to run while this manager leads, after the list of managers is true. */
  duties?: readonly StartDuty[];
  /** What the leader does besides control and dispatcher, for managers that ask it. */
  handlers?: LeaderCallHandlers;
  /** What this manager answers by itself when another one asks, whoever leads. */
  answers?: LeaderHandlers;
  /** Why the cluster cannot take another manager; asked on the leader, before one is let in. */
  refuseManager?: (newcomer?: { externalStore: boolean }) => Promise<SwarmdError | undefined>;
  /** See `ControlDependencies`. */
  refuseStandby?: () => SwarmdError | undefined;
  /** Whether this host's member of the log's consensus leads it. */
  leadsConsensus?: () => boolean;
}

/** One manager: the gRPC server for agents, managers and joining nodes, the dispatcher, and a leader's loops. */
export interface Manager {
  /** Resolves once it serves; rejects with `unavailable` when the address cannot be had, leaving nothing running. */
  start(): Promise<void>;
  /** Hands leadership over, before a stop; everything else goes on, and what is to be written is written there. */
  handOver(): Promise<void>;
  /** Hands leadership over and stops sessions and server; containers and other nodes go on. The store stays open. */
  stop(): Promise<void>;
  /** The port that it listens on, once started. */
  readonly port: number;
  /** What the API does: reads here, writes where the leader is. */
  readonly control: Control;
  /** Log lines of tasks. */
  readonly logSource: Dispatcher['logs'];
  /** Asks a node, whichever manager it is connected to. */
  readonly ask: Dispatcher['ask'];
  /** Calls to the leader, once started. */
  readonly calls: LeaderCalls;
  /** Who leads, once started. */
  readonly leadership: Leadership | undefined;
  /** Nodes with a session here. */
  connectedNodes(): string[];
  /** What is known of the agents that have a session here. */
  sessions: Dispatcher['sessions'];
}

/** A manager, not yet started. The store must hold a cluster (see `bootstrapCluster`), or follow one that does. */
export function createManager({ identity, listenAddr, ...options }: ManagerOptions): Manager {
  const network = createGrpcNetwork({ identity, listenAddr, clock: options.clock });
  return assembleManager({ ...options, nodeId: identity.current.nodeId, network });
}

/** The same on any network: {@link createManager} and simulations put a manager together in this one way. */
export function assembleManager(options: AssemblyOptions): Manager {
  const { store, nodeId, network, clock, random, logger } = options;
  const log = logger.child({ component: 'manager' });
  const attachments = createAttachments(clock);
  const refuseManager = options.refuseManager ?? (async () => undefined);
  const handlers: LeaderCallHandlers = {
    ...reportHandlers(localReports({ store, logger })),
    ...issuerHandlers(localIssuer({ store, clock, random, logger, refuseManager })),
    ...controlHandlers((requestId) => controlOf(requestId)),
    ...options.handlers,
  };
  const calls = createLeaderCalls({ store, transport: network, handlers, clock });
  const dispatcher = createDispatcher({
    ...{ store, clock, random, logger, managerId: nodeId },
    reports: remoteReports(calls),
    leaderContact: { lostForMs: () => leadership?.lostForMs() ?? 0 },
    peers: {
      channel: (id) => {
        const at = store.view.get('node', id)?.ManagerStatus?.Addr;
        return at ? network.channel(at) : undefined;
      },
    },
  });
  const others = (): { nodeId: string; addr: string }[] => otherManagers(store, nodeId);
  const controlDeps: ControlDependencies = {
    ...{ store, clock, random, logger, refuseManager },
    logSource: dispatcher.logs,
    ask: dispatcher.ask,
    explain: (view, serviceId) => explainService(view, serviceId, clock.now()),
    tokens: { rotateJoinToken: () => createJoinToken(clusterOf(store.view).RootCA.Certificate, random) },
    ...(options.version === undefined ? {} : { swarmdVersion: options.version }),
    ...(options.refuseStandby === undefined ? {} : { refuseStandby: options.refuseStandby }),
  };
  const control = createControl(controlDeps);
  const controlOf = (requestId: string | undefined): Control =>
    requestId === undefined
      ? control
      : createControl({ ...controlDeps, store: onceStore(store, requestId), random: randomOf(requestId) });
  const patient = patientCalls(calls, { store, clock });
  let leadership: Leadership | undefined;
  let port = 0;
  const addr = (): string => withPort(options.advertiseAddr, port);
  const duties = createDuties(
    [
      () => startAbsentManagers({ store, clock, random, logger, managerId: nodeId, attached: attachments }),
      () => startManagerStatuses({ store, nodeId, addr: addr(), attachments, logger: log }),
      () => startStateFormat({ store, logger: log }),
      ...(options.duties ?? []),
      ...[startRequestReaper, startNodeLoop, ...(options.loops ?? [])].map(
        (start): StartDuty =>
          () =>
            start({ store, clock, random, logger }),
      ),
    ],
    { clock, logger: log, giveUp: async () => (await leadership?.giveUp()) ?? false },
  );

  const stop = async (): Promise<void> => {
    await duties.set(false);
    await leadership?.stop();
    attachments.stop();
    await dispatcher.stop();
    network.close();
    await network.stop(STOP_GRACE_MS);
  };
  const start = async (): Promise<void> => {
    const authority = createCertificateAuthority({ store, random, issuer: remoteIssuer(calls) });
    const lazily = (): Leadership => leadership!;
    const answers = options.answers ?? {};
    const about = { store, leadership: lazily, attachments, handlers, answers };
    const cluster = createClusterService({ ...about, calls: patient, clock });
    const { service, relay, probe, inquiry } = dispatcher;
    port = await network.serve(
      { authority, dispatcher: service, relay, probe, inquiry, cluster },
      ({ nodeId: caller }, access) =>
        refuseNonMember(store.view, caller) ?? (access === 'manager' ? refuseNonManager(store, caller) : undefined),
    );
    leadership = startLeadership({
      ...{ store, transport: network, others, clock, random, logger },
      self: { nodeId, addr: addr() },
      version: options.version ?? '',
      protocol: VERSIONS.protocol.max,
      stateFormat: VERSIONS.stateFormat,
      leadsConsensus: options.leadsConsensus ?? (() => false),
      mayLead: () => store.view.get('node', nodeId)?.Spec.Role !== 'worker',
    });
    leadership.onChange(() => void duties.set(store.leads));
    await dispatcher.start();
    await duties.set(store.leads);
    log.info({ port, nodeId }, 'manager serves');
  };
  return {
    start: () =>
      start().catch(async (error: unknown) => {
        await stop();
        throw asSwarmdError(error);
      }),
    handOver: async () => {
      if (others().length > 0) await duties.set(false);
      await leadership?.handOver();
    },
    stop,
    get port() {
      return port;
    },
    control: forwardingControl(control, patient, random, () => others().length === 0),
    calls: patient,
    logSource: dispatcher.logs,
    ask: dispatcher.ask,
    get leadership() {
      return leadership;
    },
    sessions: () => dispatcher.sessions(),
    connectedNodes: () => dispatcher.connectedNodes(),
  };
}

/** The other managers that can lead the cluster and where they are reached. */
function otherManagers(store: Store, nodeId: string): { nodeId: string; addr: string }[] {
  const others: { nodeId: string; addr: string }[] = [];
  for (const { ID, Spec, ManagerStatus } of store.view.all('node')) {
    if (ID !== nodeId && Spec.Role === 'manager' && !isStandby({ Spec }) && ManagerStatus?.Addr)
      others.push({ nodeId: ID, addr: ManagerStatus.Addr });
  }
  return others;
}

function withPort(addr: string, port: number): string {
  return /(^[^:]*|\]):\d+$/.test(addr) ? addr : `${addr}:${port}`;
}
