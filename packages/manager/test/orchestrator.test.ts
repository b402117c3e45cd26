import { CLUSTER_KEY, type ServiceSpec, type Task } from '@swarmd/model';
import { buildServiceSpec } from '@swarmd/testkit';
import t from 'tap';
import { simulatedCluster } from './support/simulated-cluster.js';

const SECOND = 1_000_000_000;

function withImage(image: string): (spec: ServiceSpec) => ServiceSpec {
  return (spec) => ({
    ...spec,
    TaskTemplate: { ...spec.TaskTemplate, ContainerSpec: { ...spec.TaskTemplate?.ContainerSpec, Image: image } },
  });
}

function slotsOf(tasks: readonly Task[]): number[] {
  return tasks.map((task) => task.Slot).sort((a, b) => a - b);
}

t.test(
  'orchestrator › gives a replicated service a task per slot, and takes the highest slots off first',
  async (t) => {
    const cluster = await simulatedCluster(3);
    t.teardown(() => cluster.stop());
    await cluster.createService('web', buildServiceSpec('web', 6));
    await cluster.settle();
    t.same(slotsOf(cluster.running('web')), [1, 2, 3, 4, 5, 6]);
    await cluster.updateService('web', (spec) => ({ ...spec, Mode: { Replicated: { Replicas: 3 } } }));
    await cluster.settle();
    t.same(slotsOf(cluster.running('web')), [1, 2, 3]);
    t.equal(cluster.tasks('web').length, 3, 'tasks scaled away are reaped');
    t.equal(new Set(cluster.running('web').map((task) => task.NodeID)).size, 3, 'each node keeps one');
    await cluster.updateService('web', (spec) => ({ ...spec, Mode: { Replicated: { Replicas: 5 } } }));
    await cluster.settle();
    t.same(slotsOf(cluster.running('web')), [1, 2, 3, 4, 5]);
  },
);

t.test('orchestrator › replaces an ended task after the restart delay, and keeps a bounded history', async (t) => {
  const cluster = await simulatedCluster(1);
  t.teardown(() => cluster.stop());
  cluster.behaviour.endsIn = () => 'failed';
  await cluster.createService('web', buildServiceSpec('web', 1));
  await cluster.settle();
  t.equal(cluster.running('web').length, 0);
  const waiting = cluster.tasks('web').find((task) => task.DesiredState === 'ready');
  t.equal(waiting?.Status.State, 'ready', 'the replacement gets ready while it waits');
  await cluster.elapse(4_900);
  t.equal(cluster.tasks('web').length, 2);
  await cluster.elapse(60_000);
  t.equal(cluster.tasks('web').length, 5, 'five tasks are kept, the live one included');
});

t.test('restart › a task that is refused while it waits is tried again only when its delay is over', async (t) => {
  for (const mode of [{ Replicated: { Replicas: 1 } }, { Global: {} }, { ReplicatedJob: { TotalCompletions: 1 } }]) {
    const cluster = await simulatedCluster(1);
    const created = new Set<string>();
    cluster.store.watch(({ events }) => {
      for (const event of events) if (event.table === 'task' && event.kind === 'create') created.add(event.object.ID);
    });
    cluster.behaviour.rejects = () => true;
    await cluster.createService('web', buildServiceSpec('web', 1, { Mode: mode }));
    await cluster.elapse(20_500);
    t.equal(created.size, 6, `${Object.keys(mode)}: the first two at once, then one every five seconds`);
    cluster.behaviour.rejects = () => false;
    await cluster.elapse(12_000);
    t.equal(cluster.running('web').length, 1);
    await cluster.stop();
  }
});

t.test('reaper › a lower limit of the history takes effect at once', async (t) => {
  const cluster = await simulatedCluster(1);
  t.teardown(() => cluster.stop());
  const secrets = { RootCA: { Certificate: '', Key: '' }, JoinTokens: { Worker: '', Manager: '' } };
  const networks = { DefaultAddrPool: [], SubnetSize: 24, DataPathPort: 4789 };
  await cluster.store.update((tx) => {
    tx.create('cluster', { ID: CLUSTER_KEY, ClusterID: 'c', Spec: {}, ...secrets, ...networks, RemovedNodes: {} });
  });
  cluster.behaviour.endsIn = () => 'failed';
  await cluster.createService('web', buildServiceSpec('web', 1));
  await cluster.elapse(30_000);
  t.equal(cluster.tasks('web').length, 5);
  await cluster.store.update((tx) => {
    const Spec = { Orchestration: { TaskHistoryRetentionLimit: 2 } };
    tx.put('cluster', { ...tx.get('cluster', CLUSTER_KEY)!, Spec });
  });
  await cluster.settle();
  t.equal(cluster.tasks('web').length, 2);
});

