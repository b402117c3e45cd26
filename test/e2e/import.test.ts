import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Host, importBusyboxImage, whyNoHosts } from '@swarmd/testkit';
import t from 'tap';
import { type Cluster, createCluster, SWARMD_SOCKET } from './support/cluster.js';
import { formDockerSwarm } from './support/docker-swarm.js';
import { containersOn, tasksOf, waitForRunning } from './support/observe.js';
import { shareCluster } from './support/shared-cluster.js';
import { type Told, whatWasTold } from './support/told.js';
import { waitFor } from './support/wait.js';

const skip = whyNoHosts() ?? false;
t.setTimeout(600_000);

const fixtures = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'e2e', 'fixtures');
/** swarmd has the usual one on these hosts. */
const DOCKER_SWARM_PORT = 2477;
const DIGEST = `sha256:${'0123456789abcdef'.repeat(4)}`;
const SOURCE = ['--from', 'unix:///run/docker.sock'];

/** The same two hosts twice: their engines are a Docker Swarm, the swarmds beside them a cluster with nothing in it. */
const cluster = shareCluster(t, async () => {
  const made = await createCluster({ hosts: 2 });
  await Promise.all(made.hosts.map((host) => importBusyboxImage(host)));
  await made.form();
  await formDockerSwarm(made.hosts, DOCKER_SWARM_PORT);
  await fillDockerSwarm(made);
  return made;
});

t.test('import › a plan says what is missing, by name, and changes nothing', { skip }, async (t) => {
  const shared = await cluster(t);
  const before = await whatWasTold(swarmdOf(shared));
  const plan = await shared.trySwarmctl(manager(shared), 'import', ...SOURCE, '--plan');
  t.equal(plan.code, 2, plan.stderr);
  t.match(plan.stdout, /^! secret +shop_key +cannot: its value is not given: .*--secret shop_key=FILE/m);
  t.match(plan.stdout, /^! service shop_web +cannot: held back: it needs secret shop_key$/m);
  t.match(plan.stdout, /^\+ service shop_cache +create$/m);
  t.match(plan.stdout, /note: a job: making or changing it runs it here/);
  t.notMatch(plan.stdout, /ingress |docker_gwbridge/, 'the mesh’s own networks stay where they are');
  t.same(await whatWasTold(swarmdOf(shared)), before);
});

t.test('import › all specs are what they are in the Docker Swarm, field by field', { skip }, async (t) => {
  const shared = await cluster(t);
  const source = await whatWasTold(manager(shared).engineSocket);
  const done = await shared.trySwarmctl(manager(shared), 'import', ...SOURCE, '-y', '--secrets-dir', secretsOf(shared));
  t.equal(done.code, 0, done.stderr + done.stdout);
  const target = await whatWasTold(swarmdOf(shared));
  t.same(Object.keys(source.services), [...SERVICES], 'nothing was left out of the comparison');
  for (const name of SERVICES) t.strictSame(target.services[name], expectedService(source, name), `service ${name}`);
  t.strictSame(withoutVxlanIds(target.networks), withoutVxlanIds(source.networks));
  t.strictSame(target.configs, source.configs);
  t.strictSame(target.secrets, source.secrets);
  t.strictSame(target.nodes, source.nodes);
  for (const section of ['Orchestration', 'Dispatcher', 'CAConfig', 'TaskDefaults']) {
    t.strictSame(target.cluster[section], source.cluster[section], `cluster settings: ${section}`);
  }
  t.match(target.services['pinned'], { TaskTemplate: { ContainerSpec: { Image: `busybox:latest@${DIGEST}` } } });
  const stacks = await shared.swarmctl(manager(shared), 'stack', 'ls', '--format', '{{.Name}} {{.Services}}');
  t.equal(stacks, 'shop 2\n');
});

t.test('import › the second run changes nothing', { skip }, async (t) => {
  const shared = await cluster(t);
  const before = await shared.swarmctl(manager(shared), 'service', 'inspect', ...SERVICES);
  for (const flag of ['--plan', '-y']) {
    const again = await shared.trySwarmctl(manager(shared), 'import', ...SOURCE, flag);
    t.equal(again.code, 0, again.stdout + again.stderr);
    t.match(again.stdout, /^0 to create, 0 to update, \d+ the same\.$/m);
  }
  t.same(specVersions(await shared.swarmctl(manager(shared), 'service', 'inspect', ...SERVICES)), specVersions(before));
});

