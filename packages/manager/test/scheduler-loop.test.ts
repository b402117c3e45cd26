import type { PortConfig } from '@swarmd/model';
import { buildNode, buildTask, createService } from '@swarmd/testkit';
import t from 'tap';
import { startScheduler } from '../src/scheduler/scheduler-loop.js';
import { settle, startWorld as start } from './support/scheduler-running.js';
import { openWorld, silent, specWith, until, type World } from './support/scheduler-world.js';

const reserving = (cpus: number) => ({ Resources: { Reservations: { NanoCPUs: cpus * 1e9 } } });
const end = (world: World, id: string): Promise<void> =>
  world.changeTask(id, (task) => ({ ...task, Status: { ...task.Status, State: 'complete' } }));

t.test('scheduler › assigns waiting tasks once a node appears, and says before why they wait', async (t) => {
  const world = await start(t);
  await world.addService('s');
  await world.addTasks('s', ['t1', 't2']);
  await world.explained('t2', 'no suitable node');
  t.equal(world.task('t1').Status.State, 'pending');
  await world.addNode('n1', { Status: { State: 'down', Addr: '' } });
  await world.explained('t1', 'no suitable node (1 node not available for new tasks)');
  await world.changeNode('n1', (node) => ({ ...node, Status: { ...node.Status, State: 'ready' } }));
  const task = await world.reaches('t1', 'assigned');
  t.equal(task.NodeID, 'n1');
  t.same(task.Status, {
    State: 'assigned',
    Message: 'scheduler assigned task to node',
    Timestamp: task.UpdatedAt,
    AppliedAt: task.UpdatedAt,
  });
  await world.reaches('t2', 'assigned');
});

t.test('scheduler › explains with counts, and writes only when they change', async (t) => {
  const world = await start(t);
  await world.addService('s', { ...reserving(3), Placement: { Constraints: ['node.labels.tier==web'] } });
  for (const id of ['n1', 'n2']) await world.addNode(id);
  const Labels = { tier: 'web' };
  const small = buildNode('n3').Description!;
  await world.addNode('n3', {
    Spec: { Role: 'worker', Availability: 'active', Labels },
    Description: { ...small, Resources: { NanoCPUs: 2e9, MemoryBytes: 2 ** 30 } },
  });
  await world.addTasks('s', ['t1']);
  const before = 'no suitable node (scheduling constraints not satisfied on 2 nodes; insufficient resources on 1 node)';
  await world.explained('t1', before);
  const written = world.task('t1').Version.Index;
  await world.changeNode('n1', (node) => ({ ...node, Session: { ID: 'x', BootNonce: 'y' } }));
  await world.changeNode('n2', (node) => ({ ...node, Spec: { ...node.Spec, Name: 'two' } }));
  world.scheduler.resync();
  await settle();
  t.equal(world.task('t1').Version.Index, written, 'the same words are not written again');
  await world.removeNode('n2');
  await until(world.store, () => world.task('t1').Status.Err !== before);
  t.equal(
    world.task('t1').Status.Err,
    'no suitable node (insufficient resources on 1 node; scheduling constraints not satisfied on 1 node)',
    'a node that goes is not counted any more',
  );
});

t.test('scheduler › what an ended task frees goes to one that waits', async (t) => {
  const port: PortConfig = { Protocol: 'tcp', PublishedPort: 80, TargetPort: 80, PublishMode: 'host' };
  const table = [
    { name: 'CPUs', template: reserving(4), endpoint: undefined, words: 'insufficient resources on 1 node' },
    { name: 'a host port', template: {}, endpoint: [port], words: 'host-mode port already in use on 1 node' },
    {
      name: 'a replica’s place',
      template: { Placement: { MaxReplicas: 1 } },
      endpoint: undefined,
      words: 'max replicas per node limit exceed',
    },
  ];
  for (const { name, template, endpoint, words } of table) {
    const world = await start(t);
    await world.addNode('n1');
    await world.addService('s', template);
    const Endpoint = endpoint === undefined ? {} : { Ports: endpoint };
    await world.addTasks('s', ['t1', 't2'], { Endpoint });
    await world.explained('t2', `no suitable node (${words})`);
    t.equal(world.task('t1').Status.State, 'assigned', name);
    await end(world, 't1');
    await world.reaches('t2', 'assigned');
  }
});

t.test(
  'scheduler › follows a node that loses and gains its part in overlays, and leaves what runs there',
  async (t) => {
    const world = await start(t);
    const Session = { ID: 'first', BootNonce: '' };
    const DataPath = { Addr: '192.168.0.1', MTU: 1500 };
    const NetworksAttachments = [{ Network: { ID: 'net' }, Addresses: ['10.1.0.2/16'] }];
    await world.addNode('n1', { Session, DataPath });
    await world.addService('s');
    await world.addService('plain');
    await world.addTasks('s', ['t1'], { NetworksAttachments });
    await world.reaches('t1', 'assigned');
    await world.changeNode('n1', ({ DataPath: _, ...node }) => ({ ...node, Session: { ...Session, ID: 'second' } }));
    await world.addTasks('s', ['t2'], { NetworksAttachments });
    await world.addTasks('s', ['global'], { NetworksAttachments, NodeID: 'n1', Slot: 0 });
    await world.addTasks('plain', ['p1']);
    await world.explained('t2', 'no suitable node (no overlay networks on 1 node)');
    await world.explained('global', 'no overlay networks on 1 node');
    await world.reaches('p1', 'assigned');
    t.match(world.task('t1'), { NodeID: 'n1', DesiredState: 'running', Status: { State: 'assigned' } });
    await world.changeNode('n1', (node) => ({ ...node, DataPath }));
    await world.reaches('t2', 'assigned');
    await world.reaches('global', 'assigned');
  },
);

