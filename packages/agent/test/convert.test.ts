import { isErrorCode, type Mount, type ServiceSpec } from '@swarmd/model';
import t from 'tap';
import { toContainerRequest } from '../src/convert/container.js';
import { expandSpec, templateContext } from '../src/convert/expand.js';
import { isPinned, withDefaultTag } from '../src/convert/image-reference.js';
import { wantedNetworks } from '../src/convert/networks.js';
import { missingPayloads, payloadFiles } from '../src/convert/payload-files.js';
import { hostPorts } from '../src/convert/ports.js';
import { apiAtLeast, type ConversionInput, type NodeFacts } from '../src/convert/request.js';
import { genericResourceEnv } from '../src/convert/resources.js';
import { CLUSTER_LABEL, NETWORK_LABEL } from '../src/labels.js';
import { networkRequest, taskNetwork, toNodeNetwork } from '../src/network/overlay.js';
import type { Assignment } from '../src/task/assignment.js';

const node: NodeFacts = {
  nodeId: 'node1',
  clusterId: 'cluster1',
  hostname: 'h1',
  os: 'linux',
  architecture: 'x86_64',
  apiVersion: '1.41',
};
const assignment: Assignment = {
  id: 'task1',
  serviceId: 'service1',
  serviceName: 'web',
  specVersion: 7,
  slot: 2,
  desiredState: 'running',
  ports: [],
  networks: [],
  genericResources: [],
  nodeHostname: 'h1',
  ended: false,
};
type Container = NonNullable<NonNullable<ServiceSpec['TaskTemplate']>['ContainerSpec']>;

function convert(
  container: Container,
  template: Partial<NonNullable<ServiceSpec['TaskTemplate']>> = {},
  over: Partial<ConversionInput> = {},
) {
  const spec: ServiceSpec = { TaskTemplate: { ...template, ContainerSpec: { Image: 'nginx', ...container } } };
  return toContainerRequest({ assignment, spec, node, files: [], networks: [], ports: [], ...over });
}

t.test('conversion › names and labels the container as docker users know it', async (t) => {
  const { name, body } = convert({ Labels: { a: 'b' } });
  t.equal(name, 'web.2.task1');
  t.strictSame(body.Labels, {
    a: 'b',
    'com.docker.swarm.task': '',
    'com.docker.swarm.task.id': 'task1',
    'com.docker.swarm.task.name': 'web.2.task1',
    'com.docker.swarm.node.id': 'node1',
    'com.docker.swarm.service.id': 'service1',
    'com.docker.swarm.service.name': 'web',
    'com.swarmd.cluster.id': 'cluster1',
  });
  const global = convert({}, {}, { assignment: { ...assignment, slot: 0 } });
  t.equal(global.name, 'web.node1.task1');
});

t.test('conversion › takes the stack of the service when the container names none', async (t) => {
  const label = 'com.docker.stack.namespace';
  const spec: ServiceSpec = { Labels: { [label]: 'shop' }, TaskTemplate: { ContainerSpec: { Image: 'nginx' } } };
  const { body } = toContainerRequest({ assignment, spec, node, files: [], networks: [], ports: [] });
  t.equal(body.Labels?.[label], 'shop');
});

