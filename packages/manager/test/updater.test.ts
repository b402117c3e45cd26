import { compareStates, rfc3339, type Service, type Task, type UpdateConfig } from '@swarmd/model';
import { buildServiceSpec } from '@swarmd/testkit';
import fc from 'fast-check';
import t from 'tap';
import type { Action } from '../src/orchestrator/actions.js';
import { reconcileReplicated } from '../src/orchestrator/replicated.js';
import { at, observedOf, START_MS, serviceOf, type TaskRow, taskOf } from './support/observed.js';

const SECOND = 1_000_000_000;

/** A service on its way from version 1 to version 2 since second 10. */
function updating(replicas: number, config: UpdateConfig, over: Partial<Service> = {}): Service {
  const policy = { Condition: 'any', Delay: 0 } as const;
  const spec = buildServiceSpec('web', replicas, { UpdateConfig: config, RollbackConfig: config });
  return serviceOf({
    Spec: { ...spec, TaskTemplate: { ...spec.TaskTemplate, RestartPolicy: policy } },
    SpecVersion: 2,
    UpdateStatus: { State: 'updating', StartedAt: at(10), Message: 'update in progress' },
    UpdateProgress: { StartedAt: at(10), TotalSlots: replicas },
    ...over,
  });
}

/** Tasks as `a: {…}` rows of version 1. */
function tasksOf(rows: Record<string, TaskRow>): Task[] {
  return Object.entries(rows).map(([id, row]) => taskOf(id, row));
}

/** Actions in short: `+slot/desired` for a new task, `task>desired`, `=state` for the update's. */
function inShort(actions: readonly Action[]): string[] {
  return actions.map((action) => {
    if (action.kind === 'create-task') return `+${action.slot}/${action.desired}`;
    if (action.kind === 'set-desired') return `${action.taskId}>${action.desired}`;
    return action.kind === 'roll-back' ? '=roll-back' : `=${action.status?.State}`;
  });
}

const NEW = { version: 2, created: 11 } as const;

