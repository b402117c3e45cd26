import {
  compareStates,
  isTerminal,
  type Service,
  type ServiceSpec,
  type Store,
  type Task,
  type TaskState,
} from '@swarmd/model';
import { createMemoryLog, openStore } from '@swarmd/store';
import { buildNode, createService, type ManualClock, manualClock, seededRandom } from '@swarmd/testkit';
import { pino } from 'pino';
import { startAllocator } from '../../src/allocator/index.js';
import { startOrchestrator, startReaper } from '../../src/orchestrator/index.js';
import { startScheduler } from '../../src/scheduler/index.js';

/** How a simulated container behaves. `undefined` keeps to the ordinary way. */
export interface Behaviour {
  /** State that a task of this service version ends in instead of running on, such as `failed`. */
  endsIn?(task: Task): TaskState | undefined;
  /** Whether a task is refused by its node before it gets ready, as for want of its image. */
  rejects?(task: Task): boolean;
  /** Whether this task is stuck and does not stop when told to. */
  hangs?(task: Task): boolean;
}

/** The manager's real loops on a memory store, with agents that do at once what they are told. */
export interface SimulatedCluster {
  store: Store;
  clock: ManualClock;
  behaviour: Behaviour;
  addNode(id: string, over?: Parameters<typeof buildNode>[1]): Promise<void>;
  createService(id: string, spec: ServiceSpec): Promise<void>;
  updateService(id: string, change: (spec: ServiceSpec) => ServiceSpec, over?: Partial<Service>): Promise<void>;
  setNode(id: string, change: { state?: 'ready' | 'down'; availability?: 'active' | 'pause' | 'drain' }): Promise<void>;
  /** Lets loops and agents work until nothing changes any more; time stands still. */
  settle(): Promise<void>;
  /** Moves time on in steps of a tenth of a second, settling after each; `check` sees every state between. */
  elapse(ms: number, check?: () => void): Promise<void>;
  tasks(serviceId: string): Task[];
  running(serviceId: string): Task[];
  stop(): Promise<void>;
}

/** Starts a {@link SimulatedCluster} with nodes n1…n`nodes`. */
export async function simulatedCluster(nodes: number, seed = 1): Promise<SimulatedCluster> {
  const clock = manualClock();
  const store = await openStore({ log: createMemoryLog(), clock });
  const deps = { store, clock, random: seededRandom(seed), logger: pino({ level: 'silent' }) };
  const loops = [startOrchestrator(deps), startAllocator(deps), startReaper(deps), startScheduler(deps)];
  const behaviour: Behaviour = {};
  const cluster: SimulatedCluster = {
    store,
    clock,
    behaviour,
    addNode: (id, over) => store.update((tx) => void tx.create('node', buildNode(id, over))),
    createService: (id, spec) => store.update((tx) => void createService(tx, id, spec)),
    updateService: (id, change, over) => store.update((tx) => changeService(tx, id, change, over)),
    setNode: (id, change) =>
      store.update((tx) => {
        const node = tx.get('node', id)!;
        const availability = change.availability ?? node.Spec.Availability;
        tx.put('node', {
          ...node,
          Spec: availability === node.Spec.Availability ? node.Spec : { ...node.Spec, Availability: availability },
          Status: { ...node.Status, State: change.state ?? node.Status.State },
        });
      }),
    settle: () => settle(store, behaviour),
    elapse: async (ms, check) => {
      for (let passed = 0; passed < ms; passed += 100) {
        clock.advance(100);
        await settle(store, behaviour);
        check?.();
      }
    },
    tasks: (serviceId) => [...store.view.find('task', 'service', serviceId)],
    running: (serviceId) =>
      [...store.view.find('task', 'service', serviceId)].filter((task) => task.Status.State === 'running'),
    stop: async () => {
      for (const loop of loops) await loop.stop();
      await store.close();
    },
  };
  for (let i = 1; i <= nodes; i++) await cluster.addNode(`n${i}`);
  return cluster;
}

function changeService(
  tx: Parameters<Parameters<Store['update']>[0]>[0],
  id: string,
  change: (spec: ServiceSpec) => ServiceSpec,
  over: Partial<Service> = {},
): void {
  const { UpdateStatus: _, UpdateProgress: __, ...service } = tx.get('service', id)!;
  const spec = change(service.Spec);
  tx.create('spec', { ID: `${id}/${tx.index}`, ServiceID: id, SpecVersion: tx.index, Spec: spec });
  tx.put('service', {
    ...service,
    Spec: spec,
    SpecVersion: tx.index,
    PreviousSpec: service.Spec,
    PreviousSpecVersion: service.SpecVersion,
    ...over,
  });
}

async function settle(store: Store, behaviour: Behaviour): Promise<void> {
  for (let quiet = 0; quiet < 4; ) {
    const before = store.index;
    await turn();
    await actAsAgents(store, behaviour);
    await turn();
    quiet = store.index === before ? quiet + 1 : 0;
  }
}

async function turn(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** One step of every task whose node is up. */
async function actAsAgents(store: Store, behaviour: Behaviour): Promise<void> {
  await store.update((tx) => {
    for (const task of tx.all('task')) {
      const node = tx.get('node', task.NodeID);
      if (node === undefined || node.Status.State !== 'ready' || isTerminal(task.Status.State)) continue;
      const next = nextState(task, behaviour);
      if (next === undefined || next === task.Status.State) continue;
      const runningAt = task.Status.RunningAt ?? (next === 'running' ? tx.now : undefined);
      tx.put('task', {
        ...task,
        Status: {
          Timestamp: tx.now,
          State: next,
          Message: next,
          AppliedAt: tx.now,
          ...(runningAt === undefined ? {} : { RunningAt: runningAt }),
        },
      });
    }
  });
}

function nextState(task: Task, behaviour: Behaviour): TaskState | undefined {
  const state = task.Status.State;
  if (compareStates(state, 'assigned') < 0) return undefined;
  if (compareStates(task.DesiredState, 'shutdown') >= 0) return behaviour.hangs?.(task) ? undefined : 'shutdown';
  if (state === 'running') return behaviour.endsIn?.(task);
  if (behaviour.rejects?.(task)) return 'rejected';
  if (task.DesiredState === 'ready') return 'ready';
  return 'running';
}
