import type { NewObject, Node, Task, TaskSpec } from '@swarmd/model';
import { buildNode } from '@swarmd/testkit';
import t, { type Test } from 'tap';
import { firstRefusal } from '../src/scheduler/filters.js';
import { groupWith, nodeInfo } from './support/scheduler-world.js';

const described = buildNode('n1').Description!;

interface Row {
  name: string;
  template?: TaskSpec;
  task?: Partial<NewObject<Task>>;
  node?: Partial<NewObject<Node>>;
  /** Name of the first filter that refuses; none when the node would do. */
  refusedBy?: string;
  reason?: string;
}

function check(t: Test, rows: readonly Row[]): void {
  for (const { name, template = {}, task, node, refusedBy, reason } of rows) {
    const group = groupWith(template, task);
    const info = nodeInfo(node);
    const refusal = firstRefusal(group.filters, info, group);
    t.equal(refusal?.name, refusedBy, name);
    if (reason !== undefined) t.equal(refusal?.reason(info, group), reason, `${name}: why`);
  }
}

t.test('filters › only ready and active nodes take tasks', async (t) => {
  check(t, [
    { name: 'ready and active' },
    { name: 'down', node: { Status: { State: 'down', Addr: '' } }, refusedBy: 'ready', reason: 'node is down' },
    { name: 'unknown', node: { Status: { State: 'unknown', Addr: '' } }, refusedBy: 'ready' },
    {
      name: 'paused',
      node: { Spec: { Role: 'worker', Availability: 'pause' } },
      refusedBy: 'ready',
      reason: 'availability is pause',
    },
    { name: 'drained', node: { Spec: { Role: 'worker', Availability: 'drain' } }, refusedBy: 'ready' },
  ]);
});

const reserve = (Reservations: NonNullable<TaskSpec['Resources']>['Reservations']): TaskSpec => ({
  Resources: { Reservations },
});
const generic = (...GenericResources: NonNullable<Node['Description']>['Resources']['GenericResources'] & object) => ({
  Description: { ...described, Resources: { NanoCPUs: 4e9, MemoryBytes: 2 ** 30, GenericResources } },
});
const discrete = (Kind: string, Value: number) => ({ DiscreteResourceSpec: { Kind, Value } });
const named = (Kind: string, Value: string) => ({ NamedResourceSpec: { Kind, Value } });

t.test('filters › a node needs enough of every reserved resource', async (t) => {
  check(t, [
    { name: 'all its CPUs', template: reserve({ NanoCPUs: 4e9 }) },
    {
      name: 'one CPU too many',
      template: reserve({ NanoCPUs: 5e9 }),
      refusedBy: 'resources',
      reason: 'needs 5 CPUs, 4 free',
    },
    { name: 'all its memory', template: reserve({ MemoryBytes: 8 * 2 ** 30 }) },
    { name: 'one byte too many', template: reserve({ MemoryBytes: 8 * 2 ** 30 + 1 }), refusedBy: 'resources' },
    { name: 'limits alone reserve nothing', template: { Resources: { Limits: { NanoCPUs: 99e9 } } } },
    {
      name: 'a node that says nothing of itself has nothing',
      template: reserve({ NanoCPUs: 1 }),
      node: { Description: undefined as never },
      refusedBy: 'resources',
    },
    {
      name: 'units of a kind',
      template: reserve({ GenericResources: [discrete('ssd', 3)] }),
      node: generic(discrete('ssd', 3)),
    },
    {
      name: 'too few units',
      template: reserve({ GenericResources: [discrete('ssd', 4)] }),
      node: generic(discrete('ssd', 3)),
      refusedBy: 'resources',
      reason: 'needs 4 ssd, 3 free',
    },
    {
      name: 'an unknown kind',
      template: reserve({ GenericResources: [discrete('gpu', 1)] }),
      node: generic(discrete('ssd', 3)),
      refusedBy: 'resources',
      reason: 'has no gpu',
    },
    {
      name: 'named items count',
      template: reserve({ GenericResources: [discrete('gpu', 2)] }),
      node: generic(named('gpu', 'a'), named('gpu', 'b')),
    },
    {
      name: 'too few named items',
      template: reserve({ GenericResources: [discrete('gpu', 3)] }),
      node: generic(named('gpu', 'a'), named('gpu', 'b')),
      refusedBy: 'resources',
    },
    {
      name: 'nobody reserves an item by name',
      template: reserve({ GenericResources: [named('gpu', 'a')] }),
      node: generic(named('gpu', 'a')),
      refusedBy: 'resources',
    },
  ]);
});

const plugins = (...Plugins: { Type: string; Name: string }[]) => ({
  Description: { ...described, Engine: { EngineVersion: '28', Plugins } },
});
const volume = (Name: string, Type = 'volume'): TaskSpec => ({
  ContainerSpec: { Mounts: [{ Type, Target: '/x', VolumeOptions: { DriverConfig: { Name } } }] },
});
const attached = (Name: string) => ({
  NetworksAttachments: [{ Network: { ID: 'net', DriverState: { Name } }, Addresses: [] }],
});