t.test('updater › one step from each standing', (t) => {
  const stopFirst = { Parallelism: 1 };
  const startFirst: UpdateConfig = { Parallelism: 1, Order: 'start-first', FailureAction: 'continue' };
  const paused = { UpdateStatus: { State: 'paused', Message: '' } } as const;
  const rows: { name: string; service: Service; tasks: Record<string, TaskRow>; now?: number; expected: string[] }[] = [
    {
      name: 'takes the next slot once the new task of the one before runs',
      service: updating(3, stopFirst),
      tasks: {
        a1: { slot: 1, desired: 'shutdown', state: 'shutdown' },
        a2: { ...NEW, slot: 1, ran: 12 },
        b: { slot: 2 },
        c: { slot: 3 },
      },
      expected: ['b>shutdown', '+2/ready'],
    },
    {
      name: 'waits while a new task is on its way',
      service: updating(2, stopFirst),
      tasks: {
        a1: { slot: 1, desired: 'shutdown', state: 'shutdown' },
        a2: { ...NEW, slot: 1, state: 'starting' },
        b: { slot: 2 },
      },
      expected: [],
    },
    {
      name: 'waits on for the successor of a new task that was moved before it ran',
      service: updating(2, stopFirst),
      tasks: {
        a1: { slot: 1, desired: 'shutdown', state: 'shutdown' },
        a2: { ...NEW, slot: 1, state: 'shutdown', desired: 'shutdown' },
        a3: { ...NEW, slot: 1, state: 'preparing', created: 12 },
        b: { slot: 2 },
      },
      expected: [],
    },
    {
      name: 'keeps the place of a slot for the delay',
      service: updating(2, { ...stopFirst, Delay: 5 * SECOND }),
      tasks: {
        a1: { slot: 1, desired: 'shutdown', state: 'shutdown' },
        a2: { ...NEW, slot: 1, ran: 12 },
        b: { slot: 2 },
      },
      now: 16,
      expected: [],
    },
    {
      name: 'does not wait for what a clock that was set back asks for',
      service: updating(2, { ...stopFirst, Delay: 5 * SECOND }),
      tasks: {
        a1: { slot: 1, desired: 'shutdown', state: 'shutdown' },
        a2: { ...NEW, slot: 1, ran: 3_600 },
        b: { slot: 2 },
      },
      expected: ['b>shutdown', '+2/ready'],
    },
    {
      name: 'is not held up by a replica that was added meanwhile and finds no node',
      service: updating(3, stopFirst),
      tasks: { a: { slot: 1 }, b: { slot: 2 }, c: { ...NEW, slot: 3, state: 'pending', node: '' } },
      expected: ['a>shutdown', '+1/ready'],
    },
    {
      name: 'goes by its own record, not by what an earlier update left behind',
      service: updating(2, stopFirst, {
        UpdateStatus: { State: 'rollback_started', StartedAt: at(15), Message: '' },
        UpdateProgress: { StartedAt: at(10), TotalSlots: 9 },
      }),
      tasks: { a: { slot: 1, version: 3, created: 12, ran: 13 }, b: { slot: 2, version: 3, created: 12, ran: 13 } },
      expected: ['=rollback_started', 'a>shutdown', '+1/ready'],
    },
    {
      name: 'start-first stops the old task when the new one runs, not before',
      service: updating(1, startFirst),
      tasks: { a1: { slot: 1 }, a2: { ...NEW, slot: 1, state: 'starting' } },
      expected: [],
    },
    {
      name: 'start-first keeps the old task beside a new one that runs and must leave',
      service: updating(1, startFirst),
      tasks: { a1: { slot: 1 }, a2: { ...NEW, slot: 1, ran: 12, rejected: 13 } },
      expected: ['a2>shutdown'],
    },
    {
      name: 'a new task that must leave is a try that failed, while it still stops',
      service: ((): Service => {
        const service = updating(1, { ...startFirst, Monitor: 0 });
        return { ...service, Spec: { ...service.Spec, TaskTemplate: { RestartPolicy: { Condition: 'none' } } } };
      })(),
      tasks: { a1: { slot: 1 }, a2: { ...NEW, slot: 1, ran: 12, rejected: 13, desired: 'shutdown' } },
      expected: ['=completed'],
    },
    {
      name: 'start-first stops at once an old task that does not run beside one that does',
      service: updating(1, startFirst),
      tasks: {
        a0: { slot: 1 },
        a1: { slot: 1, version: 3, state: 'pending', node: '' },
        a2: { ...NEW, slot: 1, state: 'starting' },
      },
      expected: ['a1>shutdown'],
    },
    {
      name: 'start-first tries a failed slot again and lets the next have its place',
      service: updating(2, startFirst),
      tasks: {
        a1: { slot: 1 },
        a2: { ...NEW, slot: 1, state: 'failed', desired: 'shutdown', ended: 12 },
        b: { slot: 2 },
      },
      expected: ['+1/running', '+2/running'],
    },
    {
      name: 'a slot that may not be tried again does not keep the update from ending',
      service: ((): Service => {
        const service = updating(1, { ...startFirst, Monitor: 0 });
        return { ...service, Spec: { ...service.Spec, TaskTemplate: { RestartPolicy: { Condition: 'none' } } } };
      })(),
      tasks: { a1: { slot: 1 }, a2: { ...NEW, slot: 1, state: 'failed', desired: 'shutdown', ended: 12 } },
      expected: ['=completed'],
    },
    {
      name: 'is not complete while a slot is being tried again',
      service: updating(1, { ...startFirst, Monitor: 0 }),
      tasks: {
        a1: { slot: 1 },
        a2: { ...NEW, slot: 1, state: 'failed', desired: 'shutdown', ended: 12 },
        a3: { ...NEW, slot: 1, state: 'pending', node: '', created: 13 },
      },
      expected: [],
    },
    {
      name: 'paused it begins nothing, but ends what the new task has replaced',
      service: updating(3, { ...startFirst, Parallelism: 0 }, paused),
      tasks: {
        a1: { slot: 1 },
        a2: { ...NEW, slot: 1, ran: 12 },
        b: { slot: 2 },
        c1: { slot: 3 },
        c2: { ...NEW, slot: 3, state: 'starting' },
      },
      expected: ['a1>shutdown'],
    },
    {
      name: 'completed it does not begin again for what was left',
      service: updating(1, stopFirst, { UpdateStatus: { State: 'completed', Message: '' } }),
      tasks: { a: { slot: 1 } },
      expected: [],
    },
    {
      name: 'changes nothing for a spec whose tasks are made of the same',
      service: { ...updating(2, stopFirst), UpdateStatus: undefined as never, SpecVersion: 1 },
      tasks: { a: { slot: 1 }, b: { slot: 2 } },
      expected: [],
    },
  ];
  for (const { name, service, tasks, now = 14, expected } of rows)
    t.same(inShort(reconcileReplicated(observedOf(service, tasksOf(tasks), now)).actions), expected, name);
  t.end();
});

