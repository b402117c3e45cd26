import type { Task } from '@swarmd/model';
import { buildNode, buildServiceSpec } from '@swarmd/testkit';
import fc from 'fast-check';
import t from 'tap';
import { groupSlots } from '../src/orchestrator/observed.js';
import { pickSurplus, reconcileReplicated } from '../src/orchestrator/replicated.js';
import { observedOf, serviceOf, taskOf } from './support/observed.js';

/** Takes one slot at a time, looking at everything anew each time. */
function dumbSurplus(tasks: readonly Task[], count: number): number[] {
  const left = [...tasks];
  const picked: number[] = [];
  while (picked.length < count) {
    const onNode = (node: string): number =>
      left.filter((task) => task.NodeID === node && task.Status.State === 'running').length;
    const worth = (task: Task): number => (task.Status.State === 'running' ? onNode(task.NodeID) : 1_000);
    left.sort((a, b) => worth(b) - worth(a) || b.Slot - a.Slot);
    picked.push(left.shift()!.Slot);
  }
  return picked;
}

t.test(
  'orchestrator › a scale-down takes what does not run, then from the fullest nodes, then the highest slots',
  (t) => {
    const row = fc.record({ node: fc.constantFrom('n1', 'n2', 'n3'), runs: fc.boolean() });
    const property = fc.property(
      fc.array(row, { minLength: 1, maxLength: 12 }),
      fc.nat({ max: 12 }),
      (rows, wanted) => {
        const tasks = rows.map(({ node, runs }, i) =>
          taskOf(`t${i}`, { slot: i + 1, node, state: runs ? 'running' : 'starting' }),
        );
        const count = Math.min(wanted, tasks.length);
        const slots = [...groupSlots(tasks, (task) => task.Slot).values()];
        const picked = pickSurplus(slots, count).map((slot) => slot.key as number);
        return JSON.stringify(picked.sort()) === JSON.stringify(dumbSurplus(tasks, count).sort());
      },
    );
    fc.assert(property, { numRuns: 1_000 });
    t.end();
  },
);

t.test('orchestrator › free slot numbers are used first, and what is left of the others goes', (t) => {
  const ended = { state: 'failed', desired: 'shutdown', version: 0 } as const;
  const tasks = [taskOf('a', { slot: 1, ...ended }), taskOf('b', { slot: 4, ...ended }), taskOf('c', { slot: 3 })];
  const spec = buildServiceSpec('web', 3);
  const policy = { RestartPolicy: { Condition: 'none' as const } };
  const service = serviceOf({ Spec: { ...spec, TaskTemplate: { ...spec.TaskTemplate, ...policy } } });
  const { actions } = reconcileReplicated(observedOf(service, tasks, 1));
  const created = actions.flatMap((action) => (action.kind === 'create-task' ? [action.slot] : []));
  t.same(created, [1, 2]);
  t.same(
    actions.filter((action) => action.kind === 'set-desired'),
    [{ kind: 'set-desired', taskId: 'b', desired: 'remove', reason: 'its slot is not used any more' }],
  );
  t.end();
});

t.test('orchestrator › a slot number that is used again waits for what still stops there', (t) => {
  const tasks = [taskOf('a', { slot: 1, version: 0, desired: 'shutdown' })];
  const service = serviceOf({ Spec: buildServiceSpec('web', 1) });
  const desiredOn = (nodes: Parameters<typeof observedOf>[3]): unknown =>
    reconcileReplicated(observedOf(service, tasks, 1, nodes)).actions.map(
      (action) => 'desired' in action && action.desired,
    );
  t.same(desiredOn([buildNode('n1')]), ['ready']);
  t.same(desiredOn([buildNode('n1', { Status: { State: 'down', Addr: '' } })]), ['running']);
  t.end();
});

t.test(
  'orchestrator › a task that ended by a policy against another try is shut down although its slot is free',
  (t) => {
    // Of an older version, it does not hold its slot: the new task comes while the record of the old one is closed.
    const tasks = [taskOf('a', { slot: 1, version: 0, state: 'complete' })];
    const spec = buildServiceSpec('web', 1);
    const policy = { RestartPolicy: { Condition: 'on-failure' as const } };
    const service = serviceOf({ Spec: { ...spec, TaskTemplate: { ...spec.TaskTemplate, ...policy } } });
    const { actions } = reconcileReplicated(observedOf(service, tasks, 1));
    t.match(actions, [
      { kind: 'set-desired', taskId: 'a', desired: 'shutdown' },
      { kind: 'create-task', slot: 1, desired: 'running' },
    ]);
    t.end();
  },
);
