import { VERSIONS } from '@swarmd/model';
import { type Host, importBusyboxImage, whyNoHosts } from '@swarmd/testkit';
import t from 'tap';
import { type Cluster, createCluster, serves, swarmdEntry } from './support/cluster.js';
import { apiGet, runningContainers, tasksOf, waitForExactly } from './support/observe.js';
import { installPacked, NEXT, packedVersions, TOO_NEW } from './support/packed.js';
import { shareCluster } from './support/shared-cluster.js';
import { waitFor } from './support/wait.js';
import { followEvents, startWriters, type Writers } from './support/writers.js';

const skip = whyNoHosts() ?? false;
t.setTimeout(900_000);

const packed = skip === false ? await installPacked(t, packedVersions().at(-1)!) : undefined;
const shared = shareCluster(t, () => createCluster({ hosts: 3 }, packed!.entry));

t.test('upgrade › managers change their version one by one, and clients notice nothing', { skip }, async (t) => {
  const cluster = await shared(t);
  const { hosts, docker, tryDocker } = cluster;
  const [one, two, three] = hosts as [Host, Host, Host];
  await Promise.all(hosts.map((host) => importBusyboxImage(host)));
  await cluster.form({ managers: 3 });
  const service = ['--name', 'web', '--replicas', '3', '--stop-grace-period', '1s', '--detach'];
  await docker(one, 'service', 'create', ...service, 'busybox:latest', 'sleep', 'infinity');
  const containers = await waitForExactly(hosts, 'web', 3);
  const [next, tooNew] = [packed!.variant(NEXT), packed!.variant(TOO_NEW)];
  let runs = 0;

  /** Restarts managers, each with another program, while clients write through all of them. */
  const rolling = async (t: Checks, entry: string, order: readonly Host[]): Promise<void> => {
    const claims = claimsOverOthers(cluster);
    const writers = startWriters(hosts, `w${++runs}`);
    try {
      for (const host of order) await restart(t, cluster, writers, host, entry);
    } finally {
      await writers.stop();
    }
    t.same(writers.failures, [], 'no write failed');
    t.ok(writers.written.size > 20, `${writers.written.size} writes were made`);
    for (const host of hosts) {
      const listed = await apiGet<{ Spec: { Name: string } }[]>(host, '/configs');
      const names = new Set(listed.map(({ Spec }) => Spec.Name));
      t.same(
        [...writers.written].filter((name) => !names.has(name)),
        [],
        `${host.name} has all that was acknowledged`,
      );
    }
    t.equal(claimsOverOthers(cluster), claims, 'nobody waited for a leader that had gone silent');
    t.same(await runningContainers(hosts, 'web'), containers, 'containers went on');
    t.equal((await tasksOf(one, 'web')).length, 3, 'no task was replaced');
  };

  await t.test('from the packed version to this one, the leader first', async (t) => {
    await rolling(t, swarmdEntry, await leaderFirst(cluster));
    await cluster.docker(one, 'service', 'update', '--detach', '--label-add', 'a=1', 'web');
    t.same(await versionsOf(one), [VERSIONS.swarmd, VERSIONS.swarmd, VERSIONS.swarmd]);
  });

  await t.test('and one of them back: the packed version works beside this one', async (t) => {
    await rolling(t, packed!.entry, [two]);
  });

  await t.test('on to the next version: its form of the state is used once all can read it', async (t) => {
    await rolling(t, next.entry, [one, two]);
    t.notMatch(logs(cluster), NEW_FORM, 'one manager does not know it');
    t.match(await cluster.swarmctl(three, 'node', 'ls'), /SWARMD VERSION/, 'different versions are shown');
    await rolling(t, next.entry, [three]);
    await waitFor('the newer form is used', () => NEW_FORM.test(logs(cluster)));
    t.same(await versionsOf(one), [NEXT.swarmd, NEXT.swarmd, NEXT.swarmd]);
  });

  await t.test('a manager older than the state refuses to open it, and says why', async (t) => {
    await cluster.swarmd(three).stop();
    await cluster.startSwarmd(three, [], swarmdEntry);
    await waitFor('it says why it does not serve', async () => {
      const { Swarm } = await apiGet<{ Swarm: { Error: string } }>(three, '/info');
      return Swarm.Error.includes(`the cluster’s state has format ${NEXT.stateFormat}, and swarmd ${VERSIONS.swarmd}`);
    });
    t.not((await tryDocker(three, 'node', 'ls')).code, 0);
    t.equal((await tryDocker(one, 'node', 'ls')).code, 0);
    t.same(await runningContainers(hosts, 'web'), containers, 'its containers go on');
    await cluster.swarmd(three).stop();
    await cluster.startSwarmd(three, [], next.entry);
    await serves(three);
  });

  await t.test(
    'a manager that shares no protocol with the others is refused, and does not take their place',
    async (t) => {
      // All speak one protocol again.
      const current = packed!.variant({ ...VERSIONS, swarmd: 'current', stateFormat: NEXT.stateFormat });
      await rolling(t, current.entry, await leaderFirst(cluster));
      const leader = await leaderOf(cluster);
      const other = hosts.find((host) => host !== leader)!;
      await cluster.swarmd(other).stop();
      await cluster.startSwarmd(other, [], tooNew.entry);
      const words = 'have no protocol in common: upgrade swarmd current';
      await waitFor('both names are in its log', () => cluster.swarmd(other).log.includes(words));
      await docker(leader, 'config', 'create', 'while-refused', '/etc/hostname');
      t.equal((await leaderOf(cluster, other)).name, leader.name);
      const { Swarm } = await apiGet<{ Swarm: { Error: string } }>(other, '/info');
      t.match(Swarm.Error, words);
    },
  );
});

