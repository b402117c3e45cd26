import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  availableEngines,
  createLab,
  type EngineVersion,
  type Host,
  importBusyboxImage,
  type Lab,
  whyNoHosts,
} from '@swarmd/testkit';
import t from 'tap';
import { addressOf, aNetwork, createEngineNetwork, type NetOnHost, netOn } from './support/net-host.js';

const skip = whyNoHosts() ?? false;
t.setTimeout(280_000);

const wanted: readonly EngineVersion[] = ['20.10', '26.1', '28.5'];
const engines = skip === false ? await availableEngines() : [];
const green = aNetwork('green1', '10.77.0.0/24');
/** The same subnet on the same host. */
const blue = aNetwork('blue1', '10.77.0.0/24', { internal: true });
const six = aNetwork('six1', '10.79.0.0/24', {
  subnets: [
    { subnet: '10.79.0.0/24', gateway: '10.79.0.1' },
    { subnet: 'fd79::/64', gateway: 'fd79::1' },
  ],
  addressBlocks: ['10.79.0.128/25', 'fd79::1:0/112'],
});
const program = fileURLToPath(new URL('./support/simple-net.js', import.meta.url));

let lab: Lab | undefined;
t.teardown(() => lab?.destroy());
const nets = new Map<Host, NetOnHost>();
if (skip === false) {
  const hosts = engines.map((engineVersion) => ({ engineVersion, name: `e${engineVersion.replace('.', '-')}` }));
  lab = await createLab({ hosts });
  await Promise.all(
    lab.hosts.map(async (host) => {
      const net = netOn(host, [program, `${host.state.directory}/plane.log`]);
      nets.set(host, net);
      await net.start();
      await importBusyboxImage(host);
      await net.client.configure({ nodeId: host.name, clusterId: 'c', addr: host.ip, port: 4789, peers: [] });
      for (const network of [green, blue]) await net.client.putNetwork(network);
    }),
  );
}

function hostOf(version: EngineVersion): { host: Host; net: NetOnHost } {
  const host = lab!.host(`e${version.replace('.', '-')}`);
  return { host, net: nets.get(host)! };
}

const sleeping = ['busybox', 'sh', '-c', 'trap exit TERM; sleep infinity & wait'];

