import { setImmediate as turn } from 'node:timers/promises';
import { isTerminal, type Node, REJECTION, type Task, type TaskSpec } from '@swarmd/model';
import { buildServiceSpec, createService } from '@swarmd/testkit';
import { NetworkEndpoint_Phase } from '@swarmd/wire';
import t, { type Test } from 'tap';
import { claimsOfTask } from '../src/allocator/holders.js';
import { MANAGER_LOOPS } from '../src/cluster/loops.js';
import { createTaskShaper } from '../src/control/task-shapes.js';
import { endpointsOf } from '../src/dispatcher/endpoints/endpoint-set.js';
import { buildNetwork } from './support/network-world.js';
import { keepBeating, startTestAgent, type TestAgent } from './support/test-agent.js';
import { startTestManager, type TestManager, untilStore } from './support/test-manager.js';

const { PHASE_DRAINING } = NetworkEndpoint_Phase;
const LABELS = { tier: 'web' };

/** A task that runs on the one worker, which has the labels above, on a network. */
interface Running {
  test: TestManager;
  agent: TestAgent;
  task(): Task;
  others(): Task[];
  changeNode(change: (node: Node) => Node): Promise<unknown>;
}

async function running(t: Test, template: TaskSpec = {}): Promise<Running> {
  const test = await startTestManager({ loops: MANAGER_LOOPS });
  t.teardown(() => test.stop());
  const { store } = test;
  const { nodeId, ...identity } = await test.join();
  const agent = startTestAgent(
    test.addr,
    { nodeId, ...identity },
    {
      dataPath: { addr: '192.168.0.1', mtu: 1500, encryption: false },
    },
  );
  t.teardown(() => agent.close());
  keepBeating(agent);
  await agent.next('assignments');
  const changeNode = (change: (node: Node) => Node): Promise<unknown> =>
    store.update((tx) => void tx.put('node', change(tx.get('node', nodeId)!)));
  await changeNode((node) => ({ ...node, Spec: { ...node.Spec, Labels: LABELS } }));
  await store.update((tx) => {
    tx.create('network', buildNetwork('net', 77));
    const spec = buildServiceSpec('web', 1);
    const TaskTemplate = { ...spec.TaskTemplate, ...template, Networks: [{ Target: 'net' }] };
    createService(tx, 'web', { ...spec, TaskTemplate });
  });
  const tasks = (): Task[] => [...store.view.find('task', 'service', 'web')];
  await agent.until(() => tasks()[0] !== undefined && agent.assigned.has(`task/${tasks()[0]!.ID}`));
  const { ID } = tasks()[0]!;
  await agent.report(ID, 'running');
  return {
    ...{ test, agent, changeNode },
    task: () => store.view.get('task', ID)!,
    others: () => tasks().filter((task) => task.ID !== ID),
  };
}

const phaseOf = (agent: TestAgent, id: string) => agent.networks.get('net')?.endpoints.get(id)?.phase;

/** Resolves once all know that nothing more is to be led to the task; it is on the network as long as it has not ended. */
async function drained(t: Test, { agent, task }: Running): Promise<void> {
  const { ID } = task();
  await agent.until(() => phaseOf(agent, ID) === PHASE_DRAINING);
  await agent.next('endpointSettled', ({ taskId, phase }) => taskId === ID && phase === PHASE_DRAINING);
  t.equal(task().Status.State, 'running');
  t.equal(claimsOfTask(task()).length, 1, 'the address is its own');
  t.equal(phaseOf(agent, ID), PHASE_DRAINING);
}

t.test(
  'leaving › a task that its node does not suit any more drains, stops, and only then gives up its address',
  async (t) => {
    const cluster = await running(t, { Placement: { Constraints: ['node.labels.tier==web'] } });
    const { test, agent, task, others, changeNode } = cluster;
    await changeNode((node) => ({ ...node, Spec: { ...node.Spec, Labels: {} } }));
    await drained(t, cluster);
    t.match(task(), { DesiredState: 'shutdown', RejectedAt: String });
    const shown = createTaskShaper()(test.store.view, task());
    t.match(shown, { DesiredState: 'shutdown', Status: { State: 'running', Err: REJECTION.Err } });
    t.notMatch(shown, { RejectedAt: String }, 'clients know no such field');
    const [next] = others();
    t.match(
      next,
      { DesiredState: 'ready', StartAfter: String },
      'the next waits for its delay, and for this one to stop',
    );

    await agent.report(task().ID, 'shutdown', { ContainerStatus: { ExitCode: 143 } });
    t.match(task().Status, { State: 'rejected', ...REJECTION, ContainerStatus: { ExitCode: 143 } });
    t.same(claimsOfTask(task()), []);
    t.notOk(endpointsOf(test.store.view, 'net').endpoints.has(task().ID));
    await agent.report(task().ID, 'shutdown');
    t.equal(task().Status.State, 'rejected', 'an agent that says it again changes nothing');
  },
);

t.test('leaving › a task that ends by itself on its way out has ended as it did', async (t) => {
  const cluster = await running(t, { Placement: { Constraints: ['node.labels.tier==web'] } });
  const { agent, task, changeNode } = cluster;
  await changeNode((node) => ({ ...node, Spec: { ...node.Spec, Labels: {} } }));
  await drained(t, cluster);
  await agent.report(task().ID, 'failed', { Err: 'task: non-zero exit (1)' });
  t.match(task().Status, { State: 'failed', Err: 'task: non-zero exit (1)' });
});

t.test('leaving › a policy against restarts lets the slot of a rejected task rest', async (t) => {
  const Placement = { Constraints: ['node.labels.tier==web'] };
  const cluster = await running(t, { Placement, RestartPolicy: { Condition: 'none' } });
  const { agent, task, others, changeNode } = cluster;
  await changeNode((node) => ({ ...node, Spec: { ...node.Spec, Labels: {} } }));
  await drained(t, cluster);
  t.same(others(), []);
  await agent.report(task().ID, 'shutdown');
  for (let i = 0; i < 20; i++) await turn();
  t.equal(task().Status.State, 'rejected');
  t.same(others(), []);
});

t.test(
  'leaving › tasks of a removed service keep their addresses until their node says that they have ended',
  async (t) => {
    const cluster = await running(t);
    const { test, agent, task } = cluster;
    const { ID } = task();
    await test.store.update((tx) => void tx.put('service', { ...tx.get('service', 'web')!, PendingDelete: true }));
    await untilStore(test.store, () => task().DesiredState === 'remove');
    await drained(t, cluster);
    t.notOk(isTerminal(task().Status.State));
    await agent.report(ID, 'shutdown');
    await untilStore(test.store, () => test.store.view.get('task', ID) === undefined);
    await untilStore(test.store, () => test.store.view.get('service', 'web') === undefined);
  },
);
