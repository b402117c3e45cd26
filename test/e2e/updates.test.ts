import { type Host, importBusyboxImage, whyNoHosts } from '@swarmd/testkit';
import t from 'tap';
import { createCluster } from './support/cluster.js';
import {
  containersOn,
  describeTasks,
  inspectContainer,
  runningContainers,
  serviceOf,
  tasksOf,
  waitForExactly,
  waitForNoContainers,
} from './support/observe.js';
import { shareCluster } from './support/shared-cluster.js';
import { waitFor } from './support/wait.js';

const skip = whyNoHosts() ?? false;
t.setTimeout(600_000);

/** Runs until it is told to stop, unless FAIL is set. */
const program = [
  'busybox:latest',
  'sh',
  '-c',
  'trap "exit 0" TERM; [ -z "$FAIL" ] || exit 9; while :; do sleep 0.2; done',
];
const quick = ['--no-resolve-image', '--restart-delay', '100ms', '--update-monitor', '1s', '--rollback-monitor', '1s'];

const cluster = shareCluster(t, async () => {
  const made = await createCluster({ hosts: 2 });
  await Promise.all(made.hosts.map((host) => importBusyboxImage(host)));
  await made.form();
  return made;
});

t.test('updates › a rolling update replaces every task; rollback brings the old spec back', { skip }, async (t) => {
  const { hosts, docker, swarmctl } = await cluster(t);
  const manager = hosts[0]!;
  await docker(manager, 'service', 'create', '--name', 'web', '--replicas', '4', '--env', 'V=1', ...quick, ...program);
  const first = await waitForExactly(hosts, 'web', 4);
  await docker(manager, 'service', 'update', '--env-add', 'V=2', '--update-parallelism', '2', 'web');
  t.match(await serviceOf(manager, 'web'), { UpdateStatus: { State: 'completed', Message: 'update completed' } });
  const second = await waitForExactly(hosts, 'web', 4);
  t.same(intersection(first, second), [], 'no old container runs');
  t.same(await variable(hosts, 'V'), ['2', '2', '2', '2']);

  await swarmctl(manager, 'service', 'rollback', 'web');
  t.match(await serviceOf(manager, 'web'), { UpdateStatus: { State: 'rollback_completed' } });
  await waitForExactly(hosts, 'web', 4);
  t.same(await variable(hosts, 'V'), ['1', '1', '1', '1']);

  const before = await waitForExactly(hosts, 'web', 4);
  await docker(manager, 'service', 'update', '--label-add', 'note=only', '--detach', 'web');
  await docker(manager, 'service', 'scale', '--detach', 'web=5');
  const after = await waitForExactly(hosts, 'web', 5);
  t.equal(intersection(before, after).length, 4, 'a label or a replica more replaces nothing');
});

t.test('updates › one that fails pauses, and the rest stays as it was', { skip }, async (t) => {
  const { hosts, docker, tryDocker } = await cluster(t);
  const manager = hosts[0]!;
  await docker(manager, 'service', 'scale', 'web=4');
  const before = await waitForExactly(hosts, 'web', 4);
  const failed = await tryDocker(
    manager,
    'service',
    'update',
    '--env-add',
    'FAIL=1',
    '--update-parallelism',
    '1',
    // Time to see the first one fail before the next is taken.
    '--update-delay',
    '5s',
    'web',
  );
  t.not(failed.code, 0, 'the command says so');
  t.match(`${failed.stdout}${failed.stderr}`, /service update paused: update paused due to failure/);
  t.match(await serviceOf(manager, 'web'), { UpdateStatus: { State: 'paused' } });
  const during = await runningContainers(hosts, 'web');
  t.equal(intersection(before, during).length, 3, 'three of four were not touched');
  t.ok((await tasksOf(manager, 'web')).some(({ Status }) => Status.Err === 'task: non-zero exit (9)'));

  await docker(manager, 'service', 'update', '--env-rm', 'FAIL', '--update-delay', '0s', 'web');
  const after = await waitForExactly(hosts, 'web', 4);
  t.equal(intersection(during, after).length, 3, 'the way back replaces only what failed');
  t.match(await serviceOf(manager, 'web'), { UpdateStatus: { State: 'completed' } });
});

