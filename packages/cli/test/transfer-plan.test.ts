import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import t from 'tap';
import { compareFields, formatChange } from '../src/transfer/compare.js';
import { formatExport, parseExport } from '../src/transfer/file.js';
import { type ClusterObjects, handleKey, KINDS, type Kind } from '../src/transfer/objects.js';
import { planTransfer } from '../src/transfer/plan.js';
import type { PlanItem, PlanOptions } from '../src/transfer/plan-item.js';
import { formatPlan, summarise } from '../src/transfer/print.js';
import { selectObjects } from '../src/transfer/select.js';
import { carriedOut, clusters, objects, PLAIN, service, snapshot } from './support/clusters.js';

const node = (Hostname: string, over: object = {}) => ({
  ...{ Hostname, ID: `${Hostname}-id`, Role: 'worker' as const, Availability: 'active' as const, Labels: {} },
  ...over,
});
const verdicts = (items: readonly PlanItem[]): string[] =>
  items.filter(({ kind }) => kind !== 'cluster').map(({ kind, name, verdict }) => `${verdict} ${kind} ${name}`);
const find = (items: readonly PlanItem[], kind: Kind, name: string): PlanItem =>
  items.find((item) => item.kind === kind && item.name === name)!;
const withSecrets = (...names: string[]): PlanOptions => ({
  ...PLAIN,
  secretValues: new Map(names.map((name) => [name, 'QQ=='])),
});

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
  t.match(find(items, 'network', 'secure').notes.join(), /not encrypted here/);
  t.match(find(items, 'secret', 'vault'), { verdict: 'cannot', reason: /secret drivers are not there yet/ });
  t.match(find(items, 'service', 'csi'), { verdict: 'cannot', reason: /cluster volume vol/ });
  t.match(find(items, 'service', 'plugin'), { verdict: 'cannot', reason: /only containers/ });
  t.match(find(items, 'service', 'job'), { verdict: 'create', notes: [/a job: making or changing it runs it here/] });
  t.match(find(items, 'service', 'web'), { verdict: 'create', notes: [/\(8080\) answer only on nodes/] });
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

t.test('transfer plan › a cluster against itself has nothing to do', async (t) => {
  fc.assert(
    fc.property(clusters, fc.boolean(), (cluster, prune) => {
      const items = planTransfer(snapshot(cluster), snapshot(cluster), { ...PLAIN, prune });
      t.same([...new Set(items.map(({ verdict }) => verdict))], ['same']);
      t.same(
        items.flatMap(({ changes }) => changes),
        [],
      );
    }),
  );
});

t.test('transfer plan › once carried out, planned again there is nothing to do', async (t) => {
  const given = fc.record({
    secrets: fc.subarray(['s0', 's1', 's2', 's3']),
    prune: fc.boolean(),
    skip: fc.subarray([...KINDS]),
  });
  let acted = 0;
  fc.assert(
    fc.property(clusters, clusters, given, (from, to, { secrets, prune, skip }) => {
      const options = { ...withSecrets(...secrets), prune, skip: new Set(skip) };
      const first = planTransfer(snapshot(from), snapshot(to), options);
      const after = carriedOut(to, first);
      const second = planTransfer(snapshot(from), snapshot(after), options);
      const left = second.filter(({ verdict }) => verdict !== 'same' && verdict !== 'absent');
      t.same(
        [...new Set(left.map(({ verdict }) => verdict))].filter((verdict) => verdict !== 'cannot'),
        [],
      );
      acted += first.filter(({ verdict }) => verdict === 'create' || verdict === 'update').length;
      const unmet = first.filter(({ verdict }) => verdict === 'cannot').map(({ kind, name }) => handleKey(kind, name));
      t.ok(
        left.every(({ kind, name }) => unmet.includes(handleKey(kind, name))),
        'only what could not be done is left',
      );
    }),
  );
  t.ok(acted > 100, 'and there was much to do');
});

