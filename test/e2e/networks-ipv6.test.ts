import { availableEngines, type Host, importBusyboxImage, whyNoHosts } from '@swarmd/testkit';
import t from 'tap';
import { createCluster, SWARMD_SOCKET } from './support/cluster.js';
import { ask, askFromOutside, createNodeService, inService } from './support/network-services.js';
import { apiGet, runningTasks, waitForExactly, waitForRunning } from './support/observe.js';
import { shareCluster } from './support/shared-cluster.js';
import { waitFor } from './support/wait.js';

const skip = whyNoHosts() ?? false;
t.setTimeout(600_000);

/** What the tests read of a task's addresses. */
interface Attached {
  NetworksAttachments?: { Network: { Spec: { Name: string } }; Addresses: string[] }[];
}

/** What they read of a service's virtual IPs. */
interface WithVirtualIps {
  Endpoint: { VirtualIPs: { NetworkID: string; Addr: string }[] };
}

// One host of each engine release that there is.
const cluster = shareCluster(t, async () => {
  const engines = await availableEngines();
  const hosts = [0, 1, 2].map((i) => ({ engineVersion: engines[i % engines.length]!, name: `h${i + 1}` }));
  const made = await createCluster({ hosts });
  await Promise.all(made.hosts.map((host) => importBusyboxImage(host, ['busybox:latest'])));
  // Hosts have IPv6 beside IPv4, and nodes speak to each other by IPv4.
  for (const [i, host] of made.hosts.entries())
    await host.run(['ip', 'addr', 'add', `${SIX}${i + 1}/64`, 'dev', 'eth0', 'nodad']);
  await made.lab.client(['ip', 'addr', 'add', `${SIX}100/64`, 'dev', 'br0', 'nodad']);
  await made.form();
  return made;
});

/** Where the lab's own IPv6 addresses begin. */
const SIX = 'fd99::';

/** Addresses of IPv6 that a service's tasks have on a network. */
async function addressesOf(manager: Host, service: string, network: string): Promise<string[]> {
  const tasks = (await runningTasks(manager, service)) as unknown as Attached[];
  const on = tasks.flatMap((task) => task.NetworksAttachments ?? []).filter((a) => a.Network.Spec.Name === network);
  return on.map(({ Addresses }) => Addresses[1]!.split('/')[0]!);
}

type Question = ['resolve6' | 'reverse', string];

/** What names and addresses lead to, as the container's own look-ups find it; empty where there is nothing. */
async function lookUp(host: Host, service: string, ...questions: Question[]): Promise<string[][]> {
  const program = `
    const ask = ([how, name]) => require("dns").promises[how](name).catch(() => []);
    Promise.all(${JSON.stringify(questions)}.map(ask)).then((all) => console.log(JSON.stringify(all)))`;
  const { stdout } = await inService(host, service, `${process.execPath} -e '${program}'`);
  return (JSON.parse(stdout) as string[][]).map((found) => found.sort());
}

/** The virtual IP that a service's name leads to; `undefined` where there is none. */
async function virtualIp(host: Host, from: string, service: string): Promise<string | undefined> {
  return (await lookUp(host, from, ['resolve6', service]))[0]?.[0];
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

    const vipOf = async (service: string, network: string): Promise<string> => {
      const { Id } = await apiGet<{ Id: string }>(manager, `/networks/${network}`);
      const { Endpoint } = await apiGet<WithVirtualIps>(manager, `/services/${service}`);
      const [four = '', six = ''] = Endpoint.VirtualIPs.filter((one) => one.NetworkID === Id).map(({ Addr }) => Addr);
      t.ok(four.includes('.') && six.includes(':'), `${service} has ${four} and ${six} on ${network}`);
      return six.split('/')[0]!;
    };
    const asking = [
      { from: 'web', to: 'api', network: 'named', vip: await vipOf('api', 'named') },
      { from: 'api', to: 'web', network: 'named', vip: await vipOf('web', 'named') },
      { from: 'api', to: 'db', network: 'made-up', vip: await vipOf('db', 'made-up') },
      { from: 'db', to: 'api', network: 'made-up', vip: await vipOf('api', 'made-up') },
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
        const pings = targets.map((target) => `ping -6 -c 1 -W 5 ${target}`).join(' && ');
        const { code } = await inService(host, from, pings);
        t.equal(code, 0, `${from} on ${host.name} reaches ${to} at ${targets}`);
        const reverse = targets.map((target): Question => ['reverse', target]);
        const names: Question[] = [['resolve6', `tasks.${to}`], ['resolve6', to], ...reverse];
        const [byTasks, byName, ...reversed] = await lookUp(host, from, ...names);
        t.same(byTasks, targets, `${from} on ${host.name} finds them by name`);
        t.same(byName, [vip], 'and the virtual IP');
        t.equal(reversed.length, 3);
        for (const [name = ''] of reversed)
          t.ok(name.startsWith(`${to}.`) && name.endsWith(`.${network}`), `${name} is one of ${to} on ${network}`);
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
      t.equal(await virtualIp(host, 'web', 'db'), undefined, `web on ${host.name} does not know db`);
      const [target] = await addressesOf(manager, 'db', 'made-up');
      t.not((await inService(host, 'web', `ping -6 -c 1 -W 1 ${target}`)).code, 0, 'nor does it reach it');
      const itself = await ask(host, 'web', `http://[${await vipOf('web', 'named')}]:8080/`, 60);
      t.match(
        itself,
        { answered: 60, failed: 0 },
        `web on ${host.name} is answered by its own service, itself included`,
      );
      t.equal(Object.keys(itself.hosts).length, 3);
    }
  },
);

