import { availableEngines, type Host, importBusyboxImage, whyNoHosts } from '@swarmd/testkit';
import t from 'tap';
import { type Cluster, createCluster } from './support/cluster.js';
import { type Answers, ask, askFromOutside, askThroughout, createNodeService } from './support/network-services.js';
import { nodeState, placesOf, serviceOf, waitForExactly, waitForRunning } from './support/observe.js';
import { shareCluster } from './support/shared-cluster.js';
import { waitFor } from './support/wait.js';

const skip = whyNoHosts() ?? false;
t.setTimeout(900_000);

const CONCURRENCY = 8;

// Three managers on three engine releases, which run the tasks as well.
const cluster = shareCluster(t, async () => {
  const engines = await availableEngines();
  const hosts = [0, 1, 2].map((i) => ({ engineVersion: engines[i % engines.length]!, name: `h${i + 1}` }));
  const made = await createCluster({ hosts });
  await Promise.all(made.hosts.map((host) => importBusyboxImage(host, ['busybox:latest'])));
  await made.form({ managers: 3 });
  await made.docker(made.hosts[0]!, 'network', 'create', '-d', 'overlay', 'front');
  await createNodeService(made, made.hosts[0]!, 'asker', ['--mode', 'global', '--network', 'front']);
  await waitForExactly(made.hosts, 'asker', 3);
  return made;
});

/** The leader, as `manager` sees it, and the two others. */
async function leaderAndOthers({ hosts, tryDocker }: Cluster, manager: Host): Promise<[Host, Host, Host]> {
  let leader: Host | undefined;
  await waitFor('somebody leads', async () => {
    const { stdout } = await tryDocker(manager, 'node', 'ls', '--format', '{{.Hostname}} {{.ManagerStatus}}');
    const name = /^(\S+) Leader$/m.exec(stdout)?.[1];
    leader = hosts.find((host) => host.name === name);
    return leader !== undefined;
  });
  const [one, two] = hosts.filter((host) => host !== leader) as [Host, Host];
  return [leader!, one, two];
}

/** Requests from a task on a host by name, and from outside by the host's published port, until `done`; 10,000 at least. */
function requests(shared: Cluster, host: Host, service: string, port: number, done: Promise<unknown>) {
  const byName = (count: number) => ask(host, 'asker', `http://${service}:8080/`, count);
  const byPort = (count: number) => askFromOutside(shared, `http://${host.ip}:${port}/`, count);
  return Promise.all([byName, byPort].map((asking) => askThroughout(asking, 10_000, done)));
}

/** No packet of it comes any more, as when the power fails. */
async function loseHost(host: Host): Promise<void> {
  await host.disconnect();
  await host.kill();
}

async function bringBack({ startSwarmd }: Cluster, host: Host, manager: Host): Promise<void> {
  await host.start();
  await host.reconnect();
  await startSwarmd(host);
  await waitFor(`${host.name} is ready`, async () => (await nodeState(manager, host.name)) === 'ready');
}

t.test('network failures › a manager lost in the middle of an update loses no request', { skip }, async (t) => {
  const shared = await cluster(t);
  const { docker, tryDocker, hosts } = shared;
  const [leader, one, two] = await leaderAndOthers(shared, hosts[0]!);
  await createNodeService(shared, one, 'steady', [
    ...['--replicas', '4', '--network', 'front', '--publish', '8082:8080'],
    ...['--constraint', `node.hostname!=${leader.name}`],
    ...['--update-order', 'start-first', '--update-monitor', '1s'],
  ]);
  await waitForRunning(one, 'steady', 4);
  const before = (await waitForRunning(one, 'steady', 4)).map(({ ID }) => ID);
  await waitFor('it answers outside', async () => {
    return (await askFromOutside(shared, `http://${two.ip}:8082/`, 1)).answered === 1;
  });
  const work = async (): Promise<void> => {
    await docker(one, 'service', 'update', '--detach', '--force', 'steady');
    await waitFor('the update is under way', async () => {
      return (await waitForRunning(one, 'steady', 4)).some(({ ID }) => !before.includes(ID));
    });
    await loseHost(leader);
    const isOver = async () => (await serviceOf(one, 'steady')).UpdateStatus?.State === 'completed';
    await waitFor('the update is completed', () => isOver().catch(() => false));
    await waitFor('the lost one is down', async () => (await nodeState(one, leader.name)) === 'down');
  };
  const worked = work();
  const [inner, outer] = await requests(shared, two, 'steady', 8082, worked);
  await worked;
  t.equal(inner!.failed, 0, `through the VIP: ${JSON.stringify(inner)}`);
  t.equal(outer!.failed, 0, `through the mesh: ${JSON.stringify(outer)}`);
  await bringBack(shared, leader, one);
  t.match(await tryDocker(leader, 'node', 'ls'), { code: 0 });
});

t.test('network failures › a lost host takes only what it was answering with it', { skip }, async (t) => {
  const shared = await cluster(t);
  const { hosts, docker } = shared;
  const [lost, asking] = await leaderAndOthers(shared, hosts[0]!);
  await createNodeService(shared, asking, 'spread', [
    ...['--replicas', '4', '--network', 'front', '--publish', '8083:8080'],
    ...['--constraint', `node.hostname!=${hosts.find((host) => host !== lost && host !== asking)!.name}`],
  ]);
  await waitForRunning(asking, 'spread', 4);
  t.same(await placesOf(asking, 'spread'), [asking, asking, lost, lost].map(({ name }) => name).sort());
  await waitFor('it answers outside', async () => {
    return (await askFromOutside(shared, `http://${asking.ip}:8083/`, 1)).answered === 1;
  });
  let lostAt = 0;
  const work = async (): Promise<void> => {
    await lost.disconnect();
    lostAt = Date.now();
    await lost.kill();
    await waitFor('it is down', async () => (await nodeState(asking, lost.name).catch(() => '')) === 'down');
    t.comment(`known to be down after ${Date.now() - lostAt} ms`);
    await waitForRunning(asking, 'spread', 4);
    const places = await placesOf(asking, 'spread');
    t.ok(
      places.every((name) => name === asking.name),
      'its tasks run elsewhere',
    );
  };
  const worked = work();
  const [inner, outer] = await requests(shared, asking, 'spread', 8083, worked);
  await worked;
  const check = ({ failures, failed, slowestMs }: Answers, way: string): void => {
    t.comment(`${way}: ${JSON.stringify(failures)}, slowest ${slowestMs} ms`);
    t.ok(failed <= CONCURRENCY, `${way}: ${failed} were lost`);
    const later = failures.filter(({ beganAt }) => beganAt > lostAt);
    t.same(later, [], `${way}: none that began after the host was lost at ${lostAt}`);
  };
  check(inner!, 'through the VIP');
  check(outer!, 'through the mesh');
  await bringBack(shared, lost, asking);
  await docker(asking, 'service', 'rm', 'spread');
});
