import { availableEngines, type Host, importBusyboxImage, whyNoHosts } from '@swarmd/testkit';
import t from 'tap';
import { createCluster } from './support/cluster.js';
import { ask, createNodeService, inService } from './support/network-services.js';
import { apiGet, runningTasks, waitForExactly } from './support/observe.js';
import { shareCluster } from './support/shared-cluster.js';
import { waitFor } from './support/wait.js';

const skip = whyNoHosts() ?? false;
t.setTimeout(600_000);

/** What the tests read of a task's addresses. */
interface Attached {
  NetworksAttachments?: { Network: { Spec: { Name: string } }; Addresses: string[] }[];
}

// One host of each engine release that there is.
const cluster = shareCluster(t, async () => {
  const engines = await availableEngines();
  const hosts = [0, 1, 2].map((i) => ({ engineVersion: engines[i % engines.length]!, name: `h${i + 1}` }));
  const made = await createCluster({ hosts });
  await Promise.all(made.hosts.map((host) => importBusyboxImage(host, ['busybox:latest'])));
  await made.form();
  return made;
});

/** Addresses of IPv6 that a service's tasks have on a network. */
async function addressesOf(manager: Host, service: string, network: string): Promise<string[]> {
  const tasks = (await runningTasks(manager, service)) as unknown as Attached[];
  const on = tasks.flatMap((task) => task.NetworksAttachments ?? []).filter((a) => a.Network.Spec.Name === network);
  return on.map(({ Addresses }) => Addresses[1]!.split('/')[0]!);
}

/** What the names lead to, as the container's own look-ups find it; empty where there is nothing. */
async function lookUp(host: Host, service: string, how: 'resolve6' | 'reverse', name: string): Promise<string[]> {
  const program = `require("dns").${how}("${name}", (error, found) => console.log(JSON.stringify(found ?? [])))`;
  const { stdout } = await inService(host, service, `${process.execPath} -e '${program}'`);
  return (JSON.parse(stdout) as string[]).sort();
}

t.test(
  'networks of IPv6 › tasks of all hosts reach each other by address, name and virtual IP',
  { skip },
  async (t) => {
    const shared = await cluster(t);
    const { hosts, docker } = shared;
    const manager = hosts[0]!;
    await docker(manager, 'network', 'create', '-d', 'overlay', '--ipv6', '--subnet', 'fd77:1::/64', 'named');
    await docker(manager, 'network', 'create', '-d', 'overlay', '--ipv6', '--internal', 'made-up');
    const global = ['--mode', 'global'];
    await createNodeService(shared, manager, 'web', [...global, '--network', 'named']);
    await createNodeService(shared, manager, 'api', [...global, '--network', 'named', '--network', 'made-up']);
    await createNodeService(shared, manager, 'db', [...global, '--network', 'made-up']);
    for (const service of ['web', 'api', 'db']) await waitForExactly(hosts, service, 3);

    const virtualIps = async (service: string): Promise<string[]> => {
      const { Endpoint } = await apiGet<{ Endpoint: { VirtualIPs: { Addr: string }[] } }>(
        manager,
        `/services/${service}`,
      );
      return Endpoint.VirtualIPs.map(({ Addr }) => Addr.split('/')[0]!).filter((one) => one.includes(':'));
    };
    const asking = [
      { from: 'web', to: 'api', network: 'named', vip: (await virtualIps('api'))[0]! },
      { from: 'api', to: 'web', network: 'named', vip: (await virtualIps('web'))[0]! },
      { from: 'api', to: 'db', network: 'made-up', vip: (await virtualIps('db'))[0]! },
      { from: 'db', to: 'api', network: 'made-up', vip: (await virtualIps('api'))[1]! },
    ];
    for (const { from, to, network, vip } of asking) {
      const targets = (await addressesOf(manager, to, network)).sort();
      t.equal(targets.length, 3);
      const prefix = network === 'named' ? 'fd77:1::' : targets[0]!.slice(0, 14);
      t.ok(
        [vip, ...targets].every((target) => target.startsWith(prefix)),
        `${vip} and ${targets} are of one subnet`,
      );
      for (const host of hosts) {
        for (const target of targets) {
          const { code } = await inService(host, from, `ping -6 -c 1 -W 5 ${target}`);
          t.equal(code, 0, `${from} on ${host.name} reaches ${to} at ${target}`);
        }
        t.same(
          await lookUp(host, from, 'resolve6', `tasks.${to}`),
          targets,
          `${from} on ${host.name} finds them by name`,
        );
        t.same(await lookUp(host, from, 'resolve6', to), [vip], 'and the virtual IP');
        for (const target of targets) {
          const [name = ''] = await lookUp(host, from, 'reverse', target);
          t.ok(name.startsWith(`${to}.`) && name.endsWith(`.${network}`), `${target} is ${name}`);
        }
        const own = await addressesOf(manager, from, network);
        const answers = await ask(host, from, `http://[${vip}]:8080/`, 60);
        t.match(answers, { answered: 60, failed: 0 }, `${from} on ${host.name} is answered by ${to}`);
        t.equal(Object.keys(answers.hosts).length, 3, 'by all its tasks');
        t.ok(
          Object.keys(answers.peers).every((peer) => own.includes(peer)),
          `which see ${Object.keys(answers.peers)}`,
        );
        t.match(await ask(host, from, `http://${to}:8080/`, 10), { answered: 10, failed: 0 }, 'by its name, too');
      }
    }
    for (const host of hosts) {
      t.same(await lookUp(host, 'web', 'resolve6', 'db'), [], `web on ${host.name} does not know db`);
      const [target] = await addressesOf(manager, 'db', 'made-up');
      t.not((await inService(host, 'web', `ping -6 -c 1 -W 1 ${target}`)).code, 0, 'nor does it reach it');
      const itself = await ask(host, 'web', `http://[${(await virtualIps('web'))[0]}]:8080/`, 60);
      t.match(
        itself,
        { answered: 60, failed: 0 },
        `web on ${host.name} is answered by its own service, itself included`,
      );
      t.equal(Object.keys(itself.hosts).length, 3);
    }
  },
);

