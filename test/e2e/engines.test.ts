import { existsSync } from 'node:fs';
import { availableEngines, type EngineVersion, type Host, importBusyboxImage, whyNoHosts } from '@swarmd/testkit';
import t from 'tap';
import { createCluster, SWARMD_SOCKET } from './support/cluster.js';
import {
  containersOn,
  inspectContainer,
  runningContainers,
  serviceOf,
  waitForExactly,
  waitForNoContainers,
} from './support/observe.js';
import { shareCluster } from './support/shared-cluster.js';
import { waitFor } from './support/wait.js';

const wanted: readonly EngineVersion[] = ['20.10', '26.1', '28.5'];
const engines = whyNoHosts() === null ? await availableEngines() : [];
const skip = whyNoHosts() ?? (engines.length > 0 ? false : 'no engine is here: run deploy/install-deps.sh engines');
t.setTimeout(600_000);

/** What the tests read of a container. */
interface Inspected {
  State: { Pid: number };
  Mounts: { Destination: string; Source: string; Type: string }[];
  NetworkSettings: { Networks: Record<string, unknown> };
}

const quick = ['--no-resolve-image', '--stop-grace-period', '1s', '--restart-delay', '100ms'];
const program = ['busybox:latest', 'sh', '-c', 'echo "$GREETING from $HOST"; exec sleep infinity'];
const parts = [
  ...['--secret', 'password', '--config', 'source=motd,target=/etc/motd', '--network', 'inner'],
  ...['--env', 'GREETING=hello', '--env', 'HOST={{.Node.Hostname}}'],
  ...['--update-monitor', '500ms', '--rollback-monitor', '500ms', '--update-parallelism', '0'],
];

const cluster = shareCluster(t, async () => {
  const hosts = engines.map((engineVersion) => ({ engineVersion, name: nameOf(engineVersion) }));
  const made = await createCluster({ hosts });
  await Promise.all(made.hosts.map((host) => importBusyboxImage(host, ['busybox:latest', 'busybox:other'])));
  await made.form();
  return made;
});

for (const version of wanted) {
  const why = engines.includes(version) ? false : `Docker ${version} is not here: run deploy/install-deps.sh engines`;
  t.test(`engines › Docker ${version} is a node of a mixed cluster`, { skip: skip || why }, async (t) => {
    const { docker, lab, hosts } = await cluster(t);
    const described = await docker(hosts[0]!, 'node', 'inspect', nameOf(version), '--format', '{{json .Description}}');
    const { Engine } = JSON.parse(described) as { Engine: { EngineVersion: string } };
    t.match(Engine.EngineVersion, new RegExp(`^${version.replace('.', '\\.')}\\.`));
    const info = await docker(lab.host(nameOf(version)), 'info', '--format', '{{.Swarm.LocalNodeState}}');
    t.equal(info.trim(), 'active');
  });
}

t.test('engines › services with a secret, a config, env and a network run on each', { skip }, async (t) => {
  const { hosts, docker } = await cluster(t);
  const manager = hosts[0]!;
  const count = hosts.length;
  await manager.run(cli('secret', 'create', 'password', '-'), { input: 'open sesame' });
  await manager.run(cli('config', 'create', 'motd', '-'), { input: 'good morning\n' });
  await docker(manager, 'network', 'create', '--driver', 'overlay', 'inner');
  await docker(
    manager,
    'service',
    'create',
    '--name',
    'everywhere',
    '--mode',
    'global',
    ...quick,
    ...parts,
    ...program,
  );
  const replicas = ['--replicas', String(count), '--replicas-max-per-node', '1'];
  await docker(manager, 'service', 'create', '--name', 'web', ...replicas, ...quick, ...parts, ...program);
  for (const service of ['everywhere', 'web']) {
    const containers = await waitForExactly(hosts, service, count);
    for (const host of hosts) {
      const [id] = containers[host.name]!;
      if (!t.ok(id, `${service} runs on ${host.name}`)) continue;
      const read = 'cat /run/secrets/password; echo; cat /etc/motd; echo "$GREETING $HOST"';
      const said = await docker(host, 'exec', id!, 'sh', '-c', read);
      t.equal(said, `open sesame\ngood morning\nhello ${host.name}\n`, `what ${service} was given on ${host.name}`);
      const { NetworkSettings } = await inspectContainer<Inspected>(host, id!);
      t.ok(NetworkSettings.Networks['inner'], `${service} is attached to its network on ${host.name}`);
    }
  }
  const expected = hosts
    .map(({ name }) => `hello from ${name}`)
    .sort()
    .join();
  await waitFor('logs of all nodes are there', async () => {
    const logs = await docker(manager, 'service', 'logs', '--raw', 'web');
    return logs.trim().split('\n').sort().join() === expected;
  });
});

