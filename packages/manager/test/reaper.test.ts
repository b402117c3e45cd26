import { compareStates, isTerminal, type Service, type Task, type TaskState } from '@swarmd/model';
import { buildServiceSpec } from '@swarmd/testkit';
import fc from 'fast-check';
import t from 'tap';
import { reapableTasks } from '../src/orchestrator/reaper.js';
import { at, serviceOf, type TaskRow, taskOf } from './support/observed.js';

function reaped(rows: Record<string, TaskRow>, service: Service | undefined, limit: number): string[] {
  const tasks = Object.entries(rows).map(([id, row]) => taskOf(id, row));
  return reapableTasks(tasks, service, limit)
    .map((task) => task.ID)
    .sort();
}

const ENDED = { state: 'failed', desired: 'shutdown' } as const;

t.test('reaper › what is on its way out goes when it has stopped, or never had a node', (t) => {
  const rows: [TaskState, TaskState, boolean][] = [
    // observed, desired, reaped
    ['new', 'remove', true],
    ['pending', 'remove', true],
    ['assigned', 'remove', false],
    ['running', 'remove', false],
    ['shutdown', 'remove', true],
    ['orphaned', 'remove', true],
    ['new', 'shutdown', true],
    ['pending', 'shutdown', true],
    ['running', 'shutdown', false],
    ['failed', 'shutdown', false],
    ['failed', 'running', false],
    ['complete', 'complete', false],
  ];
  for (const [state, desired, expected] of rows)
    t.equal(reaped({ a: { state, desired } }, serviceOf(), 5).length === 1, expected, `${state}/${desired}`);
  t.same(reaped({ a: { state: 'running' }, b: { state: 'failed' } }, undefined, 5), ['b'], 'without a service');
  t.end();
});

t.test('reaper › keeps as many tasks of a slot as the limit says, the live one included, the newest longest', (t) => {
  const history = { a: { ...ENDED, created: 1 }, b: { ...ENDED, created: 2 }, c: { ...ENDED, created: 3 } };
  const live = { d: { created: 4 } };
  const withPolicy = (MaxAttempts: number): Service => {
    const spec = buildServiceSpec('web', 1);
    return serviceOf({ Spec: { ...spec, TaskTemplate: { ...spec.TaskTemplate, RestartPolicy: { MaxAttempts } } } });
  };
  const updating = serviceOf({ UpdateProgress: { StartedAt: at(0), TotalSlots: 1 } });
  t.same(reaped({ ...history, ...live }, serviceOf(), 4), []);
  t.same(reaped({ ...history, ...live }, serviceOf(), 3), ['a']);
  t.same(reaped({ ...history, ...live }, serviceOf(), 1), ['a', 'b', 'c']);
  t.same(reaped({ ...history, ...live }, serviceOf(), 0), ['a', 'b', 'c']);
  t.same(reaped(history, serviceOf(), 0), ['a', 'b'], 'the last of a slot shows that it is at rest');
  t.same(reaped({ ...history, ...live }, serviceOf(), -1), [], 'a negative limit keeps all');
  t.same(reaped({ ...history, ...live }, withPolicy(2), 1), ['a'], 'attempts are counted from what is kept');
  t.same(reaped({ ...history, ...live }, updating, 1), ['a', 'b'], 'an update is judged by what is kept');
  t.end();
});

t.test('reaper › while an update is under way, keeps what shows that a slot is being updated', (t) => {
  const updating = serviceOf({ UpdateProgress: { StartedAt: at(0), TotalSlots: 1 } });
  const rows: Record<string, TaskRow> = {
    old: { state: 'pending', desired: 'shutdown', node: '' },
    new: { state: 'pending', node: '', version: 2, created: 1 },
  };
  t.same(reaped(rows, updating, 5), []);
  t.same(reaped(rows, serviceOf(), 5), ['old']);
  t.end();
});

t.test('reaper › counts by slot, and for services on every node by node', (t) => {
  const rows = {
    a: { ...ENDED, slot: 0, node: 'n1', created: 1 },
    b: { ...ENDED, slot: 0, node: 'n2', created: 2 },
    c: { ...ENDED, slot: 0, node: 'n1', created: 3 },
  };
  const job = serviceOf({ Spec: buildServiceSpec('web', 0, { Mode: { ReplicatedJob: {} } }) });
  const everywhere = serviceOf({ Spec: buildServiceSpec('web', 0, { Mode: { Global: {} } }) });
  t.same(reaped(rows, job, 1), ['a', 'b']);
  t.same(reaped(rows, everywhere, 1), ['a']);
  t.end();
});

t.test('reaper › never takes what may still run or is wanted, and leaves no slot over its limit', (t) => {
  const states: TaskState[] = ['new', 'pending', 'assigned', 'running', 'complete', 'shutdown', 'failed'];
  const row = fc.record({
    slot: fc.integer({ min: 1, max: 3 }),
    state: fc.constantFrom(...states),
    desired: fc.constantFrom<TaskState>('ready', 'running', 'shutdown', 'remove'),
    created: fc.integer({ min: 0, max: 5 }),
  });
  const property = fc.property(fc.array(row, { maxLength: 15 }), fc.integer({ min: 0, max: 4 }), (rows, limit) => {
    const tasks = rows.map((one, i) => taskOf(`t${i}`, one));
    const gone = new Set(reapableTasks(tasks, serviceOf(), limit));
    const unplaced = (task: Task): boolean => compareStates(task.Status.State, 'assigned') < 0;
    for (const task of gone) {
      if (!isTerminal(task.Status.State) && !unplaced(task)) throw new Error(`${task.ID} may still run`);
      if (compareStates(task.DesiredState, 'running') <= 0) throw new Error(`${task.ID} is wanted`);
    }
    const kept = tasks.filter((task) => !gone.has(task) && task.DesiredState !== 'remove');
    for (const slot of [1, 2, 3]) {
      const here = kept.filter((task) => task.Slot === slot);
      const ended = here.filter((task) => isTerminal(task.Status.State) && task.DesiredState === 'shutdown');
      if (ended.length > 0 && here.length > Math.max(1, limit)) throw new Error(`slot ${slot} keeps ${here.length}`);
      const dropped = tasks.filter((task) => gone.has(task) && task.Slot === slot && task.DesiredState === 'shutdown');
      const newest = dropped.filter((task) => !unplaced(task)).map((task) => task.CreatedAt);
      if (ended.some((task) => newest.some((time) => time > task.CreatedAt)))
        throw new Error('a younger one went first');
    }
  });
  fc.assert(property, { numRuns: 1_000 });
  t.end();
});
