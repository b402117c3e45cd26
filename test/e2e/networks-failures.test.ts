import { availableEngines, type Host, importBusyboxImage, whyNoHosts } from '@swarmd/testkit';
import t from 'tap';
import { type Cluster, createCluster } from './support/cluster.js';
import {
  type Answers,
  askFrom,
  askFromOutside,
  askThroughout,
  containerOf,
  createNodeService,
  mounts,
} from './support/network-services.js';
import { leaderOf, nodeState, placesOf, serviceOf, waitForExactly, waitForRunning } from './support/observe.js';
import { shareCluster } from './support/shared-cluster.js';
import { waitFor } from './support/wait.js';

const skip = whyNoHosts() ?? false;
t.setTimeout(900_000);

const CONCURRENCY = 8;
const SLEEP = ['busybox:latest', 'sleep', '3600'];

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
async function leaderAndOthers(shared: Cluster, manager: Host): Promise<[Host, Host, Host]> {
  const leader = await leaderOf(shared, manager);
  const [one, two] = shared.hosts.filter((host) => host !== leader) as [Host, Host];
  return [leader, one, two];
}

/** What is asked for at once: a service by its name from a host, and by its published port on that host from outside. */
interface Asked {
  host: Host;
  /** Container on the host that asks; the task of `asker` unless told. */
  from?: string;
  /** Name or virtual IP. */
  service: string;
  port: number;
  /** At least so many requests each. */
  count: number;
}

/** Asks until `done` has settled; resolves with the answers by name, and those by port. */
async function requests(shared: Cluster, { host, from, service, port, count }: Asked, done: Promise<unknown>) {
  const container = from ?? (await containerOf(host, 'asker'));
  const byName = (some: number) => askFrom(host, container, `http://${service}:8080/`, some);
  const byPort = (some: number) => askFromOutside(shared, `http://${host.ip}:${port}/`, some);
  const [inner, outer] = await Promise.all([byName, byPort].map((asking) => askThroughout(asking, count, done)));
  await done;
  return [inner!, outer!] as const;
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
  const asked = { host: two, service: 'steady', port: 8082, count: 10_000 };
  const [inner, outer] = await requests(shared, asked, work());
  t.equal(inner.failed, 0, `through the VIP: ${JSON.stringify(inner)}`);
  t.equal(outer.failed, 0, `through the mesh: ${JSON.stringify(outer)}`);
  await bringBack(shared, leader, one);
  await waitFor('it serves', async () => (await tryDocker(leader, 'node', 'ls')).code === 0);
  await docker(one, 'service', 'rm', 'steady');
});

t.test('network failures › swarmd and swarmd-net may die and start anew beneath traffic', { skip }, async (t) => {
  const shared = await cluster(t);
  const { hosts, docker, swarmd, startSwarmd } = shared;
  const [manager, , host] = hosts as [Host, Host, Host];
  await docker(manager, 'network', 'create', '-d', 'overlay', '--attachable', 'shared');
  await createNodeService(shared, manager, 'lasting', [
    ...['--replicas', '4', '--network', 'front', '--network', 'shared', '--publish', '8084:8080'],
    ...['--constraint', `node.hostname!=${manager.name}`],
  ]);
  await waitForRunning(manager, 'lasting', 4);
  await waitFor('it answers outside', async () => {
    return (await askFromOutside(shared, `http://${host.ip}:8084/`, 1)).answered === 1;
  });
  // A task would be replaced when swarmd is away for longer than its heartbeat may be.
  await host.run(['docker', 'run', '-d', '--name', 'plain', '--network', 'shared', ...mounts, ...SLEEP]);
  const pidOfSwarmdNet = async (): Promise<string> =>
    (await host.exec(['pgrep', '-f', 'dist/swarmd-net'])).stdout.trim();
  const resolve = ['docker', 'exec', 'plain', 'nslookup', 'lasting'];
  const namesAnswer = () => waitFor('names are answered', async () => (await host.exec(resolve)).code === 0);
  const virtualIp = async (): Promise<string> => {
    const [address] = /\d+\.\d+\.\d+\.\d+(?!.*\d+\.\d+\.\d+\.\d+)/s.exec(await host.run(resolve)) ?? [''];
    return address;
  };
  const askPlainly = ['run', '--rm', '--network', 'shared', 'busybox:latest', 'nslookup', 'lasting'];
  const work = async (): Promise<void> => {
    for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
      const before = await pidOfSwarmdNet();
      await host.run(['kill', `-${signal.slice(3)}`, ...before.split('\n')]);
      await waitFor('swarmd has started another swarmd-net', async () => {
        const asked = ['curl', '-sf', '--unix-socket', '/run/swarmd/net.sock', 'http://swarmd-net/status'];
        return (await pidOfSwarmdNet()) !== before && (await host.exec(asked)).code === 0;
      });
      await namesAnswer();
      await swarmd(host).stop(signal);
      t.match(await host.run(['docker', ...askPlainly]), /Address/, `without swarmd (${signal}) the engine goes on`);
      await startSwarmd(host);
    }
    const before = await pidOfSwarmdNet();
    await swarmd(host).stop();
    await host.run(['kill', ...before.split('\n')]);
    await host.startSwarmdNet();
    await namesAnswer();
    await startSwarmd(host);
    await waitFor('it is ready', async () => (await nodeState(manager, host.name)) === 'ready');
  };
  // Not by name: a resolver gives up after ten seconds, in which swarmd-net starts anew more than once here.
  const asked = { host, from: 'plain', service: await virtualIp(), port: 8084, count: 2_000 };
  const [inner, outer] = await requests(shared, asked, work());
  t.equal(inner.failed, 0, `through the VIP: ${JSON.stringify(inner)}`);
  t.equal(outer.failed, 0, `through the mesh: ${JSON.stringify(outer)}`);
  await host.run(['docker', 'rm', '-f', 'plain']);
  await docker(manager, 'service', 'rm', 'lasting');
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
  const asked = { host: asking, service: 'spread', port: 8083, count: 2_000 };
  const [inner, outer] = await requests(shared, asked, work());
  const check = ({ failures, failed, slowestMs }: Answers, way: string): void => {
    t.comment(`${way}: ${JSON.stringify(failures)}, slowest ${slowestMs} ms`);
    t.ok(failed <= CONCURRENCY, `${way}: ${failed} were lost`);
    const later = failures.filter(({ beganAt }) => beganAt > lostAt);
    t.same(later, [], `${way}: none that began after the host was lost at ${lostAt}`);
  };
  check(inner, 'through the VIP');
  check(outer, 'through the mesh');
  await bringBack(shared, lost, asking);
  await docker(asking, 'service', 'rm', 'spread');
});
