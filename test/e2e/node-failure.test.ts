import { callEngine, type Host, importBusyboxImage, whyNoHosts } from '@swarmd/testkit';
import t from 'tap';
import { type Cluster, createCluster, SWARMD_SOCKET, swarmdEntry } from './support/cluster.js';
import {
  apiGet,
  nodeState,
  runningContainers,
  runningTasks,
  type ServiceView,
  waitForExactly,
  waitForNoContainers,
} from './support/observe.js';
import { shareCluster } from './support/shared-cluster.js';
import { waitFor } from './support/wait.js';

const skip = whyNoHosts() ?? false;
t.setTimeout(600_000);

const quick = ['--stop-grace-period', '1s', '--restart-delay', '100ms', '--detach'];
const sleeper = ['busybox:latest', 'sleep', 'infinity'];

const cluster = shareCluster(t, async () => {
  const made = await createCluster({ hosts: 3 });
  await Promise.all(made.hosts.map((host) => importBusyboxImage(host)));
  await made.form();
  await made.docker(made.hosts[0]!, 'service', 'create', '--name', 'web', '--replicas', '6', ...quick, ...sleeper);
  return made;
});

t.test('node failure › a host dies: it is down, its tasks run elsewhere; it returns empty', { skip }, async (t) => {
  const shared = await cluster(t);
  const { hosts, startSwarmd } = shared;
  const [manager, other, victim] = hosts as [Host, Host, Host];
  await waitForExactly(hosts, 'web', 6);
  const killed = performance.now();
  await victim.kill();
  await waitFor('it is down', async () => (await nodeState(manager, victim.name)) === 'down', { everyMs: 50 });
  t.comment(`down after ${Math.round(performance.now() - killed)} ms`);
  const after = await waitForExactly([manager, other], 'web', 6);
  t.equal(verdicts(shared), 1, 'and nobody else');
  t.comment(`all tasks run elsewhere after ${Math.round(performance.now() - killed)} ms`);
  await victim.start();
  await startSwarmd(victim);
  await waitFor('it is ready', async () => (await nodeState(manager, victim.name)) === 'ready');
  t.same(await waitForExactly(hosts, 'web', 6), { ...after, [victim.name]: [] }, 'what moved stays where it is');
  await spreadAgain(shared);
});

t.test('node failure › a host is cut off: its containers go on until it is back, then stop', { skip }, async (t) => {
  const shared = await cluster(t);
  const { hosts } = shared;
  const [manager, other, cut] = hosts as [Host, Host, Host];
  const before = await waitForExactly(hosts, 'web', 6);
  t.equal(before[cut.name]!.length, 2);
  await cut.disconnect();
  await waitFor('it is down', async () => (await nodeState(manager, cut.name)) === 'down');
  await waitFor('its tasks run elsewhere', async () => (await runningTasks(manager, 'web')).length >= 6);
  const during = await runningContainers(hosts, 'web');
  t.same(during[cut.name], before[cut.name], 'its containers go on without a manager');
  await cut.reconnect();
  const after = await waitForExactly(hosts, 'web', 6);
  t.same(after[cut.name], [], 'the old ones are stopped');
  t.equal(after[manager.name]!.length + after[other.name]!.length, 6);
  await waitFor('it is ready', async () => (await nodeState(manager, cut.name)) === 'ready');
  await spreadAgain(shared);
});

t.test('node failure › the manager’s swarmd is killed: containers go on and are adopted', { skip }, async (t) => {
  const shared = await cluster(t);
  const { hosts, docker, swarmd, startSwarmd } = shared;
  const [manager, worker] = hosts as [Host, Host, Host];
  const before = await waitForExactly(hosts, 'web', 6);
  const known = verdicts(shared);
  await swarmd(manager).stop('SIGKILL');
  t.same(await runningContainers(hosts, 'web'), before, 'containers do not need it');
  const [lost] = before[worker.name]!;
  await worker.run(['docker', 'kill', lost!]);
  await startSwarmd(manager);
  await waitFor('all nodes are ready', async () => {
    const nodes = await docker(manager, 'node', 'ls', '--format', '{{.Status}}');
    return nodes.trim() === 'Ready\nReady\nReady';
  });
  await waitFor('what died meanwhile is replaced', async () => {
    const tasks = await runningTasks(manager, 'web');
    return tasks.length === 6 && tasks.every(({ Status }) => Status.ContainerStatus?.ContainerID !== lost);
  });
  const after = await waitForExactly(hosts, 'web', 6);
  const kept = Object.values(before)
    .flat()
    .filter((id) => id !== lost);
  t.ok(
    kept.every((id) => Object.values(after).flat().includes(id)),
    'all others are the same containers',
  );
  t.equal(verdicts(shared), known, 'no node was taken for dead');
});

t.test('node failure › a stalled manager takes nobody for dead', { skip }, async (t) => {
  const shared = await cluster(t);
  const { hosts, swarmd } = shared;
  const manager = hosts[0]!;
  const before = await waitForExactly(hosts, 'web', 6);
  const known = verdicts(shared);
  await swarmd(manager).signal('SIGSTOP');
  await manager.run(['sleep', '10']);
  await swarmd(manager).signal('SIGCONT');
  await waitFor('every agent has been heard again', async () => {
    const states = await Promise.all(hosts.map((host) => nodeState(manager, host.name)));
    return states.every((state) => state === 'ready');
  });
  t.same(await waitForExactly(hosts, 'web', 6), before, 'the same containers');
  // A verdict on nodes that were silent would come within the grace period.
  await manager.run(['sleep', '5']);
  t.equal(verdicts(shared), known);
  t.same(await waitForExactly(hosts, 'web', 6), before, 'still the same');
});

