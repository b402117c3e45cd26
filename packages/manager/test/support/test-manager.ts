import { randomBytes } from 'node:crypto';
import {
  CLUSTER_KEY,
  type Clock,
  type Cluster,
  type Node,
  type Random,
  type SharedStore,
  type Store,
} from '@swarmd/model';
import { createMemoryLog, openStore } from '@swarmd/store';
import { createIdentityHolder, type Identity, type IdentityHolder } from '@swarmd/wire';
import { pino } from 'pino';
import { requestCertificate } from '../../src/ca/index.js';
import { bootstrapCluster, createManager, type Manager, type ManagerOptions } from '../../src/cluster/index.js';

/** The machine's own time. */
export const realClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after: (delayMs, fn) => {
    const timer = setTimeout(fn, delayMs);
    return () => clearTimeout(timer);
  },
};

export const realRandom: Random = {
  bytes: (n) => randomBytes(n),
  float: () => Math.random(),
};

export const silent = pino({ level: process.env['TEST_LOG'] ?? 'silent' });

/** A manager on loopback with a store in memory, over real TLS. */
export interface TestManager {
  store: SharedStore;
  manager: Manager;
  identity: IdentityHolder;
  addr: string;
  cluster(): Cluster;
  node(id: string): Node | undefined;
  /** Joins another node with the worker token. */
  join(): Promise<Identity>;
  stop(): Promise<void>;
}

export async function startTestManager(
  over: { clock?: Clock; random?: Random } & Pick<ManagerOptions, 'refuseManager' | 'loops'> = {},
): Promise<TestManager> {
  const clock = over.clock ?? realClock;
  const random = over.random ?? realRandom;
  const store = await openStore({ log: createMemoryLog(), clock, logger: silent });
  const identity = createIdentityHolder(
    await bootstrapCluster(store, { clock, random, advertiseAddr: '127.0.0.1:2377' }),
  );
  const manager = createManager({
    ...{ store, clock, random, identity, logger: silent },
    ...{ listenAddr: '127.0.0.1:0', advertiseAddr: '127.0.0.1' },
    ...(over.refuseManager === undefined ? {} : { refuseManager: over.refuseManager }),
    ...(over.loops === undefined ? {} : { loops: over.loops }),
  });
  await manager.start();
  const addr = `127.0.0.1:${manager.port}`;
  const cluster = (): Cluster => store.view.get('cluster', CLUSTER_KEY)!;
  return {
    ...{ store, manager, identity, addr, cluster },
    node: (id) => store.view.get('node', id),
    join: () => {
      const token = cluster().JoinTokens.Worker;
      const signal = AbortSignal.timeout(10_000);
      return requestCertificate({ remoteAddrs: [addr], token, advertiseAddr: '127.0.0.1', signal });
    },
    stop: async () => {
      await manager.stop();
      await store.close();
    },
  };
}

/** Waits until `condition` holds after a commit or is true already. Fails by the test's own time limit. */
export async function untilStore(store: Store, condition: () => boolean): Promise<void> {
  if (condition()) return;
  await new Promise<void>((resolve) => {
    const unwatch = store.watch(() => {
      if (!condition()) return;
      unwatch();
      resolve();
    });
  });
}
