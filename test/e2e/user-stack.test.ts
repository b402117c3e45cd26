import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  type Host,
  importApiImage,
  importNginxImage,
  importPostgresImage,
  pushImage,
  startRegistry,
  whyNoHosts,
} from '@swarmd/testkit';
import t from 'tap';
import { createCluster, SWARMD_SOCKET } from './support/cluster.js';
import { inService } from './support/network-services.js';
import {
  apiGet,
  containersOn,
  describeTasks,
  nodeState,
  placesOf,
  runningTasks,
  type ServiceView,
  tasksOf,
  waitForIdle,
  waitForNoContainers,
  waitForRunning,
} from './support/observe.js';
import { shareCluster } from './support/shared-cluster.js';
import { waitFor } from './support/wait.js';

const skip = whyNoHosts() ?? false;
t.setTimeout(600_000);

const stackFile = join(
  dirname(fileURLToPath(import.meta.url)),
  ...['..', '..', 'e2e', 'fixtures', 'docker-compose.yml'],
);
/** What the tests read of a task's networks. */
interface Attached {
  NetworksAttachments: { Network: { Spec: { Name: string } }; Addresses: string[] }[];
}

const password = 'mysecretpassword';
const row = 'the data is still here';

const cluster = shareCluster(t, async () => {
  const made = await createCluster({ hosts: 4, mirror: true });
  const [manager, ssd, ...others] = made.hosts as [Host, Host, Host, Host];
  const registry = await startRegistry(made.lab);
  await importNginxImage(manager);
  await importApiImage(manager);
  await importPostgresImage(manager);
  for (const image of ['nginx:alpine', 'myapi:latest', 'postgres:13']) {
    await pushImage(manager, registry, image, { remove: true });
  }
  await made.form();
  await made.docker(manager, 'node', 'update', '--label-add', 'storage=ssd', ssd.name);
  for (const worker of [ssd, ...others]) {
    await made.docker(manager, 'node', 'update', '--label-add', 'environment=production', worker.name);
  }
  await manager.run(`echo ${password} | docker -H unix://${SWARMD_SOCKET} secret create db_password -`);
  return made;
});

t.test('user’s stack › swarmctl deploys the file as it is, and everything in it works', { skip }, async (t) => {
  const { hosts, lab, swarmctl, docker } = await cluster(t);
  const [manager, ssd, ...others] = hosts as [Host, Host, Host, Host];
  await swarmctl(manager, 'stack', 'deploy', '--detach', '-c', stackFile, 'myapp');
  await allRun(manager);

  t.same(
    await placesOf(manager, 'myapp_web'),
    [ssd, ...others].map((host) => host.name),
  );
  t.same(await placesOf(manager, 'myapp_db'), [ssd.name]);
  for (const host of [ssd, ...others]) {
    const page = await lab.client(['curl', '-sf', '--max-time', '10', `http://${host.ip}/`]);
    t.match(page.stdout, /nginx/i, `nginx answers on port 80 of ${host.name}`);
  }

  const services = await apiGet<ServiceView[]>(manager, '/services');
  for (const { Spec } of services) {
    const { Image } = Spec.TaskTemplate.ContainerSpec;
    t.match(Image, /^(nginx:alpine|myapi:latest|postgres:13)@sha256:[0-9a-f]{64}$/, `${Spec.Name} is pinned`);
  }

  await waitFor('PostgreSQL takes the password', async () => (await query(ssd, password, 'select 1')).code === 0);
  t.not((await query(ssd, 'another', 'select 1')).code, 0, 'and no other one');
  await sql(ssd, `create table kept (what text); insert into kept values ('${row}')`);
  const [before] = await containersOn(ssd, 'myapp_db');
  await docker(manager, 'service', 'update', '--detach', '--force', 'myapp_db');
  await waitFor('another container of db runs', async () => {
    const running = (await containersOn(ssd, 'myapp_db')).filter(({ State }) => State === 'running');
    return running.length === 1 && running[0]!.Id !== before!.Id;
  });
  await waitFor('the new one answers', async () => (await query(ssd, password, 'select 1')).code === 0);
  t.equal(await sql(ssd, 'select what from kept'), row, 'data survives a restart of the task');
});

