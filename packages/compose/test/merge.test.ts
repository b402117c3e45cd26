import t from 'tap';
import { loadCompose, type Project } from '../src/index.js';

/** Each text a file given with -f, in this order. */
function load(...files: string[]): Project {
  const { project } = loadCompose({
    files: files.map((content, index) => ({ path: `${index}.yaml`, content })),
    env: {},
    projectDirectory: '/project',
    readFile: () => undefined,
  });
  return project;
}

const DEFINITIONS = `
networks: { a: , b: }
volumes: { v: , w: }
secrets: { s: { external: true }, t: { external: true } }
configs: { c: { external: true }, d: { external: true } }
`;

function web(base: string, ...overrides: string[]): Record<string, never> {
  const [first, ...rest] = [base, ...overrides].map((body) => `services: { web: { ${body} }, db: { image: y } }`);
  return load(`${first}\n${DEFINITIONS}`, ...rest).services['web'] as never;
}

const TABLE: [title: string, base: string, over: string, expected: object][] = [
  ['later leaves win', 'image: a, hostname: h', 'image: b', { image: 'b', hostname: 'h' }],
  ['command is replaced', 'command: a b c', 'command: [d]', { command: ['d'] }],
  ['entrypoint is replaced', 'entrypoint: [a, b]', 'entrypoint: c', { entrypoint: ['c'] }],
  [
    'the test of a health check is replaced, the rest merged',
    'healthcheck: { test: [CMD, a], interval: 1s }',
    'healthcheck: { test: b, timeout: 2s }',
    { healthcheck: { test: ['CMD-SHELL', 'b'], intervalNs: 1e9, timeoutNs: 2e9 } },
  ],
  [
    'environment is merged whatever way it is written',
    'environment: { A: 1, B: 2 }',
    'environment: ["B=3", "C=4"]',
    { environment: { A: '1', B: '3', C: '4' } },
  ],
  [
    'a variable without value overrides one with a value',
    'environment: [A=1]',
    'environment: [A]',
    { environment: { A: null } },
  ],
  ['labels are merged', 'labels: [a=1, b=2]', 'labels: { b: "3" }', { labels: { a: '1', b: '3' } }],
  [
    'ports are joined, equal ones once',
    'ports: ["80:80", "81:81"]',
    'ports: ["80:80", "127.0.0.1:80:80", { target: 80, published: 82 }]',
    { ports: [{ published: '80' }, { published: '81' }, { hostIp: '127.0.0.1' }, { published: '82' }] },
  ],
  [
    'volumes are replaced by target',
    'volumes: ["v:/data", "w:/other"]',
    'volumes: ["/host:/data:ro"]',
    { volumes: [{ type: 'bind', source: '/host', target: '/data' }, { source: 'w' }] },
  ],
  [
    'secrets are replaced by target',
    'secrets: [s, t]',
    'secrets: [{ source: t, target: /run/secrets/s }]',
    { secrets: [{ source: 't', target: '/run/secrets/s' }, { source: 't' }] },
  ],
  [
    'configs are replaced by target',
    'configs: [c]',
    'configs: [{ source: d, target: /c }]',
    { configs: [{ source: 'd' }] },
  ],
  [
    'networks are merged',
    'networks: [a]',
    'networks: { a: { aliases: [x] }, b: }',
    { networks: { a: { aliases: ['x'] }, b: {} } },
  ],
  [
    'dependencies are merged',
    'depends_on: [db]',
    'depends_on: { db: { condition: service_healthy } }',
    { dependsOn: { db: { condition: 'service_healthy' } } },
  ],
  ['dns servers are joined', 'dns: 1.1.1.1', 'dns: [1.1.1.1, 8.8.8.8]', { dns: ['1.1.1.1', '8.8.8.8'] }],
  ['capabilities are joined, equal ones once', 'cap_add: [A, B]', 'cap_add: [B, C]', { capAdd: ['A', 'B', 'C'] }],
  ['tmpfs are replaced by path', 'tmpfs: ["/run:size=1m", /tmp]', 'tmpfs: /run', { tmpfs: ['/run', '/tmp'] }],
  [
    'hosts are joined',
    'extra_hosts: [a=1.1.1.1]',
    'extra_hosts: { a: 2.2.2.2 }',
    { extraHosts: ['a:1.1.1.1', 'a:2.2.2.2'] },
  ],
  [
    'options of the same logging driver are merged',
    'logging: { driver: syslog, options: { a: "1", b: "2" } }',
    'logging: { options: { b: "3" } }',
    { logging: { driver: 'syslog', options: { a: '1', b: '3' } } },
  ],
  [
    'options of another logging driver are not kept',
    'logging: { driver: syslog, options: { a: "1" } }',
    'logging: { driver: local }',
    { logging: { driver: 'local', options: undefined } },
  ],
  [
    'a limit in two parts replaces a single one',
    'ulimits: { nofile: 5 }',
    'ulimits: { nofile: { soft: 1, hard: 2 } }',
    { ulimits: { nofile: { soft: 1, hard: 2 } } },
  ],
  [
    'a single limit replaces one in two parts',
    'ulimits: { nofile: { soft: 1, hard: 2 } }',
    'ulimits: { nofile: 5 }',
    { ulimits: { nofile: { soft: 5, hard: 5 } } },
  ],
  [
    'deploy is merged in depth',
    'deploy: { replicas: 1, labels: { a: "1" } }',
    'deploy: { replicas: 2, labels: [b=2] }',
    { deploy: { replicas: 2, labels: { a: '1', b: '2' } } },
  ],
  [
    'build is merged in both ways of writing',
    'build: ./a',
    'build: { args: [X=1] }',
    { other: { build: { context: '/project/a', args: { X: '1' } } } },
  ],
  ['!reset drops a leaf', 'image: a, hostname: h', 'hostname: !reset null', { hostname: undefined }],
  ['!reset drops a list', 'ports: ["80:80"]', 'ports: !reset []', { ports: [] }],
  [
    '!reset drops one variable',
    'environment: { A: 1, B: 2 }',
    'environment: { A: !reset null }',
    { environment: { A: undefined, B: '2' } },
  ],
  ['!override replaces a list', 'ports: ["80:80"]', 'ports: !override ["81:81"]', { ports: [{ published: '81' }] }],
  [
    '!override replaces a mapping',
    'environment: { A: 1 }',
    'environment: !override { B: 2 }',
    { environment: { A: undefined, B: '2' } },
  ],
];

