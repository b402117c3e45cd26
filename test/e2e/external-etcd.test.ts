import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createEtcdCa, createEtcdKeyAndCsr, issueEtcdCertificate } from '@swarmd/etcd';
import { type Host, importBusyboxImage, whyNoHosts } from '@swarmd/testkit';
import t from 'tap';
import { createCluster } from './support/cluster.js';
import { nodeState, runningContainers, waitForExactly } from './support/observe.js';
import { shareCluster } from './support/shared-cluster.js';
import { waitFor } from './support/wait.js';

const skip = whyNoHosts() ?? false;
t.setTimeout(900_000);

const shared = shareCluster(t, () => createCluster({ hosts: 3 }));
const KEYS = '/run/etcd-keys';
const PORT = 12_379;
const realRandom = { bytes: (n: number) => randomBytes(n), float: () => Math.random() };

/** An etcd on `host` that only holders of a certificate of its CA use; `hosts` are given such certificates. */
async function etcdOn(host: Host, hosts: readonly Host[]) {
  const nowMs = Date.now();
  const ca = await createEtcdCa(nowMs, realRandom);
  for (const { name, ip, path } of hosts.map((each) => ({ name: each.name, ip: each.ip, path: each.path(KEYS) }))) {
    const { keyPem, csrPem } = await createEtcdKeyAndCsr();
    const about = { ca, csrPem, nodeId: name, ips: [ip], nowMs, validityMs: 3_600_000 };
    mkdirSync(path, { recursive: true });
    writeFileSync(`${path}/ca.pem`, ca.certificatePem);
    writeFileSync(`${path}/node.pem`, await issueEtcdCertificate(about, realRandom));
    writeFileSync(`${path}/node.key`, keyPem);
  }
  const files = [
    '--cert-file',
    `${KEYS}/node.pem`,
    '--key-file',
    `${KEYS}/node.key`,
    '--trusted-ca-file',
    `${KEYS}/ca.pem`,
  ];
  const peer = 'http://127.0.0.1:12380';
  const argv = ['etcd', '--name', 'theirs', '--data-dir', '/run/theirs', '--log-level', 'error', ...files];
  argv.push('--client-cert-auth', '--initial-cluster', `theirs=${peer}`);
  argv.push('--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer);
  argv.push(
    '--listen-client-urls',
    `https://${host.ip}:${PORT}`,
    '--advertise-client-urls',
    `https://${host.ip}:${PORT}`,
  );
  let running: ReturnType<Host['spawn']> | undefined;
  const ctl = ['etcdctl', '--endpoints', `https://${host.ip}:${PORT}`, '--cacert', `${KEYS}/ca.pem`];
  ctl.push('--cert', `${KEYS}/node.pem`, '--key', `${KEYS}/node.key`);
  return {
    url: (prefix: string) =>
      `etcd://${host.ip}:${PORT}/${prefix}?ca=${KEYS}/ca.pem&cert=${KEYS}/node.pem&key=${KEYS}/node.key`,
    start: () => {
      running = host.spawn(argv, { stdio: 'ignore' });
    },
    kill: async () => {
      await host.exec(['pkill', '-KILL', '-f', '/run/theirs']);
      if (running!.exitCode === null && running!.signalCode === null) await once(running!, 'exit');
    },
    keys: async (prefix: string) => {
      const listed = await host.exec(['env', 'ETCDCTL_API=3', ...ctl, 'get', '--prefix', '--keys-only', `/${prefix}/`]);
      if (listed.code !== 0) throw new Error(listed.stderr);
      return listed.stdout.split('\n').filter((line) => line !== '');
    },
  };
}

t.test('external etcd › keeps the state of all managers', { skip }, async (t) => {
  const cluster = await shared(t);
  const { hosts, docker, tryDocker, swarmd, startSwarmd } = cluster;
  const [one, two, three] = hosts as [Host, Host, Host];
  const etcd = await etcdOn(three, hosts);
  const restart = async (host: Host, args: readonly string[]): Promise<void> => {
    await swarmd(host).stop();
    await startSwarmd(host, args);
  };
  const useStore = (host: Host, prefix: string) => restart(host, ['--store', etcd.url(prefix)]);
  const init = (host: Host) => tryDocker(host, 'swarm', 'init', '--advertise-addr', host.ip);
  const token = async (role: string) => (await docker(one, 'swarm', 'join-token', '-q', role)).trim();
  const join = async (host: Host, role: string) =>
    tryDocker(host, 'swarm', 'join', '--token', await token(role), '--advertise-addr', host.ip, `${one.ip}:2377`);
  const serves = async (host: Host) => (await tryDocker(host, 'node', 'ls')).code === 0;
  await importBusyboxImage(one);
  await importBusyboxImage(two);

  await t.test('a cluster is made there or not at all', async (t) => {
    await useStore(one, 'prod');
    const refused = await init(one);
    t.match(refused.stderr, /--store: etcd at .* does not answer/);
    t.match(await docker(one, 'info', '--format', '{{.Swarm.LocalNodeState}}'), 'inactive');
    etcd.start();
    await waitFor('the cluster is made', async () => (await init(one)).code === 0);
    t.ok((await etcd.keys('prod')).includes('/prod/leader'));
  });

  await t.test('managers that are told of it, and only those, come in', async (t) => {
    const refused = await join(two, 'manager');
    t.match(
      refused.stderr,
      /this cluster keeps its state in an etcd that others run: start swarmd .* the same --store/,
    );
    await useStore(two, 'prod');
    const joined = await join(two, 'manager');
    t.equal(joined.code, 0, joined.stderr);
    await docker(two, 'service', 'create', '--detach', '--name', 'web', '--replicas', '2', 'busybox', 'sleep', '9999');
    await waitForExactly([one, two], 'web', 2);
    t.match(await docker(one, 'service', 'ls', '--format', '{{.Name}}'), 'web');
  });

  await t.test('without it nothing is written, and containers go on', async (t) => {
    const before = await runningContainers([one], 'web');
    await etcd.kill();
    t.not((await tryDocker(two, 'config', 'create', 'lost', '/etc/hostname')).code, 0);
    t.same(await runningContainers([one], 'web'), before);
    etcd.start();
    await waitFor('managers serve again', async () => (await serves(one)) && (await serves(two)));
    await waitFor(
      'they write again',
      async () => (await tryDocker(two, 'config', 'create', 'kept', '/etc/hostname')).code === 0,
    );
    t.same(await runningContainers([one], 'web'), before);
  });

  await t.test('one manager takes over from another, and a restart finds it all', async (t) => {
    await swarmd(one).stop('SIGKILL');
    await waitFor(
      'the other writes',
      async () => (await tryDocker(two, 'service', 'scale', '--detach', 'web=3')).code === 0,
    );
    await startSwarmd(one, ['--store', etcd.url('prod')]);
    await waitFor('the killed manager serves', () => serves(one));
    await waitForExactly([one, two], 'web', 3);
    await swarmd(one).stop();
    await startSwarmd(one).then(
      () => t.fail('started without --store'),
      (error: Error) => t.match(error.message, /start swarmd on this host with the same --store/),
    );
    await startSwarmd(one, ['--store', etcd.url('prod')]);
    await waitFor('it serves once more', () => serves(one));
  });

  await t.test('a manager is demoted, and the last one takes its state with it', async (t) => {
    await waitFor('demoted', async () => (await tryDocker(one, 'node', 'demote', two.name)).code === 0);
    await waitFor(
      'the demoted one is a worker',
      async () => !(await serves(two)) && (await nodeState(one, two.name)) === 'ready',
    );
    await useStore(three, 'prod');
    t.match((await init(three)).stderr, /has the state of cluster \S+ under \/prod\/: name another prefix/);
    await docker(two, 'swarm', 'leave');
    await docker(one, 'swarm', 'leave', '--force');
    t.same(await etcd.keys('prod'), []);
  });

  await t.test('a cluster of one manager moves there when it is told so', async (t) => {
    await restart(three, []);
    t.equal((await init(three)).code, 0);
    const id = await docker(three, 'config', 'create', 'before', '/etc/hostname');
    await useStore(three, 'moved');
    await waitFor('the manager serves', () => serves(three));
    t.equal(await docker(three, 'config', 'inspect', '--format', '{{.ID}}', 'before'), id);
    t.ok((await etcd.keys('moved')).some((key) => key === `/moved/o/config/${id.trim()}`));
  });
});
