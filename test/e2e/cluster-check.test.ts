import type { ClusterCheck } from '@swarmd/model';
import { type Host, whyNoHosts } from '@swarmd/testkit';
import t from 'tap';
import { createCluster } from './support/cluster.js';
import { shareCluster } from './support/shared-cluster.js';
import { waitFor } from './support/wait.js';

const skip = whyNoHosts() ?? false;
t.setTimeout(300_000);

const shared = shareCluster(t, () => createCluster({ hosts: 3 }));

t.test('cluster check › says what is to be done, and by its exit code whether', { skip }, async (t) => {
  const cluster = await shared(t);
  const { hosts, docker, swarmctl, trySwarmctl, swarmd } = cluster;
  const [one, two, three] = hosts as [Host, Host, Host];
  const check = async (host: Host): Promise<ClusterCheck> =>
    JSON.parse((await trySwarmctl(host, 'cluster', 'check', '--format', 'json')).stdout) as ClusterCheck;
  const text = ({ Findings }: ClusterCheck): string => Findings.map(({ Level, What }) => `${Level} ${What}`).join('\n');

  await t.test('one manager is well enough', async (t) => {
    await cluster.form();
    const { Healthy, Findings, Quorum, Nodes } = await check(one);
    t.same(
      Findings.map(({ Level }) => Level),
      ['note'],
    );
    t.ok(Healthy);
    t.match(Quorum, { Voters: 1, Margin: 0 });
    t.equal((await trySwarmctl(one, 'cluster', 'check')).code, 0);
    await waitFor('every node has told its version and its clock', async () => {
      const found = (await check(one)).Nodes;
      return found.every(
        ({ SwarmdVersion, ClockAheadMs }) => SwarmdVersion !== undefined && ClockAheadMs !== undefined,
      );
    });
    t.equal(Nodes.length, 3);
    t.match((await trySwarmctl(two, 'cluster', 'check')).stderr, /not participating as a Swarm manager/);
  });

  await t.test('with two of them whoever promotes, asks or looks is warned', async (t) => {
    const promoted = await trySwarmctl(one, 'node', 'promote', two.name);
    t.equal(promoted.code, 0);
    t.match(promoted.stderr, /two managers, and neither may be lost/);
    await waitFor('two managers are there', async () => {
      const { Quorum, Managers } = await check(one);
      return Quorum.Voters === 2 && Quorum.Healthy === 2 && Managers.every(({ Answers }) => Answers);
    });
    const found = await check(two);
    t.notOk(found.Healthy);
    t.match(text(found), /warning there are two managers/);
    t.equal(found.Managers.length, 2);
    for (const { Etcd, ClockAheadMs } of found.Managers) {
      t.ok((Etcd?.FsyncP99Ms ?? 0) > 0);
      t.ok((Etcd?.QuotaBytes ?? 0) > (Etcd?.UsedBytes ?? 0));
      t.type(ClockAheadMs, 'number');
    }
    const shown = await trySwarmctl(two, 'cluster', 'check');
    t.equal(shown.code, 1);
    t.match(shown.stdout, /WARNING: there are two managers/);
    t.match((await trySwarmctl(two, 'info')).stderr, /two managers, and neither may be lost/);
  });

  await t.test('a third makes it safe; without two of three nothing can be decided', async (t) => {
    t.notMatch((await trySwarmctl(one, 'node', 'promote', three.name)).stderr, /neither may be lost/);
    await waitFor('three managers are there', async () => (await check(one)).Quorum.Margin === 1);
    t.notMatch(await docker(one, 'info'), /neither may be lost/);
    await Promise.all([swarmd(two).stop('SIGKILL'), swarmd(three).stop('SIGKILL')]);
    await waitFor('the loss is seen', async () => (await check(one)).Quorum.Margin < 0);
    const found = await check(one);
    t.match(text(found), /error the managers have no quorum/);
    t.match(text(found), /error manager .* does not answer/);
    t.match(await swarmctl(one, 'cluster', 'recover', '--show'), /becomes the only manager/);
  });
});
