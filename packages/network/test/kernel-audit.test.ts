import { existsSync } from 'node:fs';
import fc from 'fast-check';
import t from 'tap';
import { changesBetween } from '../src/kernel/difference.js';
import { portNames } from '../src/kernel/ports.js';
import { readTables } from '../src/kernel/read-tables.js';
import { tablesFor } from '../src/kernel/tables.js';
import { type BedHost, endpointOf, makeBed, membersOf, networkOf, serviceOf, unfit } from './kernel-bed.js';

const network = networkOf('one', 1_048_577);
const web = serviceOf('web', '10.1.0.2');

t.test('network plane › audit', { skip: unfit }, async (t) => {
  const bed = await makeBed(2);
  t.teardown(() => bed.remove());
  const [h1, h2] = bed.hosts as [BedHost, BedHost];
  const a = await bed.join(h1, network, '10.1.0.3');
  const b = await bed.join(h2, network, '10.1.0.4');
  await bed.serve(b, 'b', 80);
  const members = membersOf([endpointOf(h1, a.address), endpointOf(h2, b.address, 'web')], [web]);
  for (const host of bed.hosts) await host.plane.apply(network, members);
  const path = h1.namespaces.pathOf(network.id);
  const { inside } = portNames(a.port.endpointId);
  const damages: Record<string, { argv: string[]; where?: string; says: string }> = {
    'a deleted forwarding entry': {
      argv: ['bridge', 'fdb', 'del', b.port.macAddress, 'dev', 'vx0', 'self'],
      says: `${b.port.macAddress} was not sent to node ${h2.addr}`,
    },
    'a deleted neighbour': {
      argv: ['ip', 'neigh', 'del', b.address, 'dev', 'vx0'],
      says: `vx0 did not know the neighbour ${b.address}`,
    },
    'a deleted virtual IP': {
      argv: ['ip', 'addr', 'del', '10.1.0.2/32', 'dev', 'br0'],
      says: 'the virtual IP 10.1.0.2 was missing',
    },
    'a flushed table': {
      argv: ['nft', 'flush', 'table', 'inet', 'swarmd'],
      says: 'the rules for virtual IPs were not whole',
    },
    'a virtual IP that leads nowhere': {
      argv: ['nft', 'delete', 'element', 'inet', 'swarmd', 'vips4', '{ 10.1.0.2 }'],
      says: 'the virtual IP 10.1.0.2 did not lead to service_web_4',
    },
    'flushed rules of everything': {
      argv: ['nft', 'flush', 'ruleset'],
      says: 'the rules for virtual IPs were not whole',
    },
    'rules of the host that were flushed': {
      argv: ['nft', 'flush', 'ruleset'],
      where: h1.path,
      says: 'the guard of the VXLAN port was missing',
    },
    'a deleted VXLAN device': { argv: ['ip', 'link', 'del', 'vx0'], says: 'the VXLAN device was missing' },
    'a bridge that is down': { argv: ['ip', 'link', 'set', 'br0', 'down'], says: 'the bridge was down' },
    'a port that is out of the bridge': {
      argv: ['ip', 'link', 'set', inside, 'nomaster'],
      says: `the interface of ${a.address} was not in the bridge as it should be`,
    },
    'a port that the bridge forgot': {
      argv: ['bridge', 'fdb', 'del', a.port.macAddress, 'dev', inside, 'master'],
      says: `the bridge did not know where ${a.address} is`,
    },
  };
  for (const [what, { argv, where, says }] of Object.entries(damages)) {
    await t.test(`finds and mends ${what}`, async (t) => {
      await bed.commands.run(where ?? path, argv);
      const sentences = await h1.plane.audit(network, members, [a.port]);
      t.ok(sentences.includes(says), sentences.join('; '));
      t.same(await h1.plane.audit(network, members, [a.port]), []);
      t.equal(await bed.ask(a, '10.1.0.2', 80), `b ${a.address}`);
    });
  }

  await t.test('says of an interface that is gone that it cannot be mended', async (t) => {
    await bed.commands.run(path, ['ip', 'link', 'del', inside]);
    const [sentence] = await h1.plane.audit(network, members, [a.port]);
    t.equal(sentence, `the interface of ${a.address} is gone: its container must be started anew`);
  });

  await t.test('and reset leaves nothing', async (t) => {
    await h1.plane.ensure(networkOf('two', 1_048_578));
    await h1.plane.plug(networkOf('two', 1_048_578), a.port);
    await h1.plane.reset();
    const links = JSON.parse(await bed.commands.run(h1.path, ['ip', '-j', 'link'])) as { ifname: string }[];
    t.same(links.map(({ ifname }) => ifname).sort(), ['eth0', 'lo']);
    t.equal(await bed.commands.run(h1.path, ['nft', 'list', 'ruleset']), '');
    t.notOk(existsSync(path));
    t.same(h1.namespaces.list(), []);
    await h1.plane.reset();
  });
});

t.test(
  'network plane › what was applied is what is read back, whatever was there before',
  { skip: unfit },
  async (t) => {
    const bed = await makeBed(1);
    t.teardown(() => bed.remove());
    const [host] = bed.hosts as [BedHost];
    const endpoint = fc
      .record({
        last: fc.integer({ min: 10, max: 30 }),
        six: fc.boolean(),
        node: fc.constantFrom(host.addr, '192.0.2.8', '2001:db8::9'),
        service: fc.constantFrom('', 'web', 'db'),
        phase: fc.constantFrom('reserved' as const, 'ready' as const, 'draining' as const),
      })
      .map(({ last, six, node, service, phase }) => {
        const one = endpointOf({ addr: node }, `10.1.0.${last}`, service, phase);
        return six ? { ...one, addresses: [...one.addresses, `FD01:0::${last}`] } : one;
      });
    const members = fc.record({
      endpoints: fc.uniqueArray(endpoint, { selector: ({ id }) => id, maxLength: 12 }),
      services: fc.subarray([web, serviceOf('db', '10.1.0.3', 'fd01::3'), serviceOf('none')]),
    });
    const wide = { ...network, subnets: [...network.subnets, { subnet: 'fd01::/64', gateway: 'fd01::1' }] };
    const path = host.namespaces.pathOf(network.id);
    let plane = host.plane;
    const property = fc.asyncProperty(members, fc.boolean(), async ({ endpoints, services }, restart) => {
      if (restart) {
        plane = host.restart();
        await plane.configure({ nodeId: 'n', clusterId: 'c', addr: host.addr, port: 4789, peers: [] });
      }
      const told = membersOf(endpoints, services);
      await plane.apply(wide, told);
      const wanted = tablesFor(wide, told, host.addr);
      t.strictSame(await readTables(bed.commands, path, wide, host.namespaces.view(path)), wanted);
      t.same(changesBetween(wide, wanted, wanted).sentences, []);
    });
    await fc.assert(property, { numRuns: 40, endOnFailure: true });
  },
);
