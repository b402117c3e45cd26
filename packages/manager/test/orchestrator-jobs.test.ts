import { buildNode, buildServiceSpec } from '@swarmd/testkit';
import t from 'tap';
import { reconcileGlobalJob, reconcileReplicatedJob } from '../src/orchestrator/jobs.js';
import { observedOf, serviceOf, taskOf } from './support/observed.js';
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

t.test('jobs › one step from each standing', (t) => {
  const replicated = serviceOf({
    Spec: buildServiceSpec('web', 0, { Mode: { ReplicatedJob: { MaxConcurrent: 1, TotalCompletions: 1 } } }),
  });
  const everywhere = serviceOf({ Spec: buildServiceSpec('web', 0, { Mode: { GlobalJob: {} } }) });
  const done = { slot: 0, state: 'complete', desired: 'complete' } as const;
  const drained = [buildNode('n1', { Spec: { Role: 'worker', Availability: 'drain' } }), buildNode('n2')];
  const actionsOf = ({ actions }: ReturnType<typeof reconcileReplicatedJob>): string[] =>
    actions.map((action) => `${action.kind} ${'desired' in action ? action.desired : ''}`);

  const late = [taskOf('a', { ...done, desired: 'shutdown' }), taskOf('b', { slot: 0, desired: 'ready', created: 1 })];
  t.same(
    actionsOf(reconcileReplicatedJob(observedOf(replicated, late, 2))),
    ['set-desired shutdown'],
    'what was started in place of a task that completed after all is stopped',
  );
  const leaving = [taskOf('a', { slot: 0, desired: 'complete' })];
  t.same(
    actionsOf(reconcileReplicatedJob(observedOf(replicated, leaving, 2, drained))),
    ['set-desired shutdown', 'create-task ready'],
    'a task that is moved has stopped before its successor starts',
  );
  const away = [taskOf('a', { slot: 0, state: 'shutdown', desired: 'shutdown' })];
  t.same(
    actionsOf(reconcileGlobalJob(observedOf(everywhere, away, 2, [buildNode('n1')]))),
    ['create-task complete'],
    'a node that was away gets one task, not two',
  );
  t.same(
    actionsOf(reconcileGlobalJob(observedOf(everywhere, away, 2, [drained[0]!]))),
    [],
    'when it takes tasks again',
  );
  t.end();
});
