import type { NetworkEndpoint } from '@swarmd/model';
import fc from 'fast-check';
import t from 'tap';
import { meshMac } from '../src/mesh/addresses.js';
import { assignIndexes, parseIndexes, parseWays, wayChanges, waysTo } from '../src/mesh/ingress-rules.js';
import { parseListeners } from '../src/mesh/placeholders.js';
import { openPorts, portName, reachable } from '../src/mesh/ports.js';
import { parseSshPorts } from '../src/mesh/reserved.js';
import { createRuns } from '../src/mesh/runs.js';

const macs = fc.uniqueArray(fc.ipV4().map(meshMac), { maxLength: 50 });

t.test('mesh addresses › every node has a MAC address of its own, however its address is written', async (t) => {
  fc.assert(fc.property(fc.ipV4(), fc.ipV4(), (a, b) => (a === b) === (meshMac(a) === meshMac(b))));
  t.equal(meshMac('192.168.1.20'), '0a:53:c0:a8:01:14');
  t.equal(meshMac('2001:db8::1'), meshMac('2001:0DB8:0:0::0001'));
  t.not(meshMac('2001:db8::1'), meshMac('2001:db8::2'));
  t.match(meshMac('2001:db8::1'), /^0e(:[0-9a-f]{2}){5}$/);
});

t.test('mesh indexes › who has one keeps it, and no two have the same', async () => {
  fc.assert(
    fc.property(macs, macs, (before, after) => {
      const known = assignIndexes(new Map(), before);
      const next = assignIndexes(known, after);
      const kept = [...next].every(([mac, index]) => !known.has(mac) || known.get(mac) === index);
      return kept && next.size === after.length && new Set(next.values()).size === after.length && !next.has('');
    }),
  );
});

t.test('mesh indexes › damaged ones are replaced', async (t) => {
  const known = new Map([
    ['0a:53:00:00:00:01', 7],
    ['0a:53:00:00:00:02', 7],
    ['0a:53:00:00:00:03', 0],
  ]);
  const next = assignIndexes(known, known.keys());
  t.equal(new Set(next.values()).size, 3);
  t.equal(next.get('0a:53:00:00:00:01'), 7);
  t.notOk([...next.values()].includes(0));
  t.same(parseIndexes('no JSON'), new Map());
});

t.test('mesh peers › containers’ entries are left alone, those of gone nodes removed', async (t) => {
  const listing = JSON.stringify([
    { mac: '02:42:0a:00:00:05', ifname: 'vx0', dst: '192.0.2.9' },
    { mac: '0a:53:c0:00:02:01', ifname: 'vx0', dst: '192.0.2.1', state: 'permanent' },
    { mac: '0a:53:c0:00:02:01', ifname: 'vx0', master: 'br0', state: 'static' },
    { mac: '0a:53:c0:00:02:02', ifname: 'vx0', dst: '192.0.2.2', state: 'permanent' },
  ]);
  t.same(
    wayChanges(
      parseWays(listing),
      waysTo(
        new Map([
          [meshMac('192.0.2.1'), '192.0.2.1'],
          [meshMac('192.0.2.3'), '192.0.2.3'],
        ]),
      ),
    ),
    [
      'fdb replace 0a:53:c0:00:02:03 dev vx0 dst 192.0.2.3 self permanent',
      'fdb replace 0a:53:c0:00:02:03 dev vx0 master static',
      '-fdb del 0a:53:c0:00:02:02 dev vx0 self',
    ],
  );
});