t.test(
  'scheduler › a replica wanted shut down makes room for the next under a limit, but keeps its CPUs',
  async (t) => {
    const world = await start(t);
    await world.addNode('n1');
    await world.addService('limited', { Placement: { MaxReplicas: 1 } });
    await world.addService('large', reserving(4));
    await world.addTasks('limited', ['l1', 'l2']);
    await world.addTasks('large', ['g1', 'g2']);
    await world.reaches('l1', 'assigned');
    await world.reaches('g1', 'assigned');
    await world.explained('l2', 'no suitable node (max replicas per node limit exceed)');
    for (const id of ['l1', 'g1']) await world.changeTask(id, (task) => ({ ...task, DesiredState: 'shutdown' }));
    await world.reaches('l2', 'assigned');
    await settle();
    t.equal(world.task('g2').Status.State, 'pending');
    await end(world, 'g1');
    await world.reaches('g2', 'assigned');
  },
);

t.test('scheduler › confirms tasks that come with a node, before all others, or says why not', async (t) => {
  const world = await start(t);
  await world.addService('any', reserving(3));
  await world.addService('own', reserving(3));
  await world.store.update((tx) => {
    tx.create('task', buildTask(tx.get('service', 'any')!, 't-any'));
    tx.create('task', buildTask(tx.get('service', 'own')!, 't-own', { NodeID: 'n1', Slot: 0 }));
    tx.create('task', buildTask(tx.get('service', 'own')!, 't-late', { NodeID: 'n1', Slot: 0 }));
    tx.create('node', buildNode('n1'));
  });
  // By ID the one called late comes first; neither comes after the one that could go anywhere.
  t.match(await world.reaches('t-late', 'assigned'), {
    NodeID: 'n1',
    Status: { Message: 'scheduler confirmed task can run on preassigned node' },
  });
  await world.explained('t-own', 'insufficient resources on 1 node');
  await world.explained('t-any', 'no suitable node (insufficient resources on 1 node)');
  t.equal(world.task('t-own').NodeID, 'n1', 'it keeps waiting for its node');
  await end(world, 't-late');
  t.equal((await world.reaches('t-own', 'assigned')).Status.Err, undefined);
});

t.test('scheduler › gives a node’s named resources out, one task each', async (t) => {
  const world = await start(t);
  const gpus = ['a', 'b'].map((Value) => ({ NamedResourceSpec: { Kind: 'gpu', Value } }));
  const described = buildNode('n1').Description!;
  const Resources = { NanoCPUs: 4e9, MemoryBytes: 2 ** 30, GenericResources: gpus };
  await world.addNode('n1', { Description: { ...described, Resources } });
  const GenericResources = [{ DiscreteResourceSpec: { Kind: 'gpu', Value: 1 } }];
  await world.addService('s', { Resources: { Reservations: { GenericResources } } });
  await world.addTasks('s', ['t1', 't2', 't3']);
  await world.explained('t3', 'no suitable node (insufficient resources on 1 node)');
  t.same(
    [world.task('t1').AssignedGenericResources, world.task('t2').AssignedGenericResources],
    [[gpus[0]], [gpus[1]]],
  );
  await end(world, 't1');
  t.same((await world.reaches('t3', 'assigned')).AssignedGenericResources, [gpus[0]]);
});

t.test('scheduler › ends tasks that were given up before they had a node', async (t) => {
  const world = await start(t);
  await world.addService('s');
  await world.addTasks('s', ['t1']);
  await world.explained('t1', 'no suitable node');
  await world.changeTask('t1', (task) => ({ ...task, DesiredState: 'shutdown' }));
  const task = await world.reaches('t1', 'shutdown');
  t.equal(task.Status.Err, undefined);
});

t.test('scheduler › starts from what is in the store, and starts over when told', async (t) => {
  const world = await openWorld();
  await world.store.update((tx) => {
    tx.create('node', buildNode('n1'));
    const service = createService(tx, 's', specWith(reserving(2)));
    const Status = { Timestamp: '', State: 'running' as const, Message: '' };
    tx.create('task', buildTask(service, 'old', { NodeID: 'n1', Status }));
    for (const [i, id] of ['t1', 't2', 't3'].entries()) tx.create('task', buildTask(service, id, { Slot: i + 2 }));
  });
  const scheduler = startScheduler({ store: world.store, clock: world.clock, logger: silent });
  t.teardown(() => scheduler.stop());
  const waits = 'no suitable node (insufficient resources on 1 node)';
  await until(world.store, () => world.task('t3').Status.Err === waits);
  t.same(
    ['t1', 't2'].map((id) => world.task(id).Status.State),
    ['assigned', 'pending'],
  );
  scheduler.resync();
  await end(world, 'old');
  await until(world.store, () => world.task('t2').Status.State === 'assigned');
  await settle();
  t.equal(world.task('t3').Status.State, 'pending');
});
