import { type ServiceSpec, ServiceSpecSchema } from '@swarmd/model';
import t from 'tap';
import { type Problem, toStack } from '../src/index.js';
import { serviceKeys } from '../src/schema/service.js';
import { loadText } from './from-disk.js';

interface Outcome {
  spec: ServiceSpec;
  problems: Problem[];
  services: number;
}

function convert(key: string, value: unknown): Outcome {
  const own = key === 'image' ? '' : 'image: x, ';
  const content = `
services:
  web: { ${own}${key}: ${JSON.stringify(value)} }
  db: { image: y }
networks: { back: { } }
volumes: { data: }
secrets: { token: { file: token } }
configs: { conf: { file: conf } }
models: { llm: { model: m } }
`;
  const { project, warnings } = loadText(content, { token: 's', conf: 'c', 'a.env': 'A=1', 'a.labels': 'l=1' });
  const stack = toStack(project, { namespace: 'ns' });
  const problems = [...warnings, ...stack.warnings].filter(({ path }) => path.startsWith('services.web'));
  return {
    spec: stack.services.find(({ Name }) => Name === 'ns_web') ?? {},
    problems,
    services: stack.services.length,
  };
}

const container = (fields: object) => ({ TaskTemplate: { ContainerSpec: fields } });
const template = (fields: object) => ({ TaskTemplate: fields });

/** Keys that a service honours: a value, and the part of the ServiceSpec it must become. */
const HONOURED: Record<string, [value: unknown, spec: object]> = {
  cap_add: [['net_admin', 'ALL'], container({ CapabilityAdd: ['ALL'] })],
  cap_drop: [['CAP_CHOWN', 'kill'], container({ CapabilityDrop: ['CAP_CHOWN', 'CAP_KILL'] })],
  command: ['a "b c"', container({ Args: ['a', 'b c'] })],
  configs: [
    ['conf'],
    container({
      Configs: [{ ConfigID: '', ConfigName: 'ns_conf', File: { Name: 'conf', UID: '0', GID: '0', Mode: 0o444 } }],
    }),
  ],
  cpus: [0.5, template({ Resources: { Limits: { NanoCPUs: 5e8 } } })],
  credential_spec: [
    { config: 'conf' },
    container({
      Privileges: { CredentialSpec: { Config: 'ns_conf', File: '', Registry: '' } },
      Configs: [{ ConfigName: 'ns_conf', Runtime: {} }],
    }),
  ],
  deploy: [
    { replicas: 3, endpoint_mode: 'DNSRR' },
    { Mode: { Replicated: { Replicas: 3 } }, EndpointSpec: { Mode: 'dnsrr' } },
  ],
  dns: ['8.8.8.8', container({ DNSConfig: { Nameservers: ['8.8.8.8'] } })],
  dns_opt: [['ndots:1'], container({ DNSConfig: { Options: ['ndots:1'] } })],
  dns_search: ['a.example', container({ DNSConfig: { Search: ['a.example'] } })],
  entrypoint: ['/e -x', container({ Command: ['/e', '-x'] })],
  env_file: ['a.env', container({ Env: ['A=1'] })],
  environment: [{ B: '2', A: null }, container({ Env: ['A', 'B=2'] })],
  extends: [{ service: 'db' }, { Name: 'ns_web', ...container({ Image: 'x:latest' }) }],
  extra_hosts: [['h:1.2.3.4'], container({ Hosts: ['1.2.3.4 h'] })],
  group_add: [['mail', 100], container({ Groups: ['mail', '100'] })],
  healthcheck: [
    { test: 'x', interval: '1s', retries: 2, start_interval: '2s' },
    container({ Healthcheck: { Test: ['CMD-SHELL', 'x'], Interval: 1e9, Retries: 2, StartInterval: 2e9 } }),
  ],
  hostname: ['h', container({ Hostname: 'h' })],
  image: [
    'docker.io/library/nginx',
    { Labels: { 'com.docker.stack.image': 'docker.io/library/nginx' }, ...container({ Image: 'nginx:latest' }) },
  ],
  init: [false, container({ Init: false })],
  isolation: ['process', container({ Isolation: 'process' })],
  label_file: ['a.labels', container({ Labels: { l: '1', 'com.docker.stack.namespace': 'ns' } })],
  labels: [{ l: 2 }, container({ Labels: { l: '2' } })],
  logging: [
    { driver: 'local', options: { 'max-file': 3 } },
    template({ LogDriver: { Name: 'local', Options: { 'max-file': '3' } } }),
  ],
  mem_limit: ['64m', template({ Resources: { Limits: { MemoryBytes: 2 ** 26 } } })],
  mem_reservation: ['32m', template({ Resources: { Reservations: { MemoryBytes: 2 ** 25 } } })],
  networks: [{ back: { aliases: ['a'] } }, template({ Networks: [{ Target: 'ns_back', Aliases: ['a', 'web'] }] })],
  oom_score_adj: [-500, container({ OomScoreAdj: -500 })],
  pids_limit: [50, template({ Resources: { Limits: { Pids: 50 } } })],
  platform: ['linux/arm64', template({ Placement: { Platforms: [{ OS: 'linux', Architecture: 'arm64' }] } })],
  ports: [
    ['81-82:80'],
    {
      EndpointSpec: {
        Ports: [
          { Protocol: 'tcp', TargetPort: 80, PublishedPort: 81, PublishMode: 'ingress' },
          { Protocol: 'tcp', TargetPort: 80, PublishedPort: 82, PublishMode: 'ingress' },
        ],
      },
    },
  ],
  read_only: [true, container({ ReadOnly: true })],
  restart: ['on-failure:3', template({ RestartPolicy: { Condition: 'on-failure', MaxAttempts: 3 } })],
  scale: [4, { Mode: { Replicated: { Replicas: 4 } } }],
  secrets: [
    [{ source: 'token', target: 't', uid: '5', mode: '0400' }],
    container({
      Secrets: [{ SecretID: '', SecretName: 'ns_token', File: { Name: 't', UID: '5', GID: '0', Mode: 0o400 } }],
    }),
  ],
  security_opt: [
    ['no-new-privileges:true', 'seccomp=unconfined'],
    container({ Privileges: { NoNewPrivileges: true, Seccomp: { Mode: 'unconfined' } } }),
  ],
  stdin_open: [true, container({ OpenStdin: true })],
  stop_grace_period: ['0s', container({ StopGracePeriod: 0 })],
  stop_signal: ['SIGINT', container({ StopSignal: 'SIGINT' })],
  sysctls: [{ 'net.core.somaxconn': 1024 }, container({ Sysctls: { 'net.core.somaxconn': '1024' } })],
  tmpfs: [
    '/run:size=64m,mode=1777',
    container({ Mounts: [{ Type: 'tmpfs', Target: '/run', TmpfsOptions: { SizeBytes: 2 ** 26, Mode: 0o1777 } }] }),
  ],
  tty: [true, container({ TTY: true })],
  ulimits: [{ nofile: { soft: 1, hard: 2 } }, container({ Ulimits: [{ Name: 'nofile', Soft: 1, Hard: 2 }] })],
  user: ['1000', container({ User: '1000' })],
  volumes: [
    ['data:/d:ro'],
    container({ Mounts: [{ Type: 'volume', Source: 'ns_data', Target: '/d', ReadOnly: true }] }),
  ],
  working_dir: ['/w', container({ Dir: '/w' })],
};

