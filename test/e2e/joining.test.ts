import { type Host, importBusyboxImage, whyNoHosts } from '@swarmd/testkit';
import t, { type Test } from 'tap';
import { createCluster, SWARMD_SOCKET } from './support/cluster.js';
import {
  apiGet,
  containersOn,
  nodeState,
  runningContainers,
  waitForExactly,
  waitForNoContainers,
} from './support/observe.js';
import { shareCluster } from './support/shared-cluster.js';
import { waitFor } from './support/wait.js';

const skip = whyNoHosts() ?? false;
t.setTimeout(600_000);

/** The part of `/info` that tells about the cluster. */
interface SwarmInfo {
  Swarm: { LocalNodeState: string; NodeID: string; Error: string; ControlAvailable: boolean };
}

const quick = ['--no-resolve-image', '--stop-grace-period', '1s', '--restart-delay', '100ms', '--detach'];
const sleeper = ['busybox:latest', 'sleep', 'infinity'];

/** The first host manages a cluster, the second is to join it, the third manages a cluster of its own. */
const cluster = shareCluster(t, async () => {
  const made = await createCluster({ hosts: 3 });
  await Promise.all(made.hosts.map((host) => importBusyboxImage(host)));
  for (const host of [made.hosts[0]!, made.hosts[2]!]) {
    await made.docker(host, 'swarm', 'init', '--advertise-addr', host.ip);
  }
  return made;
});

/** The hosts by what they do, and joining the second to the first. */
async function setUp(test: Test) {
  const shared = await cluster(test);
  const [manager, joiner, foreign] = shared.hosts as [Host, Host, Host];
  const token = async (host: Host, role: 'worker' | 'manager', ...more: string[]): Promise<string> => {
    return (await shared.docker(host, 'swarm', 'join-token', '-q', ...more, role)).trim();
  };
  const join = (withToken: string) => {
    const address = ['--advertise-addr', joiner.ip, `${manager.ip}:2377`];
    return shared.tryDocker(joiner, 'swarm', 'join', '--token', withToken, ...address);
  };
  const refused = async (withToken: string, words: RegExp): Promise<void> => {
    const answer = await join(withToken);
    test.equal(answer.code, 1);
    test.match(answer.stderr, words);
    test.match(await swarmInfo(joiner), { LocalNodeState: 'inactive', NodeID: '', Error: '' }, 'it stays out');
    test.same(await nodes(manager), [manager.name], 'and the cluster does not know it');
  };
  return { ...shared, manager, joiner, foreign, token, join, refused };
}

t.test('joining › a wrong token is refused', { skip }, async (t) => {
  const { manager, foreign, token, refused } = await setUp(t);
  const worker = await token(manager, 'worker');
  const secret = worker.split('-').at(-1)!;
  const wrong = worker.replace(secret, [...secret].reverse().join(''));
  await refused(wrong, /InvalidArgument desc = A valid join token is necessary to join this cluster/);
  await refused(worker.slice(0, -1), /invalid join token/);
  await refused('SWMTKN-1-nonsense', /invalid join token/);
  await refused(
    await token(foreign, 'worker'),
    /Error response from daemon: remote CA does not match fingerprint\. Expected: /,
  );
});

t.test('joining › a host without etcd becomes no manager, and hears what to install', { skip }, async (t) => {
  const { manager, joiner, token, refused, swarmd, startSwarmd } = await setUp(t);
  const restart = async (host: Host, ...args: string[]): Promise<void> => {
    await swarmd(host).stop();
    await startSwarmd(host, args);
  };
  const managerToken = await token(manager, 'manager');
  await restart(joiner, '--etcd', '/usr/bin/no-etcd');
  await refused(
    managerToken,
    /no-etcd cannot be used as etcd.*apt-get install etcd-server.*or join with the worker token/,
  );
  await restart(joiner);
  await restart(manager, '--etcd', '/usr/bin/no-etcd');
  await refused(managerToken, /no-etcd cannot be used as etcd.*apt-get install etcd-server/);
  await restart(manager);
});

t.test('joining › after a rotation the old token opens nothing, the new one does', { skip }, async (t) => {
  const { manager, joiner, token, join, refused } = await setUp(t);
  const old = await token(manager, 'worker');
  const managerToken = await token(manager, 'manager');
  const rotated = await token(manager, 'worker', '--rotate');
  t.not(rotated, old);
  t.equal(await token(manager, 'worker'), rotated);
  t.equal(await token(manager, 'manager'), managerToken, 'the other token is the same');
  await refused(old, /A valid join token is necessary to join this cluster/);
  const joined = await join(rotated);
  t.equal(joined.stdout, 'This node joined a swarm as a worker.\n', joined.stderr);
  await waitFor('it is ready', async () => (await nodeState(manager, joiner.name)) === 'ready');
  t.match(await swarmInfo(joiner), { LocalNodeState: 'active', ControlAvailable: false });
  const again = await join(rotated);
  t.equal(again.code, 1);
  t.match(again.stderr, /This node is already part of a swarm\. Use "docker swarm leave" to leave this swarm/);
});

t.test('joining › a worker answers for no cluster', { skip }, async (t) => {
  const { joiner, tryDocker } = await setUp(t);
  const words = /This node is not a swarm manager\. Worker nodes can't be used to view or modify cluster state/;
  const commands = ['service ls', 'node ls', 'secret ls', 'swarm join-token worker', 'service create busybox:latest'];
  for (const command of commands) {
    const answer = await tryDocker(joiner, ...command.split(' '));
    t.equal(answer.code, 1, command);
    t.match(answer.stderr, words, command);
  }
  const status = ['-o', '/dev/null', '-w', '%{http_code}', '--unix-socket', SWARMD_SOCKET];
  t.equal(await joiner.run(['curl', '-s', ...status, 'http://swarmd/services']), '503');
  t.match(await tryDocker(joiner, 'ps', '-q'), { code: 0 }, 'its engine answers as ever');
});

