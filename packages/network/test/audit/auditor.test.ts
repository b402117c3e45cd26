import { type LocalEndpoint, linesDigest, memberLines } from '@swarmd/model';
import { manualClock } from '@swarmd/testkit';
import t from 'tap';
import { type Auditor, createAuditor } from '../../src/audit/auditor.js';
import { runCommand } from '../../src/audit/command.js';
import {
  type BedContainer,
  type BedHost,
  dataPathPort,
  endpointOf,
  makeBed,
  membersOf,
  networkOf,
  serviceOf,
  unfit,
} from '../kernel-bed.js';

const network = networkOf('one', 1_048_577);

/** An auditor of a host that was told `members`, and has `containers`. */
function auditorOf(
  host: BedHost,
  peers: string[],
  members: ReturnType<typeof membersOf>,
  containers: BedContainer[],
): Auditor {
  const locals = containers.map(({ port, address, path }): [string, LocalEndpoint] => [
    port.endpointId,
    {
      networkId: network.id,
      endpointId: port.endpointId,
      addresses: [address],
      taskId: `task${address}`,
      sandbox: path,
    },
  ]);
  return createAuditor({
    knowledge: {
      config: () => ({ nodeId: host.name, clusterId: 'c', addr: host.addr, port: dataPathPort, peers }),
      networks: () => new Map([[network.id, network]]),
      members: () => members,
      locals: () => new Map(locals),
    },
    plane: host.plane,
    names: { audit: async () => [] },
    check: async () => {},
    problems: () => ['port 80 is taken'],
    pathOf: (id) => host.namespaces.pathOf(id),
    portsOf: () => containers.map(({ port }) => port),
    isOurs: () => false,
    run: (argv, options) => runCommand(argv, { namespace: host.path, ...options }),
    clock: manualClock(1_000),
    about: { protocol: 1, version: '0.1.0' },
  });
}

t.test('auditor › on two hosts', { skip: unfit }, async (t) => {
  const bed = await makeBed(2);
  t.teardown(() => bed.remove());
  const [h1, h2] = bed.hosts as [BedHost, BedHost];
  const a = await bed.join(h1, network, '10.1.0.3');
  const b = await bed.join(h2, network, '10.1.0.4');
  const members = membersOf(
    [endpointOf(h1, a.address, 'web'), endpointOf(h2, b.address, 'web')],
    [serviceOf('web', '10.1.0.2')],
  );
  for (const host of bed.hosts) await host.plane.apply(network, members);
  const [one, two] = [auditorOf(h1, [h2.addr], members, [a]), auditorOf(h2, [h1.addr], members, [b])];
  t.teardown(() => Promise.all([one.close(), two.close()]));
  const kernel = async (repair: boolean) =>
    (await one.audit({ repair })).findings.filter(({ Code }) => Code === 'kernel').map(({ What }) => What);

  await t.test('says what it knows, and what others can compare', async (t) => {
    const audit = await one.audit({ repair: false });
    const lines = memberLines(members.endpoints.values(), members.services.values(), []);
    t.match(audit, {
      ...{ protocol: 1, version: '0.1.0', clockMs: 1_000 },
      dataPath: { addr: h1.addr, port: dataPathPort, peers: 1, peersDigest: linesDigest([h2.addr]) },
      networks: [{ id: network.id, vni: network.vni, endpoints: 2, services: 1, digest: linesDigest(lines) }],
      locals: [{ networkId: network.id, address: a.address, taskId: 'task10.1.0.3' }],
    });
    t.same(audit.findings, [{ Level: 'warning', Code: 'problem', What: 'port 80 is taken', Do: '' }]);
    t.same(await two.members(network.id), lines);
    await t.rejects(two.members('another'), { code: 'not-found' });
  });

  await t.test('names what differs in the kernel, and mends it only when it is asked to', async (t) => {
    const path = h1.namespaces.pathOf(network.id);
    await bed.commands.batch(path, 'bridge', ['fdb del 02:42:0a:01:00:04 dev vx0 self']);
    const reach = { do: 'reach', networkId: network.id, from: a.address, to: b.address, port: 0 } as const;
    t.match(await one.probe(reach), { ping: false, forwarding: { nodeAddr: '' } });
    const found = await kernel(false);
    t.equal(found.length, 1);
    t.same(await kernel(false), found, 'looking changes nothing');
    t.match(await kernel(true), [/\(mended\)$/]);
    t.same(await kernel(false), []);
    t.match(await one.probe(reach), { ping: true, forwarding: { nodeAddr: h2.addr } });
  });

  await t.test('a network whose namespace is gone is named, and made again', async (t) => {
    h1.namespaces.remove(network.id);
    t.match(await kernel(false), [/the namespace is missing/]);
    await kernel(true);
    t.notMatch(await kernel(false), [/namespace/]);
  });

  await t.test('probes pass the guard of the VXLAN port from peers alone', async (t) => {
    const heard = async (token: string): Promise<string[] | undefined> => {
      await two.probe({ do: 'listen', token, port: dataPathPort, forMs: 60_000 });
      // From inside the first host: probes are sent by whatever process is there.
      await runCommand(
        ['bash', '-c', `printf '\\x00\\x${token.match(/../g)!.join('\\x')}' > /dev/udp/${h2.addr}/${dataPathPort}`],
        {
          namespace: h1.path,
        },
      );
      return (await two.probe({ do: 'heard', token })).heard;
    };
    t.same(await heard('0000aa'), [h1.addr]);
    const config = { nodeId: h2.name, clusterId: 'c', addr: h2.addr, port: dataPathPort };
    await h2.plane.configure({ ...config, peers: ['192.0.2.99'] });
    t.same(await heard('0000ab'), []);
  });
});
