import { type Host, importBusyboxImage, whyNoHosts } from '@swarmd/testkit';
import t from 'tap';
import { type Cluster, createCluster } from './support/cluster.js';
import {
  describeTasks,
  placesOf,
  serviceOf,
  tasksOf,
  waitForExactly,
  waitForIdle,
  waitForNoContainers,
  waitForRunning,
} from './support/observe.js';
import { shareCluster } from './support/shared-cluster.js';
import { waitFor } from './support/wait.js';

const skip = whyNoHosts() ?? false;
t.setTimeout(600_000);

const image = 'busybox:latest';
/** A container runs before its server listens. */
const retry = ['--max-time', '10', '--retry', '20', '--retry-delay', '1', '--retry-connrefused'];
const forever = [image, 'sleep', 'infinity'];

const cluster = shareCluster(t, async () => {
  const made = await createCluster({ hosts: 3 });
  await Promise.all(made.hosts.map((host) => importBusyboxImage(host)));
  await made.form();
  for (const [index, zone] of ['a', 'a', 'b'].entries()) {
    await made.docker(made.hosts[0]!, 'node', 'update', '--label-add', `zone=${zone}`, made.hosts[index]!.name);
  }
  return made;
});

t.test('services › replicated and global ones go where constraints and preferences say', { skip }, async (t) => {
  const shared = await cluster(t);
  const manager = shared.hosts[0]!;
  await create(shared, 'narrow', '--replicas', '4', '--constraint', 'node.labels.zone==a', ...forever);
  await create(shared, 'everywhere', '--mode', 'global', ...forever);
  await create(shared, 'workers', '--mode', 'global', '--constraint', 'node.role!=manager', ...forever);
  await create(shared, 'spread', '--replicas', '4', '--placement-pref', 'spread=node.labels.zone', ...forever);
  await create(shared, 'few', '--replicas', '4', '--replicas-max-per-node', '1', ...forever);
  await waitForRunning(manager, 'narrow', 4);
  t.same(await placesOf(manager, 'narrow'), ['h1', 'h1', 'h2', 'h2']);
  await waitForRunning(manager, 'everywhere', 3);
  t.same(await placesOf(manager, 'everywhere'), ['h1', 'h2', 'h3']);
  await waitForRunning(manager, 'workers', 2);
  t.same(await placesOf(manager, 'workers'), ['h2', 'h3']);
  await waitForRunning(manager, 'spread', 4);
  t.same(await placesOf(manager, 'spread'), ['h1', 'h2', 'h3', 'h3']);
  await says(manager, 'few', 'no suitable node (max replicas per node limit exceed)');
  await waitForPlaces(manager, 'few', ['h1', 'h2', 'h3']);
});

t.test('services › pause keeps what runs, drain moves it, a lost label too', { skip }, async (t) => {
  const { hosts, docker } = await cluster(t);
  const [manager, second, third] = hosts as [Host, Host, Host];
  await docker(manager, 'node', 'update', '--availability', 'pause', third.name);
  const before = await placesOf(manager, 'spread');
  await docker(manager, 'service', 'scale', '--detach', 'spread=8');
  await waitForRunning(manager, 'spread', 8);
  const added = (await placesOf(manager, 'spread')).filter((name) => name === third.name).length;
  t.equal(added, before.filter((name) => name === third.name).length, 'nothing new on a paused node');

  await docker(manager, 'node', 'update', '--availability', 'drain', third.name);
  await waitForIdle(third);
  await waitForRunning(manager, 'spread', 8);
  await waitForRunning(manager, 'everywhere', 2);
  await waitForRunning(manager, 'workers', 1);
  await docker(manager, 'node', 'update', '--availability', 'active', third.name);
  await waitForRunning(manager, 'everywhere', 3);
  await waitForRunning(manager, 'workers', 2);

  await docker(manager, 'node', 'update', '--label-rm', 'zone', second.name);
  await waitFor(
    'what needs the label has left',
    async () => !(await placesOf(manager, 'narrow')).includes(second.name),
    {
      describe: () => describeTasks(manager),
    },
  );
  await waitForRunning(manager, 'narrow', 4);
  t.same(await placesOf(manager, 'narrow'), ['h1', 'h1', 'h1', 'h1']);
  await says(manager, 'narrow', 'assigned node no longer meets constraints');
  t.match(await docker(manager, 'service', 'ps', 'narrow'), /h2 +Shutdown +Rejected/);
  await docker(manager, 'node', 'update', '--label-add', 'zone=a', second.name);
  await docker(manager, 'service', 'rm', 'narrow', 'everywhere', 'workers', 'spread', 'few');
  await waitForNoContainers(hosts);
});

