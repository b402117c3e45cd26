import { type Host, importBusyboxImage, whyNoHosts } from '@swarmd/testkit';
import t, { type Test } from 'tap';
import { createCluster } from './support/cluster.js';
import { apiGet, nodeState, runningContainers, waitForExactly } from './support/observe.js';
import { shareCluster } from './support/shared-cluster.js';
import { waitFor } from './support/wait.js';

const skip = whyNoHosts() ?? false;
t.setTimeout(600_000);

const IDENTITY = '/var/lib/swarmd/certificates/node.pem';

interface TlsView {
  TrustRoot: string;
  CertIssuerSubject: string;
  CertIssuerPublicKey: string;
}
interface ClusterView {
  RootRotationInProgress: boolean;
  TLSInfo: TlsView;
  JoinTokens: { Worker: string; Manager: string };
}
interface NodeView {
  ID: string;
  Description: { Hostname: string; TLSInfo: TlsView };
  Certificate: { NotBefore: string; NotAfter: string };
}

const shared = shareCluster(t, async () => {
  const made = await createCluster({ hosts: 3 });
  await Promise.all(made.hosts.map((host) => importBusyboxImage(host)));
  await made.form();
  const [manager] = made.hosts as [Host];
  // However long a swarmd is away in these tests, its node is not to go down, so that no task moves.
  await made.docker(manager, 'swarm', 'update', '--dispatcher-heartbeat', '60s');
  const sleeper = ['--detach', 'busybox:latest', 'sleep', 'infinity'];
  await made.docker(manager, 'service', 'create', '--name', 'web', '--replicas', '6', ...sleeper);
  await waitForExactly(made.hosts, 'web', 6);
  return made;
});

async function setUp(test: Test) {
  const cluster = await shared(test);
  const [manager, near, far] = cluster.hosts as [Host, Host, Host];
  const state = (): Promise<ClusterView> => apiGet<ClusterView>(manager, '/swarm');
  const nodes = (): Promise<NodeView[]> => apiGet<NodeView[]>(manager, '/nodes');
  /** Host names of the nodes whose certificate comes from the desired issuer, sorted. */
  const renewed = async (): Promise<string[]> => {
    const { TLSInfo } = await state();
    const right = (await nodes()).filter(
      ({ Description }) => Description.TLSInfo.CertIssuerPublicKey === TLSInfo.CertIssuerPublicKey,
    );
    return right.map(({ Description }) => Description.Hostname).sort();
  };
  const over = async (root: string): Promise<boolean> => {
    const found = await state();
    const views = await nodes();
    return (
      !found.RootRotationInProgress &&
      found.TLSInfo.TrustRoot === root &&
      views.every(({ Description }) => JSON.stringify(Description.TLSInfo) === JSON.stringify(found.TLSInfo))
    );
  };
  const tlsStatus = (): Promise<string> =>
    cluster.docker(manager, 'node', 'ls', '--format', '{{.Hostname}} {{.TLSStatus}}');
  const allReady = (): Promise<void> =>
    waitFor('all nodes are ready', async () => {
      const states = await Promise.all(cluster.hosts.map((host) => nodeState(manager, host.name)));
      return states.every((one) => one === 'ready');
    });
  return { ...cluster, manager, near, far, state, nodes, renewed, over, tlsStatus, allReady };
}

/** The last certificate in a command's output. */
function printedRoot(output: string): string {
  return `${output.slice(output.lastIndexOf('-----BEGIN CERTIFICATE-----')).trim()}\n`;
}

/** A root made with openssl on a host: its certificate; the files are `/root/NAME.pem` and `/root/NAME.key` there. */
async function makeRoot(host: Host, name: string, days = '3650'): Promise<string> {
  const files = ['-keyout', `/root/${name}.key`, '-out', `/root/${name}.pem`];
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:secp384r1', '-nodes', '-days', days];
  await host.run(['openssl', 'req', '-x509', ...kind, '-subj', `/O=Example/CN=${name}`, ...files]);
  return host.run(['cat', `/root/${name}.pem`]);
}

