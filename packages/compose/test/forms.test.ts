import fc from 'fast-check';
import t from 'tap';
import { splitPort } from '../src/canonical/ports.js';
import { splitVolume } from '../src/canonical/volumes.js';
import { loadText } from './from-disk.js';

function service(key: string, value: unknown): Record<string, unknown> {
  const definitions =
    'volumes: { v: , data: }\nnetworks: { n: , m: }\nsecrets: { s: { file: f } }\nconfigs: { c: { file: f } }';
  const { project } = loadText(
    `services: { web: { image: x, ${key}: ${JSON.stringify(value)} }, db: { image: y } }\n${definitions}`,
    {},
    { HOME: '/home/me' },
  );
  return project.services['web'] as never;
}

const tcp = (target: number, published?: string, hostIp?: string) => ({
  mode: 'ingress',
  ...(hostIp === undefined ? {} : { hostIp }),
  target,
  ...(published === undefined ? {} : { published }),
  protocol: 'tcp',
});

const PORTS: [written: unknown, ports: unknown[]][] = [
  [80, [tcp(80)]],
  ['80', [tcp(80)]],
  ['8080:80', [tcp(80, '8080')]],
  ['127.0.0.1:8080:80', [tcp(80, '8080', '127.0.0.1')]],
  ['127.0.0.1::80', [tcp(80, undefined, '127.0.0.1')]],
  ['[::1]:8080:80', [tcp(80, '8080', '::1')]],
  ['53:53/udp', [{ ...tcp(53, '53'), protocol: 'udp' }]],
  ['9:9/SCTP', [{ ...tcp(9, '9'), protocol: 'sctp' }]],
  ['3000-3002', [tcp(3000), tcp(3001), tcp(3002)]],
  ['9090-9091:8080-8081', [tcp(8080, '9090'), tcp(8081, '9091')]],
  ['8000-8002:80', [tcp(80, '8000-8002')]],
  [{ target: 80, published: 8080, mode: 'host' }, [{ ...tcp(80, '8080'), mode: 'host' }]],
  [{ target: '80', published: '8080-8081', protocol: 'UDP' }, [{ ...tcp(80, '8080-8081'), protocol: 'udp' }]],
  [{ target: 80, name: 'web', app_protocol: 'http' }, [{ name: 'web', ...tcp(80), appProtocol: 'http' }]],
];

for (const [written, ports] of PORTS) {
  t.test(
    `forms › the port ${JSON.stringify(written)}`,
    async (t) => void t.same(service('ports', [written])['ports'], ports),
  );
}