type Checks = Pick<typeof t, 'ok' | 'same' | 'equal' | 'not'>;

/** What a leader logs when it raises the form of the state. */
const NEW_FORM = /all managers can work on a newer form/;

/** Restarts one manager with another program: it hands over, answers what was asked, and comes back. */
async function restart(t: Checks, cluster: Cluster, writers: Writers, host: Host, entry: string): Promise<void> {
  const { swarmd, startSwarmd } = cluster;
  const led = (await leaderOf(cluster)) === host;
  const events = followEvents(host);
  writers.phase(host, 'stopping');
  t.equal(await swarmd(host).stop(), 0);
  t.equal(await events, true, `the events of ${host.name} came to their end`);
  if (led) t.not((await leaderOf(cluster, host)).name, host.name, 'another manager leads');
  writers.phase(host, 'starting');
  await startSwarmd(host, [], entry);
  await serves(host);
  await waitFor(`all managers are reachable`, async () => (await managers(host)).length === cluster.hosts.length);
  writers.phase(host, 'serving');
}

interface NodeView {
  SwarmdVersion?: string;
  Description: { Hostname: string };
  ManagerStatus?: { Leader?: boolean; Reachability: string };
}

async function managers(host: Host): Promise<NodeView[]> {
  const nodes = await apiGet<NodeView[]>(host, '/nodes');
  return nodes.filter(({ ManagerStatus }) => ManagerStatus?.Reachability === 'reachable');
}

/** The host of the leader, as a manager sees it that is not `gone`. */
async function leaderOf({ hosts }: Cluster, gone?: Host): Promise<Host> {
  let leader: Host | undefined;
  await waitFor('a manager leads', async () => {
    const nodes = await apiGet<NodeView[]>(hosts.find((host) => host !== gone)!, '/nodes');
    const name = nodes.find(({ ManagerStatus }) => ManagerStatus?.Leader === true)?.Description.Hostname;
    leader = hosts.find((host) => host.name === name);
    return leader !== undefined && leader !== gone;
  });
  return leader!;
}

async function leaderFirst(cluster: Cluster): Promise<Host[]> {
  const leader = await leaderOf(cluster);
  return [leader, ...cluster.hosts.filter((host) => host !== leader)];
}

async function versionsOf(host: Host): Promise<(string | undefined)[]> {
  return (await apiGet<NodeView[]>(host, '/nodes')).map(({ SwarmdVersion }) => SwarmdVersion);
}

function logs({ hosts, swarmd }: Cluster): string {
  return hosts.map((host) => swarmd(host).log).join('\n');
}

/** How often a manager has claimed leadership while the log still named another: that one had gone without a word. */
function claimsOverOthers(cluster: Cluster): number {
  const lines = logs(cluster).split('\n');
  return lines.filter((line) => line.includes('"claiming leadership"') && /"in":"/.test(line)).length;
}
