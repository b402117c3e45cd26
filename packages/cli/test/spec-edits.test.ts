import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ServiceSpec } from '@swarmd/model';
import t from 'tap';
import type { EditInputs } from '../src/commands/service/spec/draft.js';
import { editSpec, initialSpec, specFlags } from '../src/commands/service/spec/edits.js';
import { parseFlags } from '../src/program/parse.js';

const INPUTS: EditInputs = {
  networks: new Map([
    ['n', 'tfurv54ad138v9trugdr9dkd0'],
    ['other', 'otherid'],
  ]),
  secrets: new Map([['s', 'q30z4auwfpejp0qvug8vlwmw7']]),
  configs: new Map([['c', 'r9dy4liqoikvwxaqll5322u3b']]),
  env: { HOME: '/root' },
  envFileVariables: [],
  directory: '/srv',
};

function create(argv: string[], inputs: Partial<EditInputs> = {}): ServiceSpec {
  const parsed = parseFlags(argv, specFlags('create'), { interspersed: false });
  const [image = '', ...args] = parsed.args;
  return editSpec(initialSpec(image, args), parsed, { ...INPUTS, ...inputs });
}

function update(spec: ServiceSpec, ...argv: string[]): ServiceSpec {
  return editSpec(spec, parseFlags(argv, specFlags('update'), { interspersed: true }), INPUTS);
}

/** Without what is empty: the API does not tell it from what is absent. */
function compact(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(compact);
  if (value === null || typeof value !== 'object') return value;
  const entries = Object.entries(value)
    .map(([key, member]) => [key, compact(member)] as const)
    .filter(([, member]) => member !== undefined && !(Array.isArray(member) && member.length === 0));
  return Object.fromEntries(entries);
}

// The flags with which the docker CLI made the request in the fixture.
const ALL_FLAGS =
  `--name full3 -l sl=1 --container-label cl=2 --entrypoint /bin/sh --hostname {{.Node.Hostname}}-{{.Task.Slot}}
-e A=1 -w / -u root --group 10 --init --stop-signal SIGINT -t --read-only
--mount type=volume,src=v1,dst=/data,volume-driver=local,volume-opt=a=b --mount type=tmpfs,dst=/t,tmpfs-size=1m
--mount type=bind,src=/tmp,dst=/hosttmp,readonly --stop-grace-period 5s --health-cmd true --health-interval 5s
--health-timeout 2s --health-start-period 1s --health-retries 2 --host foo:1.2.3.4 --dns 127.0.0.1 --dns-search foo
--dns-option ndots:1 --secret source=s,target=tt,uid=1,gid=2,mode=0400 --config source=c,target=/etc/c.conf,mode=0440
--isolation default --sysctl net.core.somaxconn=128 --cap-add NET_ADMIN --cap-drop chown --ulimit nofile=100:200
--limit-cpu 0.5 --limit-memory 64m --limit-pids 50 --reserve-cpu .1 --reserve-memory 16m --generic-resource gpu=1
--restart-condition on-failure --restart-delay 2s --restart-max-attempts 3 --restart-window 30s
--constraint node.role==manager --constraint node.labels.zone!=b --placement-pref spread=node.labels.zone
--replicas-max-per-node 10 --network name=n,alias=al --log-driver json-file --log-opt max-size=1m --replicas 1
--update-parallelism 2 --update-delay 1s --update-failure-action rollback --update-monitor 4s
--update-max-failure-ratio 0.1 --update-order start-first --rollback-order start-first
-p mode=host,target=81,published=8182 -p 8080-8081:8080-8081/udp nginx:latest`
    .split(/\s+/)
    .concat(['-c', 'sleep 1000']);

t.test('service create › sends what the docker CLI sends for the same flags', async (t) => {
  const file = join(import.meta.dirname, '../../test/fixtures/service-create-allflags.json');
  const recorded = JSON.parse(readFileSync(file, 'utf8')) as ServiceSpec;
  t.same(compact(create(ALL_FLAGS)), compact(recorded));
});

