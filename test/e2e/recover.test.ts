import { type Host, importBusyboxImage, whyNoHosts } from '@swarmd/testkit';
import t from 'tap';
import { answers, createCluster, serves } from './support/cluster.js';
import { apiGet, nodeState, runningContainers, waitForExactly } from './support/observe.js';
import { shareCluster } from './support/shared-cluster.js';
import { waitFor } from './support/wait.js';

const skip = whyNoHosts() ?? false;
t.setTimeout(900_000);

const shared = shareCluster(t, () => createCluster({ hosts: 4 }));

/** What the test reads of a node. */
interface NodeView {
  Description?: { Hostname?: string };
  Status: { State: string };
  ManagerStatus?: object;
}

t.test('recover › a cluster that has lost its quorum is rebuilt from a survivor', { skip }, async (t) => {
  const cluster = await shared(t);
  const { hosts, docker, tryDocker, swarmctl, trySwarmctl, swarmd, startSwarmd } = cluster;
  const [one, two, three, four] = hosts as [Host, Host, Host, Host];
  const configs = (host: Host): Promise<string> => docker(host, 'config', 'ls', '--format', '{{.Name}}');
  const isWorker = (host: Host, seenFrom: Host): Promise<void> =>
    waitFor(`${host.name} is a worker`, async () => {
      const nodes = (await answers(seenFrom, '/nodes')) ? await apiGet<NodeView[]>(seenFrom, '/nodes') : [];
      const node = nodes.find(({ Description }) => Description?.Hostname === host.name);
      return node?.Status.State === 'ready' && node.ManagerStatus === undefined;
    });
  const create = (on: Host, name: string): Promise<string> => docker(on, 'config', 'create', name, '/etc/hostname');
  await Promise.all(hosts.map((host) => importBusyboxImage(host)));
  await cluster.form();
  const service = ['--replicas', '4', '--stop-grace-period', '1s', '--detach', 'busybox:latest', 'sleep', 'infinity'];
  await docker(one, 'service', 'create', '--name', 'web', ...service);
  await waitForExactly(hosts, 'web', 4);
  await create(one, 'acknowledged');

  await t.test('the only manager can be forced as well, and stays what it is', async (t) => {
    const before = await runningContainers(hosts, 'web');
    await docker(one, 'swarm', 'init', '--force-new-cluster', '--advertise-addr', one.ip);
    t.match(await configs(one), 'acknowledged');
    t.match(
      (await tryDocker(two, 'swarm', 'init', '--force-new-cluster')).stderr,
      /not participating as a Swarm manager/,
    );
    for (const host of [two, three]) {
      await waitFor(`${host.name} is ready`, async () => (await nodeState(one, host.name)) === 'ready');
      await docker(one, 'node', 'promote', host.name);
      await serves(host);
    }
    t.same(await waitForExactly(hosts, 'web', 4), before, 'tasks noticed nothing');
  });

  await t.test('with a quorum there is nothing to recover', async (t) => {
    const refused = await trySwarmctl(two, 'cluster', 'recover', '--yes');
    t.not(refused.code, 0);
    t.match(refused.stderr, /has a quorum: there is nothing to recover/);
    const worker = await trySwarmctl(four, 'cluster', 'recover', '--yes');
    t.match(worker.stderr, /not participating as a Swarm manager/);
  });

  await t.test('without one containers go on, and nothing is written', async (t) => {
    const before = await runningContainers(hosts, 'web');
    await Promise.all([swarmd(one).stop('SIGKILL'), swarmd(three).stop('SIGKILL')]);
    // It is refused after a while, in which nothing else changes that.
    const refused = tryDocker(two, 'config', 'create', 'never', '/etc/hostname');
    t.same(await runningContainers(hosts, 'web'), before);
    const shown = await swarmctl(two, 'cluster', 'recover', '--show');
    t.match(shown, new RegExp(`${two.name} \\*.* no `));
    t.match(shown, /becomes the only manager/);
    t.match(shown, /does not answer.*is lost/);
    t.match((await trySwarmctl(two, 'cluster', 'recover')).stderr, /Nothing was changed/);
    t.match((await tryDocker(two, 'config', 'create', 'never', '/etc/hostname')).stderr, /does not have a leader/);
    t.match((await refused).stderr, /does not have a leader/);
  });

  await t.test('the survivor becomes the only manager, with all that was acknowledged', async (t) => {
    const before = await runningContainers([two, four], 'web');
    t.match(await swarmctl(two, 'cluster', 'recover', '--yes'), /is the only manager of the cluster/);
    t.match(await configs(two), 'acknowledged');
    await create(two, 'after-recovery');
    await waitFor('the worker is ready', async () => (await nodeState(two, four.name)) === 'ready');
    t.same(await runningContainers([two, four], 'web'), before, 'tasks noticed nothing');
  });

  await t.test('managers that were away learn that they are none, and can be promoted again', async (t) => {
    for (const host of [one, three]) {
      await startSwarmd(host);
      await isWorker(host, two);
      t.not((await tryDocker(host, 'node', 'ls')).code, 0);
    }
    for (const host of [one, three, four]) {
      await docker(two, 'node', 'promote', host.name);
      await serves(host);
    }
    await waitForExactly(hosts, 'web', 4, two);
    t.match(await configs(one), 'after-recovery');
  });

  await t.test('one whose log is behind refuses, and names the one that is further', async (t) => {
    await swarmd(one).stop('SIGKILL');
    await waitFor('the others write', async () => {
      return (await tryDocker(four, 'config', 'create', 'without-one', '/etc/hostname')).code === 0;
    });
    await Promise.all([two, three, four].map((host) => swarmd(host).stop('SIGKILL')));
    await Promise.all([startSwarmd(one), startSwarmd(four)]);
    const refused = await trySwarmctl(one, 'cluster', 'recover', '--yes');
    t.match(refused.stderr, new RegExp(`the log of ${four.name} .* is further: recover there`));
    t.match(await swarmctl(four, 'cluster', 'recover', '--show'), new RegExp(`${one.name} .* no `));
  });

  const elsewhere = four.ip.replace(/\d+$/, (last) => String(Number(last) + 100));
  await t.test('the one that is further comes up at a new address, and the other survivor follows it', async (t) => {
    await four.run(['ip', 'addr', 'add', `${elsewhere}/24`, 'dev', 'eth0']);
    await swarmctl(four, 'cluster', 'recover', '--yes', '--advertise-addr', elsewhere);
    t.match(await configs(four), 'without-one');
    await isWorker(one, four);
    t.match(await docker(four, 'node', 'inspect', '--format', '{{.ManagerStatus.Addr}}', 'self'), `${elsewhere}:2377`);
    await swarmctl(one, 'cluster', 'find', `${elsewhere}:2377`);
    await isWorker(one, four);
  });

  await t.test('docker swarm init --force-new-cluster does the same', async (t) => {
    await docker(four, 'node', 'promote', one.name);
    await serves(one);
    await waitFor('the other knows where it is', async () =>
      (await docker(four, 'info', '--format', '{{json .Swarm.RemoteManagers}}')).includes(`"${one.ip}:2377"`),
    );
    await swarmd(four).stop('SIGKILL');
    t.match((await tryDocker(one, 'config', 'create', 'never', '/etc/hostname')).stderr, /does not have a leader/);
    await docker(one, 'swarm', 'init', '--force-new-cluster', '--advertise-addr', one.ip);
    await create(one, 'forced');
    t.match(await configs(one), 'without-one');
    await startSwarmd(four);
    await isWorker(four, one);
  });
});
