import t, { type Test } from 'tap';
import { swarmctlFor } from './support/swarmctl.js';
import { SELF, startWorld, type World } from './support/world.js';

async function withWorld(t: Test): Promise<{ world: World; swarmctl: ReturnType<typeof swarmctlFor> }> {
  const world = await startWorld();
  t.teardown(() => world.stop());
  return { world, swarmctl: swarmctlFor(world) };
}

t.test('swarmctl › creates a service, follows it, scales it and removes it', async (t) => {
  const { swarmctl } = await withWorld(t);
  const created = await swarmctl(['service', 'create', '--name', 'web', '--replicas', '2', '-p', '8080:80', 'nginx']);
  t.equal(created.code, 0);
  t.match(created.stdout, /^[a-z0-9]{25}\n/);
  t.match(created.stdout, /overall progress: 2 out of 2 tasks\n[\s\S]*verify: Service [a-z0-9]{25} converged\n$/);
  t.match(created.stderr, /^image nginx:latest could not be accessed on a registry/);
  t.match((await swarmctl(['service', 'ls'])).stdout, /web +replicated +2\/2 +nginx:latest +\*:8080->80\/tcp/);
  const scaled = await swarmctl(['service', 'scale', 'web=3', 'nope=1']);
  t.match(scaled, { code: 1, stderr: 'nope: Error response from daemon: service nope not found\n' });
  t.match(scaled.stdout, /^web scaled to 3\n/);
  const tasks = await swarmctl(['service', 'ps', 'web', '--format', '{{.Name}} {{.DesiredState}}']);
  t.equal(tasks.stdout, 'web.1 Running\nweb.2 Running\nweb.3 Running\n');
  t.match(await swarmctl(['service', 'ps', 'web', 'nope']), {
    code: 1,
    stderr: 'no such service: nope\n',
    stdout: /web\.1/,
  });
  t.match(await swarmctl(['service', 'rm', 'web', 'nope']), {
    code: 1,
    stdout: 'web\n',
    stderr: /service nope not found/,
  });
});

t.test('swarmctl › updates a service and rolls it back', async (t) => {
  const { swarmctl } = await withWorld(t);
  await swarmctl(['service', 'create', '-d', '--name', 'web', '--replicas', '2', 'nginx:1']);
  const updated = await swarmctl(['service', 'update', '--image', 'nginx:2', '--env-add', 'A=1', 'web']);
  t.match(updated, { code: 0, stdout: /^web\n[\s\S]*converged\n$/ });
  const image = async (): Promise<string> =>
    (
      await swarmctl(['service', 'inspect', 'web', '--format', '{{.Spec.TaskTemplate.ContainerSpec.Image}}'])
    ).stdout.trim();
  t.equal(await image(), 'nginx:2');
  t.match(await swarmctl(['service', 'rollback', 'web']), { code: 0, stdout: /converged/ });
  t.equal(await image(), 'nginx:1');
  t.match(await swarmctl(['service', 'update', '--rollback', '--image', 'x', 'web']), {
    code: 1,
    stderr: /may not be combined/,
  });
  t.match(await swarmctl(['service', 'update', '--rollback', 'web']), { code: 0 });
  t.equal(await image(), 'nginx:2');
});

t.test('swarmctl › fails with the error of the task when an update is paused or rolled back', async (t) => {
  const { world, swarmctl } = await withWorld(t);
  world.fate = (task) => (task.SpecVersion > first ? { state: 'failed', error: 'task: non-zero exit (3)' } : undefined);
  let first = Number.POSITIVE_INFINITY;
  await swarmctl(['service', 'create', '--name', 'web', '--replicas', '2', 'nginx:1']);
  first = world.store.index;
  const paused = await swarmctl(['service', 'update', '--env-add', 'A=1', 'web']);
  t.equal(paused.code, 1);
  t.match(paused.stderr, /^service update paused: [\s\S]*\ntask [a-z0-9]{25}: task: non-zero exit \(3\)\n$/);
  first = Number.POSITIVE_INFINITY;
  t.equal((await swarmctl(['service', 'update', '--env-rm', 'A', 'web'])).code, 0, 'a good update heals it');
  first = world.store.index;
  const rolledBack = await swarmctl([
    'service',
    'update',
    '--update-failure-action',
    'rollback',
    '--env-add',
    'A=2',
    'web',
  ]);
  t.equal(rolledBack.code, 1);
  t.match(rolledBack.stderr, /service update rolled back: [\s\S]*non-zero exit \(3\)/);
});