for (const port of ['a', '80:a', '70000', '80-79', '1-2:1-3', '0', '80/icmp', '1:2:3:4', '', '80:']) {
  t.test(`forms › the port ${JSON.stringify(port)} is refused`, async (t) => {
    t.throws(() => service('ports', [port]), { message: /services\.web\.ports\[0\] \(compose\.yaml:1:/ });
  });
}

const VOLUMES: [written: unknown, volume: Record<string, unknown>][] = [
  ['/data', { type: 'volume', target: '/data', readOnly: false }],
  ['data:/data', { type: 'volume', source: 'data', target: '/data' }],
  ['data:/data:ro', { type: 'volume', source: 'data', readOnly: true }],
  ['data:/data:nocopy', { volume: { nocopy: true } }],
  ['v:/data', { type: 'volume', source: 'v', target: '/data' }],
  ['v:/data:ro', { type: 'volume', source: 'v', target: '/data', readOnly: true }],
  ['/host:/data:rw', { type: 'bind', source: '/host', readOnly: false }],
  ['./rel/:/data', { type: 'bind', source: '/project/rel' }],
  ['../up:/data', { type: 'bind', source: '/up' }],
  ['.:/data', { type: 'bind', source: '/project' }],
  ['~/x:/data', { type: 'bind', source: '/home/me/x' }],
  [
    '/a:/b:ro,rslave,z,cached',
    { readOnly: true, bind: { propagation: 'rslave', selinux: 'z' }, consistency: 'cached' },
  ],
  ['C:\\host:/data', { type: 'bind', source: 'C:\\host', target: '/data' }],
  ['c:/host:/data', { type: 'bind', source: 'c:/host', target: '/data' }],
  ['C:\\host:D:\\data:ro', { type: 'bind', source: 'C:\\host', target: 'D:\\data', readOnly: true }],
  [
    { type: 'bind', source: './a', target: '/b', bind: { create_host_path: true } },
    { source: '/project/a', bind: { createHostPath: true } },
  ],
  [
    { type: 'tmpfs', target: '/t', tmpfs: { size: '64m', mode: '1777' } },
    { tmpfs: { sizeBytes: 2 ** 26, mode: 0o1777 } },
  ],
  [{ type: 'volume', source: 'data', target: '/t', volume: { labels: ['a=1'] } }, { volume: { labels: { a: '1' } } }],
];

for (const [written, volume] of VOLUMES) {
  t.test(`forms › the volume ${JSON.stringify(written)}`, async (t) => {
    t.match((service('volumes', [written])['volumes'] as unknown[])[0], volume);
  });
}

for (const volume of ['a:/b:ro:x', ':/b', '/a:', '']) {
  t.test(`forms › the volume ${JSON.stringify(volume)} is refused`, async (t) => {
    t.throws(() => service('volumes', [volume]), { message: /services\.web\.volumes\[0\]/ });
  });
}

t.test('forms › sections of a volume without drive letters are what colons separate', async (t) => {
  const section = fc.string({ unit: fc.constantFrom('a', 'b', '/', '.', '-'), minLength: 2, maxLength: 8 });
  fc.assert(
    fc.property(fc.array(section, { minLength: 1, maxLength: 4 }), (sections) => {
      t.same(splitVolume(sections.join(':')), sections);
    }),
  );
});

t.test('forms › a port written from its parts is taken apart again', async (t) => {
  const port = fc.integer({ min: 1, max: 65_535 }).map(String);
  const hostIp = fc.option(fc.constantFrom('10.0.0.1', '::1', 'fe80::1'), { nil: undefined });
  const protocol = fc.constantFrom('tcp', 'udp', 'sctp');
  fc.assert(
    fc.property(hostIp, port, port, protocol, (hostIp, published, target, protocol) => {
      const ip = hostIp === undefined ? '' : hostIp.includes(':') ? `[${hostIp}]:` : `${hostIp}:`;
      const parts = { ...(hostIp === undefined ? {} : { hostIp }), published, target, protocol };
      t.same(splitPort(`${ip}${published}:${target}/${protocol}`), parts);
    }),
  );
});

const OTHERS: [key: string, written: unknown, field: string, value: unknown][] = [
  ['environment', ['A=1', 'B=', 'C', 'D=x=y'], 'environment', { A: '1', B: '', C: null, D: 'x=y' }],
  ['environment', { A: 1, B: '', C: null, D: true }, 'environment', { A: '1', B: '', C: null, D: 'true' }],
  ['labels', ['a=1', 'b'], 'labels', { a: '1', b: '' }],
  ['command', 'a "b c"', 'command', ['a', 'b c']],
  ['command', [], 'command', []],
  ['command', null, 'command', undefined],
  ['entrypoint', '', 'entrypoint', []],
  ['dns', '8.8.8.8', 'dns', ['8.8.8.8']],
  ['tmpfs', '/run', 'tmpfs', ['/run']],
  [
    'extra_hosts',
    ['a=1.2.3.4', 'b:::1', 'c=[::2]', 'd:host-gateway'],
    'extraHosts',
    ['a:1.2.3.4', 'b:::1', 'c:::2', 'd:host-gateway'],
  ],
  ['extra_hosts', { a: '1.2.3.4', b: ['::1', '::2'] }, 'extraHosts', ['a:1.2.3.4', 'b:::1', 'b:::2']],
  ['depends_on', ['db'], 'dependsOn', { db: { condition: 'service_started', restart: false, required: true } }],
  [
    'depends_on',
    { db: { condition: 'service_healthy', restart: true } },
    'dependsOn',
    { db: { condition: 'service_healthy', restart: true, required: true } },
  ],
  [
    'networks',
    ['n', 'm'],
    'networks',
    { n: { aliases: [], driverOptions: {}, other: {} }, m: { aliases: [], driverOptions: {}, other: {} } },
  ],
  [
    'secrets',
    ['s', { source: 's', target: 't', mode: 0o400 }],
    'secrets',
    [{ source: 's' }, { source: 's', target: 't', mode: 0o400 }],
  ],
  ['configs', [{ source: 'c', mode: '0440' }], 'configs', [{ source: 'c', mode: 0o440 }]],
  [
    'ulimits',
    { nproc: 5, nofile: { soft: 1, hard: '2' } },
    'ulimits',
    { nproc: { soft: 5, hard: 5 }, nofile: { soft: 1, hard: 2 } },
  ],
  [
    'healthcheck',
    { test: 'curl x', interval: '5s' },
    'healthcheck',
    { test: ['CMD-SHELL', 'curl x'], intervalNs: 5e9, disable: false },
  ],
  ['sysctls', ['a.b=1'], 'sysctls', { 'a.b': '1' }],
  ['deploy', null, 'deploy', { labels: {}, placement: { constraints: [], spreadOver: [] } }],
];

for (const [key, written, field, value] of OTHERS) {
  t.test(`forms › ${key}: ${JSON.stringify(written)}`, async (t) => void t.same(service(key, written)[field], value));
}

for (const [key, written, message] of [
  ['deploy', { replicas: 'many' }, /services\.web\.deploy\.replicas .*"many" is not a whole number/],
  ['deploy', { replicas: -1 }, /negative/],
  ['deploy', { resources: { limits: { memory: 'lots' } } }, /is not a size in bytes/],
  ['deploy', { resources: { limits: { cpus: 'two' } } }, /is not a number of cores/],
  ['deploy', { mode: 'sharded' }, /services\.web\.deploy\.mode .*none of replicated, global/],
  ['stop_grace_period', '10', /is not a duration with units/],
  ['tty', 'maybe', /is not true or false/],
  ['extra_hosts', ['nothing'], /is not HOST=ADDRESS/],
  ['healthcheck', { test: ['curl', 'x'] }, /test starts with "curl"/],
  ['healthcheck', { test: 'x', disable: true }, /test and disable exclude each other/],
  ['networks', ['other'], /network other is not defined/],
  ['volumes', ['other:/x'], /volume other is not defined/],
  ['secrets', ['other'], /secret other is not defined/],
  ['configs', ['other'], /config other is not defined/],
  ['depends_on', ['other'], /service other is not defined/],
] as const) {
  t.test(`forms › ${key}: ${JSON.stringify(written)} is refused`, async (t) => {
    t.throws(() => service(key, written), { code: 'invalid-argument', message });
  });
}
