import { CLUSTER_KEY, type Clock, type Node, type SharedStore, SwarmdError } from '@swarmd/model';
import { createMemoryLog, openStore } from '@swarmd/store';
import { manualClock } from '@swarmd/testkit';
import {
  CertificateAuthorityService,
  createChannel,
  createIdentityHolder,
  createServer,
  DispatcherService,
  type Identity,
  type IdentityHolder,
  LogRelayService,
  NodeInquiryService,
  SessionProbeService,
} from '@swarmd/wire';
import {
  createCertificateAuthority,
  issuerHandlers,
  localIssuer,
  refuseNonMember,
  remoteIssuer,
  requestCertificate,
} from '../../src/ca/index.js';
import { bootstrapCluster } from '../../src/cluster/index.js';
import type { LeaderCalls } from '../../src/cluster/leader-calls.js';
import {
  createDispatcher,
  type Dispatcher,
  type DispatcherDependencies,
  localReports,
  remoteReports,
  reportHandlers,
  startAbsentManagers,
} from '../../src/dispatcher/index.js';
import type { TestAgent } from './test-agent.js';
import { realClock, realRandom, silent } from './test-manager.js';

/** A clock that only a test moves, but for the wall time that TLS goes by. */
export interface SteppedClock {
  clock: Clock;
  /**
   * Moves on until the condition holds, for at most `limitMs`, while `alive` beat their hearts; resolves with how long that
   * took.
   */
  advanceUntil(condition: () => boolean, limitMs: number, alive?: readonly TestAgent[]): Promise<number>;
}

/** A {@link SteppedClock}. */
export function steppedClock(): SteppedClock {
  const clock = manualClock(Date.now());
  return {
    clock,
    advanceUntil: async (condition, limitMs, alive = []) => {
      let passedMs = 0;
      while (!condition() && passedMs < limitMs) {
        if (passedMs % 500 === 0) await Promise.all(alive.map(beat));
        clock.advance(100);
        passedMs += 100;
        for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
      }
      return passedMs;
    },
  };
}

async function beat(agent: TestAgent): Promise<void> {
  agent.send({ $case: 'heartbeat', value: { clockMs: 0 } });
  await Promise.race([agent.next('heartbeat'), agent.ended]);
}

/** One of several managers: its gRPC server with dispatcher, CA and log relay. */
export interface ClusterManager {
  identity: IdentityHolder;
  readonly id: string;
  readonly addr: string;
  dispatcher: Dispatcher;
  /** Dies without a word. */
  kill(): Promise<void>;
}

/** Several managers over one store, which the first alone writes. */
export interface TestCluster {
  store: SharedStore;
  managers: ClusterManager[];
  leader: LeaderCalls & { down: boolean; calls: string[]; lostForMs: number };
  attached: Set<string>;
  /** Tells the leader that `attached` has changed. */
  attachedChanged(): void;
  node(id: string): Node | undefined;
  join(at: ClusterManager, kind?: 'Worker' | 'Manager'): Promise<Identity>;
  /** Begins a leader's watch over managers that are gone. */
  lead(): { stop(): Promise<void> };
  /** `older`: it knows no questions about endpoints. */
  addManager(over?: Partial<DispatcherDependencies> & { older?: boolean }): Promise<ClusterManager>;
  stop(): Promise<void>;
}

