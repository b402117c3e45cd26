import type { ClusterCheck } from '@swarmd/model';
import { type Host, whyNoHosts } from '@swarmd/testkit';
import t from 'tap';
import { type Cluster, createCluster, SWARMD_SOCKET, serves } from './support/cluster.js';
import { nodeState } from './support/observe.js';
import { shareCluster } from './support/shared-cluster.js';
import { waitFor } from './support/wait.js';

const skip = whyNoHosts() ?? false;
t.setTimeout(900_000);

const shared = shareCluster(t, () => createCluster({ hosts: 3 }));

const observing = ({ docker, tryDocker, swarmctl, trySwarmctl }: Cluster) => ({
  create: (on: Host, name: string): Promise<string> => docker(on, 'config', 'create', name, '/etc/hostname'),
  configs: (host: Host): Promise<string> => docker(host, 'config', 'ls', '--format', '{{.Name}}'),
  check: async (host: Host): Promise<ClusterCheck> =>
    JSON.parse((await trySwarmctl(host, 'cluster', 'check', '--format', 'json')).stdout) as ClusterCheck,
  /** The managers as a recovery from `host` sees them, `NAME INDEX` each. */
  logs: async (host: Host): Promise<Map<string, string>> => {
    const { Managers } = JSON.parse(await swarmctl(host, 'cluster', 'recover', '--show', '--format', 'json')) as {
      Managers: { Hostname: string; Index: string }[];
    };
    return new Map(Managers.map(({ Hostname, Index }) => [Hostname, Index]));
  },
  isStandby: (host: Host): Promise<void> =>
    waitFor(`${host.name} is a standby`, async () => /is a standby/.test((await tryDocker(host, 'node', 'ls')).stderr)),
  label: async (on: Host, host: Host): Promise<string> =>
    docker(on, 'node', 'inspect', '--format', '{{json .Spec.Labels}}', host.name),
});

