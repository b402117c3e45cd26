import type { Service, Task } from '@swarmd/model';
import { buildNode, buildTask } from '@swarmd/testkit';
import t from 'tap';
import { type ControlCluster, controlCluster, refusal, serviceBody } from './control-cluster.js';

async function withTasks(
  cluster: ControlCluster,
  name: string,
  count: number,
  over: (slot: number) => Partial<Task> = () => ({}),
): Promise<Service> {
  const body = serviceBody(name, { Mode: { Replicated: { Replicas: count } }, Labels: { app: name } });
  const { ID } = await cluster.control.createService(body, {});
  const service = cluster.store.view.get('service', ID)!;
  await cluster.store.update((tx) => {
    for (let slot = 1; slot <= count; slot++) {
      const labels = service.Spec.Labels ?? {};
      tx.create('task', buildTask(service, `${name}task${slot}`, { Slot: slot, Labels: labels, ...over(slot) }));
    }
  });
  return service;
}

const ids = (tasks: { ID: string }[]): string[] => tasks.map((task) => task.ID);

t.test('control › a task is shown with the template of its own spec version', async (t) => {
  const cluster = await controlCluster();
  const service = await withTasks(cluster, 'web', 1);
  await cluster.control.updateService(
    service.ID,
    service.Version.Index,
    serviceBody('web', { Labels: { b: 'c' } }),
    {},
  );
  const task = await cluster.control.getTask('webtask1');
  t.match(task, { Labels: {}, Slot: 1, DesiredState: 'running', Status: { State: 'pending', PortStatus: {} } });
  t.same(task['Spec'], { ContainerSpec: { Image: 'nginx:latest', Isolation: 'default' }, ForceUpdate: 0 });
  t.notOk('NodeID' in task, 'no node yet');
  t.equal((await cluster.control.getTask('web.1.webtask1')).ID, 'webtask1');
});

t.test('control › tasks are filtered by service, node, label, desired state and name', async (t) => {
  const cluster = await controlCluster([buildNode('n1')]);
  await withTasks(cluster, 'web', 2, (slot) => (slot === 1 ? { NodeID: 'n1' } : { DesiredState: 'shutdown' }));
  await withTasks(cluster, 'db', 1, () => ({ NodeID: 'n1' }));
  const list = async (filters: Record<string, string[]>) => ids(await cluster.control.listTasks(filters));
  t.same(await list({}), ['dbtask1', 'webtask1', 'webtask2']);
  t.same(await list({ service: ['web'] }), ['webtask1', 'webtask2']);
  t.same(await list({ service: ['web'], node: ['n1'] }), ['webtask1']);
  t.same(await list({ node: ['n1'] }), ['dbtask1', 'webtask1']);
  t.same(await list({ label: ['app=web'] }), ['webtask1', 'webtask2']);
  t.same(await list({ label: ['app=web', 'nope'] }), []);
  t.same(await list({ 'desired-state': ['shutdown'] }), ['webtask2']);
  t.same(await list({ name: ['web.2'] }), ['webtask2']);
  t.match(await refusal(list({ 'desired-state': ['asleep'] })), /invalid desired-state filter: 'asleep'/);
  t.equal(await refusal(list({ service: ['nope'] })), 'not-found: service nope not found');
});

t.test('control › tasks of a service that is being removed are still found by label', async (t) => {
  const cluster = await controlCluster();
  const service = await withTasks(cluster, 'web', 1);
  await cluster.control.removeService(service.ID);
  t.same(ids(await cluster.control.listTasks({ label: ['app=web'] })), ['webtask1']);
});

t.test('control › labels are those a task was created with, even after the service changed its own', async (t) => {
  const cluster = await controlCluster();
  const service = await withTasks(cluster, 'web', 1);
  await cluster.control.updateService(service.ID, service.Version.Index, serviceBody('web', { Labels: {} }), {});
  t.same(ids(await cluster.control.listTasks({ label: ['app=web'] })), ['webtask1']);
});

const CHANGES: [string, Record<string, unknown>, boolean][] = [
  ['another scale', { Mode: { Replicated: { Replicas: 5 } } }, true],
  ['other labels', { Labels: { x: 'y' } }, true],
  ['another image', { TaskTemplate: { ContainerSpec: { Image: 'nginx:2' } } }, false],
  ['another port', { EndpointSpec: { Ports: [{ TargetPort: 80 }] } }, false],
  ['constraints that the node meets', constrained('node.role==worker'), true],
  ['constraints that the node does not meet', constrained('node.role==manager'), false],
];

function constrained(constraint: string): Record<string, unknown> {
  return { TaskTemplate: { ContainerSpec: { Image: 'nginx:latest' }, Placement: { Constraints: [constraint] } } };
}

for (const [what, change, upToDate] of CHANGES) {
  t.test(`control › after ${what} old tasks are ${upToDate ? '' : 'not '}up to date`, async (t) => {
    const cluster = await controlCluster([buildNode('n1')]);
    const service = await withTasks(cluster, 'web', 1, () => ({ NodeID: 'n1' }));
    const body = serviceBody('web', { Mode: { Replicated: { Replicas: 1 } }, ...change });
    await cluster.control.updateService(service.ID, service.Version.Index, body, {});
    t.not(cluster.store.view.get('service', service.ID)?.SpecVersion, service.SpecVersion);
    const found = await cluster.control.listTasks({ service: ['web'], '_up-to-date': ['true'] });
    t.same(ids(found), upToDate ? ['webtask1'] : []);
  });
}

t.test('control › a service says how many of its tasks run', async (t) => {
  const cluster = await controlCluster();
  const running = (slot: number): Partial<Task> => ({
    Status: { Timestamp: '', Message: '', State: slot === 1 ? 'running' : 'complete' },
  });
  await withTasks(cluster, 'web', 3, running);
  const [service] = await cluster.control.listServices({}, { status: true });
  t.same(service?.['ServiceStatus'], { RunningTasks: 1, DesiredTasks: 3, CompletedTasks: 2 });
});

t.test('control › logs know the terminal and ask the source for the right tasks', async (t) => {
  const cluster = await controlCluster();
  const tty = serviceBody('tty', { TaskTemplate: { ContainerSpec: { Image: 'x', TTY: true } } });
  const { ID } = await cluster.control.createService(tty, {});
  await withTasks(cluster, 'web', 1);
  const options = { follow: false, stdout: true, stderr: true, timestamps: false, tail: -1, details: true };
  const signal = new AbortController().signal;
  for (const [selector, expected] of [
    [{ service: 'tty' }, true],
    [{ task: 'webtask1' }, false],
  ] as const) {
    const answer = await cluster.control.logs(selector, options, signal);
    t.equal(answer.tty, expected);
    for await (const record of answer.records) t.equal(record.timestamp, '1970-01-01T00:00:00.000000000Z');
  }
  t.same(
    cluster.subscribed.map((s) => s.selector),
    [{ serviceId: ID }, { taskId: 'webtask1' }],
  );
});