/** Starts the leader and `followers` others. */
export async function startTestCluster(followers: number, clock: Clock = realClock): Promise<TestCluster> {
  const deps = { clock, random: realRandom, logger: silent };
  const store = await openStore({ log: createMemoryLog(), clock, logger: silent });
  const first = await bootstrapCluster(store, { ...deps, advertiseAddr: '127.0.0.1:2377' });
  const issuer = localIssuer({ ...deps, store, refuseManager: async () => undefined });
  const local = localReports({ store, logger: silent });
  const handlers = { ...reportHandlers(local), ...issuerHandlers(issuer) };
  const leader: TestCluster['leader'] = {
    down: false,
    lostForMs: 0,
    calls: [],
    call: async (method, args) => {
      leader.calls.push(method);
      if (leader.down) throw new SwarmdError('not-leader', 'there is no leader');
      // What travels is JSON.
      const result = await handlers[method]!(JSON.parse(JSON.stringify(args)));
      return JSON.parse(JSON.stringify(result ?? null));
    },
  };
  const managers: ClusterManager[] = [];
  const attached = new Set<string>();
  const attachedListeners = new Set<() => void>();
  const watches: { stop(): Promise<void> }[] = [];
  const channels = new Map<string, ReturnType<typeof createChannel>>();

  const start = async (
    identity: IdentityHolder,
    { older, ...over }: Partial<DispatcherDependencies> & { older?: boolean },
  ): Promise<ClusterManager> => {
    const id = identity.current.nodeId;
    const leads = managers.length === 0;
    const channel = (managerId: string) => {
      const addr = managers.find((manager) => manager.id === managerId)?.addr;
      if (addr !== undefined && !channels.has(managerId)) channels.set(managerId, createChannel(addr, identity));
      return channels.get(managerId);
    };
    const dispatcher = createDispatcher({
      ...{ ...deps, store, managerId: id, peers: { channel } },
      reports: leads ? local : remoteReports(leader),
      leaderContact: { lostForMs: () => (leads ? 0 : leader.lostForMs) },
      ...over,
    });
    const server = createServer({
      identity,
      now: () => Date.now(),
      admit: (peer) => refuseNonMember(store.view, peer.nodeId),
    });
    const mine = leads ? issuer : remoteIssuer(leader);
    server.addService(
      CertificateAuthorityService,
      createCertificateAuthority({ store, random: realRandom, issuer: mine }),
    );
    server.addService(DispatcherService, dispatcher.service);
    server.addService(LogRelayService, dispatcher.relay);
    const { awaitEndpoints: _, ...olderProbe } = dispatcher.probe;
    server.addService(SessionProbeService, older ? olderProbe : dispatcher.probe);
    server.addService(NodeInquiryService, dispatcher.inquiry);
    await dispatcher.start();
    const addr = `127.0.0.1:${await server.listen('127.0.0.1:0')}`;
    await store.update((tx) => {
      const node = tx.get('node', id)!;
      tx.put('node', { ...node, ManagerStatus: { Reachability: 'reachable', Leader: leads, Addr: addr } });
    });
    const kill = async (): Promise<void> => {
      await dispatcher.stop();
      await server.stop(0);
    };
    const manager = { identity, id, addr, dispatcher, kill };
    managers.push(manager);
    attached.add(id);
    return manager;
  };
  const join: TestCluster['join'] = (at, kind = 'Worker') => {
    const token = store.view.get('cluster', CLUSTER_KEY)!.JoinTokens[kind];
    const signal = AbortSignal.timeout(10_000);
    return requestCertificate({ remoteAddrs: [at.addr], token, advertiseAddr: '127.0.0.1', signal });
  };
  const cluster: TestCluster = {
    ...{ store, managers, leader, attached, join },
    attachedChanged: () => {
      for (const listener of [...attachedListeners]) listener();
    },
    node: (id) => store.view.get('node', id),
    lead: () => {
      const watch = startAbsentManagers({
        ...{ ...deps, store, managerId: first.nodeId },
        attached: {
          has: (id) => attached.has(id),
          onChange: (listener) => {
            attachedListeners.add(listener);
            return () => void attachedListeners.delete(listener);
          },
        },
      });
      watches.push(watch);
      return watch;
    },
    addManager: async (over = {}) => start(createIdentityHolder(await join(managers[0]!, 'Manager')), over),
    stop: async () => {
      for (const watch of watches) await watch.stop();
      for (const channel of channels.values()) channel.close();
      for (const manager of managers) await manager.kill();
      await store.close();
    },
  };
  await start(createIdentityHolder(first), {});
  for (let i = 0; i < followers; i++) await cluster.addManager();
  return cluster;
}
