import type { PortConfig } from '@swarmd/model';
import t from 'tap';
import type { ApiNode, ApiService, ApiTask } from '../src/client/api-types.js';
import { nodeRows } from '../src/commands/node/ls.js';
import { readFrames } from '../src/commands/service/log-frames.js';
import { splitLine } from '../src/commands/service/log-lines.js';
import { parseSince } from '../src/commands/service/logs.js';
import { formatIngressPorts, serviceRows } from '../src/commands/service/ls.js';
import { parseEnvFile } from '../src/commands/service/references.js';
import { describeExplanation } from '../src/commands/service/why.js';
import { stackRows } from '../src/commands/stack/list.js';
import { taskRows } from '../src/commands/task/print.js';
import { parseFilters } from '../src/output/list.js';

const META = { Version: { Index: 1 }, CreatedAt: '2026-01-01T00:00:00Z', UpdatedAt: '2026-01-01T00:00:00Z' };

function port(
  PublishedPort: number,
  TargetPort: number,
  Protocol: 'tcp' | 'udp' = 'tcp',
  PublishMode: 'ingress' | 'host' = 'ingress',
): PortConfig {
  return { PublishedPort, TargetPort, Protocol, PublishMode };
}

const portLists: [ports: PortConfig[], text: string][] = [
  [[], ''],
  [[port(80, 80)], '*:80->80/tcp'],
  [[port(81, 81), port(80, 80)], '*:80-81->80-81/tcp'],
  [[port(80, 80), port(81, 80)], '*:80-81->80/tcp'],
  [[port(80, 80), port(81, 81), port(82, 80)], '*:80-81->80-81/tcp, *:82->80/tcp'],
  [[port(80, 80), port(90, 81)], '*:80->80/tcp, *:90->81/tcp'],
  [[port(80, 80, 'udp'), port(80, 80)], '*:80->80/tcp, *:80->80/udp'],
  [[port(80, 80, 'tcp', 'host')], ''],
];

for (const [ports, text] of portLists) {
  t.test(`service ls › ports print as ${text || 'nothing'}`, async (t) => t.equal(formatIngressPorts(ports), text));
}

function service(name: string, spec: ApiService['Spec'], over: Partial<ApiService> = {}): ApiService {
  return { ID: `${name}-0123456789abcdef`, ...META, Spec: { Name: name, ...spec }, ...over };
}

t.test('service ls › shows modes and counts, sorted by name', async (t) => {
  const ServiceStatus = { RunningTasks: 1, DesiredTasks: 2, CompletedTasks: 3 };
  const rows = serviceRows([
    service('web10', { Mode: { Global: {} } }, { ServiceStatus }),
    service(
      'web2',
      { Mode: { Replicated: { Replicas: 2 } }, TaskTemplate: { Placement: { MaxReplicas: 1 } } },
      { ServiceStatus },
    ),
    service('job', { Mode: { ReplicatedJob: { TotalCompletions: 5 } } }, { ServiceStatus }),
    service('gjob', { Mode: { GlobalJob: {} } }, { ServiceStatus }),
  ]);
  t.same(
    rows.map(({ Name, Mode, Replicas }) => [Name, Mode, Replicas]),
    [
      ['gjob', 'global job', '1/2 (3/5 completed)'],
      ['job', 'replicated job', '1/2 (3/5 completed)'],
      ['web2', 'replicated', '1/2 (max 1 per node)'],
      ['web10', 'global', '1/2'],
    ],
  );
  t.equal(rows[0]?.['ID'], 'gjob-0123456');
});

t.test('ps › puts the tasks of a slot together, the newest first', async (t) => {
  const task = (ID: string, Slot: number, CreatedAt: string, Err?: string): ApiTask => ({
    ID,
    ...META,
    CreatedAt,
    Spec: { ContainerSpec: { Image: `nginx:1@sha256:${'a'.repeat(64)}` } },
    ServiceID: 's',
    Slot,
    NodeID: 'n',
    DesiredState: 'shutdown',
    Status: { Timestamp: '2026-01-01T00:00:00Z', State: 'failed', ...(Err === undefined ? {} : { Err }) },
  });
  const tasks = [
    task('a', 10, '2026-01-01T00:00:00.1Z'),
    task('b', 2, '2026-01-01T00:00:00.000000001Z', 'task: non-zero exit (1) and something'),
    task('c', 2, '2026-01-01T00:00:00.000000002Z'),
  ];
  const names = { service: () => 'web', node: () => 'host1' };
  const options = { truncate: true, indent: true, now: Date.parse('2026-01-01T00:02:00Z') };
  t.same(
    taskRows(tasks, names, options).map(({ ID, Name }) => [ID, Name]),
    [
      ['c', 'web.2'],
      ['b', ' \\_ web.2'],
      ['a', 'web.10'],
    ],
  );
  t.match(taskRows(tasks, names, options)[1], {
    Image: 'nginx:1',
    CurrentState: 'Failed 2 minutes ago',
    DesiredState: 'Shutdown',
    Error: '"task: non-zero exit (1) and s…"',
  });
  t.equal(
    taskRows(tasks, names, { ...options, truncate: false })[1]?.['Error'],
    '"task: non-zero exit (1) and something"',
  );
});

