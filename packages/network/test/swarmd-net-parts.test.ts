import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createNodeNetworksClient } from '@swarmd/agent';
import type { EndpointChange, NodeNetworks } from '@swarmd/model';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import type { NameSource } from '../src/parts.js';
import { lockStateDir } from '../src/state/lock.js';
import { type SwarmdNet, startSwarmdNet } from '../src/swarmd-net.js';
import { aNetwork } from './support/net-host.js';
import { type RecordingPlane, recordingPlane } from './support/recording-plane.js';
import { noMesh, noNames } from './support/simple-plane.js';
import { type SimulatedClock, settled, simulatedClock } from './support/simulated-clock.js';

interface Running {
  directory: string;
  plane: RecordingPlane;
  clock: SimulatedClock;
  client: NodeNetworks;
  names: NameSource;
  /** Calls the plugin, as the engine does. */
  engine(path: string, body?: object): Promise<Record<string, unknown>>;
  /** Ends it, and starts it again on the same directory with another plane. */
  restart(prepare?: (plane: RecordingPlane) => void): Promise<Running>;
}

const config = { nodeId: 'h1', clusterId: 'c', addr: '192.0.2.1', port: 4789, peers: [] };
const networks = ['n1', 'n2'].map((id, index) => aNetwork(id, `10.0.${index + 1}.0/24`));

async function start(t: Test, directory?: string, plane = recordingPlane()): Promise<Running> {
  const root = directory ?? mkdtempSync(join(tmpdir(), 'net-'));
  const clock = simulatedClock();
  let names: NameSource | undefined;
  const net: SwarmdNet = await startSwarmdNet({
    ...{ stateDir: join(root, 'state'), runDir: join(root, 'run'), pluginsDir: join(root, 'plugins'), clock },
    kernel: (source) => {
      names = source;
      return { plane, names: noNames(), mesh: noMesh() };
    },
    logger: pino({ level: 'silent' }),
  });
  let running = true;
  const stop = async (): Promise<void> => {
    if (running) await net.stop();
    running = false;
  };
  t.teardown(async () => {
    await stop();
    rmSync(root, { recursive: true, force: true });
  });
  return {
    ...{ directory: root, plane, clock, names: names! },
    client: createNodeNetworksClient(join(root, 'run', 'net.sock')),
    engine: (path, body) => call(join(root, 'plugins', 'swarmd.sock'), path, body),
    async restart(prepare) {
      await stop();
      const next = recordingPlane();
      prepare?.(next);
      return start(t, root, next);
    },
  };
}

function call(socketPath: string, path: string, body?: object): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, path, method: 'POST', agent: false }, (response) => {
      let text = '';
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => resolve(JSON.parse(text) as Record<string, unknown>));
    });
    outgoing.on('error', reject);
    outgoing.end(body && `${JSON.stringify(body)}\n`);
  });
}

/** Waits, without a limit of its own, until the plane was asked. */
async function asked(plane: RecordingPlane, text: string): Promise<void> {
  while (!plane.calls.includes(text)) await settled();
}

function change(networkId: string, id: string, complete = false): EndpointChange {
  const endpoint = {
    id,
    serviceId: '',
    nodeAddr: '192.0.2.2',
    addresses: ['10.0.1.9'],
    phase: 'ready',
    names: [],
  } as const;
  return {
    networkId,
    complete,
    endpoints: [{ ...endpoint, addresses: [...endpoint.addresses], names: [] }],
    removedEndpoints: [],
    services: [],
    removedServices: [],
  };
}

async function told(running: Running): Promise<void> {
  await running.client.configure(config);
  for (const network of networks) await running.client.putNetwork(network);
}

const createNetwork = {
  NetworkID: 'e1',
  Options: { 'com.docker.network.generic': { 'swarmd.network': 'n1' } },
  IPv4Data: [{ AddressSpace: 'swarmd', Pool: '10.0.1.0/24', Gateway: '10.0.1.1/24' }],
};
const endpointOf = (EndpointID: string, Address: string, options = {}) => ({
  ...{ NetworkID: 'e1', EndpointID, Options: options },
  Interface: { Address: `${Address}/24`, AddressIPv6: '', MacAddress: '' },
});

t.test('swarmd-net › only root can use its sockets, and one that is left over is no hindrance', async (t) => {
  const first = await start(t);
  for (const path of ['run/net.sock', 'plugins/swarmd.sock']) {
    t.equal(statSync(join(first.directory, path)).mode & 0o777, 0o600);
  }
  const second = await first.restart(() => {
    for (const path of ['run/net.sock', 'plugins/swarmd.sock']) writeFileSync(join(first.directory, path), 'left over');
  });
  t.same(await second.engine('/Plugin.Activate'), { Implements: ['NetworkDriver', 'IpamDriver'] });
  t.match(await second.client.status(), { protocol: 1, networks: [] });
});

