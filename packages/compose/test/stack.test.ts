import { inspect } from 'node:util';
import { NetworkSpecSchema, SecretSpecSchema } from '@swarmd/model';
import t from 'tap';
import { formatProblem, toStack } from '../src/index.js';
import { effectiveCapabilities } from '../src/stack/capabilities.js';
import { familiarImage } from '../src/stack/image.js';
import { loadText } from './from-disk.js';

const IMAGES: [image: string, familiar: string][] = [
  ['nginx', 'nginx:latest'],
  ['nginx:1.25', 'nginx:1.25'],
  ['docker.io/library/nginx', 'nginx:latest'],
  ['index.docker.io/library/nginx:1', 'nginx:1'],
  ['docker.io/team/app', 'team/app:latest'],
  ['library/nginx', 'nginx:latest'],
  ['reg.example:5000/library/nginx', 'reg.example:5000/library/nginx:latest'],
  ['reg.example:5000/app', 'reg.example:5000/app:latest'],
  [`app@sha256:${'a'.repeat(64)}`, `app@sha256:${'a'.repeat(64)}`],
  ['a'.repeat(64), 'a'.repeat(64)],
  ['Not A Name', 'Not A Name'],
  ['', ''],
];

for (const [image, familiar] of IMAGES) {
  t.test(
    `stack › the image ${JSON.stringify(image)} is sent as ${JSON.stringify(familiar)}`,
    async (t) => void t.equal(familiarImage(image), familiar),
  );
}

t.test('stack › capabilities that are added are not dropped', async (t) => {
  t.same(effectiveCapabilities(['net_admin', 'CAP_NET_ADMIN'], ['all', 'chown']), {
    add: ['CAP_NET_ADMIN'],
    drop: ['ALL'],
  });
  t.same(effectiveCapabilities(['kill'], ['KILL', 'chown']), { add: ['CAP_KILL'], drop: ['CAP_CHOWN'] });
});

t.test('stack › names are the namespace and the name, unless a resource has its own', async (t) => {
  const { project } = loadText(
    `
services:
  web: { image: x, networks: [a, b, c], secrets: [s, t], configs: [c], volumes: ["v:/v", "w:/w", "o:/o"] }
networks: { a: , b: { name: own }, c: { external: true } }
secrets: { s: { file: s, labels: [l=1] }, t: { name: theirs, external: true } }
configs: { c: { content: "inline $$ \${X}" } }
volumes: { v: , w: { name: own-volume, driver: d }, o: { external: true } }
`,
    { s: 'secret' },
    { X: 'x' },
  );
  const stack = toStack(project, { namespace: 'shop' });
  t.same(stack.warnings, []);
  t.same(
    stack.networks.map(({ Name }) => Name),
    ['shop_a', 'own'],
  );
  t.same(stack.externalNetworks, ['c']);
  t.same(stack.secrets, [
    {
      external: false,
      spec: { Name: 'shop_s', Labels: { l: '1', 'com.docker.stack.namespace': 'shop' }, Data: 'c2VjcmV0' },
    },
    { external: true, spec: { Name: 'theirs' } },
  ]);
  t.equal(Buffer.from(stack.configs[0]?.spec.Data ?? '', 'base64').toString(), 'inline $ x');
  t.same(
    stack.volumes.map(({ name, external }) => [name, external]),
    [
      ['shop_v', false],
      ['own-volume', false],
      ['o', true],
    ],
  );
  const container = stack.services[0]?.TaskTemplate?.ContainerSpec;
  t.same(
    stack.services[0]?.TaskTemplate?.Networks?.map(({ Target }) => Target),
    ['c', 'own', 'shop_a'],
  );
  t.same(
    container?.Secrets?.map(({ SecretName, SecretID }) => [SecretName, SecretID]),
    [
      ['shop_s', ''],
      ['theirs', ''],
    ],
  );
  t.match(container?.Mounts, [
    { Source: 'shop_v', VolumeOptions: { Labels: { 'com.docker.stack.namespace': 'shop' } } },
    { Source: 'own-volume', VolumeOptions: { DriverConfig: { Name: 'd' } } },
    { Source: 'o', VolumeOptions: {} },
  ]);
  for (const network of stack.networks) t.ok(NetworkSpecSchema.safeParse(network).success);
  for (const { spec } of stack.secrets) t.ok(SecretSpecSchema.safeParse(spec).success);
});

