import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import t from 'tap';
import { compareFields, formatChange } from '../src/transfer/compare.js';
import { formatExport, parseExport } from '../src/transfer/file.js';
import { type ClusterObjects, handleKey, KINDS } from '../src/transfer/objects.js';
import { planTransfer } from '../src/transfer/plan.js';
import { carriedOut, clusters, PLAIN, snapshot, withSecrets } from './support/clusters.js';

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
