import { type Host, importBusyboxImage, whyNoHosts } from '@swarmd/testkit';
import t from 'tap';
import { createCluster, serves } from './support/cluster.js';
import { waitForExactly } from './support/observe.js';
import { shareCluster } from './support/shared-cluster.js';
import { waitFor } from './support/wait.js';

const skip = whyNoHosts() ?? false;
t.setTimeout(600_000);

const shared = shareCluster(t, () => createCluster({ hosts: 3 }));

t.test('managers › leave, come back, and are replaced', { skip }, async (t) => {
  const cluster = await shared(t);
  const { hosts, docker, tryDocker, swarmd, startSwarmd } = cluster;
  const [one, two, three] = hosts as [Host, Host, Host];
  const managersSeenBy = async (host: Host): Promise<string[]> => {
    const { stdout } = await tryDocker(host, 'node', 'ls', '--format', '{{.Hostname}} {{.ManagerStatus}}');
    return stdout.split('\n').filter((line) => / (Leader|Reachable)$/.test(line));
  };
  await Promise.all(hosts.map((host) => importBusyboxImage(host)));
  await cluster.form({ managers: 2 });
  const service = ['--replicas', '3', '--stop-grace-period', '1s', '--detach', 'busybox:latest', 'sleep', 'infinity'];
  await docker(one, 'service', 'create', '--name', 'web', ...service);
  await waitForExactly(hosts, 'web', 3);

  await t.test('a manager leaves by force only, and the other goes on', async (t) => {
    t.match((await tryDocker(one, 'swarm', 'leave')).stderr, /participating as a manager/);
    await docker(one, 'swarm', 'leave', '--force');
    await serves(two);
    await waitFor('the other leads alone', async () => (await managersSeenBy(two)).length === 1);
    await docker(two, 'config', 'create', 'after-leaving', '/etc/hostname');
    await waitForExactly([two, three], 'web', 3);
  });

  await t.test('it joins again as a new manager, even when it is killed on the way', async (t) => {
    const token = (await docker(two, 'swarm', 'join-token', '-q', 'manager')).trim();
    const joining = tryDocker(one, 'swarm', 'join', '--token', token, '--advertise-addr', one.ip, `${two.ip}:2377`);
    await waitFor('the joining node is known', async () => {
      const { stdout } = await tryDocker(two, 'node', 'ls', '--format', '{{.Hostname}}');
      return stdout.split('\n').filter((name) => name === one.name).length === 2;
    });
    await swarmd(one).stop('SIGKILL');
    await joining;
    await startSwarmd(one);
    const again = await tryDocker(one, 'swarm', 'join', '--token', token, '--advertise-addr', one.ip, `${two.ip}:2377`);
    if (again.code !== 0) t.match(again.stderr, /already part of a swarm/, 'the first attempt went on');
    await serves(one);
    t.match(await docker(one, 'config', 'ls', '--format', '{{.Name}}'), /after-leaving/);
  });

  await t.test('one whose data is lost is replaced by itself, when it joins as a new node', async (t) => {
    await docker(two, 'node', 'promote', three.name);
    await serves(three);
    await swarmd(three).stop('SIGKILL');
    await three.run(['find', '/var/lib/swarmd', '-mindepth', '1', '-delete']);
    await startSwarmd(three);
    const token = (await docker(two, 'swarm', 'join-token', '-q', 'manager')).trim();
    await docker(three, 'swarm', 'join', '--token', token, '--advertise-addr', three.ip, `${two.ip}:2377`);
    await serves(three);
    await docker(three, 'config', 'create', 'replaced', '/etc/hostname');
    t.match(await docker(one, 'config', 'ls', '--format', '{{.Name}}'), /replaced/);
  });

  await t.test('one that cannot read its part of the store has it from the others again', async (t) => {
    await swarmd(three).stop('SIGKILL');
    const first = 'ls /var/lib/swarmd/manager/etcd/member/wal/*.wal | head -n 1';
    const damage = 'dd if=/dev/urandom bs=1 seek=3000 count=8 conv=notrunc status=none';
    await three.run(['sh', '-c', `${damage} of="$(${first})"`]);
    await docker(one, 'config', 'create', 'meanwhile', '/etc/hostname');
    await startSwarmd(three);
    await serves(three);
    t.match(swarmd(three).log, /damaged/);
    t.match(await docker(three, 'config', 'ls', '--format', '{{.Name}}'), /meanwhile/);
    const aside = ['test', '-e', '/var/lib/swarmd/manager.damaged'];
    await waitFor('what was damaged is removed', async () => (await three.exec(aside)).code !== 0);
    await waitFor('there are three managers', async () => (await managersSeenBy(one)).length === 3);
  });

  await t.test('one that is removed from the members of the store, though it is a manager, comes back', async (t) => {
    const idOf = async (host: Host): Promise<string | undefined> => {
      const { stdout } = await etcdctl(one, 'member', 'list');
      return stdout
        .split('\n')
        .find((line) => line.includes(`//${host.ip}:`))
        ?.split(',')[0];
    };
    const before = await idOf(three);
    t.match(before, /^[0-9a-f]+$/);
    await waitFor('it is removed', async () => (await etcdctl(one, 'member', 'remove', before!)).code === 0);
    await waitFor('it is a member again', async () => ![undefined, before].includes(await idOf(three)));
    await serves(three);
    await docker(three, 'config', 'create', 'back', '/etc/hostname');
    t.match(await docker(one, 'config', 'ls', '--format', '{{.Name}}'), /back/);
  });
});

/** Runs etcdctl with the keys of the member on `host`. */
function etcdctl(host: Host, ...args: string[]): ReturnType<Host['exec']> {
  const script = `
    url=$(tr '\\0' '\\n' < "/proc/$(pgrep -xo etcd)/cmdline" | sed -n 's/^--listen-client-urls=//p')
    cd /run/swarmd/etcd
    ETCDCTL_API=3 exec etcdctl --endpoints "$url" --cacert ca.pem --cert member.pem --key member.pem "$@"`;
  return host.exec(['sh', '-c', script, 'etcdctl', ...args]);
}