t.test('networks of IPv6 › a service without tasks is refused at once', { skip }, async (t) => {
  const shared = await cluster(t);
  const { hosts, docker } = shared;
  const manager = hosts[0]!;
  await createNodeService(shared, manager, 'none', ['--replicas', '0', '--network', 'named']);
  await waitFor('its name is known', async () => (await lookUp(hosts[1]!, 'web', 'resolve6', 'none')).length === 1);
  const [vip] = await lookUp(hosts[1]!, 'web', 'resolve6', 'none');
  const answers = await ask(hosts[1]!, 'web', `http://[${vip}]:8080/`, 1);
  t.match(Object.keys(answers.errors)[0], /ECONNREFUSED/);
  await docker(manager, 'service', 'rm', 'none');
});

t.test('networks of IPv6 › no request is lost while a service is updated and scaled', { skip }, async (t) => {
  const shared = await cluster(t);
  const { hosts, docker } = shared;
  const manager = hosts[0]!;
  await createNodeService(shared, manager, 'steady', ['--replicas', '4', '--network', 'named']);
  await waitFor('it answers by IPv6', async () => {
    const [vip] = await lookUp(hosts[1]!, 'web', 'resolve6', 'steady');
    return vip !== undefined && (await ask(hosts[1]!, 'web', `http://[${vip}]:8080/`, 1)).answered === 1;
  });
  const [vip] = await lookUp(hosts[1]!, 'web', 'resolve6', 'steady');
  const within = ask(hosts[1]!, 'web', `http://[${vip}]:8080/`, 5_000);
  await docker(
    manager,
    'service',
    'update',
    '--update-order',
    'start-first',
    '--update-monitor',
    '1s',
    '--force',
    'steady',
  );
  await docker(manager, 'service', 'scale', '--detach', 'steady=2');
  const answers = await within;
  t.match(answers, { answered: 5_000, failed: 0 }, JSON.stringify(answers));
  await docker(manager, 'service', 'rm', 'steady');
});

t.test('networks of IPv6 › plain containers join attachable networks', { skip }, async (t) => {
  const shared = await cluster(t);
  const { hosts, docker } = shared;
  const [manager, second, third] = hosts as [Host, Host, Host];
  await docker(manager, 'network', 'create', '-d', 'overlay', '--attachable', '--ipv6', 'shared');
  await createNodeService(shared, manager, 'helper', ['--mode', 'global', '--network', 'shared']);
  await waitForExactly(hosts, 'helper', 3);
  for (const host of [second, third]) {
    const run = ['docker', 'run', '-d', '--name', `plain-${host.name}`, '--network', 'shared'];
    await host.run([...run, 'busybox:latest', 'sleep', '600']);
  }
  const addressOf = async (host: Host): Promise<string> => {
    const format = '{{(index .NetworkSettings.Networks "shared").GlobalIPv6Address}}';
    return (await host.run(['docker', 'inspect', '--format', format, `plain-${host.name}`])).trim();
  };
  const target = await addressOf(third);
  await waitFor('one plain container reaches the other', async () => {
    const inside = ['docker', 'exec', 'plain-h2', 'ping', '-6', '-c', '1', '-W', '2', target];
    return (await second.exec(inside)).code === 0;
  });
  await waitFor('a task finds a plain container', async () => {
    return (await lookUp(manager, 'helper', 'resolve6', 'plain-h3')).includes(target);
  });
  t.equal((await inService(manager, 'helper', `ping -6 -c 1 -W 5 ${target}`)).code, 0);
  for (const host of [second, third]) await host.run(['docker', 'rm', '-f', `plain-${host.name}`]);
  await docker(manager, 'service', 'rm', 'helper');
});