for (const [title, base, over, expected] of TABLE) {
  t.test(`merge › ${title}`, async (t) => {
    const service = web(base, over);
    t.match(service, expected);
    for (const [key, value] of Object.entries(expected)) {
      if (Array.isArray(value)) t.equal((service[key] as unknown as unknown[]).length, value.length, key);
    }
  });
}

t.test('merge › what a file resets a later one may set again', async (t) => {
  t.equal(web('hostname: a', 'hostname: !reset null', 'hostname: c')['hostname'], 'c');
  t.same(web('dns: [1.1.1.1]', 'dns: !reset []', 'dns: [2.2.2.2]')['dns'], ['2.2.2.2']);
});

t.test('merge › a single file may reset its own anchors', async (t) => {
  const project = load('x-a: &a { image: x, tty: true }\nservices: { web: { <<: *a, tty: !reset false } }');
  t.equal(project.services['web']?.tty, false);
});

t.test('merge › top-level resources are merged, and addresses by subnet', async (t) => {
  const project = load(
    'networks: { n: { driver: a, ipam: { config: [{ subnet: 10.0.0.0/24, gateway: 10.0.0.1 }] } } }\nservices: {}',
    'networks: { n: { labels: [l=1], ipam: { config: [{ subnet: 10.0.0.0/24 }, { subnet: 10.1.0.0/24 }] } }, m: }',
  );
  t.match(project.networks, { n: { driver: 'a', labels: { l: '1' } }, m: {} });
  t.same(
    project.networks['n']?.ipam?.config.map(({ subnet, gateway }) => [subnet, gateway]),
    [
      ['10.0.0.0/24', undefined],
      ['10.1.0.0/24', undefined],
    ],
  );
});

t.test('merge › documents of one file count as files', async (t) => {
  t.equal(load('services: { web: { image: a } }\n---\nservices: { web: { image: b } }').services['web']?.image, 'b');
});

t.test('merge › a list cannot override a mapping', async (t) => {
  t.throws(
    () =>
      load(
        'x-a: 1\nservices: { web: { image: x, storage_opt: { a: [1] } } }',
        'services: { web: { storage_opt: { a: { b: 1 } } } }',
      ),
    {
      message:
        /services\.web\.storage_opt\.a \(1\.yaml:1:\d+\): a mapping cannot override the sequence of an earlier file/,
    },
  );
});

t.test('merge › x- values are replaced, whatever they are', async (t) => {
  t.same(load('x-a: [1]\nservices: {}', 'x-a: { b: 2 }').extensions, { 'x-a': { b: 2 } });
});
