import { availableEngines, importBusyboxImage, whyNoHosts } from '@swarmd/testkit';
import t from 'tap';
import { createCluster } from './support/cluster.js';
import { ask, askFromOutside, createNodeService, inService } from './support/network-services.js';
import {
  apiGet,
  placesOf,
  runningTasks,
  waitForExactly,
  waitForNoContainers,
  waitForRunning,
} from './support/observe.js';
import { shareCluster } from './support/shared-cluster.js';
import { waitFor } from './support/wait.js';

const skip = whyNoHosts() ?? false;
t.setTimeout(600_000);

/** What the tests read of a task's addresses. */
interface Attached {
  NetworksAttachments?: { Network: { Spec: { Name: string } }; Addresses: string[] }[];
}

// One host of each engine release that there is: the overlay goes across them.
const cluster = shareCluster(t, async () => {
  const engines = await availableEngines();
  const hosts = [0, 1, 2].map((i) => ({ engineVersion: engines[i % engines.length]!, name: `h${i + 1}` }));
  const made = await createCluster({ hosts });
  await Promise.all(made.hosts.map((host) => importBusyboxImage(host, ['busybox:latest'])));
  await made.form();
  return made;
});

t.test(
  'networks › tasks of all hosts reach each other by address and name, on their own networks only',
  { skip },
  async (t) => {
    const shared = await cluster(t);
    const { hosts, docker } = shared;
    const manager = hosts[0]!;
    await docker(manager, 'network', 'create', '-d', 'overlay', 'front');
    await docker(manager, 'network', 'create', '-d', 'overlay', '--internal', 'back');
    const global = ['--mode', 'global'];
    await createNodeService(shared, manager, 'web', [...global, '--network', 'front']);
    await createNodeService(shared, manager, 'api', [...global, '--network', 'front', '--network', 'back']);
    await createNodeService(shared, manager, 'db', [...global, '--network', 'name=back,alias=database']);
    for (const service of ['web', 'api', 'db']) await waitForExactly(hosts, service, 3);

    const addresses = async (service: string, network: string): Promise<string[]> => {
      const tasks = (await runningTasks(manager, service)) as unknown as Attached[];
      const on = tasks.flatMap((task) => task.NetworksAttachments ?? []).filter((a) => a.Network.Spec.Name === network);
      return on.map(({ Addresses }) => Addresses[0]!.split('/')[0]!);
    };
    const asking = [
      { from: 'web', to: 'api', network: 'front' },
      { from: 'api', to: 'web', network: 'front' },
      { from: 'api', to: 'db', network: 'back' },
      { from: 'db', to: 'api', network: 'back' },
    ];
    for (const { from, to, network } of asking) {
      const targets = await addresses(to, network);
      t.equal(targets.length, 3);
      for (const host of hosts) {
        for (const target of targets) {
          const { code } = await inService(host, from, `ping -c 1 -W 5 ${target}`);
          t.equal(code, 0, `${from} on ${host.name} reaches ${to} at ${target}`);
        }
        const found = await inService(host, from, `nslookup tasks.${to}`);
        for (const target of targets) t.match(found.stdout, target, `${from} on ${host.name} finds ${target}`);
        const answers = await ask(host, from, `http://${to}:8080/`, 30);
        t.match(answers, { answered: 30, failed: 0 }, `${from} on ${host.name} is answered by ${to}`);
        t.equal(Object.keys(answers.hosts).length, 3, 'by all its tasks');
      }
    }
    for (const host of hosts) {
      t.match(await ask(host, 'api', 'http://database:8080/', 3), { answered: 3 }, 'an alias is a name');
      t.not((await inService(host, 'web', 'nslookup db')).code, 0, `web on ${host.name} does not know db`);
      const [target] = await addresses('db', 'back');
      t.not((await inService(host, 'web', `ping -c 1 -W 1 ${target}`)).code, 0, `nor does it reach it`);
    }
  },
);

t.test('networks › a published port answers on every node and shows the client’s own address', { skip }, async (t) => {
  const shared = await cluster(t);
  const { hosts, lab } = shared;
  const manager = hosts[0]!;
  await createNodeService(shared, manager, 'entry', ['--constraint', 'node.hostname==h3', '--publish', '8081:8080']);
  await waitForRunning(manager, 'entry', 1);
  const own = (await lab.client(['hostname', '-I'])).stdout.trim().split(/\s+/);
  for (const host of hosts) {
    await waitFor(`${host.name} answers`, async () => {
      return (await lab.client(['curl', '-sf', '--max-time', '3', `http://${host.ip}:8081/`])).code === 0;
    });
    const answers = await askFromOutside(shared, `http://${host.ip}:8081/`, 50);
    t.match(answers, { answered: 50, failed: 0 }, `through ${host.name}`);
    t.ok(
      Object.keys(answers.peers).every((peer) => own.includes(peer)),
      `seen to come from ${Object.keys(answers.peers)}`,
    );
  }
});