const table: [name: string, Container, Partial<NonNullable<ServiceSpec['TaskTemplate']>>, expected: object][] = [
  ['a command replaces the entry point', { Command: ['a'], Args: ['b'] }, {}, { Entrypoint: ['a'], Cmd: ['b'] }],
  ['args alone keep the entry point', { Args: ['b'] }, {}, { Cmd: ['b'], Entrypoint: undefined }],
  ['neither keeps both', {}, {}, { Cmd: undefined, Entrypoint: undefined }],
  ['an image without a tag is latest', {}, {}, { Image: 'nginx:latest' }],
  ['env', { Env: ['A=1', 'B'] }, {}, { Env: ['A=1', 'B'] }],
  [
    'user, groups, dir, hostname',
    { User: '1000:50', Groups: ['staff'], Dir: '/srv', Hostname: 'x' },
    {},
    { User: '1000:50', WorkingDir: '/srv', Hostname: 'x', HostConfig: { GroupAdd: ['staff'] } },
  ],
  [
    'hosts',
    { Hosts: ['10.0.0.1 db db.local'] },
    {},
    { HostConfig: { ExtraHosts: ['db:10.0.0.1', 'db.local:10.0.0.1'] } },
  ],
  [
    'dns',
    { DNSConfig: { Nameservers: ['1.1.1.1'], Search: ['local'], Options: ['ndots:2'] } },
    {},
    { HostConfig: { Dns: ['1.1.1.1'], DnsSearch: ['local'], DnsOptions: ['ndots:2'] } },
  ],
  ['read-only', { ReadOnly: true }, {}, { HostConfig: { ReadonlyRootfs: true } }],
  [
    'capabilities',
    { CapabilityAdd: ['CAP_NET_ADMIN'], CapabilityDrop: ['CAP_CHOWN'] },
    {},
    { HostConfig: { CapAdd: ['CAP_NET_ADMIN'], CapDrop: ['CAP_CHOWN'] } },
  ],
  [
    'sysctls',
    { Sysctls: { 'net.core.somaxconn': '1024' } },
    {},
    { HostConfig: { Sysctls: { 'net.core.somaxconn': '1024' } } },
  ],
  [
    'ulimits',
    { Ulimits: [{ Name: 'nofile', Soft: 10, Hard: 20 }] },
    {},
    { HostConfig: { Ulimits: [{ Name: 'nofile', Soft: 10, Hard: 20 }] } },
  ],
  [
    'init, tty and stdin',
    { Init: true, TTY: true, OpenStdin: true },
    {},
    { Tty: true, OpenStdin: true, HostConfig: { Init: true } },
  ],
  ['no init said is no init asked', {}, {}, { HostConfig: { Init: undefined } }],
  [
    'stop signal and grace period in whole seconds',
    { StopSignal: 'SIGINT', StopGracePeriod: 1_500_000_000 },
    {},
    { StopSignal: 'SIGINT', StopTimeout: 2 },
  ],
  [
    'health check',
    { Healthcheck: { Test: ['CMD-SHELL', 'true'], Interval: 1e9, Retries: 3 } },
    {},
    { Healthcheck: { Test: ['CMD-SHELL', 'true'], Interval: 1e9, Retries: 3 } },
  ],
  [
    'limits',
    {},
    { Resources: { Limits: { NanoCPUs: 5e8, MemoryBytes: 2 ** 26, Pids: 50 } } },
    { HostConfig: { NanoCpus: 5e8, Memory: 2 ** 26, PidsLimit: 50 } },
  ],
  [
    'a memory reservation',
    {},
    { Resources: { Limits: { MemoryBytes: 100 }, Reservations: { MemoryBytes: 50 } } },
    { HostConfig: { Memory: 100, MemoryReservation: 50 } },
  ],
  [
    'a memory reservation above the limit is the scheduler’s alone',
    {},
    { Resources: { Limits: { MemoryBytes: 50 }, Reservations: { MemoryBytes: 100 } } },
    { HostConfig: { Memory: 50, MemoryReservation: undefined } },
  ],
  [
    'swap on top of memory',
    {},
    { Resources: { Limits: { MemoryBytes: 100 }, SwapBytes: 20 } },
    { HostConfig: { Memory: 100, MemorySwap: 120 } },
  ],
  [
    'the task’s log driver',
    {},
    { LogDriver: { Name: 'local', Options: { 'max-size': '1m' } } },
    { HostConfig: { LogConfig: { Type: 'local', Config: { 'max-size': '1m' } } } },
  ],
  [
    'oom score and isolation',
    { OomScoreAdj: -500, Isolation: 'default' },
    {},
    { HostConfig: { OomScoreAdj: -500, Isolation: 'default' } },
  ],
  [
    'privileges',
    {
      Privileges: {
        NoNewPrivileges: true,
        SELinuxContext: { Type: 't', Level: 's0' },
        Seccomp: { Mode: 'unconfined' },
        AppArmor: { Mode: 'disabled' },
      },
    },
    {},
    {
      HostConfig: {
        SecurityOpt: [
          'label=type:t',
          'label=level:s0',
          'seccomp=unconfined',
          'apparmor=unconfined',
          'no-new-privileges=true',
        ],
      },
    },
  ],
  [
    'a custom seccomp profile',
    { Privileges: { Seccomp: { Mode: 'custom', Profile: Buffer.from('{"a":1}').toString('base64') } } },
    {},
    { HostConfig: { SecurityOpt: ['seccomp={"a":1}'] } },
  ],
  [
    'SELinux off',
    { Privileges: { SELinuxContext: { Disable: true } } },
    {},
    { HostConfig: { SecurityOpt: ['label=disable'] } },
  ],
  [
    'a credential spec',
    { Privileges: { CredentialSpec: { Registry: 'x' } } },
    {},
    { HostConfig: { SecurityOpt: ['credentialspec=registry://x'] } },
  ],
  ['generic resources', {}, {}, { Env: [] }],
];
for (const [name, container, template, expected] of table) {
  t.test(`conversion › ${name}`, async (t) => {
    t.match(convert(container, template).body, expected);
  });
}

