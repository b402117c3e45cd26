import { fileURLToPath } from 'node:url';
import type { NetworkEndpoint, NodeNetwork } from '@swarmd/model';
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
t.setTimeout(290_000);

const wanted: readonly EngineVersion[] = ['20.10', '26.1', '28.5'];
const engines = skip === false ? await availableEngines() : [];
const program = fileURLToPath(new URL('../src/main.js', import.meta.url));
const open = aNetwork('open1', '10.77.0.0/24', { vni: 2 ** 20 + 1 });
const closed = aNetwork('closed1', '10.78.0.0/24', { vni: 2 ** 20 + 2, internal: true });
const tasks = aNetwork('tasks1', '10.79.0.0/24', { vni: 2 ** 20 + 3, attachable: false, addressBlocks: [] });
const networks = [open, closed, tasks];

let lab: Lab | undefined;
t.teardown(() => lab?.destroy());
const nets = new Map<Host, NetOnHost>();
if (skip === false) {
  const hosts = engines.map((engineVersion) => ({ engineVersion, name: `e${engineVersion.replace('.', '-')}` }));
  lab = await createLab({ hosts });
  await Promise.all(lab.hosts.map(prepare));
}

/** The `at`th part of a network that a node has for containers. */
function rangeOf(network: NodeNetwork, at: number): string {
  return network.subnets[0]!.subnet.replace(/0\/24$/, `${128 + 16 * at}/28`);
}

async function prepare(host: Host, at: number): Promise<void> {
  const net = netOn(host, [program]);
  nets.set(host, net);
  await net.start();
  await importBusyboxImage(host);
  const peers = lab!.hosts.filter((other) => other !== host).map(({ ip }) => ip);
  await net.client.configure({ nodeId: host.name, clusterId: 'c', addr: host.ip, port: 4789, peers });
  for (const network of networks) {
    const addressBlocks = network.attachable ? [rangeOf(network, at)] : [];
    await net.client.putNetwork({ ...network, addressBlocks });
    await net.client.changeEndpoints([changeOf(network, [])]);
    await createEngineNetwork(host, network);
  }
}

/** All of a network: its service `web`, whose only task is at `.10`, and the ranges of the nodes. */
function changeOf(network: NodeNetwork, more: NetworkEndpoint[]) {
  const [prefix] = network.subnets[0]!.subnet.split('.0/');
  const task = { id: `${network.id}web`, serviceId: 'web', nodeAddr: lab!.hosts[0]!.ip, names: [] };
  return {
    ...{ networkId: network.id, complete: true, removedEndpoints: [], removedServices: [] },
    endpoints: [{ ...task, addresses: [`${prefix}.10`], phase: 'ready' as const }, ...more],
    services: [{ id: 'web', name: 'web', aliases: [], virtualIps: [`${prefix}.100`] }],
    blocks: network.attachable
      ? lab!.hosts.map(({ name, ip }, at) => ({ nodeId: name, nodeAddr: ip, ranges: [rangeOf(network, at)] }))
      : [],
  };
}

const sleeping = ['busybox', 'sh', '-c', 'trap exit TERM; sleep infinity & wait'];

function run(host: Host, name: string, network: NodeNetwork, ...more: string[]): Promise<string> {
  return host.run(['docker', 'run', '-d', '--name', name, '--network', network.name, ...more, ...sleeping]);
}

/** What a container's resolver says of a name: its address, or empty. */
async function lookUp(host: Host, container: string, name: string): Promise<string> {
  const { stdout } = await host.exec(['docker', 'exec', container, 'nslookup', name]);
  return stdout.match(/Address(?: 1)?:\s+(10\.\S+)/)?.[1] ?? '';
}

/** As soon as it is that; otherwise what it is in the end. */
async function eventually(wished: string, ask: () => Promise<string>): Promise<string> {
  const deadline = AbortSignal.timeout(10_000);
  for (;;) {
    const found = await ask();
    if (found === wished || deadline.aborted) return found;
  }
}