t.test('updater › a slot counts as failed once, whatever befell its task except to be stopped or orphaned', (t) => {
  const failed = (id: string, slot: number, over: TaskRow = {}): Task =>
    taskOf(id, { ...NEW, slot, state: 'failed', desired: 'shutdown', ended: 12, ...over });
  const rows: [string, Task[], string][] = [
    ['one slot failing three times is one of four', [1, 2, 3].map((n) => failed(`a${n}`, 1)), 'updating'],
    ['two slots are two of four', [failed('a', 1), failed('b', 2)], 'paused'],
    ['within the monitoring time', [failed('a', 1), failed('b', 2, { ran: 12, ended: 14 })], 'paused'],
    ['later than the monitoring time', [failed('a', 1), failed('b', 2, { ran: 12, ended: 20 })], 'updating'],
    ['stopped', [failed('a', 1), failed('b', 2, { state: 'shutdown' })], 'updating'],
    ['orphaned', [failed('a', 1), failed('b', 2, { state: 'orphaned' })], 'updating'],
    ['an earlier version', [failed('a', 1), failed('b', 2, { version: 1 })], 'updating'],
    ['before the update began', [failed('a', 1), failed('b', 2, { created: 9 })], 'updating'],
  ];
  for (const [name, ended, state] of rows) {
    const others = [1, 2, 3, 4].map((slot) => taskOf(`old${slot}`, { slot }));
    const service = updating(4, { Parallelism: 1, MaxFailureRatio: 0.25 });
    const { actions } = reconcileReplicated(observedOf(service, [...others, ...ended], 30));
    const update = actions.find((action) => action.kind === 'set-update');
    t.equal(update?.status?.State ?? 'updating', state, name);
  }
  t.end();
});

t.test('updater › too many failures roll back once, and pause a rollback', (t) => {
  const tasks = tasksOf({ a: { slot: 1 }, b: { ...NEW, slot: 2, state: 'failed', ended: 12 } });
  const config: UpdateConfig = { Parallelism: 1, FailureAction: 'rollback' };
  const previous = { PreviousSpec: buildServiceSpec('web', 2), PreviousSpecVersion: 1 };
  const stateAfter = (over: Partial<Service>): string[] =>
    inShort(reconcileReplicated(observedOf(updating(2, config, over), tasks, 13)).actions).slice(0, 1);
  t.same(stateAfter(previous), ['=roll-back'], 'before anything else is created');
  t.same(stateAfter({}), ['=paused'], 'with nothing to go back to');
  const rollback = { UpdateStatus: { State: 'rollback_started', StartedAt: at(10), Message: '' } } as const;
  t.same(stateAfter({ ...previous, ...rollback }), ['=rollback_paused']);
  t.end();
});

