import t from 'tap';
import type { Kind } from '../src/transfer/objects.js';
import { planTransfer } from '../src/transfer/plan.js';
import type { PlanItem } from '../src/transfer/plan-item.js';
import { formatPlan, summarise } from '../src/transfer/print.js';
import { selectObjects } from '../src/transfer/select.js';
import { objects, PLAIN, service, snapshot, withSecrets } from './support/clusters.js';

const node = (Hostname: string, over: object = {}) => ({
  ...{ Hostname, ID: `${Hostname}-id`, Role: 'worker' as const, Availability: 'active' as const, Labels: {} },
  ...over,
});
const verdicts = (items: readonly PlanItem[]): string[] =>
  items.filter(({ kind }) => kind !== 'cluster').map(({ kind, name, verdict }) => `${verdict} ${kind} ${name}`);
const find = (items: readonly PlanItem[], kind: Kind, name: string): PlanItem =>
  items.find((item) => item.kind === kind && item.name === name)!;
const FULL = {
  nodes: [node('a', { Labels: { disk: 'ssd' } }), node('b')],
  networks: [{ Name: 'net', Driver: 'overlay', Labels: {} }],
  secrets: [{ Name: 'key', Labels: {} }],
  configs: [{ Name: 'conf', Data: 'QQ==', Labels: {} }],
  services: [service('plain'), service('web', { networks: ['net'], secrets: ['key'], configs: ['conf'] })],
};

t.test('transfer plan › into an empty cluster: everything, things before who uses them', async (t) => {
  const target = snapshot({ nodes: [node('a'), node('b')] });
  const items = planTransfer(snapshot(FULL), target, withSecrets('key'));
  t.same(verdicts(items), [
    'update node a',
    'same node b',
    'create network net',
    'create secret key',
    'create config conf',
    'create service plain',
    'create service web',
  ]);
  t.match(find(items, 'secret', 'key').desired, { Data: 'QQ==' });
  t.same(find(items, 'node', 'a').changes, [{ path: 'Labels.disk', from: undefined, to: 'ssd' }]);
});

t.test('transfer plan › a secret without a value is named, and who needs it is held back', async (t) => {
  const items = planTransfer(snapshot(FULL), snapshot({ nodes: FULL.nodes }), PLAIN);
  t.match(find(items, 'secret', 'key'), { verdict: 'cannot', reason: /--secret key=FILE/ });
  t.match(find(items, 'service', 'web'), { verdict: 'cannot', reason: 'held back: it needs secret key' });
  t.equal(find(items, 'service', 'plain').verdict, 'create', 'others go on');
  const there = snapshot({ nodes: FULL.nodes, secrets: FULL.secrets });
  t.equal(find(planTransfer(snapshot(FULL), there, PLAIN), 'service', 'web').verdict, 'create', 'unless it is there');
  const empty = planTransfer(snapshot(FULL), snapshot(), { ...PLAIN, secretValues: new Map([['key', '']]) });
  t.match(find(empty, 'secret', 'key'), { verdict: 'cannot', reason: /the value given is empty/ });
});

t.test('transfer plan › what exists and differs says in which fields', async (t) => {
  const target = snapshot({
    nodes: FULL.nodes,
    networks: [{ Name: 'net', Driver: 'bridge', Labels: {} }],
    secrets: [{ Name: 'key', Labels: { a: '1' } }],
    configs: [{ Name: 'conf', Data: 'Qg==', Labels: {} }],
    services: [service('web', {}, { Mode: { Global: {} } }), service('plain', {}, { Labels: { old: 'yes' } })],
  });
  const items = planTransfer(snapshot(FULL), target, PLAIN);
  t.match(find(items, 'network', 'net'), { verdict: 'cannot', changes: [{ path: 'Driver' }] });
  t.match(find(items, 'secret', 'key'), {
    verdict: 'update',
    changes: [{ path: 'Labels.a', from: '1', to: undefined }],
  });
  t.match(find(items, 'config', 'conf'), { verdict: 'cannot', reason: /a config cannot be changed/ });
  t.match(find(items, 'service', 'plain'), { verdict: 'update', changes: [{ path: 'Labels.old' }] });
  t.match(find(items, 'service', 'web'), { verdict: 'cannot', reason: /its mode is global here/ });
});

