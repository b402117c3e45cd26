import type { GenericResource, NewObject, Node, Task, TaskSpec } from '@swarmd/model';
import { buildNode } from '@swarmd/testkit';
import fc from 'fast-check';
import t from 'tap';
import { parseConstraints } from '../src/scheduler/constraint.js';
import { type AssignedTask, tasksToReject } from '../src/scheduler/enforcer.js';
import { startConstraintEnforcer } from '../src/scheduler/enforcer-loop.js';
import { groupWith, openWorld, silent, specWith, until } from './support/scheduler-world.js';

const stamps = { Version: { Index: 1 }, CreatedAt: '', UpdatedAt: '' };
const nodeWith = (over: Partial<NewObject<Node>> = {}, generic: GenericResource[] = []): Node => {
  const built = buildNode('n1', over);
  built.Description!.Resources = { NanoCPUs: 4e9, MemoryBytes: 2 ** 30, GenericResources: generic };
  return { ...built, ...stamps };
};
const reserving = (cpus: number, bytes = 0): TaskSpec => ({
  Resources: { Reservations: { NanoCPUs: cpus * 1e9, MemoryBytes: bytes } },
});

function assigned(id: string, template: TaskSpec = {}, over: Partial<Task> = {}): AssignedTask {
  const { needs } = groupWith(template).spec;
  const task: Task = {
    ...stamps,
    ID: id,
    ServiceID: 's',
    ServiceName: 's',
    SpecVersion: 1,
    Slot: 1,
    NodeID: 'n1',
    DesiredState: 'running',
    Status: { Timestamp: '', State: 'running', Message: '' },
    ...over,
  };
  return { task, needs, constraints: needs.constraints };
}

const constrained = (id: string, over: Partial<Task> = {}): AssignedTask => ({
  ...assigned(id, {}, over),
  constraints: parseConstraints(['node.labels.tier==web']),
});

t.test('enforcer › rejects tasks whose constraints the node does not meet', async (t) => {
  const web = nodeWith({ Spec: { Role: 'worker', Availability: 'active', Labels: { tier: 'web' } } });
  t.same(tasksToReject(nodeWith(), [constrained('b'), assigned('free'), constrained('a')]), ['a', 'b']);
  t.same(tasksToReject(web, [constrained('a')]), []);
});

t.test('enforcer › touches only tasks that hold a place, on nodes that are active', async (t) => {
  const status = (State: Task['Status']['State']) => ({ Status: { Timestamp: '', State, Message: '' } });
  const left: [string, Partial<Task>][] = [
    ['wanted shut down', { DesiredState: 'shutdown' }],
    ['wanted removed', { DesiredState: 'remove' }],
    ['ended', status('complete')],
    ['failed', status('failed')],
    ['not assigned yet', status('pending')],
    ['about to leave already', { RejectedAt: '2026-02-02' }],
  ];
  for (const [name, over] of left) t.same(tasksToReject(nodeWith(), [constrained('a', over)]), [], name);
  const taken: [string, Partial<Task>][] = [
    ['prepared', { DesiredState: 'ready', ...status('ready') }],
    ['a job', { DesiredState: 'complete' }],
    ['just assigned', status('assigned')],
  ];
  for (const [name, over] of taken) t.same(tasksToReject(nodeWith(), [constrained('a', over)]), ['a'], name);
  for (const Availability of ['pause', 'drain'] as const) {
    t.same(tasksToReject(nodeWith({ Spec: { Role: 'worker', Availability } }), [constrained('a')]), [], Availability);
  }
});

t.test('enforcer › rejects the largest reservations that a node has no room for, then the youngest', async (t) => {
  const young = { CreatedAt: '2026-02-02' };
  const table: [string, AssignedTask[], string[]][] = [
    ['all fit', [assigned('a', reserving(2)), assigned('b', reserving(2))], []],
    [
      'the largest goes',
      [assigned('a', reserving(3)), assigned('b', reserving(1)), assigned('c', reserving(2))],
      ['a'],
    ],
    ['the larger share counts', [assigned('a', reserving(3)), assigned('b', reserving(1.5, 2 ** 30))], ['b']],
    ['of equals the youngest', [assigned('a', reserving(3), young), assigned('b', reserving(3))], ['a']],
    ['then the last by ID', [assigned('b', reserving(3)), assigned('a', reserving(3))], ['b']],
    ['none that reserves nothing', [assigned('a', reserving(9)), assigned('b')], ['a']],
    ['a misplaced one makes room', [constrained('a'), assigned('b', reserving(4))], ['a']],
  ];
  for (const [name, tasks, victims] of table) {
    t.same(tasksToReject(nodeWith(), tasks), victims, name);
    t.same(tasksToReject(nodeWith(), tasks.toReversed()), victims, `${name}, in any order`);
  }
});