t.test('stack › the default network exists only for services without another, and may be described', async (t) => {
  const networks = (content: string) => toStack(loadText(content).project, { namespace: 'ns' }).networks;
  t.match(networks('services: { web: { image: x } }'), [{ Name: 'ns_default', Driver: 'overlay' }]);
  t.match(networks('services: { web: { image: x, networks: [a] } }\nnetworks: { a: }'), [{ Name: 'ns_a' }]);
  const described =
    'networks: { default: { attachable: true, enable_ipv6: true, ipam: { options: { o: p }, config: [{ subnet: 10.0.0.0/8, gateway: 10.0.0.1, ip_range: 10.1.0.0/16, aux_addresses: { h: 10.0.0.2 } }] } } }';
  t.match(networks(`services: { web: { image: x } }\n${described}`), [
    {
      Name: 'ns_default',
      Attachable: true,
      EnableIPv6: true,
      IPAM: {
        Options: { o: 'p' },
        Config: [
          { Subnet: '10.0.0.0/8', Gateway: '10.0.0.1', IPRange: '10.1.0.0/16', AuxiliaryAddresses: { h: '10.0.0.2' } },
        ],
      },
    },
  ]);
});

t.test('stack › a missing file of a secret is an error when it is deployed, not when it is loaded', async (t) => {
  const { project, warnings } = loadText(
    'services: { web: { image: x } }\nsecrets: { s: { file: ./s }, e: { environment: NONE } }',
  );
  t.same(warnings, []);
  const stack = toStack(project, { namespace: 'ns' });
  t.same(stack.warnings.map(formatProblem), [
    'secrets.s (compose.yaml:2:12): file /project/s cannot be read',
    'secrets.e (compose.yaml:2:30): variable NONE is not set',
  ]);
  t.equal(stack.secrets[0]?.spec.Data, undefined);
});

t.test('stack › binary secrets are kept byte by byte, and a printed project shows none', async (t) => {
  const bytes = Uint8Array.from([0, 255, 128, 10]);
  const { loadCompose } = await import('../src/index.js');
  const { project } = loadCompose({
    files: [{ path: 'c.yaml', content: 'secrets: { s: { file: s }, p: { environment: P } }\nservices: {}' }],
    env: { P: 'hunter2' },
    projectDirectory: '/project',
    readFile: () => bytes,
  });
  t.equal(project.secrets['s']?.content?.base64(), Buffer.from(bytes).toString('base64'));
  t.notMatch(JSON.stringify(project) + inspect(project, { depth: 9, showHidden: true }), /hunter2|aHVudGVyMg/);
});

for (const [secret, message] of [
  ['{ file: a, environment: B }', /file and environment exclude each other/],
  ['{ }', /one of file, environment, content, driver or external is required/],
  ['{ external: { name: a }, name: b }', /contradict each other/],
] as const) {
  t.test(`stack › the secret ${secret} is refused`, async (t) => {
    t.throws(() => loadText(`secrets: { s: ${secret} }\nservices: {}`), { message });
  });
}

t.test('stack › an external volume cannot be described', async (t) => {
  t.throws(() => loadText('volumes: { v: { external: true, driver: d } }\nservices: {}'), {
    message: /volumes\.v\.driver/,
  });
});

t.test('stack › equal projects give equal stacks', async (t) => {
  const content = 'services: { b: { image: x, environment: [Z=1, A=2] }, a: { image: y } }';
  const stack = () => toStack(loadText(content).project, { namespace: 'ns' });
  t.equal(JSON.stringify(stack()), JSON.stringify(stack()));
  t.same(stack().services[0]?.TaskTemplate?.ContainerSpec?.Env, ['A=2', 'Z=1']);
});

t.test('stack › an obsolete version is mentioned, an old one is warned of', async (t) => {
  const severity = (version: string) =>
    loadText(`version: "${version}"\nservices: {}`).warnings.map((warning) => warning.severity);
  t.same(severity('3.8'), ['info']);
  t.same(severity('2.4'), ['warning']);
});
