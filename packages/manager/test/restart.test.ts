import type { RestartPolicy, Service, Task, TaskState } from '@swarmd/model';
import { buildNode, buildServiceSpec } from '@swarmd/testkit';
import fc from 'fast-check';
import t from 'tap';
import { groupSlots, type Slot } from '../src/orchestrator/observed.js';
import { decideRestart, heldUntil, startDueMs } from '../src/orchestrator/restart.js';
import { keepSlot } from '../src/orchestrator/slot-upkeep.js';
import { observedOf, START_MS, serviceOf, taskOf } from './support/observed.js';

const SECOND = 1_000_000_000;

function withPolicy(policy: RestartPolicy, mode: NonNullable<Service['Spec']['Mode']> = {}): Service {
  const spec = buildServiceSpec('web', 1);
  const Mode = Object.keys(mode).length > 0 ? mode : spec.Mode!;
  return serviceOf({ Spec: { ...spec, Mode, TaskTemplate: { ...spec.TaskTemplate, RestartPolicy: policy } } });
}

function slotOf(tasks: readonly Task[]): Slot {
  return [...groupSlots(tasks, () => 1).values()][0]!;
}

t.test('restart › follows the condition, and jobs never do again what completed', (t) => {
  const rows: [RestartPolicy['Condition'], TaskState, boolean, boolean][] = [
    // condition, how the task ended, replaced in a service, replaced in a job
    ['any', 'complete', true, false],
    ['any', 'failed', true, true],
    ['', 'complete', true, false],
    ['on-failure', 'complete', false, false],
    ['on-failure', 'failed', true, true],
    ['on-failure', 'rejected', true, true],
    ['on-failure', 'shutdown', true, true],
    ['none', 'failed', false, false],
    ['none', 'orphaned', false, false],
  ];
  for (const [Condition, state, service, job] of rows) {
    const task = taskOf('a', { state, ended: 1 });
    for (const [mode, expected] of [
      [{}, service],
      [{ ReplicatedJob: {} }, job],
      [{ GlobalJob: {} }, job],
    ] as const) {
      const decision = decideRestart(task, slotOf([task]), observedOf(withPolicy({ Condition }, mode), [task], 1));
      t.equal(decision.restart, expected, `${Condition} ${state} ${Object.keys(mode).join()}`);
    }
  }
  t.end();
});

t.test('restart › delays by the policy, by five seconds without one, and not at all what is moved', (t) => {
  const down = buildNode('n1', { Status: { State: 'down', Addr: '' } });
  const drained = buildNode('n1', { Spec: { Role: 'worker', Availability: 'drain' } });
  const rows = [
    { state: 'failed', policy: {}, nodes: undefined, delayMs: 5_000 },
    { state: 'failed', policy: { Delay: 2 * SECOND }, nodes: undefined, delayMs: 2_000 },
    { state: 'failed', policy: { Delay: 0 }, nodes: undefined, delayMs: undefined },
    { state: 'failed', policy: {}, nodes: [down], delayMs: 5_000 },
    { state: 'running', policy: {}, nodes: [down], delayMs: undefined },
    { state: 'running', policy: {}, nodes: [drained], delayMs: undefined },
    { state: 'running', policy: {}, nodes: [], delayMs: undefined },
    { state: 'orphaned', policy: {}, nodes: [], delayMs: undefined },
    { state: 'orphaned', policy: {}, nodes: undefined, delayMs: 5_000 },
  ] as const;
  for (const { state, policy, nodes, delayMs } of rows) {
    const task = taskOf('a', { state, ended: 1 });
    const decision = decideRestart(task, slotOf([task]), observedOf(withPolicy(policy), [task], 10, nodes));
    const startAfterMs = delayMs === undefined ? undefined : START_MS + 10_000 + delayMs;
    t.same(decision, { restart: true, startAfterMs }, `${state} ${JSON.stringify(policy)} ${nodes?.length}`);
  }
  t.end();
});

t.test('restart › what is moved off a removed node takes none of the attempts’ last', (t) => {
  const tasks = [taskOf('a', { state: 'failed', ended: 1 }), taskOf('b', { state: 'orphaned', created: 2, ended: 3 })];
  const observed = observedOf(withPolicy({ MaxAttempts: 1 }), tasks, 4, []);
  t.same(decideRestart(tasks[1]!, slotOf(tasks), observed), { restart: true, startAfterMs: undefined });
  t.end();
});

t.test('restart › counts the attempts of the present run of a spec version within the window', (t) => {
  const row = fc.record({ lasted: fc.integer({ min: 1, max: 20 }), version: fc.constantFrom(1, 1, 1, 2) });
  const property = fc.property(
    fc.array(row, { minLength: 1, maxLength: 8 }),
    fc.integer({ min: 1, max: 4 }),
    fc.constantFrom(0, 5, 15, 30),
    (rows, MaxAttempts, windowSeconds) => {
      let clock = 0;
      const tasks = rows.map(({ lasted, version }, i) => {
        const created = clock;
        clock += lasted;
        return taskOf(`t${i}`, { state: 'failed', desired: 'shutdown', version, created, ended: clock });
      });
      const last = tasks.at(-1)!;
      // The oracle: walk back over the tasks of the same version; each but the first of them is a restart.
      const created = tasks.map((task) => (Date.parse(task.CreatedAt) - START_MS) / 1000);
      let restarts = 0;
      for (let i = tasks.length - 1; i > 0 && tasks[i - 1]!.SpecVersion === last.SpecVersion; i--)
        if (windowSeconds === 0 || created[i]! >= clock - windowSeconds) restarts++;
      const service = { ...withPolicy({ MaxAttempts, Window: windowSeconds * SECOND }), SpecVersion: last.SpecVersion };
      const decision = decideRestart(last, slotOf(tasks), observedOf(service, tasks, clock));
      return decision.restart === restarts < MaxAttempts;
    },
  );
  fc.assert(property, { numRuns: 2_000 });
  t.end();
});

