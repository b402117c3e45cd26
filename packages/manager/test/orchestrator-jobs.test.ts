import { buildServiceSpec } from '@swarmd/testkit';
import t from 'tap';
import { simulatedCluster } from './support/simulated-cluster.js';

t.test('jobs › a replicated job completes the wanted number, so many at a time', async (t) => {
  const cluster = await simulatedCluster(2);
  t.teardown(() => cluster.stop());
  let most = 0;
  cluster.behaviour.endsIn = () => {
    most = Math.max(most, cluster.running('batch').length);
    return 'complete';
  };
  await cluster.createService(
    'batch',
    buildServiceSpec('batch', 0, { Mode: { ReplicatedJob: { MaxConcurrent: 2, TotalCompletions: 5 } } }),
  );
  await cluster.elapse(2_000);
  const tasks = cluster.tasks('batch');
  t.same(tasks.map((task) => task.Slot).sort(), [0, 1, 2, 3, 4]);
  t.ok(tasks.every((task) => task.Status.State === 'complete'));
  t.equal(most, 2);
});

t.test('jobs › a failing task is tried again in its slot until its attempts are spent', async (t) => {
  const cluster = await simulatedCluster(1);
  t.teardown(() => cluster.stop());
  cluster.behaviour.endsIn = () => 'failed';
  const spec = buildServiceSpec('batch', 0, { Mode: { ReplicatedJob: { MaxConcurrent: 1, TotalCompletions: 1 } } });
  spec.TaskTemplate!.RestartPolicy = { Condition: 'any', Delay: 1_000_000_000, MaxAttempts: 2 };
  await cluster.createService('batch', spec);
  await cluster.elapse(20_000);
  t.same(
    cluster.tasks('batch').map((task) => task.Status.State),
    ['failed', 'failed', 'failed'],
  );
});

t.test('jobs › a global job runs once on every node, later nodes too, and again with the next iteration', async (t) => {
  const cluster = await simulatedCluster(2);
  t.teardown(() => cluster.stop());
  cluster.behaviour.endsIn = () => 'complete';
  await cluster.createService('sweep', buildServiceSpec('sweep', 0, { Mode: { GlobalJob: {} } }));
  await cluster.elapse(1_000);
  await cluster.addNode('n3');
  await cluster.elapse(1_000);
  const nodes = (): string[] =>
    cluster
      .tasks('sweep')
      .map((task) => task.NodeID)
      .sort();
  t.same(nodes(), ['n1', 'n2', 'n3']);
  const first = new Set(cluster.tasks('sweep').map((task) => task.ID));
  await cluster.updateService('sweep', (spec) => ({ ...spec, Labels: { again: 'yes' } }), {
    JobStatus: { JobIteration: { Index: 7 } },
  });
  await cluster.elapse(1_000);
  t.same(nodes(), ['n1', 'n2', 'n3']);
  t.ok(cluster.tasks('sweep').every((task) => !first.has(task.ID) && task.Status.State === 'complete'));
});