t.test('swarmd-net › only one runs on a state directory', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'net-lock-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const lock = lockStateDir(directory);
  t.throws(() => lockStateDir(directory), { code: 'failed-precondition', message: /another swarmd-net/ });
  lock.release();
  lockStateDir(directory).release();
});

t.test(
  'swarmd-net › changes that come while one is applied are applied together, each network by itself',
  async (t) => {
    const running = await start(t);
    const { plane, client } = running;
    await told(running);
    const release = plane.hold('apply n1');
    const first = client.changeEndpoints([change('n1', 'a', true)]);
    await asked(plane, 'apply n1 a');
    const later = ['b', 'c', 'd'].map((id) => client.changeEndpoints([change('n1', id)]));
    await client.changeEndpoints([change('n2', 'x', true), change('unknown', 'y', true)]);
    t.same(
      plane.calls.filter((text) => text.startsWith('apply n1')),
      ['apply n1 a'],
      'one at a time',
    );
    // All three are in the state before the second run begins.
    while (running.names.members('n1')?.endpoints.size !== 4) await settled();
    release();
    await Promise.all([first, ...later]);
    t.same(
      plane.calls.filter((text) => text.startsWith('apply n1')),
      ['apply n1 a', 'apply n1 a,b,c,d'],
    );
  },
);

t.test('swarmd-net › a driver call waits for the restoration of its own network only', async (t) => {
  const before = await start(t);
  await told(before);
  t.same(await before.engine('/NetworkDriver.CreateNetwork', createNetwork), {});
  let release = (): void => {};
  const running = await before.restart((plane) => {
    release = plane.hold('ensure n2');
  });
  t.same(await running.engine('/NetworkDriver.CreateEndpoint', endpointOf('p1', '10.0.1.5')), {
    Interface: { MacAddress: '02:42:0a:00:01:05' },
  });
  const waiting = running.engine('/NetworkDriver.CreateNetwork', {
    ...{ NetworkID: 'e2', Options: { 'com.docker.network.generic': { 'swarmd.network': 'n2' } } },
  });
  await asked(running.plane, 'ensure n2');
  release();
  t.same(await waiting, {});
});

t.test('swarmd-net › the engine is answered within a deadline, and what it ends is ended later', async (t) => {
  const running = await start(t);
  await told(running);
  const { engine, plane, clock, client } = running;
  await engine('/NetworkDriver.CreateNetwork', createNetwork);
  await engine(
    '/NetworkDriver.CreateEndpoint',
    endpointOf('p1', '10.0.1.5', { 'swarmd.task': 't1', 'swarmd.dns': '9.9.9.9' }),
  );
  const release = plane.hold('plug');
  const joining = engine('/NetworkDriver.Join', { NetworkID: 'e1', EndpointID: 'p1', SandboxKey: '/ns/1' });
  await asked(plane, 'plug n1 p1');
  await clock.advance(15_000);
  t.match(await joining, { Err: /takes longer than 15000 ms; it goes on: try again/ });
  release();
  const again = await engine('/NetworkDriver.Join', { NetworkID: 'e1', EndpointID: 'p1', SandboxKey: '/ns/1' });
  t.same(again, { InterfaceName: { SrcName: 'vcp1', DstPrefix: 'eth' } });
  t.same(running.names.asker('n1', '10.0.1.5'), {
    ...{ networkIds: ['n1'], dns: ['9.9.9.9'], outside: true, sandbox: '/ns/1', plain: false },
  });

  const unplugged = plane.hold('unplug');
  const leaving = engine('/NetworkDriver.DeleteEndpoint', { NetworkID: 'e1', EndpointID: 'p1' });
  await asked(plane, 'unplug n1 p1');
  await clock.advance(5000);
  t.same(await leaving, {});
  t.same((await client.status()).endpoints, []);
  unplugged();
  t.same(
    await engine('/NetworkDriver.Leave', { NetworkID: 'e1', EndpointID: 'p1' }),
    {},
    'what is gone may be ended again',
  );
  t.match(await engine('/NetworkDriver.Join', { NetworkID: 'e1', EndpointID: 'p1', SandboxKey: '/x' }), {
    Err: /not known/,
  });
  t.match(await engine('/NetworkDriver.Nonsense', {}), { Err: /does not know/ });
  t.match(await engine('/NetworkDriver.CreateEndpoint', {}), { Err: /NetworkID/ });
});