t.test('swarmctl › follows a rollback to its end, whatever ended before', async (t) => {
  const { swarmctl } = await withWorld(t);
  const published = ['--publish', '8080:80', '--replicas', '5'];
  await swarmctl(['service', 'create', '--name', 'web', ...published, '--env', 'A=1', 'nginx:1']);
  t.equal((await swarmctl(['service', 'update', '--env-add', 'A=2', 'web'])).code, 0);
  const running = async (): Promise<string> =>
    (await swarmctl(['service', 'ls', '--format', '{{.Replicas}}', '--filter', 'name=web'])).stdout;
  t.match(await swarmctl(['service', 'rollback', '-q', 'web']), { code: 0, stderr: '' });
  t.match(await running(), '5/5');
  const status = '{{.UpdateStatus.State}}';
  t.equal((await swarmctl(['service', 'inspect', '--format', status, 'web'])).stdout, 'rollback_completed\n');
  t.match(await swarmctl(['service', 'update', '-q', '--env-add', 'A=2', 'web']), { code: 0 }, 'and forth again');
});

t.test('swarmctl › follows a service that is scaled up to where it was before', async (t) => {
  const { swarmctl } = await withWorld(t);
  await swarmctl(['service', 'create', '--name', 'web', '--replicas', '3', 'nginx:1']);
  for (const replicas of ['1', '3', '0', '2']) {
    t.match(await swarmctl(['service', 'scale', `web=${replicas}`]), { code: 0, stderr: '' });
  }
});

t.test('swarmctl › fails when tasks have ended for good', async (t) => {
  const { world, swarmctl } = await withWorld(t);
  world.fate = () => ({ state: 'failed', error: 'task: non-zero exit (1)' });
  const outcome = await swarmctl(['service', 'create', '--name', 'bad', '--restart-condition', 'none', 'nginx']);
  t.match(outcome, {
    code: 1,
    stderr: /service cannot converge[^\n]*\ntask [a-z0-9]{25}: task: non-zero exit \(1\)\n$/,
  });
});

t.test('swarmctl › leaves a service as it is on Ctrl-C and says how to look again', async (t) => {
  const { swarmctl } = await withWorld(t);
  const interrupt = new AbortController();
  const waiting = swarmctl(['service', 'create', '--name', 'web', '--constraint', 'node.labels.nope==1', 'nginx'], {
    signal: interrupt.signal,
  });
  const why = async (): Promise<string> => (await swarmctl(['why', 'web'])).stdout;
  while (!/no suitable node/.test(await why())) await new Promise((resolve) => setImmediate(resolve));
  interrupt.abort();
  const outcome = await waiting;
  t.equal(outcome.code, 130);
  t.match(
    outcome.stderr,
    /Operation continuing in background\.\nUse `swarmctl service ps [a-z0-9]{25}` to check progress\.\n$/,
  );
  t.match((await swarmctl(['service', 'ls', '-q'])).stdout, /^[a-z0-9]{12}\n$/);
  t.match(await why(), /worker1 +ok +no +node\.labels\.nope==1 does not hold/);
});

t.test('swarmctl › prints logs with the task and node in front', async (t) => {
  const { world, swarmctl } = await withWorld(t);
  await swarmctl(['service', 'create', '--name', 'web', 'nginx']);
  const [task] = [...world.store.view.all('task')];
  const line = (stream: 1 | 2, text: string) => ({
    taskId: task!.ID,
    serviceId: task!.ServiceID,
    nodeId: task!.NodeID,
    stream,
    timestamp: '2026-01-01T00:00:00.000000001Z',
    data: Buffer.from(text),
  });
  world.lines.push(line(1, 'hello world\n'), line(2, 'oops\n'));
  const logs = await swarmctl(['service', 'logs', 'web']);
  const node = task!.NodeID === SELF ? 'boss' : task!.NodeID;
  t.equal(logs.stdout, `web.1.${task!.ID.slice(0, 12)}@${node}    | hello world\n`);
  t.match(logs.stderr, /\| oops\n$/);
  t.equal((await swarmctl(['service', 'logs', '--raw', 'web'])).stdout, 'hello world\n');
  t.match((await swarmctl(['service', 'logs', '-t', task!.ID])).stdout, /^2026-01-01T00:00:00.000000001Z web\.1\./);
  t.match(await swarmctl(['service', 'logs', 'nope']), { code: 1, stderr: 'no such task or service: nope\n' });
});
