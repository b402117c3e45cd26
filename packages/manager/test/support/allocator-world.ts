import {
  CLUSTER_KEY,
  type Network,
  type NewObject,
  type Node,
  type ServiceSpec,
  type Store,
  type Task,
} from '@swarmd/model';
import { createMemoryLog, openStore } from '@swarmd/store';
import {
  buildServiceSpec,
  buildTask,
  createService,
  type ManualClock,
  manualClock,
  seededRandom,
} from '@swarmd/testkit';
import { pino } from 'pino';
import { startAllocator } from '../../src/allocator/index.js';

/** The allocator on a store in memory, with a cluster that has nobody else's loops. */
export interface AllocatorWorld {
  store: Store;
  clock: ManualClock;
  settle(): Promise<void>;
  network(id: string, spec?: Partial<Network['Spec']>): Promise<void>;
  /** A service on networks, with new tasks `<id>1`… */
  service(id: string, networks: string[], tasks: number, spec?: Partial<ServiceSpec>): Promise<void>;
  end(taskId: string): Promise<void>;
  /** Another manager leads from now on. */
  renew(): Promise<void>;
  stop(): Promise<void>;
  task(id: string): Task | undefined;
}

/** Starts an {@link AllocatorWorld} that ends with the test. */
export async function allocatorWorld(nodes: NewObject<Node>[] = [], subnetSize = 24): Promise<AllocatorWorld> {
  const clock = manualClock();
  const store = await openStore({ log: createMemoryLog(), clock });
  await store.update((tx) => {
    tx.create('cluster', {
      ID: CLUSTER_KEY,
      ClusterID: 'c',
      Spec: {},
      RootCA: { Certificate: '', Key: '' },
      JoinTokens: { Worker: '', Manager: '' },
      DefaultAddrPool: ['10.0.0.0/8'],
      SubnetSize: subnetSize,
      DataPathPort: 4789,
      RemovedNodes: {},
    });
    for (const node of nodes) tx.create('node', node);
  });
  const start = () => startAllocator({ store, clock, random: seededRandom(1), logger: pino({ level: 'silent' }) });
  let allocator = start();
  const settle = async (): Promise<void> => {
    for (let quiet = 0; quiet < 5; ) {
      const before = store.index;
      for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
      quiet = store.index === before ? quiet + 1 : 0;
    }
  };
  const over = { Status: { State: 'new', Message: '' } } as const;
  await settle();
  return {
    store,
    clock,
    settle,
    async network(id, spec = {}) {
      await store.update((tx) => void tx.create('network', { ID: id, Spec: { Name: id, Driver: 'overlay', ...spec } }));
      await settle();
    },
    async service(id, networks, tasks, spec = {}) {
      const Networks = networks.map((Target) => ({ Target }));
      const made = buildServiceSpec(id, tasks, spec);
      await store.update((tx) => {
        const service = createService(tx, id, { ...made, TaskTemplate: { ...made.TaskTemplate, Networks } });
        for (let slot = 1; slot <= tasks; slot++)
          tx.create(
            'task',
            buildTask(service, `${id}${slot}`, { Slot: slot, Status: { ...over.Status, Timestamp: tx.now } }),
          );
      });
      await settle();
    },
    async end(taskId) {
      await store.update((tx) => {
        const task = tx.get('task', taskId)!;
        tx.put('task', {
          ...task,
          Status: { ...task.Status, State: 'shutdown', Timestamp: tx.now, AppliedAt: tx.now },
        });
      });
      await settle();
    },
    async renew() {
      await allocator.stop();
      allocator = start();
      await settle();
    },
    async stop() {
      await allocator.stop();
      await store.close();
    },
    task: (id) => store.view.get('task', id),
  };
}