t.test('networks of IPv6 › a trace goes to an address, and names what it is of', { skip }, async (t) => {
  const { hosts, trySwarmctl } = await cluster(t);
  const [manager, other] = hosts as [Host, Host, Host];
  for (const target of await addressesOf(manager, 'api', 'named')) {
    const traced = await trySwarmctl(manager, 'net', 'trace', `web.${other.name}`, `[${target}]:8080`);
    t.match(traced, { code: 0, stdout: /^To {3}task api\./m }, `${target}: ${traced.stdout}${traced.stderr}`);
  }
});

t.test('networks of IPv6 › a service without tasks is refused at once', { skip }, async (t) => {
  const shared = await cluster(t);
  const { hosts, docker } = shared;
  const manager = hosts[0]!;
  await createNodeService(shared, manager, 'none', ['--replicas', '0', '--network', 'named']);
  await waitFor('its name is known', async () => (await virtualIp(hosts[1]!, 'web', 'none')) !== undefined);
  const vip = await virtualIp(hosts[1]!, 'web', 'none');
  const answers = await ask(hosts[1]!, 'web', `http://[${vip}]:8080/`, 1);
  t.equal(answers.failures[0]?.what, 'ECONNREFUSED');
  await docker(manager, 'service', 'rm', 'none');
});

t.test('networks of IPv6 › no request is lost while a service is updated and scaled', { skip }, async (t) => {
  const shared = await cluster(t);
  const { hosts, docker } = shared;
  const manager = hosts[0]!;
  await createNodeService(shared, manager, 'steady', ['--replicas', '4', '--network', 'named']);
  await waitFor('it answers by IPv6', async () => {
    const vip = await virtualIp(hosts[1]!, 'web', 'steady');
    return vip !== undefined && (await ask(hosts[1]!, 'web', `http://[${vip}]:8080/`, 1)).answered === 1;
  });
  const vip = await virtualIp(hosts[1]!, 'web', 'steady');
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
    return (await virtualIp(manager, 'helper', 'plain-h3')) === target;
  });
  t.equal((await inService(manager, 'helper', `ping -6 -c 1 -W 5 ${target}`)).code, 0);
  for (const host of [second, third]) await host.run(['docker', 'rm', '-f', `plain-${host.name}`]);
  await docker(manager, 'service', 'rm', 'helper');
});

t.test(
  'networks of IPv6 › a published port answers on every node and shows the client’s own address',
  { skip },
  async (t) => {
    const shared = await cluster(t);
    const { hosts, docker, tryDocker, lab } = shared;
    const manager = hosts[0]!;
    // The docker CLI would ask whether that is meant.
    const removal = ['-sf', '-X', 'DELETE', '--unix-socket', SWARMD_SOCKET, 'http://swarmd/networks/ingress'];
    await manager.run(['curl', ...removal]);
    await waitFor('there is an ingress network with IPv6', async () => {
      const made = await tryDocker(manager, 'network', 'create', '-d', 'overlay', '--ingress', '--ipv6', 'entrance');
      return made.code === 0;
    });
    await createNodeService(shared, manager, 'entry', ['--constraint', 'node.hostname==h3', '--publish', '8081:8080']);
    await waitForRunning(manager, 'entry', 1);
    const byFour = async (host: Host): Promise<boolean> =>
      (await lab.client(['curl', '-sf', '--max-time', '3', `http://${host.ip}:8081/`])).code === 0;
    for (const host of hosts) await waitFor(`${host.name} answers by IPv4`, () => byFour(host));
    const refused = await askFromOutside(shared, `http://[${SIX}1]:8081/`, 1);
    t.equal(refused.failures[0]?.what, 'ECONNREFUSED', 'a host that does not forward refuses');
    for (const [i, host] of hosts.entries()) {
      await host.run(['sysctl', '-qw', 'net.ipv6.conf.all.forwarding=1']);
      const url = `http://[${SIX}${i + 1}]:8081/`;
      await waitFor(`${host.name} answers by IPv6`, async () => (await askFromOutside(shared, url, 1)).answered === 1);
      const answers = await askFromOutside(shared, url, 50);
      t.match(answers, { answered: 50, failed: 0, peers: { [`${SIX}100`]: 50 } }, `through ${host.name}`);
      t.ok(await byFour(host), 'and by IPv4 still');
    }
    await docker(manager, 'service', 'update', '--constraint-rm', 'node.hostname==h3', '--replicas', '3', 'entry');
    await waitForRunning(manager, 'entry', 3);
    for (const i of [1, 2, 3]) {
      const answers = await askFromOutside(shared, `http://[${SIX}${i}]:8081/`, 60);
      t.match(answers, { answered: 60, failed: 0, peers: { [`${SIX}100`]: 60 } });
      t.equal(Object.keys(answers.hosts).length, 3, 'tasks on every engine answer');
    }
  },
);