t.test(
  'ca rotation › docker swarm ca --rotate follows it to its end; containers do not notice',
  { skip },
  async (t) => {
    const { hosts, manager, near, docker, state, nodes, over, allReady, swarmd, startSwarmd } = await setUp(t);
    const containers = await runningContainers(hosts, 'web');
    const before = await state();
    t.equal(printedRoot(await docker(manager, 'swarm', 'ca')), before.TLSInfo.TrustRoot);
    const oldIdentity = await near.run(['cat', IDENTITY]);

    const output = await docker(manager, 'swarm', 'ca', '--rotate');
    const after = await state();
    t.not(after.TLSInfo.TrustRoot, before.TLSInfo.TrustRoot);
    t.match(output, /desired root digest: sha256:[0-9a-f]{64}/);
    t.equal(printedRoot(output), after.TLSInfo.TrustRoot, 'it ends with the new root');
    t.notOk(after.RootRotationInProgress);
    t.ok(await over(after.TLSInfo.TrustRoot), 'every node has its certificate from the new root and trusts it alone');
    t.not(after.JoinTokens.Worker, before.JoinTokens.Worker);
    t.not(after.JoinTokens.Manager, before.JoinTokens.Manager);
    for (const { Certificate } of await nodes()) t.ok(Date.parse(Certificate.NotAfter) > Date.now() + 80 * 86_400_000);
    await allReady();
    t.same(await runningContainers(hosts, 'web'), containers, 'the same containers');

    const newIdentity = await near.run(['cat', IDENTITY]);
    /** Starts the node with an identity; resolves once it has logged `message`. */
    const startAs = async (identity: string, message: string): Promise<void> => {
      await swarmd(near).stop();
      const { length } = swarmd(near).log;
      await near.run(['sh', '-c', `printf %s "$0" > ${IDENTITY}`, identity]);
      await startSwarmd(near);
      await waitFor(message, async () => swarmd(near).log.slice(length).includes(`"msg":"${message}"`));
    };
    await startAs(oldIdentity, 'no session with a manager');
    const certificate = (await nodes()).find(({ Description }) => Description.Hostname === near.name)?.Description
      .TLSInfo;
    t.same(certificate, after.TLSInfo, 'with an old certificate nobody gets in');
    await startAs(newIdentity, 'session with a manager');
    t.same(await runningContainers(hosts, 'web'), containers, 'still the same containers');
  },
);

t.test('ca rotation › waits for a node that is away; the manager is killed meanwhile', { skip }, async (t) => {
  const found = await setUp(t);
  const { hosts, manager, near, far, docker, swarmctl, swarmd, startSwarmd, state, renewed, over, tlsStatus } = found;
  const containers = await runningContainers(hosts, 'web');
  const before = await state();
  await swarmd(far).stop('SIGKILL');
  t.equal(await swarmctl(manager, 'ca', '--rotate', '--detach'), '');
  await waitFor('all others are renewed', async () => (await renewed()).length === 2);
  const during = await state();
  t.ok(during.RootRotationInProgress);
  t.equal(during.TLSInfo.TrustRoot, before.TLSInfo.TrustRoot, 'the old root is trusted until the end');
  t.same(during.JoinTokens, before.JoinTokens);
  const status = await tlsStatus();
  t.match(status, `${manager.name} Ready`);
  t.match(status, `${near.name} Ready`);
  t.match(status, `${far.name} Needs Rotation`);
  t.match(await docker(manager, 'info', '--format', '{{.Swarm.Cluster.RootRotationInProgress}}'), 'true');

  await swarmd(manager).stop('SIGKILL');
  await startSwarmd(manager);
  await waitFor('the other is back', async () => (await nodeState(manager, near.name)) === 'ready');
  t.ok((await state()).RootRotationInProgress, 'it goes on where it was');
  t.same(await renewed(), [manager.name, near.name].sort());

  await startSwarmd(far);
  await waitFor('it ends', async () => !(await state()).RootRotationInProgress);
  const after = await state();
  await waitFor('everybody trusts the new root alone', () => over(after.TLSInfo.TrustRoot));
  t.not(after.TLSInfo.TrustRoot, before.TLSInfo.TrustRoot);
  t.not(after.JoinTokens.Worker, before.JoinTokens.Worker);
  await found.allReady();
  t.notMatch(await tlsStatus(), /Needs Rotation|Unknown/);
  t.same(await runningContainers(hosts, 'web'), containers, 'the same containers');
});