t.test('transfer plan › interrupted anywhere, the next run ends where one run would have', async (t) => {
  const secrets = withSecrets('s0', 's1', 's2', 's3');
  const sorted = (all: ClusterObjects) => parseExport(formatExport(all), 'x').objects;
  const byName = (all: ClusterObjects): unknown => {
    const { cluster, nodes, networks, configs, services, ...rest } = sorted(all);
    const inOrder = <T extends { Name?: string }>(list: T[]): T[] =>
      list.toSorted((a, b) => ((a.Name ?? '') < (b.Name ?? '') ? -1 : 1));
    return {
      ...{ cluster, nodes, networks: inOrder(networks), configs: inOrder(configs), services: inOrder(services) },
      secrets: inOrder(rest.secrets),
    };
  };
  fc.assert(
    fc.property(clusters, clusters, fc.boolean(), fc.nat({ max: 20 }), (from, to, prune, cut) => {
      const plan = (target: ClusterObjects) => planTransfer(snapshot(from), snapshot(target), { ...secrets, prune });
      const whole = carriedOut(to, plan(to));
      const half = carriedOut(to, plan(to).slice(0, cut));
      t.same(byName(carriedOut(half, plan(half))), byName(whole));
    }),
  );
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

t.test('transfer plan › all that a planned service needs is there or made before it', async (t) => {
  fc.assert(
    fc.property(clusters, clusters, fc.subarray(['s0', 's1', 's2', 's3']), (from, to, secrets) => {
      const there = new Set(snapshot(to).handles.keys());
      for (const { kind, name, verdict, desired } of planTransfer(
        snapshot(from),
        snapshot(to),
        withSecrets(...secrets),
      )) {
        if (verdict !== 'create' && verdict !== 'update') continue;
        there.add(handleKey(kind, name));
        if (kind !== 'service') continue;
        const { ContainerSpec, Networks } = (desired as (typeof from)['services'][number]).TaskTemplate ?? {};
        for (const { SecretName } of ContainerSpec?.Secrets ?? []) t.ok(there.has(handleKey('secret', SecretName)));
        for (const { ConfigName } of ContainerSpec?.Configs ?? []) t.ok(there.has(handleKey('config', ConfigName)));
        for (const { Target = '' } of Networks ?? []) t.ok(there.has(handleKey('network', Target)));
      }
    }),
  );
});

t.test('transfer plan › fields differ exactly when the values do', async (t) => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.jsonValue(), (a, b) => {
      const [from, to] = [{ value: a }, { value: b }];
      t.equal(compareFields(from, to).length === 0, isDeepStrictEqual(from, to));
      const back = compareFields(to, from).map(({ path, from, to }) => ({ path, from: to, to: from }));
      t.same(back, compareFields(from, to), 'the other way round it is the other way round');
    }),
  );
  const shown = (from: unknown, to: unknown) => compareFields(from, to).map(formatChange);
  t.same(shown({ Env: ['A=1', 'B=1'] }, { Env: ['A=1', 'B=2'] }), ['Env: -"B=1" +"B=2"']);
  t.same(shown({ Env: ['A', 'B'] }, { Env: ['B', 'A'] }), ['Env: ["A","B"] → ["B","A"]']);
  t.same(shown({ M: [{ a: 1 }, { a: 2 }] }, { M: [{ a: 1 }, { a: 3 }] }), ['M[1].a: 2 → 3']);
  t.same(shown({ M: [{ a: 1 }] }, {}), ['M: [{"a":1}] → (none)']);
  t.same(shown({ Data: 'x' }, { Data: 'y' }), ['Data: other content']);
});

t.test('transfer plan › an export reads back as what it was, and the same objects are the same text', async (t) => {
  fc.assert(
    fc.property(clusters, (cluster) => {
      const text = formatExport(cluster);
      const read = parseExport(text, 'x.json').objects;
      t.same(read, cluster);
      t.equal(formatExport(read), text);
    }),
  );
  const refused = (text: string) => () => parseExport(text, 'x.json');
  const body = (over: object): string => JSON.stringify({ format: 'swarmd-export-1', ...over });
  t.throws(refused('{'), { message: /^x\.json is not JSON/ });
  t.throws(refused('[]'), { message: /is no export of swarmctl/ });
  t.throws(refused(body({ nodes: {} })), { message: 'x.json: nodes must be a list' });
  t.throws(refused(body({ nodes: [{}] })), { message: 'x.json: nodes[0].Hostname must be a name' });
  t.throws(refused(body({ networks: [{ Name: 3 }] })), { message: /^x\.json: networks\[0\]\.Name: / });
  t.throws(refused(body({ secrets: [{ Name: 'a', Data: 'QQ==' }] })), { message: /values of secrets are given apart/ });
  t.throws(refused(body({ services: [{ Mode: { Global: {}, GlobalJob: {} } }] })), {
    message: /only one service mode/,
  });
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
      '    note: its networks reach only tasks of the same node, without a virtual IP',
      '',
    ].join('\n'),
  );
  t.equal(summarise(items), '3 to create, 0 to update, 1 the same, 2 that cannot be made or changed.');
});