t.test('engines › scale, update and rollback', { skip }, async (t) => {
  const { hosts, docker } = await cluster(t);
  const manager = hosts[0]!;
  const count = hosts.length;
  await docker(manager, 'service', 'update', '--replicas-max-per-node', '2', 'web');
  await docker(manager, 'service', 'scale', `web=${2 * count}`);
  const scaled = await waitForExactly(hosts, 'web', 2 * count);
  t.same(
    Object.values(scaled).map((ids) => ids.length),
    hosts.map(() => 2),
    'two on each engine',
  );
  await docker(manager, 'service', 'scale', `web=${count}`);
  await waitForExactly(hosts, 'web', count);

  const changes = ['--env-add', 'GREETING=bye', '--image', 'busybox:other', '--no-resolve-image'];
  await docker(manager, 'service', 'update', ...changes, 'web');
  t.match(await serviceOf(manager, 'web'), { UpdateStatus: { State: 'completed' } });
  await waitForExactly(hosts, 'web', count);
  t.same(
    await greetings(hosts),
    hosts.map(() => 'busybox:other bye'),
    'the new spec runs everywhere',
  );
  await docker(manager, 'service', 'rollback', 'web');
  t.match(await serviceOf(manager, 'web'), { UpdateStatus: { State: 'rollback_completed' } });
  await waitForExactly(hosts, 'web', count);
  t.same(
    await greetings(hosts),
    hosts.map(() => 'busybox:latest hello'),
    'the old one is back',
  );
});

t.test('engines › removal leaves no container, network or payload', { skip }, async (t) => {
  const { hosts, docker } = await cluster(t);
  const manager = hosts[0]!;
  const files = (await Promise.all(hosts.map(payloadFiles))).flat();
  t.ok(files.length >= 2 * hosts.length, 'secrets lie on the hosts while tasks use them');
  t.ok(files.every((file) => existsSync(file)));
  await docker(manager, 'service', 'rm', 'everywhere', 'web');
  await waitForNoContainers(hosts);
  await waitFor('the secret’s files are gone', () => files.every((file) => !existsSync(file)));
  await docker(manager, 'secret', 'rm', 'password');
  await docker(manager, 'config', 'rm', 'motd');
  await docker(manager, 'network', 'rm', 'inner');
  await waitFor('the network has left every engine', async () => {
    const found = await Promise.all(
      hosts.map((host) => host.run(['docker', 'network', 'ls', '--format', '{{.Name}}'])),
    );
    return found.every((names) => !names.split('\n').includes('inner'));
  });
});

function nameOf(version: EngineVersion): string {
  return `docker-${version.replace('.', '-')}`;
}

function cli(...args: string[]): string[] {
  return ['docker', '-H', `unix://${SWARMD_SOCKET}`, ...args];
}

/** Image and GREETING of the one container of `web` on each host. */
function greetings(hosts: readonly Host[]): Promise<string[]> {
  return Promise.all(
    hosts.map(async (host) => {
      const [id] = (await runningContainers([host], 'web'))[host.name]!;
      const format = '{{.Config.Image}} {{range .Config.Env}}{{println .}}{{end}}';
      const shown = await host.run(['docker', 'inspect', '--format', format, id!]);
      return `${shown.split(' ')[0]} ${/\bGREETING=(\w+)/.exec(shown)?.[1]}`;
    }),
  );
}

/** Where, on this machine, the secrets of a host's running containers lie. */
async function payloadFiles(host: Host): Promise<string[]> {
  const containers = (await containersOn(host)).filter(({ State }) => State === 'running');
  const inspected = await Promise.all(containers.map(({ Id }) => inspectContainer<Inspected>(host, Id)));
  return inspected
    .flatMap(({ Mounts }) => Mounts)
    .filter(({ Destination }) => Destination.startsWith('/run/secrets'))
    .map(({ Source }) => host.path(Source));
}