t.test('joining › a worker that leaves takes its containers away, and can join again', { skip }, async (t) => {
  const { manager, joiner, hosts, docker, token, join } = await setUp(t);
  await docker(manager, 'service', 'create', '--name', 'web', '--replicas', '4', ...quick, ...sleeper);
  await waitForExactly(hosts, 'web', 4);
  t.equal((await containersOn(joiner)).length, 2);
  const { NodeID: old } = await swarmInfo(joiner);
  t.equal(await docker(joiner, 'swarm', 'leave'), 'Node left the swarm.\n');
  await waitForNoContainers([joiner]);
  t.match(await swarmInfo(joiner), { LocalNodeState: 'inactive', NodeID: '', Error: '' });
  await waitFor('it is down', async () => (await nodeState(manager, joiner.name)) === 'down');
  await waitForExactly([manager], 'web', 4);
  await docker(manager, 'node', 'rm', old);
  t.same(await nodes(manager), [manager.name]);
  t.equal((await join(await token(manager, 'worker'))).code, 0);
  await waitFor('it is ready', async () => (await nodeState(manager, joiner.name)) === 'ready');
  t.not((await swarmInfo(joiner)).NodeID, old, 'as a new node');
  await docker(manager, 'service', 'scale', '--detach', 'web=8');
  await waitForExactly(hosts, 'web', 8);
  t.equal((await containersOn(joiner)).length, 4, 'which runs tasks');
});

t.test('joining › a worker that is removed is locked out until it leaves', { skip }, async (t) => {
  const { manager, joiner, hosts, docker, tryDocker, swarmd, startSwarmd, token, join } = await setUp(t);
  const { NodeID: removed } = await swarmInfo(joiner);
  const before = (await runningContainers(hosts, 'web'))[joiner.name];
  t.equal(before?.length, 4);
  const polite = await tryDocker(manager, 'node', 'rm', removed);
  t.equal(polite.code, 1);
  t.match(polite.stderr, new RegExp(`node ${removed} is not down and can't be removed`));
  await docker(manager, 'node', 'rm', '--force', removed);
  const lockedOut = async (): Promise<void> => {
    await waitFor('it knows', async () => (await swarmInfo(joiner)).LocalNodeState === 'error');
    const told = await swarmInfo(joiner);
    t.equal(told.NodeID, removed);
    t.match(told.Error, new RegExp(`^node ${removed} .*was removed`));
  };
  await lockedOut();
  await waitFor('its tasks run elsewhere', async () => {
    return (await runningContainers(hosts, 'web'))[manager.name]!.length === 8;
  });
  t.same((await runningContainers(hosts, 'web'))[joiner.name], before, 'nobody can tell it to stop what it runs');

  await swarmd(joiner).stop();
  await startSwarmd(joiner);
  await lockedOut();
  t.same(await nodes(manager), [manager.name], 'a new start changes nothing');
  const joined = await join(await token(manager, 'worker'));
  t.equal(joined.code, 1);
  t.match(joined.stderr, /This node is already part of a swarm/);

  await docker(joiner, 'swarm', 'leave');
  await waitForNoContainers([joiner]);
  t.equal((await join(await token(manager, 'worker'))).code, 0);
  await waitFor('it is ready', async () => (await nodeState(manager, joiner.name)) === 'ready');
  t.not((await swarmInfo(joiner)).NodeID, removed);
  await waitForExactly(hosts, 'web', 8);
});

t.test('joining › the last manager leaves only by force, and leaves nothing', { skip }, async (t) => {
  const { foreign, docker, tryDocker } = await setUp(t);
  await docker(foreign, 'service', 'create', '--name', 'alone', '--replicas', '2', ...quick, ...sleeper);
  await waitForExactly([foreign], 'alone', 2);
  const polite = await tryDocker(foreign, 'swarm', 'leave');
  t.equal(polite.code, 1);
  t.match(polite.stderr, /Removing the last manager erases all current state of the swarm\. Use `--force`/);
  await waitForExactly([foreign], 'alone', 2);
  t.equal(await docker(foreign, 'swarm', 'leave', '--force'), 'Node left the swarm.\n');
  await waitForNoContainers([foreign]);
  t.match(await swarmInfo(foreign), { LocalNodeState: 'inactive', NodeID: '', ControlAvailable: false });
  const listed = await tryDocker(foreign, 'service', 'ls');
  t.match(listed.stderr, /This node is not a swarm manager\. Use "docker swarm init" or "docker swarm join"/);
  await docker(foreign, 'swarm', 'init', '--advertise-addr', foreign.ip);
  t.equal((await docker(foreign, 'service', 'ls', '-q')).trim(), '', 'a new cluster is empty');
});

async function swarmInfo(host: Host): Promise<SwarmInfo['Swarm']> {
  return (await apiGet<SwarmInfo>(host, '/info')).Swarm;
}

/** Host names of all nodes that a manager knows, sorted. */
async function nodes(manager: Host): Promise<string[]> {
  const found = await apiGet<{ Description?: { Hostname?: string } }[]>(manager, '/nodes');
  return found.map(({ Description }) => Description?.Hostname ?? '').sort();
}