t.test('transfer plan › a count of forced updates is the cluster’s own', async (t) => {
  const forced = (ForceUpdate: number, Image = 'app') =>
    service('web', {}, { TaskTemplate: { ContainerSpec: { Image }, ForceUpdate } });
  const plan = (from: number, to?: number, image?: string) =>
    find(
      planTransfer(
        snapshot({ services: [forced(from, image)] }),
        snapshot({ services: to === undefined ? [] : [forced(to)] }),
        PLAIN,
      ),
      'service',
      'web',
    );
  t.match(plan(3), { verdict: 'create', desired: { TaskTemplate: { ForceUpdate: 3 } } });
  t.match(plan(3, 1), { verdict: 'same' });
  t.match(plan(0, 2, 'app:2'), { verdict: 'update', desired: { TaskTemplate: { ForceUpdate: 2 } } });
});

t.test('transfer plan › what swarmd cannot do is said of each object', async (t) => {
  const mounts = { ContainerSpec: { Image: 'app', Mounts: [{ Type: 'cluster', Source: 'vol', Target: '/x' }] } };
  const source = snapshot({
    cluster: { EncryptionConfig: { AutoLockManagers: true } },
    networks: [{ Name: 'secure', Driver: 'overlay', Options: { encrypted: '' }, Labels: {} }],
    secrets: [{ Name: 'vault', Driver: { Name: 'vault' }, Labels: {} }],
    services: [
      service('csi', {}, { TaskTemplate: mounts }),
      service('plugin', {}, { TaskTemplate: { Runtime: 'plugin', PluginSpec: {} } }),
      service('job', {}, { Mode: { ReplicatedJob: {} } }),
      service('web', {}, { EndpointSpec: { Ports: [{ TargetPort: 80, PublishedPort: 8080 }] } }),
    ],
  });
  const items = planTransfer(source, snapshot(), withSecrets('vault'));
  t.match(find(items, 'cluster', 'settings').notes, [/autolock is not carried over/]);
  t.match(find(items, 'network', 'secure').notes.join(), /needs IPsec/);
  t.match(find(items, 'secret', 'vault'), { verdict: 'cannot', reason: /secret drivers are not there yet/ });
  t.match(find(items, 'service', 'csi'), { verdict: 'cannot', reason: /cluster volume vol/ });
  t.match(find(items, 'service', 'plugin'), { verdict: 'cannot', reason: /only containers/ });
  t.match(find(items, 'service', 'job'), { verdict: 'create', notes: [/a job: making or changing it runs it here/] });
  t.match(find(items, 'service', 'web'), { verdict: 'create', notes: [] });
});

t.test('transfer plan › nodes are matched by name or as told, and constraints follow them', async (t) => {
  const constraints = ['node.id == a-id', 'node.hostname!=a', 'node.labels.x==a', 'node.id==b-id', 'node.id==gone'];
  const source = snapshot({
    nodes: [
      node('a', { Labels: { x: '1' } }),
      node('b', { Role: 'manager' }),
      node('c'),
      node('d', { Labels: { y: '1' } }),
    ],
    services: [service('web', { constraints })],
  });
  const target = snapshot({
    nodes: [node('new', { ID: 'new-id', Labels: { own: '1' } }), node('b', { ID: 'fresh-b' })],
  });
  const items = planTransfer(source, target, { ...PLAIN, nodeNames: new Map([['a', 'new']]) });
  t.same(verdicts(items), ['update node new', 'same node b', 'absent node c', 'cannot node d', 'create service web']);
  t.match(find(items, 'node', 'new').desired, { Labels: { own: '1', x: '1' } }, 'labels given here stay');
  t.match(find(items, 'node', 'b').notes, [/a manager there and a worker here/]);
  t.match(find(items, 'service', 'web'), {
    desired: {
      TaskTemplate: {
        Placement: {
          Constraints: [
            'node.id == new-id',
            'node.hostname!=new',
            'node.labels.x==a',
            'node.id==fresh-b',
            'node.id==gone',
          ],
        },
      },
    },
    notes: [/a node that is gone there, too/],
  });
  const fewer = snapshot({ nodes: [], services: [service('web', { constraints: ['node.id==a-id'] })] });
  const before = snapshot({
    nodes: target.objects.nodes,
    services: [service('web', { constraints: ['node.id==new-id'] })],
  });
  t.match(find(planTransfer(fewer, before, PLAIN), 'service', 'web'), {
    verdict: 'cannot',
    reason: /a node that is gone there, too/,
    changes: [{ path: 'TaskTemplate.Placement.Constraints' }],
  });
  const refused = (pairs: [string, string][]) => () =>
    planTransfer(source, target, { ...PLAIN, nodeNames: new Map(pairs) });
  t.throws(refused([['x', 'new']]), { message: /the source has no node x/ });
  t.throws(refused([['a', 'x']]), { message: /there is no node x here/ });
  t.throws(
    refused([
      ['a', 'new'],
      ['b', 'new'],
    ]),
    { message: /two nodes cannot both become new/ },
  );
});