/** A cluster of one service whose tasks do as `fates` say, one step each time; time passes by seconds. */
function run(
  replicas: number,
  config: UpdateConfig,
  fates: readonly boolean[],
  check: (tasks: readonly Task[]) => void,
) {
  let service = updating(replicas, config, { UpdateProgress: undefined as never, UpdateStatus: undefined as never });
  let tasks = Array.from({ length: replicas }, (_, i) => taskOf(`old${i}`, { slot: i + 1, ran: 1 }));
  let made = 0;
  for (let now = 10; now < 400; now++) {
    const plan = reconcileReplicated(observedOf(service, tasks, now));
    for (const action of plan.actions) {
      if (action.kind === 'create-task') {
        const id = `new${made++}`;
        const { slot, desired, startAfter } = action;
        const task = taskOf(id, { slot, desired, state: 'assigned', version: service.SpecVersion, created: now });
        tasks = [...tasks, startAfter === undefined ? task : { ...task, StartAfter: startAfter }];
      } else if (action.kind === 'set-desired') {
        tasks = tasks.map((task) => (task.ID === action.taskId ? { ...task, DesiredState: action.desired } : task));
      } else if (action.kind === 'set-update') {
        const { UpdateStatus: _, UpdateProgress: __, ...rest } = service;
        service = {
          ...rest,
          ...(action.status ? { UpdateStatus: action.status } : {}),
          ...(action.progress ? { UpdateProgress: action.progress } : {}),
        };
      }
    }
    check(tasks);
    if (service.UpdateStatus?.State === 'completed') return { service, tasks };
    tasks = tasks.map((task) => step(task, now, fates));
  }
  return { service, tasks };
}

function step(task: Task, now: number, fates: readonly boolean[]): Task {
  const { State } = task.Status;
  const fails = task.ID.startsWith('new') && fates[Number(task.ID.slice(3))];
  const next =
    compareStates(State, 'running') > 0
      ? State
      : compareStates(task.DesiredState, 'shutdown') >= 0
        ? 'shutdown'
        : task.DesiredState === 'ready'
          ? 'ready'
          : fails
            ? 'failed'
            : 'running';
  if (next === State) return task;
  const time = rfc3339(START_MS + now * 1000);
  const since = next === 'running' ? { RunningAt: time } : {};
  return { ...task, Status: { ...task.Status, ...since, State: next, AppliedAt: time } };
}

t.test('updater › never takes more slots at a time than allowed, and comes to its end', (t) => {
  const property = fc.property(
    fc.integer({ min: 1, max: 7 }),
    fc.integer({ min: 0, max: 3 }),
    fc.constantFrom<'stop-first' | 'start-first'>('stop-first', 'start-first'),
    fc.constantFrom(0, 1, 3),
    fc.array(fc.boolean(), { maxLength: 6 }),
    (replicas, Parallelism, Order, delay, fates) => {
      const config: UpdateConfig = { Parallelism, Order, Delay: delay * SECOND, Monitor: 0, FailureAction: 'continue' };
      const { service, tasks } = run(replicas, config, fates, (tasks) => {
        const live = tasks.filter((task) => compareStates(task.DesiredState, 'running') <= 0);
        const serving = new Set(live.filter((task) => task.Status.State === 'running').map((task) => task.Slot));
        // Slots whose first new task failed are tried again beside the others.
        const failedSlots = new Set(tasks.filter((task) => task.Status.State === 'failed').map((task) => task.Slot));
        const down = replicas - new Set([...serving, ...failedSlots]).size;
        if (Order === 'start-first' && serving.size < replicas) throw new Error(`${serving.size} of ${replicas} serve`);
        if (Order === 'stop-first' && Parallelism > 0 && down > Parallelism) throw new Error(`${down} slots are down`);
      });
      if (service.UpdateStatus?.State !== 'completed') throw new Error('it did not end');
      const live = tasks.filter((task) => task.DesiredState === 'running' && task.Status.State === 'running');
      if (live.some((task) => task.SpecVersion !== 2)) throw new Error('an old task is left');
      if (new Set(live.map((task) => task.Slot)).size !== live.length) throw new Error('a slot holds two');
    },
  );
  fc.assert(property, { numRuns: 300 });
  t.end();
});