t.test('import › a change there is shown in its field and carried over', { skip }, async (t) => {
  const shared = await cluster(t);
  await swarmDocker(shared, 'service', 'scale', '--detach', 'shop_web=3');
  const plan = await shared.trySwarmctl(manager(shared), 'import', ...SOURCE, '--plan');
  t.equal(plan.code, 2);
  t.match(plan.stdout, /^~ service shop_web +update\n {4}Mode\.Replicated\.Replicas: 2 → 3$/m);
  t.match(plan.stdout, /^0 to create, 1 to update/m);
  await shared.swarmctl(manager(shared), 'import', ...SOURCE, '-y');
  const target = await whatWasTold(swarmdOf(shared));
  t.match(target.services['shop_web'], { Mode: { Replicated: { Replicas: 3 } } });
});

t.test('export › of either cluster imports as nothing to do', { skip }, async (t) => {
  const shared = await cluster(t);
  const folder = join(shared.lab.directory, 'exports');
  mkdirSync(folder, { recursive: true });
  const [theirs, ours, again] = ['theirs', 'ours', 'again'].map((name) => join(folder, `${name}.json`)) as [
    string,
    string,
    string,
  ];
  await shared.swarmctl(manager(shared), 'export', ...SOURCE, '-o', theirs);
  await shared.swarmctl(manager(shared), 'export', '-o', ours);
  await shared.swarmctl(manager(shared), 'export', '-o', again);
  t.equal(readFileSync(again, 'utf8'), readFileSync(ours, 'utf8'), 'two exports are the same text');
  for (const file of [theirs, ours]) {
    const plan = await shared.trySwarmctl(manager(shared), 'import', '--plan', file);
    t.equal(plan.code, 0, plan.stdout + plan.stderr);
  }
});

t.test(
  'import › beside the Docker Swarm, published ports answer, and what clashes says what to run',
  { skip },
  async (t) => {
    const shared = await cluster(t);
    const { hosts, lab } = shared;
    const serve = ['busybox:latest', 'sh', '-c', 'mkdir /w; hostname >/w/index.html; exec httpd -f -p 80 -h /w'];
    const where = ['--constraint', `node.hostname==${manager(shared).name}`, '--publish', '9090:80'];
    await shared.docker(
      manager(shared),
      'service',
      'create',
      '-d',
      '--no-resolve-image',
      '--name',
      'entry',
      ...where,
      ...serve,
    );
    await waitForRunning(manager(shared), 'entry', 1);
    for (const host of hosts) {
      const ask = ['curl', '-sf', '--max-time', '3', `http://${host.ip}:9090/`];
      await waitFor(`${host.name} answers`, async () => (await lab.client(ask)).code === 0);
    }
    const theirs = await swarmDocker(shared, 'network', 'ls', '--format', '{{.Name}} {{.Driver}}');
    t.match(theirs, /^ingress overlay$/m);
    t.match(theirs, /^ingress\.[0-9a-z]{12} swarmd$/m);
    const ours = await shared.docker(manager(shared), 'network', 'ls', '--format', '{{.Name}} {{.Driver}}');
    t.equal(ours.match(/^ingress overlay$/gm)?.length, 1, 'it is called as always, and theirs is not shown');
    t.notMatch(ours, /swarmd/);
    const tasks = await tasksOf(manager(shared), 'shop_web');
    t.match(
      tasks.map(({ Status }) => Status.Err).join('\n'),
      /network shop_(front|back) of the Docker Swarm that it is still in: drain the node there and run `docker swarm leave` on it/,
    );
  },
);

t.test('import › once the engines have left the Docker Swarm, everything runs here', { skip }, async (t) => {
  const shared = await cluster(t);
  for (const host of [...shared.hosts].reverse()) await host.run(docker('swarm', 'leave', '--force'));
  await waitForRunning(manager(shared), 'shop_web', 3);
  const [container] = (await containersOn(manager(shared), 'shop_web')).filter(({ State }) => State === 'running');
  await waitFor('the secret and the config are what they were', async () => {
    const log = await manager(shared).run(docker('logs', container!.Id));
    return log === 'the key\nthe configuration\n';
  });
  t.equal(
    (await shared.lab.client(['curl', '-sf', `http://${manager(shared).ip}:9090/`])).code,
    0,
    'and did all along',
  );
});