for (const version of wanted) {
  const why = skip || (engines.includes(version) ? false : `Docker ${version} is not here`);
  const host = (): Host => lab!.host(`e${version.replace('.', '-')}`);

  t.test(`plain containers › Docker ${version} finds services and its own names`, { skip: why }, async (t) => {
    const here = host();
    await run(here, 'plain', open);
    await run(here, 'db', open, '--network-alias', 'database');
    await run(here, 'inner', closed);
    await run(here, 'vault', closed, '--network-alias', 'safe');
    t.equal(await lookUp(here, 'plain', 'web'), '10.77.0.100');
    t.equal(await lookUp(here, 'inner', 'web'), '10.78.0.100', 'also on an internal network');
    t.equal(await lookUp(here, 'inner', 'tasks.web'), '10.78.0.10');
    const database = await addressOf(here, 'db', open.name);
    for (const name of ['db', 'database', `db.${open.name}`])
      t.equal(await lookUp(here, 'plain', name), database, name);
    const safe = await addressOf(here, 'vault', closed.name);
    for (const name of ['vault', 'safe']) t.equal(await lookUp(here, 'inner', name), safe, name);
    t.equal(await lookUp(here, 'plain', 'safe'), '', 'names of other networks are unknown');
    const back = await here.exec(['docker', 'exec', 'plain', 'nslookup', database]);
    t.match(back.stdout, /db/, 'and back');
    await run(here, 'asking', open, '--dns', '10.77.0.1');
    t.equal(await lookUp(here, 'asking', 'nowhere'), '', 'a question that comes back from the engine ends');
    t.equal(await lookUp(here, 'asking', 'database'), database);
  });

  t.test(
    `plain containers › Docker ${version} answers first questions, and tasks on internal networks`,
    { skip: why },
    async (t) => {
      const here = host();
      for (let round = 0; round < 8; round++) {
        const first = ['docker', 'run', '--rm', '--network', closed.name, 'busybox', 'nslookup', 'web'];
        t.match((await here.exec(first)).stdout, /10\.78\.0\.100/);
      }
      const task = ['--ip', '10.79.0.20', '--dns', '10.79.0.1'];
      const options = `name=${tasks.name},driver-opt=swarmd.task=t1`;
      await here.run(['docker', 'run', '-d', '--name', 'task', '--network', options, ...task, ...sleeping]);
      t.equal(await lookUp(here, 'task', 'web'), '10.79.0.100');
      await here.run('docker rm -f task');
    },
  );

  t.test(
    `plain containers › Docker ${version} keeps them from networks of tasks, in its own words`,
    { skip: why },
    async (t) => {
      const here = host();
      const refusal = `Could not attach to network ${tasks.name}: rpc error: code = PermissionDenied desc = network ${tasks.name} not manually attachable`;
      for (const more of [[], ['--ip', '10.79.0.30']]) {
        const refused = await here.exec(['docker', 'run', '--rm', '--network', tasks.name, ...more, ...sleeping]);
        t.ok(refused.stderr.includes(refusal), refused.stderr);
      }
      const refused = await here.exec(['docker', 'network', 'connect', tasks.name, 'plain']);
      t.ok(refused.stderr.includes(refusal), refused.stderr);
      // The engine keeps it among the container's networks all the same, and would not start it again.
      await here.run('docker stop -t 0 plain');
      await here.run(['docker', 'network', 'disconnect', tasks.name, 'plain']);
      await here.run('docker start plain');
    },
  );

  t.test(
    `plain containers › Docker ${version} finds names after restarts and changes of networks`,
    { skip: why },
    async (t) => {
      const here = host();
      const net = nets.get(here)!;
      await net.stop('KILL');
      await net.start();
      t.equal(await lookUp(here, 'plain', 'web'), '10.77.0.100');
      await here.run('docker restart -t 0 plain');
      t.equal(await eventually('10.77.0.100', () => lookUp(here, 'plain', 'web')), '10.77.0.100');
      await here.run(['docker', 'network', 'connect', closed.name, 'plain']);
      t.equal(await eventually('10.78.0.100', () => lookUp(here, 'plain', `web.${closed.name}`)), '10.78.0.100');
      await here.run(['docker', 'network', 'disconnect', open.name, 'plain']);
      t.equal(await eventually('10.78.0.100', () => lookUp(here, 'plain', 'web')), '10.78.0.100');
      await here.run(['docker', 'network', 'disconnect', closed.name, 'plain']);
      await here.run('docker network create own');
      await here.run('docker network connect own plain');
      const neighbour = (
        await here.run(['docker', 'run', '-d', '--name', 'near', '--network', 'own', ...sleeping])
      ).trim();
      t.ok(neighbour);
      const near = await here.run(['docker', 'inspect', '-f', '{{.NetworkSettings.Networks.own.IPAddress}}', 'near']);
      const found = async () => (await here.exec('docker exec plain nslookup near')).stdout;
      t.match(await eventually('', async () => ((await found()).includes(near.trim()) ? '' : 'not yet')), /^$/);
    },
  );
}

t.test('plain containers › are reached from other nodes while no manager tells of them', { skip }, async (t) => {
  const [first, second] = [lab!.hosts.at(0)!, lab!.hosts.at(-1)!];
  const address = await addressOf(second, 'db', open.name);
  t.match(address, /^10\.77\.0\.(1[3-9]|2)/);
  await first.run(['docker', 'exec', 'db', 'ping', '-c', '1', '-w', '10', address]);
  await second.run([
    'docker',
    'run',
    '--rm',
    '--network',
    open.name,
    'busybox',
    'ping',
    '-c',
    '1',
    '-w',
    '10',
    await addressOf(first, 'db', open.name),
  ]);
});

t.test('plain containers › a name server on an internal network is asked by its own clients', { skip }, async (t) => {
  const [first, second] = [lab!.hosts.at(0)!, lab!.hosts.at(-1)!];
  // Answers every question for an address with 10.9.9.9.
  const program = `require('dgram').createSocket('udp4').on('message', function (q, from) {
    const a = q.readUInt16BE(q.indexOf(0, 12) + 1) === 1;
    const answer = Buffer.concat([q, Buffer.from(a ? 'c00c000100010000000100040a090909' : '', 'hex')]);
    answer.writeUInt16BE(0x8180, 2);
    answer.writeUInt16BE(a ? 1 : 0, 6);
    this.send(answer, from.port, from.address);
  }).bind(53)`;
  const mounts = ['/usr', '/lib', '/lib64'].flatMap((path) => ['-v', `${path}:${path}:ro`]);
  await second.run([
    'docker',
    'run',
    '-d',
    '--name',
    'ns',
    '--network',
    closed.name,
    ...mounts,
    'busybox',
    process.execPath,
    '-e',
    program,
  ]);
  const server = await addressOf(second, 'ns', closed.name);
  for (const host of [first, second]) {
    const options = `name=${closed.name},driver-opt=swarmd.task=t${host.name},driver-opt=swarmd.dns=${server}`;
    await host.run([
      'docker',
      'run',
      '-d',
      '--name',
      'client',
      '--dns',
      '10.78.0.1',
      '--network',
      options,
      ...sleeping,
    ]);
    t.equal(await eventually('10.9.9.9', () => lookUp(host, 'client', 'example.test')), '10.9.9.9', host.name);
    t.equal(await lookUp(host, 'client', 'web'), '10.78.0.100');
  }
});
