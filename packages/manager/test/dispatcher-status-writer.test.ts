import { type Log, type Store, TASK_STATE_ORDER, TASK_STATES, type TaskState } from '@swarmd/model';
import { createMemoryLog, openStore } from '@swarmd/store';
import { buildNode, buildServiceSpec, buildTask, createService } from '@swarmd/testkit';
import fc from 'fast-check';
import t from 'tap';
import { createStatusWriter, foldStatuses } from '../src/dispatcher/status-writer.js';
import { realClock } from './support/test-manager.js';

/** A log whose appends wait for `release`. */
function gatedLog(): Log & { release(): void; gate(): void } {
  const log = createMemoryLog();
  let open = Promise.resolve();
  let release = (): void => {};
  return {
    ...log,
    append: async (entries) => {
      await open;
      await log.append(entries);
    },
    gate: () => {
      open = new Promise((resolve) => {
        release = resolve;
      });
    },
    release: () => release(),
  };
}

async function storeWithTasks(
  log: Log,
  tasks: Readonly<Record<string, { node: string; state: TaskState }>>,
): Promise<Store> {
  const store = await openStore({ log, clock: realClock });
  await store.update((tx) => {
    tx.create('node', buildNode('n1'));
    const service = createService(tx, 'web', buildServiceSpec('web', 1));
    for (const [id, { node, state }] of Object.entries(tasks)) {
      const Status = { Timestamp: tx.now, State: state, Message: '' };
      tx.create('task', buildTask(service, id, { NodeID: node, Status }));
    }
  });
  return store;
}

const reported = (taskId: string, State: string, Message = '') => ({
  taskId,
  status: Buffer.from(JSON.stringify({ Timestamp: '2026-01-01T00:00:00Z', State, Message })),
});

t.test(
  'status writer › what an agent makes up is refused, or left out where readers count on another type',
  async (t) => {
    const store = await storeWithTasks(createMemoryLog(), { t1: { node: 'n1', state: 'assigned' } });
    const fold = (status: unknown) => {
      const submission = { nodeId: 'n1', statuses: [{ taskId: 't1', status: Buffer.from(JSON.stringify(status)) }] };
      const { statuses, rejected } = foldStatuses(store.view, [submission]);
      return statuses.get('t1') ?? rejected[0]?.[0]?.code;
    };
    const Timestamp = '2026-01-01T00:00:00.123456789Z';
    for (const odd of ['1', '+275760-09-13T00:00:00Z', 'yesterday', '2026-13-01T00:00:00Z', 5]) {
      t.equal(fold({ Timestamp: odd, State: 'running' }), 'invalid-argument', String(odd));
    }
    for (const State of ['constructor', 'remove', 'orphaned', 'new', null]) {
      t.equal(fold({ Timestamp, State }), 'invalid-argument', String(State));
    }
    const odd = {
      Message: { toString: 1 },
      Err: 'x'.repeat(100_000),
      ContainerStatus: { ContainerID: 5, PID: 'x', ExitCode: 3 },
      PortStatus: { Ports: [null, 1, { PublishedPort: 80 }] },
    };
    t.same(fold({ Timestamp, State: 'running', ...odd }), {
      Timestamp,
      State: 'running',
      Message: '',
      Err: 'x'.repeat(4_096),
      ContainerStatus: { ExitCode: 3 },
      PortStatus: { Ports: [{ PublishedPort: 80 }] },
    });
    for (const none of [5, null, 'x', [1]]) {
      t.same(fold({ Timestamp, State: 'running', ContainerStatus: none, PortStatus: none }), {
        Timestamp,
        State: 'running',
        Message: '',
      });
    }
  },
);

t.test('status writer › what arrives while a transaction is under way shares the next', async (t) => {
  const log = gatedLog();
  const tasks = Object.fromEntries(
    Array.from({ length: 20 }, (_, i) => [`t${i}`, { node: `n${i}`, state: 'assigned' as const }]),
  );
  const store = await storeWithTasks(log, tasks);
  const writer = createStatusWriter(store);
  const before = store.index;
  log.gate();
  const first = writer.submit({ nodeId: 'n0', statuses: [reported('t0', 'accepted')] });
  await new Promise((resolve) => setImmediate(resolve));
  const states = ['accepted', 'preparing', 'running'];
  const results = states.flatMap((state) =>
    Array.from({ length: 20 }, (_, i) => writer.submit({ nodeId: `n${i}`, statuses: [reported(`t${i}`, state)] })),
  );
  log.release();
  const indexes = (await Promise.all([first, ...results])).map(({ storeIndex }) => storeIndex);
  t.equal(store.index, before + 2, 'one transaction for the first, one for all the others');
  t.same([...new Set(indexes)], [before + 1, before + 2]);
  for (const task of store.view.all('task')) t.equal(task.Status.State, 'running');
});

t.test('status writer › a batch is acknowledged only once it is durable', async (t) => {
  const log = gatedLog();
  const store = await storeWithTasks(log, { t1: { node: 'n1', state: 'assigned' } });
  log.gate();
  let acknowledged = false;
  const writing = createStatusWriter(store).submit({ nodeId: 'n1', statuses: [reported('t1', 'running')] });
  void writing.then(() => {
    acknowledged = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  t.equal(acknowledged, false);
  log.release();
  await writing;
  t.equal(store.view.get('task', 't1')?.Status.State, 'running');
});

t.test('status writer › a batch that cannot be written is refused', async (t) => {
  const store = await storeWithTasks(createMemoryLog(), { t1: { node: 'n1', state: 'assigned' } });
  await store.close();
  const writing = createStatusWriter(store).submit({ nodeId: 'n1', statuses: [reported('t1', 'running')] });
  await t.rejects(writing, { code: 'unavailable' });
});

t.test('status writer › whatever agents report, states only climb and are only those of agents', async (t) => {
  const nodes = ['n1', 'n2'];
  const ids = ['t1', 't2', 't3'];
  const store = await storeWithTasks(createMemoryLog(), {
    t1: { node: 'n1', state: 'assigned' },
    t2: { node: 'n2', state: 'starting' },
    t3: { node: 'n1', state: 'failed' },
  });
  const item = fc.record({
    id: fc.constantFrom(...ids, 'none'),
    state: fc.constantFrom<string>(...TASK_STATES, 'odd'),
  });
  const submission = fc.record({ nodeId: fc.constantFrom(...nodes), items: fc.array(item, { maxLength: 8 }) });
  fc.assert(
    fc.property(fc.array(submission, { maxLength: 6 }), (batches) => {
      const submissions = batches.map(({ nodeId, items }) => ({
        nodeId,
        statuses: items.map((i) => reported(i.id, i.state)),
      }));
      const { statuses, rejected } = foldStatuses(store.view, submissions);
      const highest = new Map<string, number>();
      for (const { nodeId, items } of batches) {
        for (const { id, state } of items) {
          const task = store.view.get('task', id);
          const order = TASK_STATE_ORDER[state as TaskState];
          const valid = task?.NodeID === nodeId && order >= 256 && order < 800;
          if (valid) highest.set(id, Math.max(order, highest.get(id) ?? TASK_STATE_ORDER[task.Status.State]));
        }
      }
      for (const id of ids) {
        const before = TASK_STATE_ORDER[store.view.get('task', id)!.Status.State];
        const written = statuses.get(id);
        const after = written === undefined ? before : TASK_STATE_ORDER[written.State];
        if (after !== (highest.get(id) ?? before)) return false;
      }
      return rejected.length === batches.length;
    }),
  );
  t.pass('every run agreed with the highest state that the node itself reported');
});
