import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  availableEngines,
  createLab,
  type EngineVersion,
  type Host,
  importBusyboxImage,
  whyNoHosts,
} from '@swarmd/testkit';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { macAddressOf } from '../src/kernel/addresses.js';
import { createCommands } from '../src/kernel/commands.js';
import { createNamespaces } from '../src/kernel/namespaces.js';
import { createNetworkPlane } from '../src/kernel/plane.js';
import { createMesh } from '../src/mesh/mesh.js';
import { clock, ingress, patienceMs, publishing } from './mesh-bed.js';

const skip = whyNoHosts() ?? false;
t.setTimeout(240_000);

const engines = skip === false ? await availableEngines() : [];
/** The oldest one and the newest: rules of later ones drop more. */
const tried = new Set([engines[0], engines.at(-1)].filter((version) => version !== undefined));

t.test('mesh beside real engines', { skip }, async (t) => {
  for (const version of tried) await t.test(`Docker ${version}`, (t) => besideEngine(t, version));
});

async function besideEngine(t: Test, version: EngineVersion): Promise<void> {
  const lab = await createLab({ hosts: 2, engineVersion: version });
  const directory = mkdtempSync(join(tmpdir(), 'swarmd-mesh-'));
  const nodes = await Promise.all(lab.hosts.map((host) => makeNode(host, directory, lab.hosts)));
  t.teardown(async () => {
    for (const { mesh, plane } of nodes) {
      await mesh.reset();
      await plane.reset();
    }
    await lab.destroy();
    rmSync(directory, { recursive: true });
  });
  const [first, second] = nodes as [(typeof nodes)[0], (typeof nodes)[0]];
  const backend = await startBackend(second);
  const endpoint = {
    ...{ id: 'task', serviceId: 'web', nodeAddr: second.host.state.ip, addresses: [backend], names: [] },
    phase: 'ready' as const,
  };
  const members = { endpoints: new Map([[endpoint.id, endpoint]]), services: new Map() };
  const publish = async (...ports: [number, number, ('tcp' | 'udp')?][]) => {
    for (const { mesh, plane } of nodes) {
      await plane.apply(ingress, members);
      await mesh.apply(ingress, members, [publishing('web', ...ports)]);
    }
  };
  /** What is answered to a client that is no host; asks until it is, as programs take a moment to start. */
  const ask = async (host: Host, port: number, protocol: 'tcp' | 'udp' = 'tcp') => {
    const deadline = performance.now() + patienceMs;
    for (;;) {
      const asked = await lab.client([process.execPath, '-e', askAs[protocol], host.state.ip, String(port)]);
      if (asked.stdout.trim() !== '' || performance.now() > deadline) return asked.stdout.trim();
    }
  };

  t.test('a container that the engine made sees the client, behind a firewall that drops', async (t) => {
    for (const { host } of nodes) await host.run('iptables -P FORWARD DROP');
    await publish([8080, 80], [5353, 53, 'udp']);
    for (const { host, mesh } of nodes) {
      t.match(await ask(host, 8080), new RegExp(`^${lab.clientAddress.replaceAll('.', '\\.')}:\\d+$`), host.name);
      t.match(
        await ask(host, 5353, 'udp'),
        new RegExp(`^${lab.clientAddress.replaceAll('.', '\\.')}:\\d+$`),
        host.name,
      );
      t.same(mesh.problems(), []);
    }
    t.match(await ask(second.host, 9000), lab.clientAddress, 'a port of the container alone');
  });

  t.test('the engine notices a published port, and the mesh one of the engine', async (t) => {
    const other = 'while true; do echo other | nc -l -p 80; done';
    const taken = await first.host.exec('docker run --rm -p 8080:80 busybox true');
    t.not(taken.code, 0);
    t.match(taken.stderr, /address already in use/);
    await first.host.run(['docker', 'run', '-d', '--name', 'other', '-p', '8081:80', 'busybox', 'sh', '-c', other]);
    await publish([8080, 80], [8081, 80], [5353, 53, 'udp']);
    t.match(first.mesh.problems(), [
      /^port 8081\/tcp is not published on this node: docker-proxy \(pid \d+\) uses it$/,
    ]);
    t.equal(await ask(first.host, 8081), 'other');
    t.match(await ask(second.host, 8081), lab.clientAddress);
    await first.host.run('docker rm -f other');
    await first.mesh.check();
    t.same(first.mesh.problems(), []);
    t.match(await ask(first.host, 8081), lab.clientAddress);
  });

  t.test('a restart of the engine changes nothing', async (t) => {
    await publish([8080, 80]);
    await first.host.stopEngine();
    t.match(await ask(first.host, 8080), lab.clientAddress);
    await first.host.startEngine();
    t.match(await ask(first.host, 8080), lab.clientAddress);
    t.same(first.mesh.problems(), []);
  });
}