t.test('ca rotation › to a root of the user’s, away from it, and back: that aborts', { skip }, async (t) => {
  const found = await setUp(t);
  const { hosts, manager, far, swarmctl, trySwarmctl, swarmd, startSwarmd, state, renewed, over } = found;
  const containers = await runningContainers(hosts, 'web');
  const own = await makeRoot(manager, 'own');
  await makeRoot(manager, 'other');
  await makeRoot(manager, 'short', '200');
  const rotateTo = (cert: string, key: string) =>
    trySwarmctl(manager, 'ca', '--rotate', '--ca-cert', `/root/${cert}.pem`, '--ca-key', `/root/${key}.key`);
  t.match((await rotateTo('own', 'other')).stderr, /the key of the new root CA cannot be used: it is not the key of/);
  t.match((await rotateTo('short', 'short')).stderr, /CA certificate expires too soon/);
  t.notOk((await state()).RootRotationInProgress, 'nothing has begun');

  const done = await rotateTo('own', 'own');
  t.equal(done.code, 0, done.stderr);
  t.match(done.stdout, 'rotated CA certificates: 3/3 nodes');
  t.equal(printedRoot(done.stdout), own);
  t.ok(await over(own));
  const settled = await state();

  await swarmd(far).stop('SIGKILL');
  await swarmctl(manager, 'swarm', 'ca', '--rotate', '--detach');
  await waitFor('the others are renewed', async () => (await renewed()).length === 2);
  const first = (await state()).TLSInfo.CertIssuerPublicKey;
  await swarmctl(manager, 'ca', '--rotate', '--detach');
  t.not((await state()).TLSInfo.CertIssuerPublicKey, first, 'another rotation takes its place');
  await waitFor('the others are renewed again', async () => (await renewed()).length === 2);
  const back = await rotateTo('own', 'own');
  t.equal(back.code, 0, back.stderr);
  const aborted = await state();
  t.notOk(aborted.RootRotationInProgress);
  t.same(aborted.JoinTokens, settled.JoinTokens, 'the tokens were never changed');
  await startSwarmd(far);
  await waitFor('all are as before', () => over(own));
  await found.allReady();
  t.same(await runningContainers(hosts, 'web'), containers, 'the same containers');
});

t.t.test('ca rotation › of several managers, asked of one that does not lead', { skip }, async (t) => {
  const { hosts, manager, near, far, docker, state, over, allReady } = await setUp(t);
  const containers = await runningContainers(hosts, 'web');
  await docker(manager, 'node', 'promote', near.name, far.name);
  await waitFor('all of them manage', async () => {
    const found = await docker(manager, 'node', 'ls', '--format', '{{.ManagerStatus}}');
    return found.trim().split('\n').sort().join() === 'Leader,Reachable,Reachable';
  });
  await waitFor('it answers', async () => (await nodeState(near, far.name)) === 'ready');
  const before = await state();
  const output = await docker(near, 'swarm', 'ca', '--rotate');
  const after = await state();
  t.not(after.TLSInfo.TrustRoot, before.TLSInfo.TrustRoot);
  t.equal(printedRoot(output), after.TLSInfo.TrustRoot);
  t.ok(await over(after.TLSInfo.TrustRoot));
  await allReady();
  for (const host of hosts) {
    const seen = await docker(host, 'node', 'ls', '--format', '{{.Hostname}} {{.Status}} {{.TLSStatus}}');
    t.notMatch(seen, /Down|Unknown|Needs/, `as ${host.name} sees it`);
  }
  t.same(await runningContainers(hosts, 'web'), containers, 'the same containers');
  await docker(manager, 'node', 'demote', near.name, far.name);
  for (const host of [near, far]) {
    await waitFor('it manages no more', async () => {
      return (await docker(host, 'info', '--format', '{{.Swarm.ControlAvailable}}')).trim() === 'false';
    });
  }
  await allReady();
});

t.test(
  'ca rotation › nodes join with the present token meanwhile; removing who is away ends it',
  { skip },
  async (t) => {
    const { manager, near, far, docker, swarmd, startSwarmd, state, nodes, renewed, over } = await setUp(t);
    await swarmd(far).stop('SIGKILL');
    await docker(manager, 'swarm', 'ca', '--rotate', '--detach');
    await waitFor('the others are renewed', async () => (await renewed()).length === 2);
    const idOf = async (host: Host): Promise<string> =>
      (await nodes()).find(({ Description }) => Description.Hostname === host.name)!.ID;
    const old = await idOf(near);
    await docker(near, 'swarm', 'leave');
    await docker(manager, 'node', 'rm', '--force', old);
    const token = (await docker(manager, 'swarm', 'join-token', '-q', 'worker')).trim();
    await docker(near, 'swarm', 'join', '--token', token, '--advertise-addr', near.ip, `${manager.ip}:2377`);
    await waitFor('it is ready', async () => (await nodeState(manager, near.name)) === 'ready');
    t.same(await renewed(), [manager.name, near.name].sort(), 'with a certificate of the new root');
    t.ok((await state()).RootRotationInProgress);
    await docker(manager, 'node', 'rm', '--force', await idOf(far));
    await waitFor('it ends', async () => !(await state()).RootRotationInProgress);
    const { TLSInfo } = await state();
    await waitFor('everybody trusts the new root alone', () => over(TLSInfo.TrustRoot));
    const { length } = swarmd(far).log;
    await startSwarmd(far);
    const refused = '"msg":"no session with a manager"';
    await waitFor('who was removed stays out', async () => swarmd(far).log.slice(length).includes(refused));
    t.equal((await nodes()).length, 2);
  },
);