t.test('restart › a waiting task starts when its delay is over and its slot’s other tasks have stopped', (t) => {
  const waiting = taskOf('new', { state: 'ready', desired: 'ready', node: 'n2', created: 10, startAfter: 15 });
  const old = (over: Parameters<typeof taskOf>[1]): Task => taskOf('old', { desired: 'shutdown', ...over });
  const rows: [string, Task[], number][] = [
    ['nothing else in the slot', [], 15],
    ['the old task stops', [old({ state: 'running' })], 70],
    ['the old task has stopped', [old({ state: 'shutdown' })], 15],
    ['the old task is younger, by a clock that was set back', [old({ state: 'running', created: 20 })], 70],
    ['the old task never had a node', [old({ state: 'pending', node: '' })], 15],
    ['the old task’s node is lost', [old({ state: 'running', node: 'n3' })], 15],
    ['the old task is scaled away', [old({ state: 'running', desired: 'remove' })], 15],
  ];
  const nodes = [buildNode('n1'), buildNode('n2'), buildNode('n3', { Status: { State: 'down', Addr: '' } })];
  for (const [name, others, due] of rows) {
    const tasks = [...others, waiting];
    const dueMs = startDueMs(waiting, slotOf(tasks), observedOf(withPolicy({}), tasks, 11, nodes));
    t.equal((dueMs - START_MS) / 1000, due, name);
  }
  const slow = startDueMs(waiting, slotOf([waiting]), observedOf(withPolicy({}), [waiting], -3_600));
  t.equal(slow, 0, 'a wait longer than the delay comes from a clock that was set back');
  t.end();
});

t.test('restart › a task refused during its own delay is left until that is over', (t) => {
  const refused = taskOf('a', { state: 'rejected', desired: 'ready', ended: 11, startAfter: 15 });
  const heldAt = (now: number): number | undefined => heldUntil(refused, observedOf(withPolicy({}), [refused], now));
  t.equal(heldAt(12), START_MS + 15_000);
  t.equal(heldAt(15), undefined);
  t.equal(heldAt(-3_600), undefined, 'nor by a clock that was set back');
  t.end();
});

t.test('restart › a slot with a task that lives on gets no other in place of one that ended', (t) => {
  for (const [ended, living] of [
    ['a', 'b'],
    ['b', 'a'],
  ] as const) {
    const tasks = [
      taskOf(ended, { state: 'failed', created: ended === 'a' ? 0 : 1 }),
      taskOf(living, { state: 'starting', created: living === 'a' ? 0 : 1 }),
    ];
    const { actions, taken } = keepSlot(slotOf(tasks), observedOf(serviceOf(), tasks, 2), { slot: 1, nodeId: '' });
    t.same(
      actions.map((action) => action.kind),
      ['set-desired'],
      `${ended} ended`,
    );
    t.ok(taken);
  }
  t.end();
});

t.test('restart › without a delay, too, a replacement waits for what still stops in its slot', (t) => {
  const stopping = taskOf('a', { state: 'running', desired: 'shutdown' });
  const failed = taskOf('b', { state: 'rejected', created: 1, ended: 2 });
  const tasks = [stopping, failed];
  const observed = observedOf(withPolicy({ Delay: 0 }), tasks, 2);
  const [, create] = keepSlot(slotOf(tasks), observed, { slot: 1, nodeId: '' }).actions;
  t.match(create, { kind: 'create-task', desired: 'ready', startAfter: undefined });
  t.end();
});

t.test('restart › a rollback tries a slot at rest once more, and no more than once', (t) => {
  const policy = withPolicy({ Condition: 'none' });
  const rollingBack = (startedAt: number): Service => ({
    ...policy,
    UpdateStatus: { State: 'rollback_started', Message: '' },
    UpdateProgress: { StartedAt: taskOf('x', { created: startedAt }).CreatedAt, TotalSlots: 1 },
  });
  const ended = taskOf('a', { state: 'failed', desired: 'shutdown', created: 10, ended: 11 });
  const restsIn = (service: Service): boolean =>
    keepSlot(slotOf([ended]), observedOf(service, [ended], 12), { slot: 1, nodeId: '' }).taken;
  t.equal(restsIn(policy), true, 'outside of a rollback it rests');
  t.equal(restsIn(rollingBack(11)), false, 'what ended before the rollback is made anew');
  t.equal(restsIn(rollingBack(10)), true, 'what the rollback made rests again');
  t.end();
});