t.test('swarmd-net › what fails in the kernel is told, shown, and tried again until it works', async (t) => {
  const running = await start(t);
  const { plane, client, clock } = running;
  await client.configure(config);
  plane.failing.add('ensure n1');
  await t.rejects(client.putNetwork(networks[0]!), { message: 'ensure n1 fails' });
  t.same((await client.status()).problems, ['network net-n1: ensure n1 fails']);
  await clock.advance(1000);
  t.equal(plane.calls.filter((text) => text === 'ensure n1').length, 2);
  plane.failing.clear();
  await clock.advance(2000);
  t.same((await client.status()).problems, []);
  t.equal(plane.calls.filter((text) => text === 'ensure n1').length, 3);
  await clock.advance(60_000);
  t.equal(plane.calls.filter((text) => text === 'ensure n1').length, 3, 'and then no more');
});

t.test('swarmd-net › a state that is in doubt takes nothing from the kernel until all was told', async (t) => {
  const before = await start(t);
  await told(before);
  await before.client.changeEndpoints([change('n1', 'a', true), change('n1', 'b')]);
  const { epoch } = await before.client.status();
  const file = join(before.directory, 'state', 'net.log');
  const damaged = await before.restart(() => {
    const text = readFileSync(file, 'utf8');
    writeFileSync(file, text.replace('"id":"b"', '"id":"B"'));
  });
  await asked(damaged.plane, 'ensure n2');
  t.not((await damaged.client.status()).epoch, epoch);
  await damaged.client.changeEndpoints([change('n1', 'c')]);
  t.notOk(
    damaged.plane.calls.some((text) => text.startsWith('apply')),
    'part of a set is not applied',
  );
  await damaged.client.changeEndpoints([change('n1', 'd', true)]);
  t.same(
    damaged.plane.calls.filter((text) => text.startsWith('apply')),
    ['apply n1 d'],
  );
});

t.test('swarmd-net › the agent follows the containers of its node', async (t) => {
  const running = await start(t);
  await told(running);
  const { client, engine, clock } = running;
  await engine('/NetworkDriver.CreateNetwork', createNetwork);
  const none = await client.localEndpoints('');
  t.same(none.endpoints, []);
  const following = client.localEndpoints(none.revision);
  await engine('/NetworkDriver.CreateEndpoint', endpointOf('p1', '10.0.1.5', { 'swarmd.task': 't1' }));
  const one = await following;
  t.match(one.endpoints, [{ endpointId: 'p1', taskId: 't1', sandbox: '' }]);
  t.not(one.revision, none.revision);
  const aborting = new AbortController();
  const aborted = client.localEndpoints(one.revision, aborting.signal);
  aborting.abort(new Error('enough'));
  await t.rejects(aborted, { message: 'enough' });
  const waiting = client.localEndpoints(one.revision);
  await settled();
  await clock.advance(30_000);
  t.same(await waiting, one, 'an answer comes after a while even if nothing has changed');
  await clock.advance(90_000);
  t.same((await client.status()).endpoints, [], 'one whose container never appeared is dropped');
});

t.test('swarmd-net › bad input is refused with the field, and a missing swarmd-net is unavailable', async (t) => {
  const running = await start(t);
  const { client } = running;
  await t.rejects(client.putNetwork({ ...networks[0]!, vni: 'x' as never }), {
    code: 'invalid-argument',
    message: /^vni: /,
  });
  await t.rejects(client.putNetwork({ ...networks[0]!, id: '../x' }), { code: 'invalid-argument', message: /no ID/ });
  await t.rejects(client.changeEndpoints([{} as never]), { code: 'invalid-argument', message: /^0\.networkId: / });
  await t.rejects(createNodeNetworksClient(join(running.directory, 'no.sock')).status(), { code: 'unavailable' });
});

t.test('swarmd-net › a network with containers is not removed, and a reset forgets all', async (t) => {
  const running = await start(t);
  await told(running);
  const { client, engine, plane } = running;
  await engine('/NetworkDriver.CreateNetwork', createNetwork);
  await engine('/NetworkDriver.CreateEndpoint', endpointOf('p1', '10.0.1.5'));
  await t.rejects(client.removeNetwork('n1'), { code: 'failed-precondition', message: /net-n1 has 1 container/ });
  await client.removeNetwork('n2');
  await client.removeNetwork('n2');
  t.ok(plane.calls.includes('remove n2'));
  const { epoch } = await client.status();
  await client.reset();
  const status = await client.status();
  t.match(status, { networks: [], endpoints: [] });
  t.not(status.epoch, epoch);
  t.equal(plane.calls.at(-1), 'reset');
});
