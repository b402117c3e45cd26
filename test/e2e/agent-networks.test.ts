import { type Host, importBusyboxImage, whyNoHosts } from '@swarmd/testkit';
import t from 'tap';
import { createCluster } from './support/cluster.js';
import { shareCluster } from './support/shared-cluster.js';
import { waitFor } from './support/wait.js';

const skip = whyNoHosts() ?? false;
t.setTimeout(300_000);

const cluster = shareCluster(t, async () => {
  const made = await createCluster({ hosts: 2 });
  await Promise.all(made.hosts.map((host) => importBusyboxImage(host, ['busybox:latest'])));
  await made.form();
  return made;
});
const serve = 'mkdir /w; hostname >/w/index.html; exec httpd -f -p 80 -h /w';

/** The container of a service on a host. */
async function containerOf(host: Host, service: string): Promise<string> {
  return (await host.run(`docker ps -q --filter label=com.docker.swarm.service.name=${service}`)).trim();
}

async function networksOf(host: Host): Promise<string[]> {
  return (await host.run("docker network ls --format '{{.Name}} {{.Driver}}'")).trim().split('\n');
}

t.test(
  'agent › attachable networks are on every node as long as they exist, others where tasks are',
  { skip },
  async (t) => {
    const { hosts, docker } = await cluster(t);
    const [h1, h2] = hosts as [Host, Host];
    await docker(h1, 'network', 'create', '-d', 'overlay', '--attachable', 'open');
    await docker(h1, 'network', 'create', '-d', 'overlay', 'front');
    const where = ['--constraint', 'node.hostname==h1', '--network', 'front'];
    await docker(h1, 'service', 'create', '--name', 'one', ...where, 'busybox', 'sleep', '1000');
    for (const host of hosts) {
      await waitFor(`${host.name} has it`, async () => (await networksOf(host)).includes('open swarmd'));
    }
    await waitFor('h1 has the other', async () => (await networksOf(h1)).includes('front swarmd'));
    t.notOk((await networksOf(h2)).includes('front swarmd'));
    await docker(h1, 'service', 'rm', 'one');
    await waitFor('it goes with the task', async () => !(await networksOf(h1)).includes('front swarmd'));

    await h2.run('docker run -d --name guest --hostname box --network open busybox sleep 1000');
    const names = async () => docker(h1, 'network', 'inspect', '-v', 'open');
    await waitFor('the cluster knows of the container', async () => (await names()).includes('guest'));
    t.match(await docker(h1, 'network', 'rm', 'open').catch((error) => error.message), /in use/);
    await h2.run('docker rm -f guest');
    await waitFor('the cluster knows that it is gone', async () => !(await names()).includes('guest'));
    await docker(h1, 'network', 'rm', 'front', 'open');
    for (const host of hosts) {
      await waitFor(`${host.name} has it no more`, async () => !(await networksOf(host)).includes('open swarmd'));
    }
  },
);

t.test('agent › tasks of two hosts find each other, while swarmd is away, too', { skip }, async (t) => {
  const shared = await cluster(t);
  const { hosts, docker } = shared;
  const [h1, h2] = hosts as [Host, Host];
  await docker(h1, 'network', 'create', '-d', 'overlay', 'front');
  const how = ['--mode', 'global', '--network', 'front'];
  await docker(h1, 'service', 'create', '--detach=false', '--name', 'web', ...how, 'busybox', 'sh', '-c', serve);
  const seenFrom = async (host: Host) => {
    const id = await containerOf(host, 'web');
    const seen = new Set<string>();
    await waitFor(`${host.name} sees both`, async () => {
      seen.add(await host.run(`docker exec ${id} timeout 5 wget -qO- http://web/`));
      return seen.size === 2;
    });
  };
  for (const host of hosts) await seenFrom(host);
  await shared.swarmd(h2).stop();
  for (const host of hosts) await seenFrom(host);
  await shared.startSwarmd(h2);
  await h2.restartEngine();
  await waitFor('its task runs again', async () => (await containerOf(h2, 'web')) !== '');
  for (const host of hosts) await seenFrom(host);
  await docker(h1, 'service', 'rm', 'web');
  for (const host of hosts) {
    await waitFor(`${host.name} has no network of it`, async () => !(await networksOf(host)).includes('front swarmd'));
  }
  await docker(h1, 'network', 'rm', 'front');
});

t.test('agent › a published port answers on every node, wherever the task is', { skip }, async (t) => {
  const shared = await cluster(t);
  const { hosts, docker, lab } = shared;
  const [h1] = hosts as [Host, Host];
  const where = ['--constraint', 'node.hostname==h1', '-p', '8080:80'];
  await docker(h1, 'service', 'create', '--detach=false', '--name', 'entry', ...where, 'busybox', 'sh', '-c', serve);
  for (const host of hosts) {
    const ask = ['curl', '-sf', '--max-time', '3', `http://${host.ip}:8080/`];
    await waitFor(`${host.name} answers`, async () => (await lab.client(ask)).code === 0);
  }
  await docker(h1, 'service', 'rm', 'entry');
});

t.test('agent › a task serves for its drain grace after it was told to stop', { skip }, async (t) => {
  const { hosts, docker } = await cluster(t);
  const [h1] = hosts as [Host, Host];
  await docker(h1, 'network', 'create', '-d', 'overlay', 'front');
  const how = ['--network', 'front', '--label', 'swarmd.drain=1h', '--stop-grace-period', '1s'];
  await docker(h1, 'service', 'create', '--detach=false', '--name', 'slow', ...how, 'busybox', 'sh', '-c', serve);
  await docker(h1, 'service', 'update', '--detach', '--force', 'slow');
  const serving = async () => (await Promise.all(hosts.map((host) => containerOf(host, 'slow')))).join('\n').trim();
  // The old one has been told; nothing new starts until it has stopped.
  await waitFor('it is told to stop', async () =>
    (await docker(h1, 'service', 'ps', '--format', '{{.DesiredState}}', 'slow')).includes('Shutdown'),
  );
  t.not(await serving(), '');
  await docker(h1, 'service', 'update', '--detach', '--label-add', 'swarmd.drain=0', 'slow').catch(() => {});
  await docker(h1, 'service', 'rm', 'slow');
  t.not(await serving(), '', 'its spec, as it was started, says how long');
});

t.test('agent › a node that leaves has no network of ours', { skip }, async (t) => {
  const { hosts, docker } = await cluster(t);
  const [h1, h2] = hosts as [Host, Host];
  await docker(h1, 'network', 'create', '-d', 'overlay', '--attachable', 'wide');
  await waitFor('h2 has it', async () => (await networksOf(h2)).includes('wide swarmd'));
  await h2.run('docker run -d --name guest --network wide busybox sleep 1000');
  await docker(h2, 'swarm', 'leave');
  t.notOk((await networksOf(h2)).some((network) => network.endsWith(' swarmd')));
  t.equal((await h2.exec('ls -A /run/swarmd/netns')).stdout.trim(), '');
  await h2.run('docker rm -f guest');
});