t.test('transfer plan › the cluster’s settings: those that mean the same everywhere', async (t) => {
  const source = snapshot({
    cluster: {
      Orchestration: { TaskHistoryRetentionLimit: 3 },
      Raft: { SnapshotInterval: 7 },
      CAConfig: { NodeCertExpiry: 7_776_000_000_000_000 },
      TaskDefaults: { LogDriver: { Name: 'journald' } },
    },
  });
  const target = snapshot({
    cluster: { Name: 'default', Labels: { mine: '1' }, Dispatcher: { HeartbeatPeriod: 5e9 } },
  });
  t.same(find(planTransfer(source, target, PLAIN), 'cluster', 'settings').desired, {
    Labels: { mine: '1' },
    Dispatcher: { HeartbeatPeriod: 5e9 },
    Orchestration: { TaskHistoryRetentionLimit: 3 },
    CAConfig: { NodeCertExpiry: 7_776_000_000_000_000 },
    TaskDefaults: { LogDriver: { Name: 'journald' } },
  });
});

t.test('transfer plan › prune removes what only the target has, services first; kinds can be left alone', async (t) => {
  const target = snapshot(FULL);
  const prune = { ...PLAIN, prune: true };
  t.same(verdicts(planTransfer(snapshot({ nodes: FULL.nodes }), target, prune)), [
    'same node a',
    'same node b',
    'remove service plain',
    'remove service web',
    'remove secret key',
    'remove config conf',
    'remove network net',
  ]);
  const skip = new Set<Kind>(['cluster', 'node', 'secret', 'network']);
  t.same(verdicts(planTransfer(snapshot(FULL), snapshot(), { ...prune, skip })), [
    'create config conf',
    'create service plain',
    'cannot service web',
  ]);
});

t.test('transfer plan › of some stacks or services: those and what they use', async (t) => {
  const stack = { Labels: { 'com.docker.stack.namespace': 'shop' } };
  const all = objects({
    ...FULL,
    networks: [...FULL.networks, { Name: 'shop_default', Driver: 'overlay', ...stack }],
    secrets: [...FULL.secrets, { Name: 'other', Labels: {} }],
    services: [...FULL.services, service('shop_api', { configs: ['conf'] }, stack)],
  });
  const names = (selection: { stacks?: string[]; services?: string[] }) => {
    const { networks, secrets, configs, services, nodes } = selectObjects(all, {
      stacks: [],
      services: [],
      ...selection,
    });
    t.same(nodes, FULL.nodes);
    return [...networks, ...secrets, ...configs, ...services].map(({ Name }) => Name);
  };
  t.same(names({ stacks: ['shop'] }), ['shop_default', 'conf', 'shop_api']);
  t.same(names({ services: ['web'] }), ['net', 'key', 'conf', 'web']);
  t.same(names({ stacks: ['shop'], services: ['plain'] }), ['shop_default', 'conf', 'plain', 'shop_api']);
  t.same(names({}).length, 8);
  t.throws(() => names({ stacks: ['nope'] }), { message: 'the source has no stack nope' });
  t.throws(() => names({ services: ['nope'] }), { message: 'the source has no service nope' });
});

t.test('transfer plan › is shown a line an object', async (t) => {
  const items = planTransfer(snapshot({ ...FULL, nodes: [node('b')] }), snapshot(), PLAIN);
  t.equal(
    formatPlan(items.filter(({ kind }) => kind !== 'network' && kind !== 'secret')),
    [
      '= cluster settings  exists, same',
      '  node    b         not here, nothing to carry over',
      '+ config  conf      create',
      '+ service plain     create',
      '! service web       cannot: held back: it needs secret key',
      '',
    ].join('\n'),
  );
  t.equal(summarise(items), '3 to create, 0 to update, 1 the same, 2 that cannot be made or changed.');
});
