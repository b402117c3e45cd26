import { rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { NetworkEndpoint, NodeNetwork } from '@swarmd/model';
import { createLab, type Host, importBusyboxImage, type Lab, whyNoHosts } from '@swarmd/testkit';
import t from 'tap';
import { addressOf, aNetwork, createEngineNetwork, type NetOnHost, netOn } from './support/net-host.js';

const skip = whyNoHosts() ?? false;
t.setTimeout(280_000);

const green = aNetwork('green1', '10.77.0.0/24', { vni: 2 ** 20 + 1 });
/** The same subnet on the same hosts. */
const blue = aNetwork('blue1', '10.77.0.0/24', { vni: 2 ** 20 + 2, internal: true });
const ingress = aNetwork('ing1', '10.80.0.0/24', { vni: 2 ** 20 + 3, ingress: true });
const program = fileURLToPath(new URL('../src/main.js', import.meta.url));

let lab: Lab | undefined;
t.teardown(() => lab?.destroy());
const nets = new Map<Host, NetOnHost>();
if (skip === false) {
  const daemonConfig = { 'live-restore': true };
  lab = await createLab({ hosts: [{ daemonConfig }, { daemonConfig }] });
  for (const host of lab.hosts) {
    const net = netOn(host, [program]);
    nets.set(host, net);
    await net.start();
    await importBusyboxImage(host);
    await tell(host, [green, blue]);
    for (const network of [green, blue]) await createEngineNetwork(host, network);
  }
}
const [h1, h2] = (lab?.hosts ?? []) as [Host, Host];

/** What an agent tells first. */
async function tell(host: Host, networks: readonly NodeNetwork[]): Promise<void> {
  const { client } = nets.get(host)!;
  const peers = lab!.hosts.filter((other) => other !== host).map(({ ip }) => ip);
  await client.configure({ nodeId: host.name, clusterId: 'cc', addr: host.ip, port: 4789, peers });
  for (const network of networks) await client.putNetwork(network);
}

function endpoint(id: string, host: Host, address: string): NetworkEndpoint {
  return { id, serviceId: 'web', nodeAddr: host.ip, addresses: [address], phase: 'ready', names: [] };
}

/** All of a network's endpoints, to all hosts. */
async function tellEndpoints(network: NodeNetwork, endpoints: NetworkEndpoint[]): Promise<void> {
  const virtualIps = [network.subnets[0]!.gateway.replace(/1$/, '100')];
  const services = [{ id: 'web', name: 'web', aliases: [], virtualIps }];
  const change = {
    networkId: network.id,
    complete: true,
    endpoints,
    services,
    removedEndpoints: [],
    removedServices: [],
  };
  for (const host of lab!.hosts) await nets.get(host)!.client.changeEndpoints([change]);
}

const web = 'mkdir -p /www; hostname >/www/index.html; exec httpd -f -h /www';

function serve(host: Host, network: NodeNetwork, name: string, address: string): Promise<string> {
  const { gateway } = network.subnets[0]!;
  const where = ['--network', network.name, '--ip', address, '--dns', gateway, '--hostname', name, '--name', name];
  return host.run(['docker', 'run', '-d', '--init', '--restart', 'always', ...where, 'busybox', 'sh', '-c', web]);
}

function ask(host: Host, container: string, name: string): Promise<string> {
  return host.run(['docker', 'exec', container, 'timeout', '20', 'wget', '-q', '-O-', `http://${name}/`]);
}

const greenOnes = () => [endpoint('ca', h1, '10.77.0.11'), endpoint('cb', h2, '10.77.0.12')];

t.test('swarmd-net › containers of two hosts reach each other by address, name and virtual IP', { skip }, async (t) => {
  await serve(h1, green, 'ca', '10.77.0.11');
  await serve(h2, green, 'cb', '10.77.0.12');
  await serve(h2, blue, 'cc', '10.77.0.12');
  await serve(h1, blue, 'cd', '10.77.0.13');
  await tellEndpoints(green, greenOnes());
  await tellEndpoints(blue, [endpoint('cc', h2, '10.77.0.12'), endpoint('cd', h1, '10.77.0.13')]);
  t.equal(await ask(h1, 'ca', '10.77.0.12'), 'cb\n');
  t.equal(await ask(h1, 'cd', '10.77.0.12'), 'cc\n', 'the same address in another network is another container');
  const answers = await Promise.all(Array.from({ length: 6 }, () => ask(h1, 'ca', 'web')));
  t.ok(
    answers.every((answer) => ['ca\n', 'cb\n'].includes(answer)),
    'the name leads to its tasks',
  );
});

t.test(
  'swarmd-net › a published port answers on a host without the task, which sees its client',
  { skip },
  async (t) => {
    for (const host of lab!.hosts) {
      await tell(host, [ingress]);
      await createEngineNetwork(host, ingress);
    }
    await tellEndpoints(ingress, [endpoint('ce', h2, '10.80.0.12')]);
    const port = { Protocol: 'tcp', TargetPort: 80, PublishedPort: 8080, PublishMode: 'ingress' } as const;
    for (const { client } of nets.values()) await client.publish([{ serviceId: 'web', ports: [port] }]);
    const who = '#!/bin/sh\\necho; echo $REMOTE_ADDR\\n';
    const script = `mkdir -p /www/cgi-bin; printf '${who}' >/www/cgi-bin/who; chmod +x /www/cgi-bin/who; exec httpd -f -h /www`;
    const where = ['--network', ingress.name, '--ip', '10.80.0.12'];
    await h2.run(['docker', 'run', '-d', '--init', '--name', 'ce', ...where, 'busybox', 'sh', '-c', script]);
    const asking = `until timeout 3 busybox wget -q -O- http://${h1.ip}:8080/cgi-bin/who; do :; done`;
    const seen = async (): Promise<string> => (await lab!.client(['timeout', '30', 'sh', '-c', asking])).stdout.trim();
    for (const net of nets.values()) t.same((await net.client.status()).problems, []);
    t.match(await seen(), lab!.clientAddress);
    await nets.get(h2)!.stop('KILL');
    t.match(await seen(), lab!.clientAddress, 'also while swarmd-net is away');
    await nets.get(h2)!.start();
    await h2.run('docker restart -t 0 ce');
    t.match(await seen(), lab!.clientAddress);
    await h2.run('docker rm -f ce');
  },
);

t.test(
  'swarmd-net › traffic and new containers survive its sudden end, and it knows all again',
  { skip },
  async (t) => {
    const net = nets.get(h1)!;
    const before = await net.client.status();
    await net.stop('KILL');
    t.equal(await ask(h1, 'ca', '10.77.0.12'), 'cb\n', 'nobody needs it for traffic');
    const asking = ask(h2, 'cb', '10.77.0.100');
    await net.start();
    await asking;
    t.same(await net.client.status(), before);
    t.match(await ask(h1, 'ca', 'web'), /^c[ab]\n$/);
    await h1.run('docker restart -t 0 ca');
    t.equal(await ask(h2, 'cb', '10.77.0.11'), 'ca\n');
  },
);

t.test('swarmd-net › an engine with live-restore starts again under running containers', { skip }, async (t) => {
  const { client } = nets.get(h1)!;
  const before = (await client.status()).endpoints;
  await h1.stopEngine();
  const { pid } = JSON.parse(await h1.run('pgrep -f "httpd -f" | head -1 | sed "s/.*/{\\"pid\\":&}/"')) as {
    pid: number;
  };
  await h1.run(['nsenter', '-t', String(pid), '-n', 'busybox', 'wget', '-q', '-O-', 'http://10.77.0.12/']);
  await h1.startEngine();
  t.same((await client.status()).endpoints, before);
  t.equal(await ask(h1, 'ca', '10.77.0.12'), 'cb\n');
  const id = (await h1.run(['docker', 'run', '-d', '--network', green.name, 'busybox', 'sleep', '1000'])).trim();
  t.equal(await addressOf(h1, id, green.name), '10.77.0.128');
  await h1.run(['docker', 'rm', '-f', id]);
  await h1.run('docker restart -t 0 ca');
  t.equal(await ask(h1, 'ca', '10.77.0.12'), 'cb\n');
});

t.test(
  'swarmd-net › without its state nothing is cut off, and all is there when it was told again',
  { skip },
  async (t) => {
    const net = nets.get(h1)!;
    const { epoch } = await net.client.status();
    await net.stop('KILL');
    rmSync(h1.path('/var/lib/swarmd/net/net.log'));
    await net.start();
    const empty = await net.client.status();
    t.not(empty.epoch, epoch);
    t.same([empty.networks, empty.endpoints], [[], []]);
    t.equal(await ask(h1, 'ca', '10.77.0.12'), 'cb\n');
    const refused = await h1.exec(['docker', 'run', '--rm', '--network', green.name, 'busybox', 'true']);
    t.match(refused.stderr, /no network green1 of the cluster is known on this node/);
    await tell(h1, [green, blue]);
    t.equal(await ask(h1, 'ca', '10.77.0.12'), 'cb\n', 'knowing a network and not yet who is on it takes nothing away');
    await tellEndpoints(green, greenOnes());
    // The engine's network was forgotten: it is recognised by the address that the engine asked for.
    await h1.run(['docker', 'run', '--rm', '--network', green.name, 'busybox', 'ping', '-c', '1', '10.77.0.11']);
    await h1.run('docker restart -t 0 ca cd');
    t.match(await ask(h1, 'ca', 'web'), /^c[ab]\n$/);
    t.equal((await net.client.status()).endpoints.length, 2);
  },
);

t.test('swarmd-net › a host that lost its power is as before once it is on again', { skip }, async (t) => {
  const net = nets.get(h1)!;
  await h1.kill();
  h1.state.options.engine = false;
  await h1.start();
  await net.start();
  t.same((await net.client.status()).endpoints, [], 'no container has survived');
  await h1.startEngine();
  const deadline = AbortSignal.timeout(30_000);
  for (let after = ''; ; ) {
    const { revision, endpoints } = await net.client.localEndpoints(after, deadline);
    after = revision;
    if (endpoints.filter(({ sandbox }) => sandbox !== '').length === 2) break;
  }
  t.equal(await ask(h2, 'cb', '10.77.0.11'), 'ca\n');
  t.equal(await ask(h1, 'ca', '10.77.0.12'), 'cb\n');
});

t.test('swarmd-net › a reset leaves nothing of it on the host', { skip }, async (t) => {
  for (const host of lab!.hosts) {
    await host.run('docker rm -f $(docker ps -aq)');
    await host.run(['docker', 'network', 'rm', green.name, blue.name, ingress.name]);
    await nets.get(host)!.client.reset();
    t.equal(await host.run('ls /run/swarmd'), 'net.boot\nnet.sock\n');
    t.equal(await host.run('nft list tables | grep swarmd || true'), '');
  }
});
