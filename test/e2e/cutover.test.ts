import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Host, importBusyboxImage, whyNoHosts } from '@swarmd/testkit';
import t from 'tap';
import { type Cluster, createCluster } from './support/cluster.js';
import { formDockerSwarm } from './support/docker-swarm.js';
import { apiGet, placesOf, waitForRunning } from './support/observe.js';
import { shareCluster } from './support/shared-cluster.js';
import { waitFor } from './support/wait.js';

const skip = whyNoHosts() ?? false;
t.setTimeout(600_000);

/** swarmd has the usual one on these hosts. */
const DOCKER_SWARM_PORT = 2477;
const PORT = 8080;

const docker = (...args: string[]): string[] => ['docker', '-H', 'unix:///run/docker.sock', ...args];

const cluster = shareCluster(t, async () => {
  const made = await createCluster({ hosts: 2 });
  await Promise.all(made.hosts.map((host) => importBusyboxImage(host)));
  await formDockerSwarm(made.hosts, DOCKER_SWARM_PORT);
  return made;
});

// The steps are those of docs/guide/migrating-from-swarm.md.
t.test('import › hosts move over one by one, and one of them answers at every moment', { skip }, async (t) => {
  const shared = await cluster(t);
  const [old, first] = shared.hosts as [Host, Host];
  const swarm = (...args: string[]): Promise<string> => old.run(docker(...args));
  await swarm('node', 'update', '--label-add', 'rack=1', old.name);
  writeFileSync(join(shared.lab.directory, 'page'), 'the page\n');
  await swarm('config', 'create', 'page', join(shared.lab.directory, 'page'));
  await swarm('network', 'create', '--driver', 'overlay', 'net');
  // Published on the hosts themselves: the kernels of test hosts need not have what Docker's routing mesh is made of.
  const publish = ['--publish', `mode=host,published=${PORT},target=${PORT}`];
  const flags = ['--mode', 'global', ...publish, '--network', 'net', '--config', 'source=page,target=/index.html'];
  await swarm('service', 'create', '--no-resolve-image', '--name', 'web', ...flags, ...server);
  for (const host of shared.hosts) await answers(shared, host);
  const balancer = startBalancer(shared);

  const file = join(shared.lab.directory, 'swarm.json');
  await shared.swarmctl(old, 'export', '--from', 'unix:///run/docker.sock', '-o', file);
  await swarm('node', 'update', '--availability', 'drain', first.name);
  await waitFor('only the other host runs it', async () => {
    const format = ['--filter', 'desired-state=running', '--format', '{{.Node}} {{.CurrentState}}'];
    const tasks = (await swarm('service', 'ps', ...format, 'web')).trim().split('\n');
    return tasks.length === 1 && tasks[0]!.startsWith(`${old.name} Running`);
  });
  await first.run(docker('swarm', 'leave'));

  await shared.swarmctl(first, 'init', '--advertise-addr', first.ip);
  const early = await shared.trySwarmctl(first, 'import', '--yes', file);
  t.equal(early.code, 1, early.stderr);
  t.match(early.stdout, new RegExp(`^! node    ${old.name} +cannot: no node of that name has joined here`, 'm'));
  await waitForRunning(first, 'web', 1);
  await answers(shared, first);

  await old.run(docker('swarm', 'leave', '--force'));
  const token = (await shared.swarmctl(first, 'join-token', '-q', 'worker')).trim();
  await shared.swarmctl(old, 'join', '--token', token, '--advertise-addr', old.ip, `${first.ip}:2377`);
  await shared.swarmctl(first, 'import', '--yes', file);
  const nodes = await apiGet<{ Description: { Hostname: string }; Spec: { Labels: object } }[]>(first, '/nodes');
  t.same(nodes.find(({ Description }) => Description.Hostname === old.name)?.Spec.Labels, { rack: '1' });
  await waitFor(
    'both hosts run it',
    async () => (await placesOf(first, 'web')).join(' ') === `${old.name} ${first.name}`,
  );
  await answers(shared, old);

  const last = await shared.trySwarmctl(first, 'import', '--plan', file);
  t.equal(last.code, 0, last.stdout);
  const { asked, unanswered } = await balancer.stop();
  t.ok(asked > 20, `${asked} requests were made`);
  t.same(unanswered, []);
});

const server = ['busybox:latest', 'httpd', '-f', '-h', '/', '-p', String(PORT)];

async function request(shared: Cluster, host: Host): Promise<boolean> {
  const curl = ['curl', '-sf', '--max-time', '5', `http://${host.ip}:${PORT}/index.html`];
  return (await shared.lab.client(curl)).stdout === 'the page\n';
}

function answers(shared: Cluster, host: Host): Promise<void> {
  return waitFor(`${host.name} answers`, () => request(shared, host));
}

/** Asks one host and, when it does not answer, another one, again and again, as a load balancer does. */
function startBalancer(shared: Cluster): { stop(): Promise<{ asked: number; unanswered: string[] }> } {
  let stopped = false;
  let asked = 0;
  const unanswered: string[] = [];
  const run = async (): Promise<void> => {
    while (!stopped) {
      asked++;
      const [one, other] = asked % 2 === 0 ? shared.hosts : [...shared.hosts].reverse();
      if ((await request(shared, one!)) || (await request(shared, other!))) continue;
      unanswered.push(`request ${asked} at ${new Date().toISOString()}`);
    }
  };
  const running = run();
  return {
    async stop() {
      stopped = true;
      await running;
      return { asked, unanswered };
    },
  };
}