t.test('restart › stops at the maximum of attempts and lets the slot rest until the spec changes', async (t) => {
  const cluster = await simulatedCluster(1);
  t.teardown(() => cluster.stop());
  cluster.behaviour.endsIn = (task) => (task.SpecVersion === firstVersion ? 'failed' : undefined);
  await cluster.createService(
    'web',
    buildServiceSpec('web', 1, {
      TaskTemplate: {
        ContainerSpec: { Image: 'a' },
        RestartPolicy: { Condition: 'on-failure', Delay: SECOND, MaxAttempts: 2 },
      },
    }),
  );
  const firstVersion = cluster.store.view.get('service', 'web')!.SpecVersion;
  await cluster.elapse(30_000);
  t.equal(cluster.tasks('web').length, 3, 'the first and two more');
  t.ok(cluster.tasks('web').every((task) => task.Status.State === 'failed'));
  await cluster.updateService('web', withImage('b'));
  await cluster.elapse(1_000);
  t.equal(cluster.running('web').length, 1);
});

t.test('restart › on-failure leaves a completed task alone, none leaves every ended task alone', async (t) => {
  for (const [condition, endsIn] of [
    ['on-failure', 'complete'],
    ['none', 'failed'],
  ] as const) {
    const cluster = await simulatedCluster(1);
    cluster.behaviour.endsIn = () => endsIn;
    await cluster.createService(
      'once',
      buildServiceSpec('once', 1, {
        TaskTemplate: { ContainerSpec: { Image: 'a' }, RestartPolicy: { Condition: condition } },
      }),
    );
    await cluster.elapse(20_000);
    t.equal(cluster.tasks('once').length, 1, condition);
    await cluster.stop();
  }
});

t.test(
  'orchestrator › moves tasks off a node that is down at once, and off a drained one when they have stopped',
  async (t) => {
    const cluster = await simulatedCluster(2);
    t.teardown(() => cluster.stop());
    await cluster.createService('web', buildServiceSpec('web', 4));
    await cluster.settle();
    await cluster.setNode('n1', { state: 'down' });
    await cluster.settle();
    const alive = cluster.running('web').filter((task) => task.DesiredState === 'running');
    t.same(
      alive.map((task) => task.NodeID),
      ['n2', 'n2', 'n2', 'n2'],
    );
    t.same(slotsOf(alive), [1, 2, 3, 4]);
    await cluster.setNode('n1', { state: 'ready' });
    await cluster.setNode('n2', { availability: 'drain' });
    await cluster.settle();
    t.same(slotsOf(cluster.running('web')), [1, 2, 3, 4]);
    t.ok(cluster.running('web').every((task) => task.NodeID === 'n1'));
  },
);

t.test('orchestrator › a global service runs on every active node and follows availability', async (t) => {
  const cluster = await simulatedCluster(3);
  t.teardown(() => cluster.stop());
  const nodesOf = (): string[] =>
    cluster
      .running('agent')
      .map((task) => task.NodeID)
      .sort();
  await cluster.createService('agent', buildServiceSpec('agent', 0, { Mode: { Global: {} } }));
  await cluster.settle();
  t.same(nodesOf(), ['n1', 'n2', 'n3']);
  await cluster.addNode('n4');
  await cluster.setNode('n1', { availability: 'drain' });
  await cluster.settle();
  t.same(nodesOf(), ['n2', 'n3', 'n4']);
  await cluster.setNode('n1', { availability: 'active' });
  await cluster.settle();
  t.same(nodesOf(), ['n1', 'n2', 'n3', 'n4']);
  await cluster.setNode('n2', { state: 'down' });
  await cluster.settle();
  await cluster.setNode('n2', { state: 'ready' });
  await cluster.settle();
  t.same(nodesOf(), ['n1', 'n2', 'n3', 'n4']);
});

t.test('orchestrator › a removed service loses its tasks, its specs and itself', async (t) => {
  const cluster = await simulatedCluster(2);
  t.teardown(() => cluster.stop());
  await cluster.createService('web', buildServiceSpec('web', 4));
  await cluster.settle();
  await cluster.store.update((tx) => void tx.put('service', { ...tx.get('service', 'web')!, PendingDelete: true }));
  await cluster.settle();
  t.same([...cluster.store.view.all('service')], []);
  t.same([...cluster.store.view.all('task')], []);
  t.same([...cluster.store.view.all('spec')], []);
});