const created: [name: string, argv: string[], expected: object][] = [
  ['nothing but an image', ['nginx'], { Mode: { Replicated: {} }, EndpointSpec: { Mode: 'vip' } }],
  ['a command', ['nginx', 'sh', '-c', 'x'], { TaskTemplate: { ContainerSpec: { Args: ['sh', '-c', 'x'] } } }],
  ['a global service', ['--mode', 'global', 'nginx'], { Mode: { Global: {} } }],
  [
    'a job',
    ['--mode', 'replicated-job', '--replicas', '5', '--max-concurrent', '2', 'nginx'],
    { Mode: { ReplicatedJob: { MaxConcurrent: 2, TotalCompletions: 5 } } },
  ],
  [
    'a variable of the environment',
    ['-e', 'HOME', '-e', 'NOPE', 'nginx'],
    { TaskTemplate: { ContainerSpec: { Env: ['HOME=/root', 'NOPE'] } } },
  ],
  [
    'of two values for a variable the last',
    ['-e', 'A=1', '-e', 'B=2', '-e', 'A=3', 'nginx'],
    { TaskTemplate: { ContainerSpec: { Env: ['B=2', 'A=3'] } } },
  ],
  [
    'a bind mount from here',
    ['--mount', 'type=bind,src=./data,dst=/data', 'nginx'],
    { TaskTemplate: { ContainerSpec: { Mounts: [{ Type: 'bind', Source: '/srv/data', Target: '/data' }] } } },
  ],
  [
    'no health check',
    ['--no-healthcheck', 'nginx'],
    { TaskTemplate: { ContainerSpec: { Healthcheck: { Test: ['NONE'] } } } },
  ],
  [
    'a secret by its name',
    ['--secret', 's', 'nginx'],
    {
      TaskTemplate: {
        ContainerSpec: { Secrets: [{ File: { Name: 's', UID: '0', GID: '0', Mode: 0o444 }, SecretName: 's' }] },
      },
    },
  ],
  [
    'a config at the root',
    ['--config', 'c', 'nginx'],
    { TaskTemplate: { ContainerSpec: { Configs: [{ File: { Name: '/c' } }] } } },
  ],
  [
    'a port that the cluster chooses',
    ['-p', '80', 'nginx'],
    { EndpointSpec: { Ports: [{ TargetPort: 80, PublishMode: 'ingress' }] } },
  ],
];

for (const [name, argv, expected] of created) {
  t.test(`service create › ${name}`, async (t) => t.match(create(argv), expected));
}

const CURRENT: ServiceSpec = {
  Name: 'web',
  Labels: { a: '1', b: '2' },
  TaskTemplate: {
    ContainerSpec: {
      Image: 'nginx:1',
      Env: ['A=1', 'B=2'],
      Groups: ['10'],
      Hosts: ['1.2.3.4 one two', '1.2.3.5 one'],
      Mounts: [
        { Type: 'volume', Source: 'v', Target: '/v' },
        { Type: 'volume', Source: 'w', Target: '/w' },
      ],
      Secrets: [{ File: { Name: 'x' }, SecretID: 'xid', SecretName: 'x' }],
      Configs: [{ File: { Name: '/x' }, ConfigID: 'xid', ConfigName: 'x' }],
      DNSConfig: { Nameservers: ['8.8.8.8'] },
      CapabilityAdd: ['CAP_NET_ADMIN'],
      Ulimits: [{ Name: 'nofile', Soft: 1, Hard: 2 }],
      Sysctls: { 'net.a': '1' },
      Healthcheck: { Test: ['NONE'] },
    },
    Resources: { Limits: { NanoCPUs: 1e9, MemoryBytes: 100 }, Reservations: { GenericResources: [] } },
    Placement: {
      Constraints: ['node.role==worker'],
      Preferences: [{ Spread: { SpreadDescriptor: 'node.labels.a' } }],
      Platforms: [{ OS: 'linux' }],
    },
    Networks: [{ Target: 'otherid' }],
    ForceUpdate: 4,
  },
  Mode: { Replicated: { Replicas: 2 } },
  UpdateConfig: { Parallelism: 3, Order: 'start-first' },
  EndpointSpec: {
    Mode: 'vip',
    Ports: [
      { Protocol: 'tcp', TargetPort: 80, PublishedPort: 8080, PublishMode: 'ingress' },
      { Protocol: 'udp', TargetPort: 80, PublishedPort: 8080, PublishMode: 'ingress' },
    ],
  },
};