t.test('node ls › marks the node that answers and knows each certificate', async (t) => {
  const node = (ID: string, TLSInfo: object, over: Partial<ApiNode> = {}): ApiNode => ({
    ID,
    ...META,
    Spec: { Availability: 'drain' },
    Description: { Hostname: `host-${ID}`, TLSInfo },
    Status: { State: 'down' },
    ...over,
  });
  const ours = { TrustRoot: 'x' };
  const rows = nodeRows(
    [
      node('c', {}),
      node('b', { TrustRoot: 'y' }, { ManagerStatus: { Reachability: 'unreachable' } }),
      node('a', ours, { ManagerStatus: { Leader: true } }),
    ],
    { NodeID: 'a', Cluster: { TLSInfo: ours } },
  );
  t.same(
    rows.map(({ ID, Self, Status, Availability, ManagerStatus, TLSStatus }) => [
      ID,
      Self,
      Status,
      Availability,
      ManagerStatus,
      TLSStatus,
    ]),
    [
      ['a', true, 'Down', 'Drain', 'Leader', 'Ready'],
      ['b', false, 'Down', 'Drain', 'Unreachable', 'Needs Rotation'],
      ['c', false, 'Down', 'Drain', '', 'Unknown'],
    ],
  );
});

t.test('stack ls › counts services', async (t) => {
  const of = (stack: string): ApiService => service('x', { Labels: { 'com.docker.stack.namespace': stack } });
  t.same(stackRows([of('b'), of('a'), of('b')]), [
    { Name: 'a', Services: '1' },
    { Name: 'b', Services: '2' },
  ]);
});

t.test('filters › collect values under their names', async (t) => {
  t.same(parseFilters(['label=a=b', 'LABEL=c', 'name=x']), { label: ['a=b', 'c'], name: ['x'] });
});

t.test('--env-file › takes names without values from the environment', async (t) => {
  const content = '\uFEFF# comment\nA=1\n\n  B = 2\nHOME\nNOPE\nC="quoted"\r\n';
  t.throws(() => parseEnvFile('B = 2', 'f', {}), { message: "variable 'B ' contains whitespaces (f)" });
  t.throws(() => parseEnvFile('=2', 'f', {}), { message: "no variable name on line '=2' of f" });
  t.same(parseEnvFile(content.replace('  B = 2\n', ''), 'f', { HOME: '/root' }), ['A=1', 'HOME=/root', 'C="quoted"']);
});

t.test('logs › frames are found however the stream is cut', async (t) => {
  const frame = (stream: number, text: string): Buffer => {
    const head = Buffer.from([stream, 0, 0, 0, 0, 0, 0, 0]);
    head.writeUInt32BE(Buffer.byteLength(text), 4);
    return Buffer.concat([head, Buffer.from(text)]);
  };
  const whole = Buffer.concat([frame(1, 'one\n'), frame(2, 'two\n'), frame(1, '')]);
  for (const size of [1, 3, 9, whole.length]) {
    const chunks = async function* (): AsyncGenerator<Buffer> {
      for (let start = 0; start < whole.length; start += size) yield whole.subarray(start, start + size);
    };
    const found: string[] = [];
    for await (const { stream, data } of readFrames(chunks())) found.push(`${stream}:${data}`);
    t.same(found, ['1:one\n', '2:two\n', '1:'], `cut into ${size}`);
  }
});

t.test('logs › lines are split into time, details and text', async (t) => {
  const line = 'com.docker.swarm.task.id=t1,tag=a%2Cb hello world\n';
  t.same(splitLine(line, false), {
    timestamp: '',
    details: new Map([
      ['com.docker.swarm.task.id', 't1'],
      ['tag', 'a,b'],
    ]),
    message: 'hello world\n',
  });
  t.equal(splitLine(`2026-01-01T00:00:00Z ${line}`, true).timestamp, '2026-01-01T00:00:00Z');
  t.equal(splitLine('no details here\n', false).details, undefined);
});

t.test('logs › --since takes times and durations', async (t) => {
  t.equal(parseSince('1700000000', 0), '1700000000');
  t.equal(parseSince('10s', 100_000), '90');
  t.equal(parseSince('1970-01-01T00:01:00Z', 0), '60');
  t.throws(() => parseSince('soon', 0));
});

t.test('why › shows a table for tasks with the same verdicts', async (t) => {
  const Nodes = [
    {
      ID: 'n1',
      Hostname: 'one',
      Verdicts: [
        { Filter: 'Ready', Ok: true, Reason: '' },
        { Filter: 'Constraints', Ok: false, Reason: 'zone==a does not hold' },
      ],
    },
    { ID: 'n2', Hostname: 'two', Verdicts: [{ Filter: 'Ready', Ok: false, Reason: 'node is down' }] },
  ];
  const waiting = (ID: string, Slot: number) => ({
    ID,
    Slot,
    NodeID: '',
    State: 'pending',
    Err: 'no suitable node',
    Nodes,
  });
  const text = describeExplanation(
    { ServiceID: 's', ServiceName: 'web', Tasks: [waiting('aaa', 1), waiting('bbb', 2)] },
    false,
  );
  t.equal(
    text.replaceAll(/ +$/gm, ''),
    `web.1 (aaa), web.2 (bbb): pending: no suitable node
NODE      READY     CONSTRAINTS   VERDICT
one       ok        no            zone==a does not hold
two       no        -             node is down
`,
  );
  t.equal(
    describeExplanation({ ServiceID: 's', ServiceName: 'web', Tasks: [] }, false),
    'No task of web waits for a node.\n',
  );
});
