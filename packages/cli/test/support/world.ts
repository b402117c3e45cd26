import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createApi } from '@swarmd/api';
import {
  createControl,
  explainService,
  startAllocator,
  startOrchestrator,
  startReaper,
  startScheduler,
} from '@swarmd/manager';
import {
  CLUSTER_KEY,
  type Clock,
  type Control,
  compareStates,
  isTerminal,
  type LocalNodeInfo,
  type LogRecord,
  type Membership,
  type Node,
  type Store,
  SwarmdError,
  type Task,
  type TaskState,
} from '@swarmd/model';
import { createMemoryLog, openStore } from '@swarmd/store';
import { buildNode, seededRandom } from '@swarmd/testkit';
import { pino } from 'pino';

/** The ID of the node that answers. */
export const SELF = 'fvu6tjq1sk2ythsw45g99uaq1';
/** Simulated time runs this much faster than a clock on the wall: monitor periods and restart delays pass in no time. */
const SPEED = 200;

/** How a simulated container ends instead of running on: its state and error. */
export type Fate = (task: Task) => { state: TaskState; error: string } | undefined;

/** The real API and the manager's real loops on a store in memory, with agents that do at once what they are told. */
export interface World {
  readonly socket: string;
  readonly store: Store;
  readonly clock: Clock;
  readonly control: Control;
  /** What the local node's membership was asked to do, in order. */
  readonly asked: { method: string; request: unknown }[];
  readonly info: LocalNodeInfo;
  readonly lines: LogRecord[];
  /** What control answers instead, where nodes would have to be asked. */
  readonly answers: Partial<Pick<Control, 'doctor' | 'trace'>>;
  fate: Fate;
  /** What a restore does. */
  restore: Membership['restore'];
  /** What a check finds. */
  check: Membership['check'];
  /** What a clean-up finds. */
  cleanup: Membership['cleanup'];
  /** What a recovery does. */
  recover: Membership['recover'];
  stop(): Promise<void>;
}