async function makeNode(host: Host, directory: string, hosts: readonly Host[]) {
  await importBusyboxImage(host);
  const namespaces = createNamespaces(join(directory, host.name));
  const commands = createCommands(namespaces);
  const hostNamespace = `/run/netns/${host.state.namespace}`;
  const logger = pino({ level: 'silent' });
  const plane = createNetworkPlane({ namespaces, logger, hostNamespace });
  const mesh = createMesh({ namespaces, hostNamespace, clock, logger, sshPorts: [] });
  const peers = hosts.map(({ state }) => state.ip).filter((ip) => ip !== host.state.ip);
  const config = { nodeId: host.name, clusterId: 'c', addr: host.state.ip, port: 4789, peers };
  await plane.configure(config);
  await plane.ensure(ingress);
  await mesh.configure(config);
  return { host, plane, mesh, commands, hostNamespace };
}

/** What a client runs: prints what it is answered; ends after five seconds without. */
const askAs = {
  tcp: `require('net').connect(process.argv[2], process.argv[1]).setTimeout(5000, process.exit).pipe(process.stdout)`,
  udp: `
    const udp = require('dgram').createSocket('udp4');
    udp.connect(process.argv[2], process.argv[1], () => udp.send('hello'));
    udp.on('message', (text) => console.log(String(text))).on('message', () => udp.close());
    setTimeout(process.exit, 5000, 1).unref();
  `,
};

/** What the backend runs: every client learns its own address, as the backend sees it. */
const tellClients = `
  require('net').createServer((c) => c.on('error', () => {}).end(c.remoteAddress + ':' + c.remotePort)).listen(80, '0.0.0.0');
  const udp = require('dgram').createSocket('udp4');
  udp.on('message', (_, from) => udp.send(from.address + ':' + from.port, from.port, from.address)).bind(53);
`;

/** A container on a network of the engine's, which tells its clients their addresses; its address on the ingress network. */
async function startBackend(node: Awaited<ReturnType<typeof makeNode>>): Promise<string> {
  const { host, plane, mesh, commands, hostNamespace } = node;
  await host.run('docker network create app');
  const libraries = ['/usr', '/lib', '/lib64'].filter(existsSync).flatMap((folder) => ['-v', `${folder}:${folder}:ro`]);
  const program = ['-v', `${process.execPath}:/node:ro`, 'busybox', '/node', '-e', tellClients];
  await host.run([
    'docker',
    'run',
    '-d',
    '--name',
    'backend',
    '--network',
    'app',
    '-p',
    '9000:80',
    ...libraries,
    ...program,
  ]);
  const key = (await host.run(['docker', 'inspect', '-f', '{{.NetworkSettings.SandboxKey}}', 'backend'])).trim();
  const sandbox = `/proc/${host.pid}/root${key.replace('/var/run/', '/run/')}`;
  const address = '10.0.0.7';
  const port = { endpointId: 'backend', addresses: [address], macAddress: macAddressOf(address) };
  const { interfaceName } = await plane.plug(ingress, port);
  await commands.batch(hostNamespace, 'ip', [`link set ${interfaceName} netns ${sandbox}`]);
  await commands.batch(sandbox, 'ip', [`addr add ${address}/24 dev ${interfaceName}`, `link set ${interfaceName} up`]);
  await mesh.joined(sandbox, ingress, port);
  return address;
}