const container = (expected: object): object => ({ TaskTemplate: { ContainerSpec: expected } });

const updated: [argv: string[], expected: object][] = [
  [['--label-add', 'c=3', '--label-rm', 'a'], { Labels: { a: undefined, b: '2', c: '3' } }],
  [['--env-add', 'B=3', '--env-add', 'C=4', '--env-rm', 'A'], container({ Env: ['B=3', 'C=4'] })],
  [['--image', 'nginx:2'], container({ Image: 'nginx:2' })],
  [['--args', 'sh -c "a b"'], container({ Args: ['sh', '-c', 'a b'] })],
  [['--group-add', '20', '--group-rm', '10'], container({ Groups: ['20'] })],
  [['--host-rm', 'one', '--host-add', 'three:::1'], container({ Hosts: ['1.2.3.4 two', '::1 three'] })],
  [['--host-rm', 'one:1.2.3.5'], container({ Hosts: ['1.2.3.4 one two'] })],
  [['--mount-rm', '/v'], container({ Mounts: [{ Target: '/w' }] })],
  [['--mount-add', 'type=tmpfs,dst=/v'], container({ Mounts: [{ Type: 'tmpfs', Target: '/v' }, { Target: '/w' }] })],
  [
    ['--secret-add', 's', '--secret-rm', 'x'],
    container({ Secrets: [{ SecretName: 's', SecretID: 'q30z4auwfpejp0qvug8vlwmw7' }] }),
  ],
  [['--config-rm', 'x'], container({ Configs: [] })],
  [['--dns-add', '1.1.1.1', '--dns-rm', '8.8.8.8'], container({ DNSConfig: { Nameservers: ['1.1.1.1'] } })],
  [['--cap-drop', 'NET_ADMIN'], container({ CapabilityAdd: [], CapabilityDrop: [] })],
  [['--cap-add', 'ALL'], container({ CapabilityAdd: ['ALL'] })],
  [['--ulimit-rm', 'nofile', '--ulimit-add', 'nproc=5'], container({ Ulimits: [{ Name: 'nproc', Soft: 5, Hard: 5 }] })],
  [['--sysctl-rm', 'net.a'], container({ Sysctls: { 'net.a': undefined } })],
  [['--health-cmd', 'x'], container({ Healthcheck: { Test: ['CMD-SHELL', 'x'] } })],
  [['--init=false', '--read-only'], container({ Init: false, ReadOnly: true })],
  [['--limit-memory', '64m'], { TaskTemplate: { Resources: { Limits: { NanoCPUs: 1e9, MemoryBytes: 67108864 } } } }],
  [
    ['--constraint-add', 'a==b', '--constraint-rm', 'node.role==worker'],
    { TaskTemplate: { Placement: { Constraints: ['a==b'], Platforms: [{ OS: 'linux' }] } } },
  ],
  [['--placement-pref-rm', 'spread=node.labels.a'], { TaskTemplate: { Placement: { Preferences: [] } } }],
  [
    ['--network-add', 'n', '--network-rm', 'other'],
    { TaskTemplate: { Networks: [{ Target: 'tfurv54ad138v9trugdr9dkd0' }] } },
  ],
  [['--replicas', '0'], { Mode: { Replicated: { Replicas: 0 } } }],
  [['--update-delay', '2s'], { UpdateConfig: { Parallelism: 3, Order: 'start-first', Delay: 2e9 } }],
  [['--rollback-parallelism', '0'], { RollbackConfig: { Parallelism: 0, FailureAction: 'pause', Monitor: 5e9 } }],
  [
    ['--restart-condition', 'none'],
    { TaskTemplate: { RestartPolicy: { Condition: 'none', Delay: 5e9, MaxAttempts: 0 } } },
  ],
  [['--publish-rm', '80'], { EndpointSpec: { Ports: [{ Protocol: 'udp' }] } }],
  [
    ['--publish-add', '443:443', '--publish-rm', '80/udp'],
    { EndpointSpec: { Mode: 'vip', Ports: [{ TargetPort: 443 }, { TargetPort: 80, Protocol: 'tcp' }] } },
  ],
  [['--endpoint-mode', 'dnsrr'], { EndpointSpec: { Mode: 'dnsrr' } }],
  [['--force'], { TaskTemplate: { ForceUpdate: 5 } }],
  [['--log-driver', 'none'], { TaskTemplate: { LogDriver: { Name: 'none' } } }],
  [['--stop-grace-period', '1m'], container({ StopGracePeriod: 60e9 })],
];