t.test('conversion › the cluster’s log driver serves specs that name none', async (t) => {
  const defaultLogDriver = { Name: 'syslog' };
  t.match(convert({}, {}, { defaultLogDriver }).body.HostConfig, { LogConfig: { Type: 'syslog' } });
  const own = convert({}, { LogDriver: { Name: 'local' } }, { defaultLogDriver });
  t.match(own.body.HostConfig, { LogConfig: { Type: 'local' } });
});

const mounts: [name: string, Mount, object][] = [
  [
    'bind',
    { Type: 'bind', Source: '/a', Target: '/b', ReadOnly: true, BindOptions: { Propagation: 'rslave' } },
    { Type: 'bind', Source: '/a', Target: '/b', ReadOnly: true, BindOptions: { Propagation: 'rslave' } },
  ],
  [
    'volume',
    {
      Type: 'volume',
      Source: 'data',
      Target: '/b',
      VolumeOptions: { NoCopy: true, Labels: { a: 'b' }, DriverConfig: { Name: 'nfs', Options: { o: 'x' } } },
    },
    {
      Type: 'volume',
      Source: 'data',
      VolumeOptions: { NoCopy: true, Labels: { a: 'b' }, DriverConfig: { Name: 'nfs', Options: { o: 'x' } } },
    },
  ],
  ['anonymous volume by default', { Target: '/b' }, { Type: 'volume', Source: '', Target: '/b' }],
  [
    'tmpfs',
    { Type: 'tmpfs', Target: '/b', TmpfsOptions: { SizeBytes: 10, Mode: 0o700 } },
    { Type: 'tmpfs', TmpfsOptions: { SizeBytes: 10, Mode: 0o700 } },
  ],
];
for (const [name, mount, expected] of mounts) {
  t.test(`conversion › mounts: ${name}`, async (t) => {
    t.match(convert({ Mounts: [mount] }).body.HostConfig?.Mounts, [expected]);
  });
}

const refused: [Mount, string][] = [
  [{ Type: 'npipe', Source: '\\\\.\\pipe\\x', Target: 'x' }, 'unimplemented'],
  [{ Type: 'cluster', Source: 'x', Target: '/x' }, 'unimplemented'],
  [{ Type: 'image', Source: 'x', Target: '/x' }, 'unimplemented'],
  [{ Type: 'volume', Source: 'x', Target: '/x', VolumeOptions: { Subpath: 'y' } }, 'unimplemented'],
  [{ Type: 'bind', Source: 'x', Target: '/x' }, 'invalid-argument'],
  [{ Type: 'volume', Source: '/x', Target: '/x' }, 'invalid-argument'],
  [{ Type: 'tmpfs', Source: 'x', Target: '/x' }, 'invalid-argument'],
  [{ Type: 'bind', Source: '/x', Target: 'x' }, 'invalid-argument'],
  [{ Type: 'floppy', Target: '/x' }, 'invalid-argument'],
];
for (const [mount, code] of refused) {
  t.test(`conversion › refuses what cannot be mounted here: ${JSON.stringify(mount)}`, async (t) => {
    try {
      convert({ Mounts: [mount] });
      t.fail('it was taken');
    } catch (error) {
      t.ok(isErrorCode(error, code as never), String(error));
    }
  });
}