/** Starts a world with the manager that answers and workers of these names. */
export async function startWorld(workers: readonly string[] = ['worker1', 'worker2']): Promise<World> {
  const folder = mkdtempSync(join(tmpdir(), 'cli-'));
  const socket = join(folder, 's.sock');
  const clock = fastClock();
  const store = await openStore({ log: createMemoryLog(), clock });
  const deps = { store, clock, random: seededRandom(3), logger: pino({ level: 'silent' }) };
  await store.update((tx) => {
    tx.create('node', buildNode(SELF, manager()));
    for (const name of workers) tx.create('node', buildNode(name));
    tx.create('cluster', cluster());
  });
  const lines: LogRecord[] = [];
  const control = createControl({
    ...deps,
    logSource: {
      async *subscribe() {
        yield* lines;
      },
    },
    explain: (view, id) => explainService(view, id, clock.now()),
    tokens: { rotateJoinToken: (kind) => `SWMTKN-1-fresh-${kind}` },
  });
  const answers: World['answers'] = {};
  const info: LocalNodeInfo = {
    NodeID: SELF,
    NodeAddr: '10.0.0.1',
    LocalNodeState: 'active',
    ControlAvailable: true,
    Error: '',
    RemoteManagers: [{ NodeID: SELF, Addr: '10.0.0.1:2377' }],
  };
  const asked: World['asked'] = [];
  const membership: Membership = {
    init: async (request) => {
      asked.push({ method: 'init', request });
      return SELF;
    },
    join: async (request) => void asked.push({ method: 'join', request }),
    leave: async (force) => void asked.push({ method: 'leave', request: force }),
    unlock: async (key) => void asked.push({ method: 'unlock', request: key }),
    restore: (request, file) => world.restore(request, file),
    recover: (request) => world.recover(request),
    check: () => world.check(),
    cleanup: async (options) => {
      asked.push({ method: 'cleanup', request: options });
      return world.cleanup(options);
    },
    findManagers: async (addrs) => void asked.push({ method: 'findManagers', request: addrs }),
    info: () => info,
    control: () => (info.ControlAvailable ? { ...control, ...answers } : undefined),
    fresh: async () => {},
  };
  const api = createApi({ membership, engineSocket: join(folder, 'no-engine.sock'), logger: deps.logger });
  await api.listen(socket);
  const loops = [startOrchestrator(deps), startAllocator(deps), startReaper(deps), startScheduler(deps)];
  const world: World = {
    socket,
    store,
    clock,
    control,
    asked,
    info,
    lines,
    answers,
    fate: () => undefined,
    restore: async () => {
      throw new SwarmdError('unimplemented', 'this world restores nothing');
    },
    check: async () => {
      throw new SwarmdError('unimplemented', 'this world checks nothing');
    },
    cleanup: async () => ({ Items: [], Removed: false }),
    recover: async () => {
      throw new SwarmdError('unimplemented', 'this world recovers nothing');
    },
    async stop() {
      await api.close();
      agents.stop();
      for (const loop of loops) await loop.stop();
      await store.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  const agents = startAgents(world);
  return world;
}

function manager(): Partial<Node> {
  return {
    Spec: { Role: 'manager', Availability: 'active', Labels: {} },
    Description: {
      Hostname: 'boss',
      Platform: { Architecture: 'x86_64', OS: 'linux' },
      Resources: { NanoCPUs: 2e9, MemoryBytes: 25276514304 },
      Engine: {
        EngineVersion: '20.10.24',
        Labels: {},
        Plugins: [
          { Type: 'Network', Name: 'bridge' },
          { Type: 'Volume', Name: 'local' },
        ],
      },
    },
    ManagerStatus: { Leader: true, Reachability: 'reachable', Addr: '10.0.0.1:2377' },
  };
}

function cluster() {
  return {
    ID: CLUSTER_KEY,
    ClusterID: '7ocifb3gti7163al6bbnlmokj',
    Spec: { Name: 'default', Labels: {}, Orchestration: { TaskHistoryRetentionLimit: 5 } },
    RootCA: { Certificate: '', Key: '' },
    JoinTokens: { Worker: 'SWMTKN-1-worker', Manager: 'SWMTKN-1-manager' },
    DefaultAddrPool: [],
    SubnetSize: 24,
    DataPathPort: 4789,
    RemovedNodes: {},
  };
}

function fastClock(): Clock {
  const start = Date.now();
  const elapsed = (): number => (Date.now() - start) * SPEED;
  return {
    now: () => start + elapsed(),
    monotonic: elapsed,
    after: (delayMs, fn) => {
      const timer = setTimeout(fn, delayMs / SPEED);
      timer.unref();
      return () => clearTimeout(timer);
    },
  };
}

function startAgents(world: World): { stop(): void } {
  let stopped = false;
  const act = (): void => {
    if (!stopped) void world.store.update((tx) => step(world, tx)).catch(() => {});
  };
  const unwatch = world.store.watch(() => setImmediate(act));
  return {
    stop: () => {
      stopped = true;
      unwatch();
    },
  };
}

function step(world: World, tx: Parameters<Parameters<Store['update']>[0]>[0]): void {
  for (const task of tx.all('task')) {
    if (tx.get('node', task.NodeID)?.Status.State !== 'ready' || isTerminal(task.Status.State)) continue;
    const next = nextStatus(world, task);
    if (next === undefined || next.state === task.Status.State) continue;
    const runningAt = task.Status.RunningAt ?? (next.state === 'running' ? tx.now : undefined);
    tx.put('task', {
      ...task,
      Status: {
        Timestamp: tx.now,
        State: next.state,
        Message: next.state,
        AppliedAt: tx.now,
        ...(next.error === '' ? {} : { Err: next.error }),
        ...(runningAt === undefined ? {} : { RunningAt: runningAt }),
      },
    });
  }
}

function nextStatus(world: World, task: Task): { state: TaskState; error: string } | undefined {
  const { State } = task.Status;
  if (compareStates(State, 'assigned') < 0) return undefined;
  if (compareStates(task.DesiredState, 'shutdown') >= 0) return { state: 'shutdown', error: '' };
  if (State === 'running') return world.fate(task);
  return { state: task.DesiredState === 'ready' ? 'ready' : 'running', error: '' };
}