t.test('services › reservations, and why a task waits', { skip }, async (t) => {
  const shared = await cluster(t);
  const { hosts, swarmctl, docker } = shared;
  const manager = hosts[0]!;
  const cpus = Number((await manager.run(['nproc'])).trim());
  await create(shared, 'hungry', '--replicas', '4', '--reserve-cpu', String(cpus * 0.75), ...forever);
  await says(manager, 'hungry', 'no suitable node (insufficient resources on 3 nodes)');
  await waitForPlaces(manager, 'hungry', ['h1', 'h2', 'h3']);
  const why = await swarmctl(manager, 'why', 'hungry');
  t.match(why, /hungry\.\d \(\w+\): pending: no suitable node \(insufficient resources on 3 nodes\)/);
  t.match(why, /^h2 +ok +no +needs [\d.]+ CPUs, [\d.]+ free$/m, 'the verdict for each node');
  await docker(manager, 'service', 'scale', '--detach', 'hungry=3');
  await waitForExactly(hosts, 'hungry', 3);
  t.match(await swarmctl(manager, 'why', 'hungry'), /No task of hungry waits/);

  await create(shared, 'nowhere', '--constraint', 'node.labels.zone==c', ...forever);
  await says(manager, 'nowhere', 'no suitable node (scheduling constraints not satisfied on 3 nodes)');
  await docker(manager, 'node', 'update', '--label-add', 'zone=c', 'h3');
  await waitForRunning(manager, 'nowhere', 1);
  t.same(await placesOf(manager, 'nowhere'), ['h3']);
  await docker(manager, 'node', 'update', '--label-add', 'zone=b', 'h3');
  await docker(manager, 'service', 'rm', 'hungry', 'nowhere');
  await waitForNoContainers(hosts);
});

t.test('services › published ports answer on nodes with a task; a host’s port is taken once', { skip }, async (t) => {
  const shared = await cluster(t);
  const { hosts, lab, docker } = shared;
  const manager = hosts[0]!;
  const web = [image, 'httpd', '-f', '-p', '8080', '-h', '/etc'];
  await create(shared, 'direct', '--replicas', '4', '--publish', 'mode=host,target=8080,published=8081', ...web);
  await says(manager, 'direct', 'no suitable node (host-mode port already in use on 3 nodes)');
  await waitForPlaces(manager, 'direct', ['h1', 'h2', 'h3']);
  for (const host of hosts) {
    const answer = await lab.client(['curl', '-sf', ...retry, `http://${host.ip}:8081/group`]);
    t.match(answer.stdout, /root:x:0/, `${host.name} answers`);
  }
  await create(shared, 'dynamic', '--publish', '8080', ...web);
  await waitForRunning(manager, 'dynamic', 1);
  const port = (await serviceOf(manager, 'dynamic')).Endpoint?.Ports?.[0]?.PublishedPort ?? 0;
  t.ok(port >= 30_000 && port <= 32_767, `a port was chosen: ${port}`);
  const [place] = await placesOf(manager, 'dynamic');
  const answer = await lab.client(['curl', '-sf', ...retry, `http://${lab.host(place!).ip}:${port}/group`]);
  t.match(answer.stdout, /root:x:0/);
  const refused = await shared.tryDocker(
    manager,
    ...['service', 'create', '--detach', '--name', 'same', '-p', `${port}:80`, image],
  );
  t.match(refused.stderr, new RegExp(`port '${port}' is already in use by service 'dynamic'`));
  await docker(manager, 'service', 'rm', 'direct', 'dynamic');
  await waitForNoContainers(hosts);
});