t.test('conversion › newer engines mount images and subpaths', async (t) => {
  const newer = { node: { ...node, apiVersion: '1.48' } };
  t.doesNotThrow(() => convert({ Mounts: [{ Type: 'image', Source: 'x', Target: '/x' }] }, {}, newer));
  const subpath = { Type: 'volume', Source: 'x', Target: '/x', VolumeOptions: { Subpath: 'y' } };
  t.doesNotThrow(() => convert({ Mounts: [subpath] }, {}, newer));
});

t.test('conversion › an image is required', async (t) => {
  t.throws(() => convert({ Image: '' }), { code: 'invalid-argument', field: 'TaskTemplate.ContainerSpec.Image' });
});

t.test('conversion › an engine before 25 gets one network at creation and the others afterwards', async (t) => {
  const networks = [
    { name: 'front', aliases: ['web'] },
    { name: 'back', aliases: ['web', 'w'], ipv4: '10.0.1.5' },
  ];
  const old = convert({}, {}, { networks });
  t.strictSame(Object.keys(old.body.NetworkingConfig?.EndpointsConfig ?? {}), ['front']);
  t.match(old.connect, [
    { network: 'back', endpoint: { Aliases: ['web', 'w'], IPAMConfig: { IPv4Address: '10.0.1.5' } } },
  ]);
  t.equal(old.body.HostConfig?.NetworkMode, 'front');
  const newer = convert({}, {}, { networks, node: { ...node, apiVersion: '1.44' } });
  t.strictSame(Object.keys(newer.body.NetworkingConfig?.EndpointsConfig ?? {}), ['front', 'back']);
  t.strictSame(newer.connect, []);
});

const overlay = (over: object) => ({
  id: 'n1',
  spec: { Name: 'front', Driver: 'overlay', Labels: { team: 'a' }, ...over },
  allocation: { VNI: 2 ** 20, Subnets: [{ Subnet: '10.1.0.0/24', Gateway: '10.1.0.1' }], MTU: 1450 },
  addressBlocks: ['10.1.0.64/26'],
});
const wanted = { target: 'n1', aliases: ['w'], addresses: ['10.1.0.5/24', 'fd00::5/64'], driverOpts: { x: 'y' } };
const joining = { id: 't1', nameservers: ['9.9.9.9', '1.1.1.1'] };

t.test(
  'overlay › a task joins with its addresses, and with no names that the engine would answer by itself',
  async (t) => {
    const network = taskNetwork(overlay({}), wanted, joining);
    const { body } = convert(
      { DNSConfig: { Nameservers: joining.nameservers, Search: ['x.y'] } },
      {},
      { networks: [network] },
    );
    t.strictSame(body.NetworkingConfig?.EndpointsConfig, {
      front: {
        Aliases: [],
        IPAMConfig: { IPv4Address: '10.1.0.5', IPv6Address: 'fd00::5' },
        DriverOpts: { x: 'y', 'swarmd.task': 't1', 'swarmd.dns': '9.9.9.9,1.1.1.1' },
      },
    } as never);
    t.strictSame(body.HostConfig?.Dns, ['10.1.0.1'], 'the gateway alone answers names');
    t.strictSame(body.HostConfig?.DnsSearch, ['x.y']);
  },
);

t.test('overlay › names are not asked of the ingress network', async (t) => {
  const ingress = taskNetwork(overlay({ Name: 'ingress', Ingress: true }), wanted, joining);
  const front = taskNetwork(overlay({}), { ...wanted, addresses: [] }, { id: 't1', nameservers: [] });
  const dns = { DNSConfig: { Nameservers: ['9.9.9.9'] } };
  t.strictSame(convert(dns, {}, { networks: [ingress] }).body.HostConfig?.Dns, ['9.9.9.9']);
  t.strictSame(convert(dns, {}, { networks: [ingress, front] }).body.HostConfig?.Dns, ['10.1.0.1']);
  t.equal(convert({}, {}, { networks: [ingress] }).body.HostConfig?.Dns, undefined);
  t.strictSame(front.driverOpts, { x: 'y', 'swarmd.task': 't1' });
});

