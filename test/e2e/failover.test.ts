import { join } from 'node:path';
import { type Host, importBusyboxImage, whyNoHosts } from '@swarmd/testkit';
import t from 'tap';
import { createCluster, SWARMD_SOCKET } from './support/cluster.js';
import {
  describeTasks,
  leaderOf,
  nodeState,
  serviceOf,
  type TaskView,
  tasksOf,
  waitForExactly,
} from './support/observe.js';
import { shareCluster } from './support/shared-cluster.js';
import { waitFor } from './support/wait.js';

const skip = whyNoHosts() ?? false;
t.setTimeout(900_000);

const shared = shareCluster(t, () => createCluster({ hosts: 4 }));
const PROGRAM = ['busybox:latest', 'sh', '-c'];
const ON_WORKER = ['--detach', '--constraint', 'node.role==worker', '--stop-grace-period', '1s'];

t.test('fail-over › what was under way goes on where it was', { skip }, async (t) => {
  const cluster = await shared(t);
  const { hosts, docker, tryDocker, swarmctl, swarmd, startSwarmd } = cluster;
  const managers = hosts.slice(0, 3);
  const [one, , , worker] = hosts as [Host, Host, Host, Host];
  await importBusyboxImage(worker);
  await cluster.form({ managers: 3 });
  /** Kills the leader; resolves with a manager that serves, and a function that brings the killed one back. */
  const killLeader = async (): Promise<{ survivor: Host; revive: () => Promise<void> }> => {
    const killed = await leaderOf(cluster, one);
    const survivor = managers.find((host) => host !== killed)!;
    await swarmd(killed).stop('SIGKILL');
    const serves = async (host: Host) => (await tryDocker(host, 'node', 'ls')).code === 0;
    return {
      survivor,
      revive: async () => {
        await startSwarmd(killed);
        await waitFor('the killed manager serves again', () => serves(killed));
      },
    };
  };

  await t.test('a rolling update', async (t) => {
    const replicas = 5;
    const updating = ['--update-parallelism', '1', '--update-delay', '1s', '--update-monitor', '500ms'];
    const program = [...PROGRAM, 'exec sleep 9999'];
    await docker(
      one,
      'service',
      'create',
      '--name',
      'web',
      '--replicas',
      `${replicas}`,
      ...ON_WORKER,
      ...updating,
      ...program,
    );
    await waitForExactly([worker], 'web', replicas, one);
    await docker(one, 'service', 'update', '--detach', '--env-add', 'V=2', 'web');
    const replaced = async (host: Host) =>
      (await tasksOf(host, 'web')).filter((task) => hasV2(task) && task.Status.State === 'running').length;
    await waitFor('the update is half way', async () => (await replaced(one)) >= 2);
    const { survivor, revive } = await killLeader();
    const completed = async () => (await serviceOf(survivor, 'web')).UpdateStatus?.State === 'completed';
    await waitFor('the update is completed', () => completed().catch(() => false), {
      describe: () => describeTasks(survivor),
    });
    const tasks = await tasksOf(survivor, 'web');
    t.equal(tasks.filter((task) => hasV2(task) && task.Status.State === 'running').length, replicas);
    t.equal(tasks.length, 2 * replicas, 'no task was replaced twice');
    await revive();
    await docker(survivor, 'service', 'rm', 'web');
  });

  await t.test('a restart that waits for its delay', async (t) => {
    const delayMs = 12_000;
    const restart = ['--restart-delay', `${delayMs}ms`, '--restart-condition', 'any'];
    const program = [...PROGRAM, 'sleep 3; exit 1'];
    await docker(one, 'service', 'create', '--name', 'again', ...ON_WORKER, ...restart, ...program);
    const failed = async (host: Host) =>
      (await tasksOf(host, 'again')).filter(({ Status }) => Status.State === 'failed');
    await waitFor('its task has failed', async () => (await failed(one)).length > 0);
    const { survivor, revive } = await killLeader();
    const next = async () => {
      const tasks = await tasksOf(survivor, 'again').catch(() => []);
      return tasks.length > 1 && tasks.some(({ Status }) => Status.State === 'running');
    };
    await waitFor('it runs again', next, { describe: () => describeTasks(survivor) });
    const tasks = await tasksOf(survivor, 'again');
    const at = (state: string) =>
      tasks.filter(({ Status }) => Status.State === state).map(({ Status }) => Status.Timestamp);
    const waited = Date.parse(at('running').sort()[0]!) - Date.parse(at('failed').sort()[0]!);
    t.ok(waited >= delayMs, `after the delay, not before: ${waited} ms`);
    await docker(survivor, 'service', 'rm', 'again');
    await revive();
  });

  await t.test('a job', async (t) => {
    const job = ['--mode', 'replicated-job', '--replicas', '8', '--max-concurrent', '2'];
    await docker(one, 'service', 'create', '--name', 'job', ...job, ...ON_WORKER, ...PROGRAM, 'sleep 2');
    const complete = async (host: Host) =>
      (await tasksOf(host, 'job')).filter(({ Status }) => Status.State === 'complete').length;
    await waitFor('the job is under way', async () => (await complete(one)) >= 2);
    const { survivor, revive } = await killLeader();
    await waitFor('the job is done', async () => (await complete(survivor).catch(() => 0)) >= 8, {
      describe: () => describeTasks(survivor),
    });
    await revive();
    t.equal((await tasksOf(survivor, 'job')).length, 8, 'nothing ran twice');
    await docker(survivor, 'service', 'rm', 'job');
  });

  await t.test('a manager that is cut off shows what it has, marked stale, and writes nothing', async (t) => {
    const alone = managers.find((host) => host !== undefined && host !== managers[0])!;
    const others = managers.filter((host) => host !== alone);
    const read = async (...headers: string[]) => {
      const asked = headers.flatMap((header) => ['-H', header]);
      const curl = ['curl', '-s', '-i', '--unix-socket', SWARMD_SOCKET, ...asked, 'http://d/v1.41/configs'];
      const { stdout } = await alone.exec(curl);
      return {
        status: Number(/^HTTP\S+ (\d+)/.exec(stdout)?.[1]),
        isStale: /^swarmd-stale: true/im.test(stdout),
        stdout,
      };
    };
    await docker(alone, 'config', 'create', 'seen', '/etc/hostname');
    t.match(await read(), { status: 200, isStale: false });
    await alone.disconnect();
    await waitFor('its reads are marked', async () => (await read()).isStale);
    t.match((await read()).stdout, '"seen"');
    t.equal((await read('Swarmd-Consistency: strict')).status, 503);
    t.not((await tryDocker(alone, 'config', 'create', 'never', '/etc/hostname')).code, 0);
    const created = async () =>
      (await tryDocker(others[0]!, 'config', 'create', 'meanwhile', '/etc/hostname')).code === 0;
    await waitFor('the others write', created);
    await alone.reconnect();
    await waitFor('it has caught up', async () => {
      const { isStale, stdout } = await read();
      return !isStale && stdout.includes('"meanwhile"');
    });
    const names = await docker(alone, 'config', 'ls', '--format', '{{.Name}}');
    t.notMatch(names, 'never');
  });

  await t.test('a backup through a follower brings back a cluster that has lost all its managers', async (t) => {
    const file = join(cluster.lab.directory, 'all.swmbak');
    const keyFile = join(cluster.lab.directory, 'all.key');
    const program = [...PROGRAM, 'exec sleep 9999'];
    await docker(one, 'service', 'create', '--name', 'kept', '--replicas', '3', ...ON_WORKER, ...program);
    const kept = await waitForExactly([worker], 'kept', 3, one);
    const leading = await leaderOf(cluster, one);
    const follower = managers.find((host) => host !== leading)!;
    t.match(await swarmctl(follower, 'backup', 'create', '--output', file, '--key-file', keyFile), /found whole/);
    for (const host of managers) {
      await swarmd(host).stop('SIGKILL');
      await host.run(['find', '/var/lib/swarmd', '-mindepth', '1', '-delete']);
      await startSwarmd(host);
    }
    const restore = ['backup', 'restore', '--key-file', keyFile, '--advertise-addr', one.ip, '--node', one.name];
    t.match(await swarmctl(one, ...restore, '--yes', file), /takes the place of manager/);
    await waitFor('the worker is back', async () => (await nodeState(one, worker.name)) === 'ready');
    t.same(await waitForExactly([worker], 'kept', 3, one), kept, 'its containers go on');
    const token = (await docker(one, 'swarm', 'join-token', '-q', 'manager')).trim();
    for (const host of managers.filter((each) => each !== one))
      await docker(host, 'swarm', 'join', '--token', token, '--advertise-addr', host.ip, `${one.ip}:2377`);
    for (const host of managers) t.match(await docker(host, 'service', 'ls', '--format', '{{.Name}}'), 'kept');
    await docker(managers[1]!, 'service', 'scale', '--detach', 'kept=4');
    await waitForExactly([worker], 'kept', 4, managers[2]);
  });
});

function hasV2({ Spec }: TaskView): boolean {
  return Spec.ContainerSpec.Env?.includes('V=2') ?? false;
}