t.test('networks › a service without tasks is refused at once; dnsrr answers with the tasks', { skip }, async (t) => {
  const shared = await cluster(t);
  const { hosts, docker } = shared;
  const manager = hosts[0]!;
  await createNodeService(shared, manager, 'none', ['--replicas', '0', '--network', 'front']);
  await waitFor('its name is known', async () => (await inService(hosts[1]!, 'web', 'nslookup none')).code === 0);
  const answers = await ask(hosts[1]!, 'web', 'http://none:8080/', 1);
  t.match(answers, { answered: 0, failed: 1 });
  t.equal(answers.failures[0]?.what, 'ECONNREFUSED');
  await createNodeService(shared, manager, 'turns', [
    '--replicas',
    '3',
    '--network',
    'front',
    '--endpoint-mode',
    'dnsrr',
  ]);
  await waitForRunning(manager, 'turns', 3);
  await waitFor('all three are in the answer', async () => {
    const { stdout } = await inService(hosts[1]!, 'web', 'nslookup turns');
    return (
      (stdout.split('Name:')[1]?.match(/Address/g) ?? []).length === 3 || (stdout.match(/Name:/g) ?? []).length === 3
    );
  });
  await docker(manager, 'service', 'rm', 'none', 'turns');
});

t.test('networks › no request is lost while a service is updated, scaled and moved', { skip }, async (t) => {
  const shared = await cluster(t);
  const { hosts, docker } = shared;
  const manager = hosts[0]!;
  await createNodeService(shared, manager, 'steady', [
    '--replicas',
    '4',
    '--network',
    'front',
    '--publish',
    '8082:8080',
    '--constraint',
    'node.labels.leave!=yes',
  ]);
  await waitForRunning(manager, 'steady', 4);
  await waitFor('it answers everywhere', async () => {
    const { answered } = await askFromOutside(shared, `http://${hosts[1]!.ip}:8082/`, 1);
    return answered === 1;
  });
  const within = ask(hosts[1]!, 'web', 'http://steady:8080/', 10_000);
  const outside = askFromOutside(shared, `http://${hosts[1]!.ip}:8082/`, 10_000);
  await docker(
    manager,
    'service',
    'update',
    '--detach=false',
    '--update-order',
    'start-first',
    '--update-monitor',
    '1s',
    '--force',
    'steady',
  );
  const left = (await placesOf(manager, 'steady')).at(-1)!;
  await docker(manager, 'node', 'update', '--label-add', 'leave=yes', left);
  await waitFor('its tasks have left', async () => !(await placesOf(manager, 'steady')).includes(left));
  await waitForRunning(manager, 'steady', 4);
  await docker(manager, 'node', 'update', '--label-rm', 'leave', left);
  await docker(manager, 'node', 'update', '--availability', 'drain', 'h3');
  await waitForRunning(manager, 'steady', 4);
  await docker(manager, 'node', 'update', '--availability', 'active', 'h3');
  await docker(manager, 'service', 'scale', '--detach', 'steady=2');
  await waitForRunning(manager, 'steady', 2);
  const inner = await within;
  t.match(inner, { answered: 10_000, failed: 0 }, `through the VIP: ${JSON.stringify(inner)}`);
  const outer = await outside;
  t.match(outer, { answered: 10_000, failed: 0 }, `through the mesh: ${JSON.stringify(outer)}`);
});

t.test('networks › plain containers join attachable networks, with names both ways', { skip }, async (t) => {
  const shared = await cluster(t);
  const { hosts, docker } = shared;
  const [manager, second, third] = hosts as [(typeof hosts)[0], (typeof hosts)[0], (typeof hosts)[0]];
  await docker(manager, 'network', 'create', '-d', 'overlay', '--attachable', 'shared');
  await createNodeService(shared, manager, 'helper', ['--mode', 'global', '--network', 'shared']);
  await waitForExactly(hosts, 'helper', 3);
  for (const host of [second, third]) {
    await host.run([
      'docker',
      'run',
      '-d',
      '--name',
      `plain-${host.name}`,
      '--network',
      'shared',
      'busybox:latest',
      'sleep',
      '600',
    ]);
  }
  await waitFor('plain containers find each other and the service', async () => {
    const inside = ['docker', 'exec', 'plain-h2', 'sh', '-c', 'ping -c 1 -W 2 plain-h3 && nslookup helper'];
    return (await second.exec(inside)).code === 0;
  });
  await waitFor('a task finds a plain container', async () => {
    return (await inService(manager, 'helper', 'ping -c 1 -W 2 plain-h2')).code === 0;
  });
  for (const host of [second, third]) await host.run(['docker', 'rm', '-f', `plain-${host.name}`]);
  await docker(manager, 'service', 'rm', 'helper');
});

t.test('networks › a network in use is kept, one that is not goes from every host', { skip }, async (t) => {
  const { hosts, docker, tryDocker } = await cluster(t);
  const manager = hosts[0]!;
  t.match((await tryDocker(manager, 'network', 'rm', 'front')).stderr, /in use by (service|task)/);
  await docker(manager, 'service', 'rm', 'web', 'api', 'db', 'entry', 'steady');
  await waitForNoContainers(hosts);
  await waitFor('networks can be removed', async () => {
    const removed = await tryDocker(manager, 'network', 'rm', 'front', 'back', 'shared');
    return removed.code === 0 || /not found/.test(removed.stderr);
  });
  await waitFor('no engine has them', async () => {
    const lists = await Promise.all(
      hosts.map((host) => host.run(['docker', 'network', 'ls', '--format', '{{.Name}}'])),
    );
    return lists.every((list) => !/front|back|shared/.test(list));
  });
  t.same(
    (await apiGet<{ Name: string }[]>(manager, '/networks')).filter(({ Name }) => Name === 'front'),
    [],
  );
});