/** Keys that are reported: a value, and how grave it is. */
const REPORTED: Record<string, [value: unknown, severity: Problem['severity']]> = {
  annotations: [{ a: 'b' }, 'warning'],
  attach: [true, 'info'],
  blkio_config: [{ weight: 300 }, 'warning'],
  build: ['.', 'warning'],
  cgroup: ['host', 'warning'],
  cgroup_parent: ['p', 'warning'],
  container_name: ['web1', 'warning'],
  cpu_count: [2, 'warning'],
  cpu_percent: [50, 'warning'],
  cpu_period: [1000, 'warning'],
  cpu_quota: [1000, 'warning'],
  cpu_rt_period: [1000, 'warning'],
  cpu_rt_runtime: ['400ms', 'warning'],
  cpu_shares: [73, 'warning'],
  cpuset: ['0,1', 'warning'],
  depends_on: [['db'], 'warning'],
  develop: [{ watch: [{ path: '.', action: 'rebuild' }] }, 'info'],
  device_cgroup_rules: [['c 1:3 mr'], 'warning'],
  devices: [['/dev/ttyUSB0'], 'warning'],
  domainname: ['example', 'warning'],
  expose: [['3000', 8000], 'info'],
  external_links: [['redis'], 'warning'],
  gpus: ['all', 'warning'],
  ipc: ['host', 'warning'],
  links: [['db:database'], 'warning'],
  mac_address: ['02:42:ac:11:65:43', 'warning'],
  mem_swappiness: [10, 'warning'],
  memswap_limit: ['2g', 'warning'],
  models: [['llm'], 'error'],
  network_mode: ['host', 'warning'],
  oom_kill_disable: [true, 'warning'],
  pid: ['host', 'warning'],
  post_start: [[{ command: 'x' }], 'warning'],
  pre_stop: [[{ command: 'x' }], 'warning'],
  privileged: [true, 'warning'],
  provider: [{ type: 'cloud' }, 'error'],
  pull_policy: ['every_12h', 'warning'],
  pull_refresh_after: ['1h', 'warning'],
  runtime: ['runsc', 'warning'],
  shm_size: ['128m', 'warning'],
  storage_opt: [{ size: '1G' }, 'warning'],
  use_api_socket: [true, 'error'],
  userns_mode: ['host', 'warning'],
  uts: ['host', 'warning'],
  volumes_from: [['db'], 'error'],
};