const SERVICES = ['every', 'once', 'pinned', 'shop_cache', 'shop_web', 'somewhere', 'sweep'] as const;

const docker = (...args: string[]): string[] => ['docker', '-H', 'unix:///run/docker.sock', ...args];
const manager = (shared: Cluster): Host => shared.hosts[0]!;
const swarmdOf = (shared: Cluster): string => manager(shared).path(SWARMD_SOCKET);
const swarmDocker = (shared: Cluster, ...args: string[]): Promise<string> => manager(shared).run(docker(...args));
const secretsOf = (shared: Cluster): string => join(shared.lab.directory, 'secrets');

/** Something of everything: all four modes, a stack, labels, settings. */
async function fillDockerSwarm(made: Cluster): Promise<void> {
  const stack = join(made.lab.directory, 'stack');
  cpSync(join(fixtures, 'shop.yml'), join(stack, 'shop.yml'));
  writeFileSync(join(stack, 'shop-key'), 'the key\n');
  writeFileSync(join(stack, 'shop-conf'), 'the configuration\n');
  mkdirSync(secretsOf(made), { recursive: true });
  writeFileSync(join(secretsOf(made), 'shop_key'), 'the key\n');
  const run = (...args: string[]): Promise<string> => swarmDocker(made, ...args);
  const second = made.hosts[1]!.name;
  await run('swarm', 'update', '--task-history-limit', '3', '--dispatcher-heartbeat', '7s', '--cert-expiry', '1000h');
  await run('node', 'update', '--label-add', 'zone=b', '--availability', 'pause', second);
  await run('node', 'update', '--label-add', 'zone=a', manager(made).name);
  await run('stack', 'deploy', '--resolve-image', 'never', '-c', join(stack, 'shop.yml'), 'shop');
  const id = (await run('node', 'inspect', '--format', '{{.ID}}', second)).trim();
  const create = (name: string, ...args: string[]): Promise<string> =>
    run('service', 'create', '--detach', '--no-resolve-image', '--name', name, ...args);
  const forever = ['busybox:latest', 'sleep', '1000000'];
  await create(
    'once',
    '--mode',
    'replicated-job',
    '--replicas',
    '3',
    '--max-concurrent',
    '2',
    'busybox:latest',
    'true',
  );
  await create('sweep', '--mode', 'global-job', '--label', 'kind=job', 'busybox:latest', 'true');
  await create('every', '--mode', 'global', '--network', 'host', '--hostname', '{{.Node.Hostname}}', ...forever);
  const ports = ['--publish', '7000', '--publish', 'mode=host,target=53,published=5353,protocol=udp'];
  await create('somewhere', '--constraint', `node.id==${id}`, '--generic-resource', 'gpu=1', ...ports, ...forever);
  await create('pinned', '--replicas', '0', '--container-label', 'a=b', `busybox:latest@${DIGEST}`);
}

/** Nodes of the same name are the same here; a port that the Docker Swarm chose is written down. */
function expectedService(source: Told, name: string): unknown {
  const spec = structuredClone(source.services[name]!) as {
    EndpointSpec?: { Mode?: string; Ports?: { PublishedPort?: number; PublishMode?: string }[] };
  };
  // Clients dereference EndpointSpec: swarmd always shows one.
  const endpoint = { Mode: 'vip', ...spec.EndpointSpec };
  for (const port of endpoint.Ports ?? []) if (port.PublishMode === 'ingress') port.PublishedPort ??= 30_000;
  return { ...spec, EndpointSpec: endpoint };
}

function withoutVxlanIds(networks: Told['networks']): unknown {
  return Object.fromEntries(
    Object.entries(networks).map(([name, network]) => {
      const { 'com.docker.network.driver.overlay.vxlanid_list': _, ...options } = (network['Options'] ?? {}) as Record<
        string,
        string
      >;
      const { Options: _options, ...rest } = network;
      return [name, Object.keys(options).length === 0 ? rest : { ...rest, Options: options }];
    }),
  );
}

function specVersions(inspected: string): unknown {
  return (JSON.parse(inspected) as { Spec: unknown; Version: unknown }[]).map(({ Spec, Version }) => [Spec, Version]);
}