t.test('mesh ports › ready tasks of the service, each port once, what cannot be is told', async (t) => {
  const endpoint = (
    id: string,
    phase: NetworkEndpoint['phase'],
    address: string,
    serviceId = 'web',
  ): [string, NetworkEndpoint] => [id, { id, serviceId, nodeAddr: '', addresses: [address], phase, names: [] }];
  const members = {
    services: new Map(),
    endpoints: new Map([
      endpoint('a', 'ready', '10.0.0.9'),
      endpoint('b', 'ready', '10.0.0.5'),
      endpoint('c', 'draining', '10.0.0.6'),
      endpoint('d', 'reserved', '10.0.0.7'),
      endpoint('e', 'ready', '10.0.0.8', 'db'),
    ]),
  };
  const port = (PublishedPort: number, more: object = {}) => ({ PublishedPort, TargetPort: 80, ...more });
  const { ports, refused } = openPorts(
    members,
    [
      {
        serviceId: 'web',
        ports: [port(80), port(0), port(81, { PublishMode: 'host' as const }), port(82, { HostIP: '::1' })],
      },
      { serviceId: 'db', ports: [port(80), port(83, { Protocol: 'sctp' as const }), port(84, { HostIP: '0.0.0.0' })] },
    ],
    new Map(),
  );
  t.same(ports, [
    {
      ...{ key: 'tcp-80', family: 4, protocol: 'tcp', port: 80, hostIp: '' },
      ...{ targetPort: 80, backends: ['10.0.0.5', '10.0.0.9'] },
    },
    { key: 'tcp-84', family: 4, protocol: 'tcp', port: 84, hostIp: '', targetPort: 80, backends: ['10.0.0.8'] },
  ]);
  t.same(refused, [
    'port [::1]:82/tcp is not published: HostIP must be an IPv4 address, as this node publishes by IPv4 only',
    'port 80/tcp is published by two services: only one of them answers',
    'port 83/sctp is not published: the routing mesh carries tcp and udp',
  ]);
});

t.test('mesh ports › each is one of both versions of IP, unless its address is of one', async (t) => {
  const addresses = ['10.0.0.9', 'fd00:0:0::9'];
  const task: NetworkEndpoint = { id: 'a', serviceId: 'web', nodeAddr: '', addresses, phase: 'ready', names: [] };
  const members = { services: new Map(), endpoints: new Map([['a', task]]) };
  const port = (PublishedPort: number, HostIP?: string) => ({ PublishedPort, TargetPort: 80, HostIP });
  const published = [
    { serviceId: 'web', ports: [port(80), port(81, '0.0.0.0'), port(82, '::'), port(83, 'FD00::0:1')] },
    { serviceId: 'db', ports: [port(80), port(84, 'nowhere'), port(85, '::1')] },
  ];
  const { ports, refused } = openPorts(members, published, new Map(), [4, 6]);
  t.same(
    ports.map(({ key, family, hostIp, backends }) => [key, family, hostIp, backends]),
    [
      ['tcp-80', 4, '', ['10.0.0.9']],
      ['tcp-80-v6', 6, '', ['fd00::9']],
      ['tcp-81', 4, '', ['10.0.0.9']],
      ['tcp-82-v6', 6, '', ['fd00::9']],
      ['tcp-83-v6-fd00__1', 6, 'fd00::1', ['fd00::9']],
    ],
  );
  t.same(refused, [
    'port 80/tcp is published by two services: only one of them answers',
    'port nowhere:84/tcp is not published: HostIP must be an IP address',
    'port [::1]:85/tcp is not published: no kernel leads connections to ::1 elsewhere, use 127.0.0.1',
  ]);
  t.same([...reachable(members, published)], addressesWithMac('02:42:0a:00:00:09', ['10.0.0.9', 'fd00::9']));
  t.equal(portName({ family: 6, protocol: 'udp', port: 53, hostIp: '' }), '[::]:53/udp');
});

const addressesWithMac = (mac: string, addresses: string[]): [string, string][] => addresses.map((one) => [one, mac]);

t.test('mesh listeners › what ss prints', async (t) => {
  const text = `udp UNCONN 0 0 127.0.0.1%lo:323 0.0.0.0:*
tcp LISTEN 0 128 [::]:22 [::]:* users:(("sshd",pid=612,fd=4),("systemd",pid=1,fd=9))`;
  t.same(parseListeners(text), [
    { protocol: 'udp', address: '127.0.0.1%lo', port: 323, program: '' },
    { protocol: 'tcp', address: '[::]', port: 22, program: 'sshd (pid 612)' },
  ]);
  t.same(parseSshPorts('#Port 1\nPort 2222\n port 23\nListenAddress 10.0.0.1:24\nListenAddress ::1\n'), [2222, 23, 24]);
});

t.test('mesh runs › one at a time, and whoever asks meanwhile shares one more', async (t) => {
  const ends: (() => void)[] = [];
  let running = 0;
  const runs = createRuns(async () => {
    t.equal(++running, 1);
    await new Promise<void>((resolve) => ends.push(resolve));
    running--;
  });
  const first = runs.run();
  const second = runs.run();
  t.equal(runs.run(), second);
  ends.shift()!();
  await first;
  while (ends.length === 0) await null;
  ends.shift()!();
  await second;
  await runs.idle();
  t.equal(ends.length, 0);
});