t.test('enforcer › looks at every task though one has lost its generic resource', async (t) => {
  const named = (Value: string): GenericResource => ({ NamedResourceSpec: { Kind: 'gpu', Value } });
  const units = (Value: number): GenericResource => ({ DiscreteResourceSpec: { Kind: 'gpu', Value } });
  const holding = (id: string, ...AssignedGenericResources: GenericResource[]): AssignedTask =>
    assigned(id, {}, { AssignedGenericResources });
  const table: [string, GenericResource[], AssignedTask[], string[]][] = [
    ['items that are there', [named('x'), named('y')], [holding('a', named('x')), holding('b', named('y'))], []],
    [
      'one is gone',
      [named('y')],
      [holding('a', named('x')), holding('b', named('y')), holding('c', named('z'))],
      ['a', 'c'],
    ],
    ['two hold the same', [named('x')], [holding('a', named('x')), holding('b', named('x'))], ['b']],
    ['fewer units', [units(3)], [holding('a', units(2)), holding('b', units(2)), holding('c', units(1))], ['b']],
    ['more units than held', [units(9)], [holding('a', units(2))], []],
    ['items became units', [units(9)], [holding('a', named('x'))], ['a']],
    ['units became items', [named('x')], [holding('a', units(1))], ['a']],
    ['the kind is gone', [], [holding('a', units(1))], ['a']],
  ];
  for (const [name, offered, tasks, victims] of table)
    t.same(tasksToReject(nodeWith({}, offered), tasks), victims, name);
});

t.test('enforcer › what it leaves fits, and nothing that it takes would fit beside that', async (t) => {
  const reservation = fc.record({ cpus: fc.integer({ min: 0, max: 4 }), bytes: fc.integer({ min: 0, max: 2 ** 30 }) });
  await t.resolves(
    fc.assert(
      fc.asyncProperty(fc.array(reservation, { maxLength: 8 }), async (reservations) => {
        const tasks = reservations.map(({ cpus, bytes }, i) => assigned(`t${i}`, reserving(cpus, bytes)));
        const victims = new Set(tasksToReject(nodeWith(), tasks));
        let cpus = 4e9;
        let bytes = 2 ** 30;
        for (const { task, needs } of tasks) {
          if (victims.has(task.ID)) continue;
          cpus -= needs.nanoCpus;
          bytes -= needs.memoryBytes;
        }
        const wouldFit = tasks.some(
          ({ task, needs }) => victims.has(task.ID) && needs.nanoCpus <= cpus && needs.memoryBytes <= bytes,
        );
        return cpus >= 0 && bytes >= 0 && !wouldFit;
      }),
    ),
  );
});

t.test('enforcer › marks what a changed node does not suit any more, and leaves its states to others', async (t) => {
  const world = await openWorld();
  const Labels = { tier: 'web' };
  const running = { NodeID: 'n1', Status: { Timestamp: '', State: 'running' as const, Message: 'started' } };
  await world.addNode('n1', { Spec: { Role: 'worker', Availability: 'active', Labels } });
  await world.addService('web', { Placement: { Constraints: ['node.labels.tier==web'] } });
  await world.addService('any');
  await world.addTasks('web', ['w1'], running);
  await world.addTasks('any', ['a1'], running);
  const enforcer = startConstraintEnforcer({ store: world.store, clock: world.clock, logger: silent });
  t.teardown(() => enforcer.stop());
  await world.changeNode('n1', (node) => ({ ...node, Spec: { ...node.Spec, Labels: {} } }));
  await until(world.store, () => world.task('w1').RejectedAt !== undefined);
  t.match(world.task('w1'), { DesiredState: 'running', Status: { State: 'running', Message: 'started' } });
  t.equal(world.task('a1').RejectedAt, undefined);
});

t.test('enforcer › judges by the service as it is now, and at its start', async (t) => {
  const world = await openWorld();
  await world.addNode('n1');
  await world.addService('s');
  await world.addTasks('s', ['t1'], { NodeID: 'n1', Status: { Timestamp: '', State: 'running', Message: '' } });
  await world.store.update((tx) => {
    const service = tx.get('service', 's')!;
    const Spec = specWith({ Placement: { Constraints: ['node.labels.tier==web'] } });
    tx.put('service', { ...service, Spec, SpecVersion: tx.index });
  });
  const enforcer = startConstraintEnforcer({ store: world.store, clock: world.clock, logger: silent });
  t.teardown(() => enforcer.stop());
  await until(world.store, () => world.task('t1').RejectedAt !== undefined);
  t.equal(world.task('t1').NodeID, 'n1');
});