t.test('user’s stack › each service reaches just whom it shares a network with', { skip }, async (t) => {
  const { hosts, lab } = await cluster(t);
  const [manager, ssd] = hosts as [Host, Host, Host, Host];
  await allRun(manager);
  for (const host of hosts) {
    const page = await lab.client(['curl', '-sf', '--max-time', '10', `http://${host.ip}/`]);
    t.match(page.stdout, /nginx/i, `port 80 answers on ${host.name}, with or without a task of web`);
  }
  const fromWeb = (script: string) => inService(ssd, 'myapp_web', script);
  t.match((await fromWeb('wget -q -O - http://api:8080/')).stdout, /myapi/, 'web reaches api by name');
  const database = await fromWeb('wget -q -O - http://api:8080/db');
  t.match(database.stdout, /"reachable"/, 'and api reaches db');
  const [task] = (await runningTasks(manager, 'myapp_db')) as unknown as [Attached];
  const address = task.NetworksAttachments[0]!.Addresses[0]!.split('/')[0]!;
  t.not((await fromWeb('nslookup db')).code, 0, 'web does not know db');
  t.not((await fromWeb(`nc -w 2 ${address} 5432 </dev/null`)).code, 0, 'nor does it reach its address');
  for (const host of hosts) {
    const reached = await host.exec(['busybox', 'nc', '-w', '2', address, '5432'], { input: '' });
    t.not(reached.code, 0, `nor does ${host.name}`);
  }
  t.not((await lab.client(['busybox', 'nc', '-w', '2', ssd.ip, '5432'])).code, 0, 'nor does anybody outside');
});

t.test('user’s stack › the docker CLI’s deploy of the same file changes nothing', { skip }, async (t) => {
  const { hosts, docker } = await cluster(t);
  const manager = hosts[0]!;
  const ids = async (): Promise<string[]> => {
    const found = await Promise.all(hosts.map((host) => containersOn(host)));
    return found
      .flat()
      .map(({ Id, State }) => `${Id} ${State}`)
      .sort();
  };
  const versions = async (): Promise<string[]> => {
    const services = await apiGet<ServiceView[]>(manager, '/services');
    return services.map(({ Spec }) => `${Spec.Name} ${JSON.stringify(Spec.TaskTemplate)}`).sort();
  };
  await allRun(manager);
  const [containers, specs] = [await ids(), await versions()];
  await docker(manager, 'stack', 'deploy', '--detach=true', '-c', stackFile, 'myapp');
  t.same(await versions(), specs, 'both make the same specs of it');
  await allRun(manager);
  t.same(await ids(), containers, 'no container was replaced');
});