t.test('standby › keeps a copy of the state, and is what a lost manager is recovered from', { skip }, async (t) => {
  const cluster = await shared(t);
  const { hosts, docker, tryDocker, swarmctl, trySwarmctl, swarmd, startSwarmd } = cluster;
  const [one, two, three] = hosts as [Host, Host, Host];
  const { create, configs, check, logs, isStandby, label } = observing(cluster);
  await cluster.form();
  await create(one, 'before');

  await t.test('a worker becomes one, and says so', async (t) => {
    const promoted = await trySwarmctl(one, 'node', 'promote', '--standby', two.name);
    t.match(promoted, { code: 0, stdout: /promoted to a standby/, stderr: '' });
    await isStandby(two);
    const { stdout } = await tryDocker(two, 'info');
    t.match(stdout, new RegExp(`this manager is a standby.*ask the manager at ${one.ip}:2377`));
    t.match((await trySwarmctl(one, 'node', 'promote', '--standby', three.name)).stderr, /is the standby already/);
    await waitFor('the leader hears it', async () => {
      return (await check(one)).Managers.some(({ Standby, Answers }) => Standby && Answers);
    });
    const { Quorum, Findings, Healthy } = await check(one);
    t.match(Quorum, { Voters: 1, Healthy: 1, Margin: 0 });
    t.ok(Healthy, JSON.stringify(Findings));
    t.match((await check(two)).Managers[0], { Hostname: two.name, Standby: true });
    t.match(
      (await trySwarmctl(two, 'cluster', 'recover', '--yes')).stderr,
      /has a quorum: there is nothing to recover/,
    );
    t.match((await tryDocker(one, 'node', 'demote', one.name)).stderr, /last manager/);
    t.match((await tryDocker(one, 'swarm', 'leave')).stderr, /Removing the last manager erases all/);
    t.match((await tryDocker(two, 'swarm', 'leave')).stderr, /leave the swarm on a standby/);
  });

  await t.test('losing it harms nothing, and it comes back as what it was', async () => {
    await swarmd(two).stop('SIGKILL');
    await create(one, 'without-standby');
    await startSwarmd(two);
    await isStandby(two);
  });

  let unlockKey = '';
  const unlock = (host: Host): Promise<unknown> =>
    host.exec(['docker', '-H', `unix://${SWARMD_SOCKET}`, 'swarm', 'unlock'], { input: `${unlockKey}\n` });
  await t.test('the lock and a new data key reach it, though it has no vote', async (t) => {
    unlockKey = /SWMKEY-1-\S+/.exec(await swarmctl(one, 'swarm', 'update', '--autolock=true'))?.[0] ?? '';
    const files = ['certificates/node.pem', 'manager/data.key', 'manager/etcd.json'];
    const secrets = () => two.run(['cat', ...files.map((file) => `/var/lib/swarmd/${file}`)]);
    await waitFor('its secrets are sealed', async () => !/PRIVATE KEY|data key|"keyPem"/.test(await secrets()));
    await waitFor('the store is sealed with another data key alone', async () => {
      return /the store is sealed with the new data key alone/.test(swarmd(one).log);
    });
    t.match(unlockKey, /^SWMKEY-1-/);
  });

  await t.test('when the manager is lost for good, the standby has what was acknowledged', async (t) => {
    for (let i = 0; i < 20; i++) await create(one, `acknowledged-${i}`);
    await waitFor('the copy is complete', async () => {
      const seen = await logs(one);
      return seen.has(two.name) && seen.get(one.name) === seen.get(two.name);
    });
    await Promise.all([swarmd(one).stop('SIGKILL'), swarmd(two).stop('SIGKILL')]);
    await startSwarmd(two);
    await unlock(two);
    await isStandby(two);
    const shown = await swarmctl(two, 'cluster', 'recover', '--show');
    t.match(shown, /make sure that it is off for good/);
    await swarmctl(two, 'cluster', 'recover', '--yes');
    const found = await configs(two);
    for (let i = 0; i < 20; i++) t.match(found, new RegExp(`acknowledged-${i}\\n`));
    t.match(found, 'without-standby');
    t.notMatch(await label(two, two), /standby/);
    await create(two, 'after');
    await waitFor('the worker has found it', async () => (await nodeState(two, three.name)) === 'ready');
  });

  await t.test('the former manager learns that it is none, and becomes the standby', async (t) => {
    await docker(two, 'swarm', 'update', '--autolock=false');
    await startSwarmd(one);
    await unlock(one);
    // It knows of no manager but itself and the standby that there was.
    await waitFor('it is a worker', async () => {
      return (
        /Worker nodes/.test((await tryDocker(one, 'node', 'ls')).stderr) && (await nodeState(two, one.name)) === 'ready'
      );
    });
    await swarmctl(two, 'node', 'promote', '--standby', one.name);
    await isStandby(one);
    t.match((await check(two)).Quorum, { Voters: 1 });
  });

  await t.test('a third manager gives the standby its vote, and all three serve', async (t) => {
    await swarmd(one).stop('SIGKILL');
    await docker(two, 'node', 'promote', three.name);
    await waitFor('the newcomer says what it waits for', async () => {
      return /the standby .* gets its vote before .* does not answer/.test((await tryDocker(three, 'info')).stdout);
    });
    await create(two, 'without-a-vote-of-one-that-is-gone');
    t.match(await label(two, one), /standby/);
    await startSwarmd(one);
    await Promise.all([serves(one), serves(three)]);
    await waitFor('three voters', async () => (await check(two)).Quorum.Margin === 1);
    t.notMatch(await label(two, one), /standby/);
    t.match(await configs(one), 'after');
    await create(one, 'through-the-former-standby');
    t.match(
      (await tryDocker(two, 'node', 'update', '--label-add', 'swarmd.standby=true', three.name)).stderr,
      /is a manager with a vote and cannot become a standby as it is/,
    );
    await swarmd(two).stop('SIGKILL');
    await waitFor(
      'the others go on',
      async () => (await tryDocker(three, 'config', 'create', 'c', '/etc/hostname')).code === 0,
    );
    await startSwarmd(two);
    await serves(two);
  });

  await t.test('demoted it is a worker again, and without its label it has its vote within seconds', async () => {
    for (const host of [one, three]) {
      await waitFor(
        `${host.name} is demoted`,
        async () => (await tryDocker(two, 'node', 'demote', host.name)).code === 0,
      );
    }
    const isWorker = (): Promise<void> =>
      waitFor('it is a worker', async () => /Worker nodes/.test((await tryDocker(three, 'node', 'ls')).stderr));
    await isWorker();
    await waitFor('one voter', async () => (await check(two)).Quorum.Voters === 1);
    await swarmctl(two, 'node', 'promote', '--standby', three.name);
    await isStandby(three);
    await waitFor('it is listed', async () => (await swarmctl(two, 'node', 'ls')).includes('Standby'));
    await swarmctl(two, 'node', 'demote', three.name);
    await isWorker();
    await swarmctl(two, 'node', 'promote', '--standby', three.name);
    await isStandby(three);
    await docker(two, 'node', 'update', '--label-rm', 'swarmd.standby', three.name);
    await serves(three);
    await waitFor('two voters', async () => (await check(two)).Quorum.Voters === 2);
  });
});