t.test('node failure › a worker’s swarmd is stopped or killed, and adopts what it finds', { skip }, async (t) => {
  const { hosts, docker, swarmd, startSwarmd } = await cluster(t);
  const [manager, worker] = hosts as [Host, Host, Host];
  // However slowly this machine starts a process, the node is not to go down meanwhile.
  await docker(manager, 'swarm', 'update', '--dispatcher-heartbeat', '30s');
  const before = await waitForExactly(hosts, 'web', 6);
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    const code = await swarmd(worker).stop(signal);
    if (signal === 'SIGTERM') t.equal(code, 0, 'it stops cleanly');
    t.same(await runningContainers(hosts, 'web'), before, 'containers go on');
    await startSwarmd(worker);
    await waitFor('it is ready', async () => (await nodeState(manager, worker.name)) === 'ready');
    t.same(await waitForExactly(hosts, 'web', 6), before, `adopted after ${signal}`);
  }
  await worker.run(['docker', 'kill', before[worker.name]![0]!]);
  await waitFor('what an adopted container does is seen', async () => {
    const tasks = await runningTasks(manager, 'web');
    return tasks.every(({ Status }) => Status.ContainerStatus?.ContainerID !== before[worker.name]![0]);
  });
  await waitForExactly(hosts, 'web', 6);
  await docker(manager, 'swarm', 'update', '--dispatcher-heartbeat', '5s');
});

t.test('node failure › a worker’s engine restarts', { skip }, async (t) => {
  const { hosts } = await cluster(t);
  const worker = hosts[1]!;
  const before = await waitForExactly(hosts, 'web', 6);
  await worker.restartEngine();
  await waitFor('no old container runs', async () => {
    const now = (await runningContainers(hosts, 'web'))[worker.name]!;
    return before[worker.name]!.every((id) => !now.includes(id));
  });
  const after = await waitForExactly(hosts, 'web', 6);
  t.same(
    after[hosts[2]!.name]!.filter((id) => before[hosts[2]!.name]!.includes(id)),
    before[hosts[2]!.name],
  );
});

t.test('node failure › a second swarmd on a data directory is refused', { skip }, async (t) => {
  const { hosts } = await cluster(t);
  const second = await hosts[1]!.exec([process.execPath, swarmdEntry, '--host', 'unix:///run/second.sock']);
  t.equal(second.code, 1);
  t.match(second.stderr, /another swarmd is running on the data directory \/var\/lib\/swarmd/);
});

t.test('node failure › what was acknowledged before a kill in a burst of creates is there', { skip }, async (t) => {
  const { hosts, docker, swarmd, startSwarmd } = await cluster(t);
  const manager = hosts[0]!;
  const acknowledged: string[] = [];
  let killing: Promise<number> | undefined;
  const create = async (name: string): Promise<void> => {
    const body = {
      Name: name,
      TaskTemplate: { ContainerSpec: { Image: 'busybox:latest' } },
      Mode: { Replicated: { Replicas: 0 } },
    };
    const call = { method: 'POST', path: '/services/create', body } as const;
    const answer = await callEngine(manager.path(SWARMD_SOCKET), call);
    acknowledged.push((JSON.parse(answer) as { ID: string }).ID);
    if (acknowledged.length === 100) killing = swarmd(manager).stop('SIGKILL');
  };
  let refused = 0;
  for (let batch = 0; refused === 0 && batch < 500; batch += 1) {
    const answers = await Promise.allSettled(
      Array.from({ length: 10 }, (_, index) => create(`burst-${batch}-${index}`)),
    );
    refused = answers.filter(({ status }) => status === 'rejected').length;
  }
  await killing;
  t.ok(acknowledged.length >= 100 && refused > 0, 'killed in the middle');
  await startSwarmd(manager);
  const services = await apiGet<ServiceView[]>(manager, '/services');
  const known = new Set(services.map(({ ID }) => ID));
  t.same(
    acknowledged.filter((id) => !known.has(id)),
    [],
    `all ${acknowledged.length} acknowledged services are there`,
  );
  const names = services.map(({ Spec }) => Spec.Name).filter((name) => name.startsWith('burst-'));
  await docker(manager, 'service', 'rm', ...names);
  await docker(manager, 'service', 'rm', 'web');
  await waitForNoContainers(hosts);
});

/** Brings tasks back to a host that was away: what runs is never moved, what is new goes where least is. */
async function spreadAgain({ hosts, docker }: Cluster): Promise<void> {
  const manager = hosts[0]!;
  await docker(manager, 'service', 'scale', '--detach', 'web=9');
  await waitForExactly(hosts, 'web', 9);
  await docker(manager, 'service', 'scale', '--detach', 'web=6');
  await waitForExactly(hosts, 'web', 6);
}

/** How often the manager has declared a node down, by what it logged. */
function verdicts({ hosts, swarmd }: Cluster): number {
  return swarmd(hosts[0]!).log.split('"msg":"node is down"').length - 1;
}