t.test('user’s stack › a host dies, another is drained, both come back', { skip }, async (t) => {
  const shared = await cluster(t);
  const [manager, ssd, second, third] = shared.hosts as [Host, Host, Host, Host];
  await ssd.kill();
  await waitFor('the dead host is down', async () => (await nodeState(manager, ssd.name)) === 'down');
  await waitForRunning(manager, 'myapp_api', 2);
  t.notOk((await placesOf(manager, 'myapp_api')).includes(ssd.name), 'api moved away');
  await says(manager, 'myapp_db', /^no suitable node \(.*scheduling constraints not satisfied on 3 nodes/);

  await shared.docker(manager, 'node', 'update', '--availability', 'drain', second.name);
  await waitForIdle(second);
  await waitForRunning(manager, 'myapp_api', 2);
  await waitForRunning(manager, 'myapp_web', 3);
  t.same(await placesOf(manager, 'myapp_web'), Array(3).fill(third.name), 'web stays in production');

  await ssd.start();
  await shared.startSwarmd(ssd);
  await shared.docker(manager, 'node', 'update', '--availability', 'active', second.name);
  await allRun(manager);
  t.same(await placesOf(manager, 'myapp_web'), Array(3).fill(third.name), 'what runs is not moved');
  await shared.docker(manager, 'service', 'scale', '--detach', 'myapp_web=6');
  await waitForRunning(manager, 'myapp_web', 6);
  await shared.docker(manager, 'service', 'scale', '--detach', 'myapp_web=3');
  await waitForRunning(manager, 'myapp_web', 3);
  t.same(await placesOf(manager, 'myapp_web'), [ssd.name, second.name, third.name], 'what is new spreads');
  t.same(await placesOf(manager, 'myapp_db'), [ssd.name]);
  await waitFor('PostgreSQL answers', async () => (await query(ssd, password, 'select 1')).code === 0);
  t.equal(await sql(ssd, 'select what from kept'), row, 'data survives the death of the host');
  await waitFor('each running task has one running container', async () => {
    const found = await Promise.all(shared.hosts.map((host) => containersOn(host)));
    return found.flat().filter(({ State }) => State === 'running').length === 6;
  });
});

t.test('user’s stack › web gets another network by service update', { skip }, async (t) => {
  const { hosts, docker } = await cluster(t);
  const manager = hosts[0]!;
  await docker(manager, 'network', 'create', '-d', 'overlay', 'mynetwork');
  await docker(manager, 'service', 'update', '--detach=false', '--network-add', 'mynetwork', 'myapp_web');
  const tasks = (await runningTasks(manager, 'myapp_web')) as unknown as Attached[];
  const names = tasks.map((one) => one.NetworksAttachments.map(({ Network }) => Network.Spec.Name).sort());
  t.same(names, Array(3).fill(['ingress', 'myapp_webnet', 'mynetwork']));
});

t.test('user’s stack › removed by swarmctl, deployed by the docker CLI', { skip }, async (t) => {
  const { hosts, lab, swarmctl, docker } = await cluster(t);
  const [manager, ssd] = hosts as [Host, Host, Host, Host];
  await swarmctl(manager, 'stack', 'rm', 'myapp');
  await waitForNoContainers(hosts);
  await docker(manager, 'network', 'rm', 'mynetwork');
  t.same(await apiGet(manager, '/services'), []);
  await docker(manager, 'stack', 'deploy', '--detach=true', '-c', stackFile, 'myapp');
  await allRun(manager);
  t.equal((await lab.client(['curl', '-sf', '--max-time', '10', `http://${ssd.ip}/`])).code, 0);
  t.match(await docker(manager, 'stack', 'services', '--format', '{{.Name}} {{.Replicas}}', 'myapp'), /myapp_web 3\/3/);
  await docker(manager, 'stack', 'rm', 'myapp');
  await waitForNoContainers(hosts);
});

async function allRun(manager: Host): Promise<void> {
  await waitForRunning(manager, 'myapp_web', 3);
  await waitForRunning(manager, 'myapp_api', 2);
  await waitForRunning(manager, 'myapp_db', 1);
}

async function says(manager: Host, service: string, reason: RegExp): Promise<void> {
  await waitFor(
    `a task of ${service} says ${reason}`,
    async () => (await tasksOf(manager, service)).some(({ Status }) => reason.test(Status.Err ?? '')),
    { describe: () => describeTasks(manager) },
  );
}

/** Connects by the container's own address, where PostgreSQL asks everybody for a password. */
async function query(host: Host, secret: string, statement: string) {
  const container = (await containersOn(host, 'myapp_db')).find(({ State }) => State === 'running');
  const script = 'psql -h "$(hostname -i)" -U user -d myapp -v ON_ERROR_STOP=1 -tAc "$0"';
  const argv = ['docker', 'exec', '-e', `PGPASSWORD=${secret}`, container?.Id ?? 'none', 'sh', '-c', script, statement];
  return host.exec(argv);
}

async function sql(host: Host, statement: string): Promise<string> {
  const result = await query(host, password, statement);
  if (result.code !== 0) throw new Error(`${statement}: ${result.stderr}`);
  return result.stdout.trim();
}
