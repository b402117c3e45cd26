import { type Host, importBusyboxImage, whyNoHosts } from '@swarmd/testkit';
import t from 'tap';
import { createCluster, serves } from './support/cluster.js';
import { nodeState, runningContainers, waitForExactly } from './support/observe.js';
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
  let leaderName = '';
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
      leaderName = leader;
      return leader !== '' && leader !== one.name;
    });
    await create(two, 'second', 3);
    await waitFor('the killed manager is down', async () => (await nodeState(two, one.name)) === 'down');
    await waitForExactly([two, three, hosts[3]!], 'second', 3);
    await startSwarmd(one);
    await waitFor('the killed manager is back', async () => (await nodeState(three, one.name)) === 'ready');
    await serves(one);
    t.match(await docker(one, 'service', 'ls', '--format', '{{.Name}}'), /second/);
  });

  await t.test('a worker becomes a manager and a manager a worker, by promotion and demotion', async (t) => {
    const four = hosts[3]!;
    const containers = await waitForExactly(hosts, 'first', 4, two);
    await docker(two, 'node', 'promote', four.name);
    await serves(four);
    const leader = hosts.find((host) => host.name === leaderName)!;
    await docker(four, 'node', 'demote', leader.name);
    await waitFor('the demoted leader is a worker', async () => {
      const { stdout } = await tryDocker(four, 'node', 'ls', '--format', '{{.Hostname}} {{.ManagerStatus}}');
      return (
        stdout.split('\n').filter((line) => / (Leader|Reachable)$/.test(line)).length === 3 &&
        !new RegExp(`^${leader.name} (Leader|Reachable|Unreachable)$`, 'm').test(stdout)
      );
    });
    await waitFor('it serves no more', async () => (await tryDocker(leader, 'node', 'ls')).code !== 0);
    await create(four, 'third', 2);
    await waitForExactly(hosts, 'third', 2, four);
    t.same(await runningContainers(hosts, 'first'), containers, 'tasks noticed nothing');
  });

  await t.test('what would lose the quorum is refused', async (t) => {
    const four = hosts[3]!;
    const others = (await docker(four, 'node', 'ls', '--filter', 'role=manager', '--format', '{{.Hostname}}'))
      .trim()
      .split('\n')
      .filter((name) => name !== four.name);
    const [first, second] = others.map((name) => hosts.find((host) => host.name === name)!) as [Host, Host];
    await swarmd(first).stop('SIGKILL');
    await waitFor('the killed manager is unreachable', async () => {
      const { stdout } = await tryDocker(four, 'node', 'ls', '--format', '{{.Hostname}} {{.ManagerStatus}}');
      return stdout.includes(`${first.name} Unreachable`);
    });
    t.match((await tryDocker(four, 'node', 'demote', second.name)).stderr, /loss of quorum/);
    await docker(four, 'node', 'demote', first.name);
    await docker(four, 'node', 'demote', second.name);
    t.match((await tryDocker(four, 'node', 'demote', four.name)).stderr, /last manager/);
    await waitFor('one manager is left, and writes', async () => {
      return (await tryDocker(four, 'config', 'create', 'last', '/etc/hostname')).code === 0;
    });
    await startSwarmd(first);
    await waitFor('the demoted one is back as a worker', async () => (await nodeState(four, first.name)) === 'ready');
  });
});