for (const version of wanted) {
  const why = skip || (engines.includes(version) ? false : `Docker ${version} is not here`);
  t.test(
    `driver › Docker ${version} makes networks with the same subnet, known ones only`,
    { skip: why },
    async (t) => {
      const { host } = hostOf(version);
      await createEngineNetwork(host, green);
      await createEngineNetwork(host, blue);
      const unknown = await host.exec(
        'docker network create -d swarmd --ipam-driver swarmd --ipam-opt swarmd.network=x no',
      );
      t.match(unknown.stderr, /no network x of the cluster is known on this node/);
      const unnamed = await host.exec('docker network create -d swarmd --ipam-driver swarmd no');
      t.match(unnamed.stderr, /IPAM option swarmd.network .* must name a network/);
      const foreign = await host.exec(
        'docker network create -d swarmd -o swarmd.network=green1 --subnet 10.77.0.0/24 no',
      );
      t.match(foreign.stderr, /use --ipam-driver swarmd/);
      const outside = await host.exec(
        'docker network create -d swarmd --ipam-driver swarmd --ipam-opt swarmd.network=green1 --subnet 10.9.0.0/24 no',
      );
      t.match(outside.stderr, /no subnet 10.9.0.0\/24; it has 10.77.0.0\/24/);
    },
  );

  t.test(
    `driver › Docker ${version} runs containers with and without an address of their own`,
    { skip: why },
    async (t) => {
      const { host, net } = hostOf(version);
      await host.run(['docker', 'run', '-d', '--name', 'first', '--network', green.name, ...sleeping]);
      await host.run(['docker', 'run', '-d', '--name', 'other', '--network', blue.name, ...sleeping]);
      await host.run([
        'docker',
        'run',
        '-d',
        '--name',
        'named',
        '--network',
        green.name,
        '--ip',
        '10.77.0.9',
        ...sleeping,
      ]);
      t.equal(await addressOf(host, 'first', green.name), '10.77.0.128');
      t.equal(await addressOf(host, 'other', blue.name), '10.77.0.128', 'networks do not share addresses');
      t.equal(await addressOf(host, 'named', green.name), '10.77.0.9');
      const link = await host.run('docker exec named ip link show eth0');
      t.match(link, /02:42:0a:4d:00:09/, 'the MAC address follows from the IP address');
      await host.run('docker exec first ping -c 1 -w 5 10.77.0.9');
      t.not((await host.exec('docker exec other ping -c 1 -W 1 10.77.0.9')).code, 0, 'networks are apart');
      const taken = await host.exec([
        'docker',
        'run',
        '--rm',
        '--network',
        green.name,
        '--ip',
        '10.77.0.9',
        ...sleeping,
      ]);
      t.match(taken.stderr, /another container of this node has address 10.77.0.9/);
      const outside = await host.exec([
        'docker',
        'run',
        '--rm',
        '--network',
        green.name,
        '--ip',
        '10.78.0.9',
        ...sleeping,
      ]);
      t.not(outside.code, 0);
      const { endpoints } = await net.client.status();
      t.same(endpoints.map(({ networkId, addresses }) => `${networkId} ${addresses}`).sort(), [
        'blue1 10.77.0.128',
        'green1 10.77.0.128',
        'green1 10.77.0.9',
      ]);
      t.ok(
        endpoints.every(({ sandbox }) => existsSync(host.path(sandbox))),
        'each knows its namespace',
      );
    },
  );

  t.test(`driver › Docker ${version} tells an endpoint's task and its name servers`, { skip: why }, async (t) => {
    const { host, net } = hostOf(version);
    const options = `name=${green.name},driver-opt=swarmd.task=t1,driver-opt=swarmd.dns=9.9.9.9`;
    await host.run(['docker', 'run', '-d', '--name', 'task', '--network', options, ...sleeping]);
    const { endpoints } = await net.client.status();
    t.same(
      endpoints.filter(({ taskId }) => taskId === 't1').map(({ addresses }) => addresses),
      [['10.77.0.129']],
    );
    const shown = await host.run(['docker', 'network', 'inspect', green.name]);
    t.match(shown, /10.77.0.129/);
    await host.run('docker rm -f task');
    t.notOk((await net.client.status()).endpoints.some(({ taskId }) => taskId === 't1'));
    await host.run(['docker', 'run', '-d', '--name', 'next', '--network', green.name, ...sleeping]);
    t.equal(await addressOf(host, 'next', green.name), '10.77.0.130', 'what was just released comes last');
    await host.run('docker rm -f next');
  });

  t.test(
    `driver › Docker ${version} connects a container to a second network, and one with IPv6`,
    { skip: why },
    async (t) => {
      const { host, net } = hostOf(version);
      await net.client.putNetwork(six);
      await createEngineNetwork(host, six);
      await host.run(['docker', 'network', 'connect', '--ip', '10.79.0.7', '--ip6', 'fd79::7', six.name, 'first']);
      const addresses = await host.run('docker exec first ip addr');
      for (const address of ['10.77.0.128/24', '10.79.0.7/24', 'fd79::7/64']) t.match(addresses, address);
      const two = (await net.client.status()).endpoints.find(({ networkId }) => networkId === 'six1');
      t.same(two?.addresses, ['10.79.0.7', 'fd79::7']);
      await host.run(['docker', 'network', 'disconnect', six.name, 'first']);
      t.notMatch(await host.run('docker exec first ip addr'), '10.79.0.7');
      await host.run(['docker', 'network', 'connect', six.name, 'first']);
      const chosen = await host.run('docker exec first ip addr');
      for (const address of ['10.79.0.128/24', 'fd79::1:0/64']) t.match(chosen, address);
      await host.run(['docker', 'network', 'disconnect', six.name, 'first']);
      await host.run(['docker', 'network', 'rm', six.name]);
      await net.client.removeNetwork('six1');
    },
  );

  t.test(`driver › Docker ${version} restarts a container`, { skip: why }, async (t) => {
    const { host, net } = hostOf(version);
    const before = (await net.client.status()).endpoints;
    await host.run('docker restart -t 0 named');
    t.equal(await addressOf(host, 'named', green.name), '10.77.0.9');
    await host.run('docker exec first ping -c 1 -w 5 10.77.0.9');
    t.equal((await net.client.status()).endpoints.length, before.length);
  });

  t.test(`driver › Docker ${version} goes on while swarmd-net dies and comes back`, { skip: why }, async (t) => {
    const { host, net } = hostOf(version);
    const before = await net.client.status();
    await net.stop('KILL');
    await host.run('docker exec first ping -c 1 -w 5 10.77.0.9');
    await net.start();
    const after = await net.client.status();
    t.same(after, before, 'it knows what it knew');
    await host.run('docker exec first ping -c 1 -w 5 10.77.0.9');
    await host.run(['docker', 'run', '--rm', '--network', green.name, 'busybox', 'ping', '-c', '1', '10.77.0.9']);
    await net.stop('TERM');
    await host.run('docker exec first ping -c 1 -w 5 10.77.0.9');
    // The engine tries again until it is back.
    const removing = host.run('docker rm -f other');
    await net.start();
    await removing;
    t.notOk((await net.client.status()).endpoints.some(({ networkId }) => networkId === 'blue1'));
  });

  t.test(`driver › Docker ${version} starts again, and starts its containers`, { skip: why }, async (t) => {
    const { host, net } = hostOf(version);
    await host.run('docker update --restart always first');
    await host.restartEngine();
    await host.run('docker start named');
    await host.run('docker exec first ping -c 1 -w 5 10.77.0.9');
    const { endpoints, problems } = await net.client.status();
    t.same(
      endpoints.map(({ addresses }) => addresses.join()).sort(),
      [await addressOf(host, 'first', green.name), '10.77.0.9'].sort(),
    );
    t.same(problems, []);
    await host.restartEngine({ signalName: 'KILL' });
    await host.run('docker start named');
    await host.run('docker exec first ping -c 1 -w 5 10.77.0.9');
    t.equal((await net.client.status()).endpoints.length, 2, 'nothing is left behind');
  });

  t.test(`driver › Docker ${version} leaves nothing behind`, { skip: why }, async (t) => {
    const { host, net } = hostOf(version);
    await t.rejects(net.client.removeNetwork('green1'), { code: 'failed-precondition', message: /2 containers/ });
    await host.run('docker rm -f first named');
    await host.run(['docker', 'network', 'rm', green.name, blue.name]);
    t.same((await net.client.status()).endpoints, []);
    for (const { id } of [green, blue]) await net.client.removeNetwork(id);
    t.equal(await host.run('ip -o link show | grep -E "v[hc][0-9a-f]{6}|tb(green|blue)" || true'), '');
    t.equal((await net.client.status()).networks.length, 0);
    const log = readFileSync(net.logFile, 'utf8');
    t.notMatch(log, /"level":(50|60)/, 'nothing went wrong');
  });
}