for (const [argv, expected] of updated) {
  t.test(`service update › ${argv.join(' ')}`, async (t) => {
    const before = structuredClone(CURRENT);
    const spec = update(CURRENT, ...argv);
    t.match(spec, expected);
    t.same(CURRENT, before, 'the spec that was read stays as it was');
    const changed = Object.keys(expected);
    for (const key of Object.keys(before) as (keyof ServiceSpec)[]) {
      if (!changed.includes(key)) t.same(spec[key], before[key], `${key} stays`);
    }
  });
}

const contradictions: [act: () => unknown, message: string][] = [
  [
    () => create(['--mode', 'global', '--replicas', '2', 'x']),
    'replicas can only be used with replicated or replicated-job mode',
  ],
  [() => create(['--max-concurrent', '2', 'x']), 'max-concurrent can only be used with replicated-job mode'],
  [() => create(['--no-healthcheck', '--health-cmd', 'x', 'x']), '--no-healthcheck conflicts with --health-* options'],
  [() => create(['--mode', 'nope', 'x']), 'Unknown mode: nope, only replicated and global supported'],
  [() => update(CURRENT, '--network-add', 'other'), 'service is already attached to network other'],
  [() => update(CURRENT, '--mount-add', 'dst=/a', '--mount-add', 'dst=/a'), 'duplicate mount target'],
  [() => update(CURRENT, '--generic-resource-rm', 'gpu'), 'could not find generic-resource `gpu` to remove it'],
];

for (const [act, message] of contradictions) {
  t.test(`service flags › contradictions are refused: ${message}`, async (t) => t.throws(act, { message }));
}

const malformed: [argv: string[], message: RegExp][] = [
  [['--mount', 'foo'], /invalid field 'foo' must be a key=value pair/],
  [['--mount', 'type=bind,src=/a'], /target is required/],
  [['--mount', 'type=bind,dst=/a,volume-nocopy'], /cannot mix 'volume-\*' options with mount type 'bind'/],
  [['--publish', 'abc:def:1'], /invalid IP address: abc/],
  [['--publish', '127.0.0.1:80:80'], /no host address/],
  [['--publish', '80-82:80-81'], /invalid ranges specified/],
  [['--publish', 'published=80'], /missing mandatory field "target"/],
  [['--host', 'abc'], /bad format for add-host: "abc"/],
  [['--dns', 'abc'], /IP address is not correctly formatted: abc/],
  [['--placement-pref', 'binpack=a'], /only spread is supported/],
  [['--ulimit', 'nofile=5:1'], /soft limit must be less than or equal to hard limit/],
  [['--generic-resource', 'gpu'], /missing '='/],
];

for (const [argv, message] of malformed) {
  t.test(`service flags › ${argv.join(' ')} is refused`, async (t) =>
    t.throws(() => create([...argv, 'x']), { message }),
  );
}