t.test('services › restart policies', { skip }, async (t) => {
  const shared = await cluster(t);
  const manager = shared.hosts[0]!;
  const states = async (service: string): Promise<string[]> => {
    return (await tasksOf(manager, service)).map(({ Status }) => Status.State).sort();
  };
  const reaches = (service: string, wanted: readonly string[]): Promise<void> =>
    waitFor(`tasks of ${service} are ${wanted}`, async () => `${await states(service)}` === `${wanted}`, {
      describe: () => describeTasks(manager),
    });
  const onFailure = ['--restart-condition', 'on-failure'];
  await create(shared, 'never', '--restart-condition', 'none', image, 'sh', '-c', 'exit 3');
  await create(shared, 'twice', ...onFailure, '--restart-max-attempts', '2', image, 'false');
  await create(shared, 'done', ...onFailure, image, 'true');
  await create(shared, 'always', '--restart-condition', 'any', image, 'sh', '-c', 'sleep 0.3');
  await reaches('never', ['failed']);
  const [failed] = await tasksOf(manager, 'never');
  t.match(failed?.Status, { Err: 'task: non-zero exit (3)', ContainerStatus: { ExitCode: 3 } });
  await reaches('twice', ['failed', 'failed', 'failed']);
  await reaches('done', ['complete']);
  await waitFor('it is restarted whatever it ends with', async () => {
    return (await states('always')).filter((state) => state === 'complete').length >= 3;
  });
  t.same(
    [await states('never'), await states('twice'), await states('done')],
    [['failed'], ['failed', 'failed', 'failed'], ['complete']],
  );
  await shared.docker(manager, 'service', 'rm', 'never', 'twice', 'done', 'always');
  await waitForNoContainers(shared.hosts);
});

t.test('services › jobs run to completion', { skip }, async (t) => {
  const { hosts, docker } = await cluster(t);
  const manager = hosts[0]!;
  const job = async (name: string, ...args: string[]): Promise<void> => {
    await docker(manager, 'service', 'create', '--no-resolve-image', '--quiet', '--name', name, ...args, image, 'true');
  };
  await job('batch', '--mode', 'replicated-job', '--replicas', '5', '--max-concurrent', '2');
  await job('once', '--mode', 'global-job');
  const complete = (await tasksOf(manager, 'batch')).filter(({ Status }) => Status.State === 'complete');
  t.equal(complete.length, 5, 'create returned once all were done');
  t.same(new Set(complete.map(({ Slot }) => Slot)).size, 5);
  const everywhere = (await tasksOf(manager, 'once')).filter(({ Status }) => Status.State === 'complete');
  t.equal(new Set(everywhere.map(({ NodeID }) => NodeID)).size, 3, 'once on each node');
  await docker(manager, 'service', 'rm', 'batch', 'once');
  await waitForNoContainers(hosts);
});

/** Creates a service through the docker CLI and does not wait for it; whatever ends is gone soon. */
async function create({ hosts, docker }: Cluster, name: string, ...args: string[]): Promise<void> {
  const quick = [
    '--stop-grace-period',
    '1s',
    ...(args.includes('--restart-delay') ? [] : ['--restart-delay', '100ms']),
  ];
  await docker(hosts[0]!, 'service', 'create', '--detach', '--no-resolve-image', '--name', name, ...quick, ...args);
}

async function waitForPlaces(manager: Host, service: string, places: readonly string[]): Promise<void> {
  await waitFor(`${service} runs on ${places}`, async () => `${await placesOf(manager, service)}` === `${places}`, {
    describe: () => describeTasks(manager),
  });
}

async function says(manager: Host, service: string, reason: string): Promise<void> {
  await waitFor(
    `a task of ${service} says: ${reason}`,
    async () => (await tasksOf(manager, service)).some(({ Status }) => Status.Err === reason),
    { describe: () => describeTasks(manager) },
  );
}