for (const [key, [value, expected]] of Object.entries(HONOURED)) {
  t.test(`keys › ${key} is honoured`, async (t) => {
    const { spec, problems } = convert(key, value);
    t.match(spec, expected);
    t.same(problems, []);
    t.ok(ServiceSpecSchema.safeParse(spec).success, 'it is a valid ServiceSpec');
  });
}

for (const [key, [value, severity]] of Object.entries(REPORTED)) {
  t.test(`keys › ${key} is reported with its place`, async (t) => {
    const { problems } = convert(key, value);
    t.match(problems, [{ path: `services.web.${key}`, severity, at: { file: 'compose.yaml', line: 3 } }]);
    t.equal(problems.length, 1);
  });
}

t.test('keys › profiles decide whether a service runs', async (t) => {
  t.equal(convert('profiles', ['debug']).services, 1);
  t.equal(convert('profiles', []).services, 2);
});

t.test('keys › all 92 of the specification are in one of the tables', async (t) => {
  t.equal(Object.keys(serviceKeys).length, 92);
  const covered = [...Object.keys(HONOURED), ...Object.keys(REPORTED), 'profiles'];
  t.same(covered.sort(), Object.keys(serviceKeys).sort());
});

t.test('keys › what is switched off is not worth a word', async (t) => {
  for (const [key, value] of [
    ['privileged', false],
    ['oom_kill_disable', 'false'],
    ['devices', []],
    ['x-own', 1],
  ] as const) {
    t.same(convert(key, value).problems, [], key);
  }
});

const SUBKEYS: [key: string, value: unknown, path: string, severity: Problem['severity']][] = [
  ['ports', ['127.0.0.1:80:80'], 'ports', 'error'],
  ['ports', [{ target: 80, published: 80, host_ip: '::1' }], 'ports', 'error'],
  ['ports', [{ target: 80, app_protocol: 'http' }], 'ports', 'info'],
  ['networks', { back: { ipv4_address: '10.0.0.5' } }, 'networks.back.ipv4_address', 'warning'],
  ['networks', { back: { priority: 5 } }, 'networks.back.priority', 'warning'],
  ['network_mode', 'none', 'network_mode', 'error'],
  ['network_mode', 'bridge', 'network_mode', 'info'],
  ['volumes', ['/a:/b:Z'], 'volumes', 'warning'],
  ['volumes', ['/a:/b:odd'], 'volumes[0]', 'warning'],
  ['volumes', [{ type: 'image', source: 'x', target: '/x' }], 'volumes', 'warning'],
  ['volumes', [{ type: 'cluster', source: 'group:g', target: '/x' }], 'volumes', 'error'],
  ['volumes', [{ type: 'tmpfs', source: 'a', target: '/x' }], 'volumes', 'error'],
  ['volumes', [{ type: 'bind', source: '/a', target: '/x', tmpfs: { size: 1 } }], 'volumes', 'error'],
  ['tmpfs', ['/run:uid=5'], 'tmpfs', 'warning'],
  ['security_opt', ['seccomp=profile.json'], 'security_opt', 'warning'],
  ['restart', 'no', 'restart', 'info'],
  [
    'deploy',
    { resources: { reservations: { devices: [{ capabilities: ['gpu'] }] } } },
    'deploy.resources.reservations.devices',
    'warning',
  ],
];

for (const [key, value, path, severity] of SUBKEYS) {
  t.test(`keys › ${key}: ${JSON.stringify(value)} is reported`, async (t) => {
    t.match(convert(key, value).problems, [{ path: `services.web.${path}`, severity }]);
  });
}

t.test('keys › a port on all addresses is not worth a word', async (t) => {
  t.same(convert('ports', ['0.0.0.0:80:80', '[::]:81:80']).problems, []);
});

t.test('keys › a service without image and build is an error, one with build says what to do', async (t) => {
  const { project } = loadText('services: { a: { command: x }, b: { build: . } }');
  t.match(toStack(project, { namespace: 'ns' }).warnings, [
    { path: 'services.a.image', severity: 'error', message: /needs an image/ },
    { path: 'services.b.build', severity: 'error', message: /build it, push it/ },
  ]);
});

t.test('keys › restart "no" means that tasks are not replaced', async (t) => {
  t.match(convert('restart', 'no').spec, template({ RestartPolicy: { Condition: 'none' } }));
  t.match(convert('restart', 'unless-stopped').spec, template({ RestartPolicy: { Condition: 'any' } }));
  t.throws(() => convert('restart', 'sometimes'), { message: /services\.web\.restart/ });
});

t.test('keys › replicas of a global service are refused', async (t) => {
  t.throws(() => convert('deploy', { mode: 'global', replicas: 2 }), { message: /a global service has no replicas/ });
});