t.test(
  'overlay › the engine’s network has our driver, the cluster’s subnets, and labels that say whose it is',
  async (t) => {
    t.match(networkRequest(overlay({ Attachable: true }), 'c1'), {
      ...{ Name: 'front', Driver: 'swarmd', Internal: false, Attachable: true, EnableIPv6: false },
      IPAM: {
        Driver: 'swarmd',
        Options: { 'swarmd.network': 'n1' },
        Config: [{ Subnet: '10.1.0.0/24', Gateway: '10.1.0.1' }],
      },
      Options: { 'swarmd.network': 'n1' },
      Labels: { team: 'a', [CLUSTER_LABEL]: 'c1', [NETWORK_LABEL]: 'n1' },
    });
    t.strictSame(toNodeNetwork(overlay({ Internal: true })), {
      ...{ id: 'n1', name: 'front', vni: 2 ** 20, mtu: 1450, internal: true, ingress: false, attachable: false },
      subnets: [{ subnet: '10.1.0.0/24', gateway: '10.1.0.1' }],
      addressBlocks: ['10.1.0.64/26'],
    });
  },
);

t.test('conversion › the host’s own network takes no endpoint', async (t) => {
  const { body } = convert({}, {}, { networks: [{ name: 'host', aliases: [] }] });
  t.equal(body.HostConfig?.NetworkMode, 'host');
  t.strictSame(body.NetworkingConfig, { EndpointsConfig: {} });
});

t.test('conversion › publishes ports, those without a number on any', async (t) => {
  const ports = [
    { TargetPort: 80, PublishedPort: 8080, Protocol: 'tcp', PublishMode: 'host' },
    { TargetPort: 53, Protocol: 'udp', PublishMode: 'host' },
    { TargetPort: 80, PublishedPort: 8081, Protocol: 'tcp', PublishMode: 'ingress' },
  ] as const;
  const { body } = convert({}, {}, { ports });
  t.strictSame(body.ExposedPorts, { '80/tcp': {}, '53/udp': {} });
  t.strictSame(body.HostConfig?.PortBindings, {
    '80/tcp': [{ HostPort: '8080' }, { HostPort: '8081' }],
    '53/udp': [{ HostPort: '' }],
  });
});

t.test(
  'conversion › a container publishes host-mode ports, by the allocator’s numbers rather than the spec’s',
  async (t) => {
    const spec = {
      Ports: [
        { TargetPort: 80, PublishMode: 'host' },
        { TargetPort: 81, PublishMode: 'host', Protocol: 'udp' },
        { TargetPort: 82, PublishMode: 'ingress', PublishedPort: 8082 },
      ],
    } as const;
    const given = [
      { TargetPort: 80, Protocol: 'tcp', PublishMode: 'host', PublishedPort: 8080 },
      { TargetPort: 82, Protocol: 'tcp', PublishMode: 'ingress', PublishedPort: 8082 },
    ] as const;
    t.strictSame(hostPorts(given, spec as never), [given[0], spec.Ports[1]]);
    t.strictSame(hostPorts([], undefined), []);
  },
);

t.test('conversion › networks come from the attachments, else from the spec', async (t) => {
  const spec: ServiceSpec = { TaskTemplate: { Networks: [{ Target: 'n1', Aliases: ['x'] }] } };
  t.match(wantedNetworks([], spec), [{ target: 'n1', aliases: ['x'] }]);
  const attached = [{ Network: { ID: 'n1', Spec: { Name: 'front' } }, Addresses: ['10.0.0.3/24'] }];
  t.match(wantedNetworks(attached, spec), [{ target: 'n1', aliases: ['x'], addresses: ['10.0.0.3/24'] }]);
});

