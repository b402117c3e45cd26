import { type Store, SwarmdError } from '@swarmd/model';
import t from 'tap';
import { startScheduler } from '../src/scheduler/scheduler-loop.js';
import { settle, startWorld as start } from './support/scheduler-running.js';
import { openWorld, silent, until } from './support/scheduler-world.js';

const reserving = (cpus: number) => ({ Resources: { Reservations: { NanoCPUs: cpus * 1e9 } } });

t.test('scheduler › takes back what does not hold any more when it is written', async (t) => {
  const world = await openWorld();
  let drained: Promise<void> | undefined;
  // Hears of the tasks before the scheduler does, and drains the node ahead of its decision: that is not published yet.
  world.store.watch(({ events }) => {
    if (drained === undefined && events.some((event) => event.table === 'task')) drained = drain('drain');
  });
  const drain = (Availability: 'drain' | 'active'): Promise<void> =>
    world.changeNode('n1', (node) => ({ ...node, Spec: { ...node.Spec, Availability } }));
  const assignments: string[] = [];
  world.store.watch(({ events }) => {
    for (const { table, object } of events) {
      if (table === 'task' && object.Status.State === 'assigned') assignments.push(object.ID);
    }
  });
  const scheduler = startScheduler({ store: world.store, clock: world.clock, logger: silent });
  t.teardown(() => scheduler.stop());
  await world.addNode('n1');
  await world.addService('s', reserving(4));
  await world.addTasks('s', ['t1', 't2']);
  await until(world.store, () => world.task('t1').Status.Err !== undefined);
  t.equal(world.task('t1').Status.Err, 'no suitable node (1 node not available for new tasks)');
  t.same(assignments, []);
  await drain('active');
  await until(world.store, () => assignments.length > 0);
  t.same(assignments, ['t1'], 'the CPUs it had set aside are free again, and only once');
});

t.test('scheduler › leaves a task alone that its orchestrator gave up meanwhile', async (t) => {
  const world = await openWorld();
  let given: Promise<void> | undefined;
  world.store.watch(({ events }) => {
    if (given === undefined && events.some((event) => event.table === 'task'))
      given = world.changeTask('t1', (task) => ({ ...task, DesiredState: 'remove' }));
  });
  const scheduler = startScheduler({ store: world.store, clock: world.clock, logger: silent });
  t.teardown(() => scheduler.stop());
  await world.addNode('n1');
  await world.addService('s', reserving(4));
  await world.addTasks('s', ['t1', 't2']);
  await until(world.store, () => world.task('t2').Status.State === 'assigned');
  t.match(world.task('t1'), { NodeID: '', Status: { State: 'pending' } });
});

t.test('scheduler › tries again when the store could not write', async (t) => {
  let failures = 1;
  const failing = (store: Store): Store => ({
    get view() {
      return store.view;
    },
    get index() {
      return store.index;
    },
    update: (fn) =>
      failures-- > 0 ? Promise.reject(new SwarmdError('unavailable', 'the disk is busy')) : store.update(fn),
    watch: (onCommit) => store.watch(onCommit),
    waitFor: (index, signal) => store.waitFor(index, signal),
    advance: (index) => store.advance(index),
    close: () => store.close(),
  });
  const world = await start(t, { store: failing });
  await world.addNode('n1');
  await world.addService('s', reserving(4));
  await world.addTasks('s', ['t1']);
  await settle();
  t.equal(world.task('t1').Status.State, 'pending');
  world.clock.advance(100);
  await world.reaches('t1', 'assigned');
});

t.test('scheduler › assigns nothing after it was stopped', async (t) => {
  const world = await start(t);
  await world.addNode('n1');
  await world.addService('s');
  await world.addTasks('s', ['t1']);
  await world.scheduler.stop();
  const before = world.task('t1').Status.State;
  await world.addTasks('s', ['t2']);
  world.scheduler.resync();
  await settle();
  t.same([world.task('t1').Status.State, world.task('t2').Status.State], [before, 'pending']);
});

t.test('scheduler › places more tasks than one transaction holds, and none twice', async (t) => {
  const world = await start(t);
  const ids = Array.from({ length: 5_000 }, (_, i) => `t${i}`);
  for (const id of ['n1', 'n2', 'n3']) await world.addNode(id);
  await world.addService('s');
  let assignments = 0;
  world.store.watch(({ events }) => {
    for (const { table, object } of events) if (table === 'task' && object.Status.State === 'assigned') assignments++;
  });
  await world.addTasks('s', ids);
  await until(world.store, () => assignments >= ids.length);
  await settle();
  t.equal(assignments, ids.length);
  const on = (node: string): number => ids.filter((id) => world.task(id).NodeID === node).length;
  t.same([on('n1'), on('n2'), on('n3')], [1_667, 1_667, 1_666]);
});