t.test('filters › drivers must be installed', async (t) => {
  const rexray = { Type: 'Volume', Name: 'rexray:latest' };
  check(t, [
    {
      name: 'a volume driver that is missing',
      template: volume('rexray'),
      refusedBy: 'plugins',
      reason: 'has no plugin rexray',
    },
    { name: 'a volume driver with its tag', template: volume('rexray'), node: plugins(rexray) },
    {
      name: 'another tag',
      template: volume('rexray'),
      node: plugins({ Type: 'Volume', Name: 'rexray:2' }),
      refusedBy: 'plugins',
    },
    {
      name: 'another type',
      template: volume('rexray'),
      node: plugins({ Type: 'Network', Name: 'rexray' }),
      refusedBy: 'plugins',
    },
    { name: 'local volumes', template: volume('local') },
    { name: 'unnamed driver', template: volume('') },
    { name: 'bind mounts have no driver', template: volume('rexray', 'bind') },
    { name: 'a network driver', task: attached('weave'), refusedBy: 'plugins' },
    {
      name: 'a network driver that is there',
      task: attached('weave'),
      node: plugins({ Type: 'Network', Name: 'weave' }),
    },
    { name: 'a network whose driver is not known', task: attached('') },
    { name: 'a log driver where logs are not reported', template: { LogDriver: { Name: 'gelf' } } },
    {
      name: 'a log driver that is missing among the reported',
      template: { LogDriver: { Name: 'gelf' } },
      node: plugins({ Type: 'Log', Name: 'json-file' }),
      refusedBy: 'plugins',
    },
    {
      name: 'no logging at all',
      template: { LogDriver: { Name: 'none' } },
      node: plugins({ Type: 'Log', Name: 'json-file' }),
    },
    {
      name: 'options without a driver',
      template: { LogDriver: { Options: { a: 'b' } } },
      node: plugins({ Type: 'Log', Name: 'json-file' }),
    },
    {
      name: 'a node that reports no plugins is not judged by them',
      template: volume('rexray'),
      node: { Description: { ...described, Engine: { EngineVersion: '28' } } },
    },
  ]);
});

t.test('filters › constraints and platforms must match', async (t) => {
  const on = (...Platforms: { Architecture?: string; OS?: string }[]): TaskSpec => ({ Placement: { Platforms } });
  check(t, [
    { name: 'a constraint that holds', template: { Placement: { Constraints: ['node.role==worker'] } } },
    {
      name: 'one that does not',
      template: { Placement: { Constraints: ['node.role==worker', 'node.labels.a==b'] } },
      refusedBy: 'constraints',
      reason: 'node.labels.a==b does not hold',
    },
    {
      name: 'one that cannot be read is not ignored',
      template: { Placement: { Constraints: ['node.role'] } },
      refusedBy: 'constraints',
    },
    { name: 'the same platform', template: on({ Architecture: 'x86_64', OS: 'linux' }) },
    { name: 'another spelling', template: on({ Architecture: 'amd64', OS: 'linux' }) },
    { name: 'any architecture', template: on({ OS: 'linux' }) },
    { name: 'any platform', template: on({}) },
    { name: 'one of several', template: on({ Architecture: 'arm64' }, { Architecture: 'amd64' }) },
    {
      name: 'another one',
      template: on({ Architecture: 'arm64', OS: 'linux' }),
      refusedBy: 'platform',
      reason: 'platform is linux/x86_64',
    },
    { name: 'another system', template: on({ Architecture: 'amd64', OS: 'windows' }), refusedBy: 'platform' },
    {
      name: 'aarch64 is arm64',
      template: on({ Architecture: 'arm64' }),
      node: { Description: { ...described, Platform: { Architecture: 'aarch64', OS: 'linux' } } },
    },
    { name: 'an unknown platform', template: on({}), node: { Description: undefined as never }, refusedBy: 'platform' },
  ]);
});

t.test('filters › tasks with addresses on overlay networks need a node that takes part in them', async (t) => {
  const attachedWith = (...Addresses: string[]) => ({ NetworksAttachments: [{ Network: { ID: 'net' }, Addresses }] });
  const Session = { ID: 'x', BootNonce: 'y' };
  const DataPath = { Addr: '192.168.0.1', MTU: 1500 };
  const on = attachedWith('10.1.0.2/16');
  check(t, [
    { name: 'a node with a data path', task: on, node: { Session, DataPath } },
    {
      name: 'a node that registered without',
      task: on,
      node: { Session },
      refusedBy: 'overlay',
      reason: 'takes no part in overlay networks',
    },
    { name: 'a node that has said nothing yet', task: on },
    { name: 'a task on no network', node: { Session } },
    { name: 'a task on a network that every engine has by itself', task: attachedWith(), node: { Session } },
  ]);
});

t.test('filters › ports and replicas of a node are limited', async (t) => {
  const port = { Protocol: 'tcp' as const, TargetPort: 80, PublishedPort: 8080, PublishMode: 'host' as const };
  const publishing = (...Ports: object[]) => ({ Endpoint: { Ports: Ports as never } });
  const taken = nodeInfo();
  taken.hostPorts = new Map([['tcp/8080', 1]]);
  const table: [string, object, string | undefined][] = [
    ['the same port', port, 'host-ports'],
    ['another protocol', { ...port, Protocol: 'udp' }, undefined],
    ['another port', { ...port, PublishedPort: 8081 }, undefined],
    ['a port of the engine’s choice', { ...port, PublishedPort: 0 }, undefined],
    ['an ingress port', { ...port, PublishMode: 'ingress' }, undefined],
  ];
  for (const [name, wanted, refusedBy] of table) {
    const group = groupWith({}, publishing(wanted));
    t.equal(firstRefusal(group.filters, taken, group)?.name, refusedBy, name);
  }
  const limited = groupWith({ Placement: { MaxReplicas: 2 } });
  for (const [tasks, refusedBy] of [
    [0, undefined],
    [1, undefined],
    [2, 'max-replicas'],
    [3, 'max-replicas'],
  ] as const) {
    limited.spec.load.set(taken.slot, tasks);
    t.equal(firstRefusal(limited.filters, taken, limited)?.name, refusedBy, `${tasks} of 2`);
  }
});
