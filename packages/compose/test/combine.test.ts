import t from 'tap';
import { loadText } from './from-disk.js';

t.test('extends › a service of the same file is the base', async (t) => {
  const { project } = loadText(`
services:
  base: { image: x, environment: { A: 1, B: 2 }, command: a, ports: ["80:80"] }
  web: { extends: base, environment: { B: 3 }, command: b, ports: ["81:81"] }
  deeper: { extends: { service: web }, tty: true, ports: !override [] }
`);
  t.match(project.services['web'], { image: 'x', environment: { A: '1', B: '3' }, command: ['b'] });
  t.same(
    project.services['web']?.ports.map(({ published }) => published),
    ['80', '81'],
  );
  t.match(project.services['deeper'], { image: 'x', tty: true, ports: [] });
});

t.test('extends › a file of its own has its own directory', async (t) => {
  const { project } = loadText(
    'services: { web: { extends: { file: lib/common.yaml, service: app }, volumes: ["./here:/b"] } }',
    {
      'lib/common.yaml':
        'services: { app: { extends: { file: more.yaml, service: root }, volumes: ["./there:/a"], env_file: e } }',
      'lib/more.yaml': 'services: { root: { image: "x:$TAG" } }',
      'lib/e': 'FROM=lib',
    },
    { TAG: '7' },
  );
  t.match(project.services['web'], {
    image: 'x:7',
    environment: { FROM: 'lib' },
    volumes: [{ source: '/project/lib/there' }, { source: '/project/here' }],
  });
});

for (const [title, content, message] of [
  ['a circle', 'services: { a: { extends: b }, b: { extends: a } }', /services\.[ab]\.extends .*in a circle/],
  ['itself', 'services: { a: { extends: a } }', /in a circle/],
  ['a file on the network', 'services: { a: { extends: { file: "https://x/y", service: b } } }', /nothing is fetched/],
  ['a missing service', 'services: { a: { extends: b } }', /service b is not in compose\.yaml/],
  [
    'a missing file',
    'services: { a: { extends: { file: no.yaml, service: b } } }',
    /file \/project\/no\.yaml cannot be read/,
  ],
  [
    'a file without the service',
    'services: { a: { extends: { file: other.yaml, service: b } } }',
    /service b is not in \/project\/other\.yaml/,
  ],
] as const) {
  t.test(`extends › ${title} is refused`, async (t) => {
    t.throws(() => loadText(content, { 'other.yaml': 'services: { c: { image: x } }' }), { message });
  });
}

const INCLUDED = {
  'sub/compose.yaml': `
services:
  db:
    image: "db:\${TAG:-none}"
    environment: [LOCAL, OUTER, NEITHER]
    volumes: ["./data:/data"]
    secrets: [token]
secrets: { token: { environment: LOCAL } }
`,
  'sub/.env': 'TAG=local\nLOCAL=from-sub\nOUTER=hidden\n',
};

t.test('include › a project comes with its directory and its .env, the variables outside win', async (t) => {
  const { project } = loadText(
    'include: [sub/compose.yaml]\nservices: { web: { image: x, depends_on: [db] } }',
    INCLUDED,
    { OUTER: 'from-outside' },
  );
  t.same(Object.keys(project.services), ['web', 'db']);
  t.match(project.services['db'], {
    image: 'db:local',
    environment: { LOCAL: 'from-sub', OUTER: 'from-outside', NEITHER: null },
    volumes: [{ source: '/project/sub/data' }],
  });
  t.equal(project.secrets['token']?.content?.base64(), Buffer.from('from-sub').toString('base64'));
});

t.test('include › the long form gives overrides, a directory and environment files', async (t) => {
  const { project } = loadText(
    `include:
  - path: [sub/compose.yaml, sub/more.yaml]
    project_directory: elsewhere
    env_file: vars.env
`,
    { ...INCLUDED, 'sub/more.yaml': 'services: { db: { tty: true } }', 'vars.env': 'TAG=given\n' },
  );
  t.match(project.services['db'], { image: 'db:given', tty: true, volumes: [{ source: '/project/elsewhere/data' }] });
});

t.test('include › what both define the same way is one, what differs is refused', async (t) => {
  const files = { 'a.yaml': 'networks: { n: { driver: overlay } }\nservices: { s: { image: x } }' };
  const include = 'include: [a.yaml]\n';
  t.equal(Object.keys(loadText(`${include}networks: { n: { driver: overlay } }`, files).project.networks).length, 1);
  t.throws(() => loadText(`${include}services: { s: { image: y } }`, files), {
    message: /services\.s \(\/project\/a\.yaml:2:\d+\): an included file defines it differently/,
  });
});

t.test('include › included projects include others, circles are refused', async (t) => {
  const { project } = loadText('include: [a/c.yaml]', {
    'a/c.yaml': 'include: [b/c.yaml]\nservices: { a: { image: x } }',
    'a/b/c.yaml': 'services: { b: { image: y } }',
  });
  t.same(Object.keys(project.services).sort(), ['a', 'b']);
  t.throws(() => loadText('include: [a.yaml]', { 'a.yaml': 'include: [b.yaml]', 'b.yaml': 'include: [a.yaml]' }), {
    message: /include each other in a circle: .*a\.yaml → .*b\.yaml → .*a\.yaml/,
  });
  t.throws(() => loadText('include: ["git@example:a/b.git"]'), { message: /include\[0\] .*nothing is fetched/ });
  t.throws(() => loadText('include: [no.yaml]'), { message: /include\[0\] .*\/project\/no\.yaml cannot be read/ });
});

const PROFILED = `
services:
  always: { image: x }
  debug: { image: x, profiles: [debug, all] }
  test: { image: x, profiles: [test], depends_on: { debug: { condition: service_started, required: false } } }
`;

t.test('profiles › services run when one of theirs is active, or when they have none', async (t) => {
  const enabled = (...profiles: string[]) => Object.keys(loadText(PROFILED, {}, {}, profiles).project.services);
  t.same(enabled(), ['always']);
  t.same(enabled('debug'), ['always', 'debug']);
  t.same(enabled('all', 'test'), ['always', 'debug', 'test']);
  t.same(enabled('*'), ['always', 'debug', 'test']);
  t.same(loadText(PROFILED).project.disabledServices, ['debug', 'test']);
});

t.test('profiles › a required dependency on a service that does not run is refused', async (t) => {
  t.throws(() => loadText(`${PROFILED}  web: { image: x, depends_on: [debug] }\n`), {
    message: /services\.web\.depends_on .*service debug is in no active profile/,
  });
});

t.test('dependencies › services that depend on each other in a circle are refused', async (t) => {
  const content =
    'services: { a: { image: x, depends_on: [b] }, b: { image: x, depends_on: [c] }, c: { image: x, depends_on: [b] } }';
  t.throws(() => loadText(content), { message: /services\.b\.depends_on .*in a circle: b → c → b/ });
});
