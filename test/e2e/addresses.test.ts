import { type Host, importBusyboxImage, whyNoHosts } from '@swarmd/testkit';
import t, { type Test } from 'tap';
import { createCluster, serves } from './support/cluster.js';
import { apiGet, nodeState, waitForExactly } from './support/observe.js';
import { shareCluster } from './support/shared-cluster.js';
import { waitFor } from './support/wait.js';

const skip = whyNoHosts() ?? false;
t.setTimeout(600_000);

const shared = shareCluster(t, () => createCluster({ hosts: 4 }));

interface NodeView {
  Description: { Hostname: string };
  Status: { Addr: string };
  ManagerStatus?: { Addr: string; Reachability: string };
}

/** The address that a host is given in place of its own. */
function otherAddress(host: Host): string {
  return host.ip.replace(/\d+$/, (last) => String(Number(last) + 100));
}

/** Gives a host another address in place of the one that it has. */
async function moveHost(host: Host, from: string, to: string): Promise<void> {
  await host.run(['ip', 'addr', 'del', `${from}/24`, 'dev', 'eth0']);
  await host.run(['ip', 'addr', 'add', `${to}/24`, 'dev', 'eth0']);
}

t.test('addresses › a node is who it is, wherever it is', { skip }, async (t) => {
  const cluster = await shared(t);
  const { hosts, docker, tryDocker, swarmd, startSwarmd } = cluster;
  const [one, two, three, four] = hosts as [Host, Host, Host, Host];
  const nodeOf = async (host: Host, seenFrom: Host): Promise<NodeView> => {
    const nodes = await apiGet<NodeView[]>(seenFrom, '/nodes');
    return nodes.find(({ Description }) => Description.Hostname === host.name)!;
  };
  const comeBackElsewhere = async (host: Host): Promise<void> => {
    await swarmd(host).stop();
    await moveHost(host, host.ip, otherAddress(host));
    await startSwarmd(host);
    await serves(host);
  };
  const isAtNewAddress = (t: Test, host: Host, seenFrom: Host): Promise<void> =>
    waitFor(`${seenFrom.name} sees ${host.name} at its new address`, async () => {
      const { ManagerStatus, Status } = await nodeOf(host, seenFrom);
      const there = ManagerStatus?.Addr === `${otherAddress(host)}:2377` && Status.Addr === otherAddress(host);
      if (there) t.equal(ManagerStatus?.Reachability, 'reachable');
      return there;
    });
  await Promise.all([one, two, three].map((host) => importBusyboxImage(host)));

  await t.test('the only manager, before there ever was another', async (t) => {
    await docker(four, 'swarm', 'init', '--advertise-addr', four.ip);
    await comeBackElsewhere(four);
    await docker(four, 'config', 'create', 'moved', '/etc/hostname');
    await isAtNewAddress(t, four, four);
    t.match(await docker(four, 'swarm', 'join-token', 'worker'), `${otherAddress(four)}:2377`);
    await docker(four, 'swarm', 'leave', '--force');
  });

  await t.test('one of three managers: its vote and its sessions are where it is now', async (t) => {
    await docker(one, 'swarm', 'init', '--advertise-addr', one.ip);
    const token = (await docker(one, 'swarm', 'join-token', '-q', 'manager')).trim();
    for (const host of [two, three])
      await docker(host, 'swarm', 'join', '--token', token, '--advertise-addr', host.ip, `${one.ip}:2377`);
    const service = ['--replicas', '3', '--stop-grace-period', '1s', '--detach', 'busybox:latest', 'sleep', 'infinity'];
    await docker(one, 'service', 'create', '--name', 'web', ...service);
    const containers = await waitForExactly([one, two, three], 'web', 3);
    await comeBackElsewhere(three);
    for (const host of [one, two, three]) await isAtNewAddress(t, three, host);
    await waitFor('others know where it is', async () => {
      const { Swarm } = await apiGet<{ Swarm: { RemoteManagers: { Addr: string }[] } }>(two, '/info');
      const addrs = Swarm.RemoteManagers.map(({ Addr }) => Addr);
      return addrs.includes(`${otherAddress(three)}:2377`) && !addrs.includes(`${three.ip}:2377`);
    });
    t.same(await waitForExactly([one, two, three], 'web', 3), containers, 'tasks noticed nothing');
    // Two of three are a quorum only if they reach each other.
    await swarmd(one).stop('SIGKILL');
    await waitFor('the two others write', async () => {
      return (await tryDocker(three, 'config', 'create', 'without-one', '/etc/hostname')).code === 0;
    });
    await startSwarmd(one);
    await serves(one);
    await waitFor('the one that was away is ready', async () => (await nodeState(three, one.name)) === 'ready');
  });

  await t.test('one of two managers, without which the other can decide nothing', async (t) => {
    await docker(one, 'node', 'demote', three.name);
    await waitFor('two managers are left', async () => (await nodeOf(three, two)).ManagerStatus === undefined);
    await comeBackElsewhere(two);
    for (const host of [one, two]) await isAtNewAddress(t, two, host);
    await docker(two, 'config', 'create', 'by-two', '/etc/hostname');
    t.match(await docker(one, 'config', 'ls', '--format', '{{.Name}}'), 'by-two');
  });

  await t.test('the only manager left of several', async (t) => {
    await docker(two, 'node', 'demote', one.name);
    await waitFor('one manager is left', async () => (await nodeOf(one, two)).ManagerStatus === undefined);
    await swarmd(two).stop();
    await moveHost(two, otherAddress(two), two.ip);
    await startSwarmd(two);
    await serves(two);
    await docker(two, 'config', 'create', 'alone', '/etc/hostname');
    t.match(await docker(two, 'config', 'ls', '--format', '{{.Name}}'), 'without-one', 'and nothing is lost');
    await waitFor('it is known by its address', async () => {
      return (await nodeOf(two, two)).ManagerStatus?.Addr === `${two.ip}:2377`;
    });
  });
});