t.test(
  'updater › stop-first replaces as many slots at a time as allowed, and ends completed after the monitor',
  async (t) => {
    const cluster = await simulatedCluster(3);
    t.teardown(() => cluster.stop());
    await cluster.createService('web', buildServiceSpec('web', 6, { UpdateConfig: { Parallelism: 2, Delay: SECOND } }));
    await cluster.settle();
    const old = new Set(cluster.tasks('web').map((task) => task.ID));
    await cluster.updateService('web', withImage('b'));
    const replacedAt: number[] = [];
    await cluster.elapse(20_000, () => {
      const fresh = cluster.running('web').filter((task) => !old.has(task.ID)).length;
      if (fresh !== replacedAt.at(-1)) replacedAt.push(fresh);
      t.ok(cluster.running('web').length >= 4, 'never more than two slots down');
    });
    t.same(replacedAt, [2, 4, 6], 'two at a time, with a delay between');
    t.match(cluster.store.view.get('service', 'web')?.UpdateStatus, {
      State: 'completed',
      Message: 'update completed',
    });
    t.notOk(cluster.store.view.get('service', 'web')?.UpdateProgress);
  },
);

t.test('updater › start-first never has fewer tasks running than replicas', async (t) => {
  const cluster = await simulatedCluster(2);
  t.teardown(() => cluster.stop());
  await cluster.createService('web', buildServiceSpec('web', 3, { UpdateConfig: { Order: 'start-first' } }));
  await cluster.settle();
  await cluster.updateService('web', withImage('b'));
  await cluster.elapse(10_000, () => t.ok(cluster.running('web').length >= 3));
  t.same(slotsOf(cluster.running('web')), [1, 2, 3]);
  t.equal(cluster.store.view.get('service', 'web')?.UpdateStatus?.State, 'completed');
});

t.test('updater › a failing task pauses the update and leaves the other slots on the old version', async (t) => {
  const cluster = await simulatedCluster(2);
  t.teardown(() => cluster.stop());
  await cluster.createService('web', buildServiceSpec('web', 3));
  await cluster.settle();
  const first = cluster.store.view.get('service', 'web')!.SpecVersion;
  cluster.behaviour.endsIn = (task) => (task.SpecVersion === first ? undefined : 'failed');
  await cluster.updateService('web', withImage('broken'));
  await cluster.elapse(12_000);
  t.match(cluster.store.view.get('service', 'web')?.UpdateStatus, {
    State: 'paused',
    Message: /^update paused due to failure or early termination of task [0-9a-z]{25}$/,
  });
  t.ok(
    cluster.running('web').some((task) => task.SpecVersion === first),
    'the last slot was never touched',
  );
});

t.test('updater › failure action rollback brings every slot back, and a failing rollback pauses', async (t) => {
  for (const oldFailsToo of [false, true]) {
    const cluster = await simulatedCluster(2);
    const config = { FailureAction: 'rollback' as const };
    await cluster.createService('web', buildServiceSpec('web', 3, { UpdateConfig: config }));
    await cluster.settle();
    const first = cluster.store.view.get('service', 'web')!.SpecVersion;
    const original = new Set(cluster.tasks('web').map((task) => task.ID));
    cluster.behaviour.endsIn = (task) =>
      task.SpecVersion !== first || (oldFailsToo && !original.has(task.ID)) ? 'failed' : undefined;
    await cluster.updateService('web', withImage('broken'));
    await cluster.elapse(20_000);
    const service = cluster.store.view.get('service', 'web')!;
    t.equal(service.UpdateStatus?.State, oldFailsToo ? 'rollback_paused' : 'rollback_completed');
    t.equal(service.SpecVersion, first);
    t.notOk(service.PreviousSpec);
    if (!oldFailsToo) t.same(slotsOf(cluster.running('web')), [1, 2, 3]);
    await cluster.stop();
  }
});

t.test('updater › a replacement waits for a task that hangs, but no longer than a minute', async (t) => {
  const cluster = await simulatedCluster(1);
  t.teardown(() => cluster.stop());
  await cluster.createService('web', buildServiceSpec('web', 1));
  await cluster.settle();
  const old = cluster.tasks('web')[0]!;
  cluster.behaviour.hangs = (task) => task.ID === old.ID;
  await cluster.updateService('web', withImage('b'));
  await cluster.elapse(59_000);
  t.same(
    cluster.running('web').map((task) => task.ID),
    [old.ID],
  );
  await cluster.elapse(2_000);
  t.equal(cluster.running('web').length, 2);
});

t.test('updater › scaling changes no task that is there', async (t) => {
  const cluster = await simulatedCluster(1);
  t.teardown(() => cluster.stop());
  await cluster.createService('web', buildServiceSpec('web', 2));
  await cluster.settle();
  const before = cluster.tasks('web').map((task) => task.ID);
  await cluster.updateService('web', (spec) => ({ ...spec, Mode: { Replicated: { Replicas: 3 } } }));
  await cluster.elapse(10_000);
  t.equal(cluster.running('web').length, 3);
  t.ok(before.every((id) => cluster.running('web').some((task) => task.ID === id)));
  t.notOk(cluster.store.view.get('service', 'web')?.UpdateStatus);
});
