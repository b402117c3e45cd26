import { type Host, importBusyboxImage, whyNoHosts } from '@swarmd/testkit';
import t from 'tap';
import { createCluster } from './support/cluster.js';
import { nodeState, waitForExactly } from './support/observe.js';
import { shareCluster } from './support/shared-cluster.js';
import { waitFor } from './support/wait.js';

const skip = whyNoHosts() ?? false;
t.setTimeout(900_000);

const shared = shareCluster(t, () => createCluster({ hosts: 4 }));

t.test('managers › three of them take over from one another, and lose nothing', { skip }, async (t) => {
  const cluster = await shared(t);
  const { hosts, docker, tryDocker, swarmd, startSwarmd } = cluster;
  const [one, two, three] = hosts as [Host, Host, Host, Host];
  const create = (on: Host, name: string, replicas: number): Promise<string> => {
    const options = ['--replicas', `${replicas}`, '--stop-grace-period', '1s', '--detach'];
    return docker(on, 'service', 'create', '--name', name, ...options, 'busybox:latest', 'sleep', 'infinity');
  };
  const leaderSeenBy = async (host: Host): Promise<string> => {
    const found = await tryDocker(host, 'node', 'ls', '--format', '{{.Hostname}} {{.ManagerStatus}}');
    return /^(\S+) Leader$/m.exec(found.stdout)?.[1] ?? '';
  };
  await Promise.all(hosts.map((host) => importBusyboxImage(host)));

  await t.test('one manager becomes three while its services go on', async (t) => {
    await cluster.form({ managers: 3 });
    await create(one, 'first', 4);
    await waitForExactly(hosts, 'first', 4);
    t.equal(await leaderSeenBy(three), one.name);
  });

  await t.test('each of them takes writes, and shows at once what another took', async (t) => {
    for (const [writer, reader] of [
      [one, two],
      [two, three],
      [three, one],
    ] as const) {
      const name = `config-${writer.name}`;
      await docker(writer, 'config', 'create', '--label', 'a=1', name, '/etc/hostname');
      t.match(await docker(reader, 'config', 'ls', '--format', '{{.Name}}'), name);
    }
    t.match((await tryDocker(two, 'config', 'create', `config-${one.name}`, '/etc/hostname')).stderr, /already exists/);
  });

  await t.test('when the leader is killed another leads, and what was there is there', async (t) => {
    await swarmd(one).stop('SIGKILL');
    await waitFor('another manager leads', async () => {
      const leader = await leaderSeenBy(two);
      return leader !== '' && leader !== one.name;
    });
    await create(two, 'second', 3);
    await waitFor('the killed manager is down', async () => (await nodeState(two, one.name)) === 'down');
    await waitForExactly([two, three, hosts[3]!], 'second', 3);
    await startSwarmd(one);
    await waitFor('the killed manager is back', async () => (await nodeState(three, one.name)) === 'ready');
    t.match(await docker(one, 'service', 'ls', '--format', '{{.Name}}'), /second/);
  });
});