t.test('conversion › says which generic resources a task was given', async (t) => {
  t.strictSame(
    genericResourceEnv([
      { NamedResourceSpec: { Kind: 'gpu', Value: 'a' } },
      { NamedResourceSpec: { Kind: 'gpu', Value: 'b' } },
      { DiscreteResourceSpec: { Kind: 'ssd', Value: 2 } },
    ]),
    ['DOCKER_RESOURCE_GPU=a,b', 'DOCKER_RESOURCE_SSD=2'],
  );
});

t.test('conversion › expands templates of env, hostname and mounts', async (t) => {
  const spec: ServiceSpec = {
    Labels: { tier: 'front' },
    TaskTemplate: {
      ContainerSpec: {
        Image: 'nginx',
        Hostname: '{{.Node.Hostname}}-{{.Task.Slot}}',
        Env: ['NAME={{.Task.Name}}', 'TIER={{index .Service.Labels "tier"}}', 'OS={{.Node.Platform.OS}}'],
        Mounts: [{ Type: 'volume', Source: 'v-{{.Task.Slot}}', Target: '/data' }],
      },
    },
  };
  const expanded = expandSpec(spec, templateContext(assignment, spec, node)).TaskTemplate?.ContainerSpec;
  t.equal(expanded?.Hostname, 'h1-2');
  t.strictSame(expanded?.Env, ['NAME=web.2.task1', 'TIER=front', 'OS=linux']);
  t.match(expanded?.Mounts, [{ Source: 'v-2' }]);
});

t.test('conversion › secrets and configs become files', async (t) => {
  const spec: ServiceSpec = {
    TaskTemplate: {
      ContainerSpec: {
        Env: ['MODE=fast'],
        Secrets: [
          { SecretID: 's1', SecretName: 'password', File: { Name: 'pw', UID: '1000', GID: '50', Mode: 0o400 } },
          { SecretID: 's1', SecretName: 'password', File: { Name: '/etc/pw' } },
        ],
        Configs: [
          { ConfigID: 'c1', ConfigName: 'conf', File: { Name: 'app.conf' } },
          { ConfigID: 'c2', ConfigName: 'credentials', Runtime: {} },
        ],
      },
    },
  };
  const payload = (id: string, text: string, templating = '') => ({
    id,
    name: id,
    data: Buffer.from(text),
    templating,
  });
  const payloads = {
    secret: (id: string) => (id === 's1' ? payload(id, 'hunter2') : undefined),
    config: (id: string) =>
      id === 'c1' ? payload(id, '{{.Service.Name}} {{env "MODE"}} {{secret "pw"}}', 'golang') : payload(id, '{}'),
  };
  const files = payloadFiles(spec, payloads, templateContext(assignment, spec, node));
  t.strictSame(
    files.map((file) => ({ ...file, data: Buffer.from(file.data).toString() })),
    [
      { kind: 'secret', target: '/run/secrets/pw', data: 'hunter2', uid: 1000, gid: 50, mode: 0o400 },
      { kind: 'secret', target: '/etc/pw', data: 'hunter2', uid: 0, gid: 0, mode: 0o444 },
      { kind: 'config', target: '/app.conf', data: 'web fast hunter2', uid: 0, gid: 0, mode: 0o444 },
    ],
  );
  t.strictSame(missingPayloads(spec, { ...payloads, secret: () => undefined }), ['secret password']);
});

t.test('image reference › knows what is pinned and what has no tag', async (t) => {
  const digest = `sha256:${'a'.repeat(64)}`;
  t.equal(withDefaultTag('nginx'), 'nginx:latest');
  t.equal(withDefaultTag('localhost:5000/nginx'), 'localhost:5000/nginx:latest');
  t.equal(withDefaultTag('nginx:1.2'), 'nginx:1.2');
  t.equal(withDefaultTag(`nginx@${digest}`), `nginx@${digest}`);
  t.ok(isPinned(`nginx:1.2@${digest}`));
  t.ok(isPinned(digest));
  t.notOk(isPinned('nginx:1.2'));
});

t.test('API versions are compared by number', async (t) => {
  t.ok(apiAtLeast('1.100', '1.41'));
  t.notOk(apiAtLeast('1.9', '1.41'));
  t.ok(apiAtLeast('2.0', '1.41'));
});