t.test('updates › one that fails rolls back by itself when told to', { skip }, async (t) => {
  const { hosts, docker, tryDocker } = await cluster(t);
  const manager = hosts[0]!;
  await docker(manager, 'service', 'update', '--detach', '--update-failure-action', 'rollback', 'web');
  await waitForExactly(hosts, 'web', 4);
  const failed = await tryDocker(manager, 'service', 'update', '--env-add', 'FAIL=1', 'web');
  t.match(`${failed.stdout}${failed.stderr}`, /rolled back|rollback/);
  await waitFor(
    'it is rolled back',
    async () => (await serviceOf(manager, 'web')).UpdateStatus?.State === 'rollback_completed',
    { describe: () => describeTasks(manager) },
  );
  await waitForExactly(hosts, 'web', 4);
  t.same(await variable(hosts, 'FAIL'), ['', '', '', '']);
  await docker(manager, 'service', 'rm', 'web');
  await waitForNoContainers(hosts);
});

t.test('updates › start-first never has fewer than all', { skip }, async (t) => {
  const { hosts, docker } = await cluster(t);
  const manager = hosts[0]!;
  const order = ['--update-order', 'start-first', '--publish', '8080'];
  await docker(manager, 'service', 'create', '--name', 'web', '--replicas', '2', ...quick, ...order, ...program);
  const before = await waitForExactly(hosts, 'web', 2);
  await docker(manager, 'service', 'update', '--force', 'web');
  const after = await waitForExactly(hosts, 'web', 2);
  t.same(intersection(before, after), []);
  const lives = await Promise.all(
    hosts.map(async (host) => Promise.all((await containersOn(host, 'web')).map(({ Id }) => life(host, Id)))),
  );
  for (const old of lives.flat().filter(({ end }) => end !== undefined)) {
    const overlapping = lives.flat().filter(({ start, end }) => start < old.end! && (end ?? Infinity) > old.end!);
    t.ok(overlapping.length >= 2, 'when an old one ended two others ran');
  }
  await docker(manager, 'service', 'rm', 'web');
  await waitForNoContainers(hosts);
});

t.test('updates › global services roll, too', { skip }, async (t) => {
  const { hosts, docker } = await cluster(t);
  const manager = hosts[0]!;
  await docker(manager, 'service', 'create', '--name', 'agent', '--mode', 'global', ...quick, ...program);
  const before = await waitForExactly(hosts, 'agent', 2);
  await docker(manager, 'service', 'update', '--env-add', 'V=2', 'agent');
  t.same(intersection(before, await waitForExactly(hosts, 'agent', 2)), []);
  await docker(manager, 'service', 'rm', 'agent');
  await waitForNoContainers(hosts);
  t.equal((await docker(manager, 'service', 'ls', '-q')).trim(), '');
});

function intersection(a: Record<string, string[]>, b: Record<string, string[]>): string[] {
  const other = new Set(Object.values(b).flat());
  return Object.values(a)
    .flat()
    .filter((id) => other.has(id));
}

/** A variable's value in each running container of `web`. */
async function variable(hosts: readonly Host[], name: string): Promise<string[]> {
  const values = await Promise.all(
    hosts.map(async (host) => {
      const running = (await containersOn(host, 'web')).filter(({ State }) => State === 'running');
      const found = await Promise.all(
        running.map(({ Id }) => inspectContainer<{ Config: { Env: string[] } }>(host, Id)),
      );
      return found.map(
        ({ Config }) => Config.Env.find((line) => line.startsWith(`${name}=`))?.slice(name.length + 1) ?? '',
      );
    }),
  );
  return values.flat();
}

/** When a container ran, in milliseconds since the epoch. */
async function life(host: Host, id: string): Promise<{ start: number; end: number | undefined }> {
  const { State } = await inspectContainer<{ State: { Running: boolean; StartedAt: string; FinishedAt: string } }>(
    host,
    id,
  );
  return { start: Date.parse(State.StartedAt), end: State.Running ? undefined : Date.parse(State.FinishedAt) };
}
