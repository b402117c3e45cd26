import t from 'tap';
import { explainService } from '../src/scheduler/explain.js';
import { FILTERS, type Filter, noSuitableNode } from '../src/scheduler/filters.js';
import { openWorld } from './support/scheduler-world.js';

t.test('explain › gives every filter’s verdict on every node for each waiting task', async (t) => {
  const world = await openWorld();
  const Labels = { tier: 'web' };
  await world.addNode('n2', { Status: { State: 'down', Addr: '' } });
  await world.addNode('n1', { Spec: { Role: 'worker', Availability: 'active', Labels } });
  await world.addService('s', {
    Resources: { Reservations: { NanoCPUs: 3e9 } },
    Placement: { Constraints: ['node.labels.tier==web'] },
  });
  const Status = { Timestamp: '', State: 'running' as const, Message: '' };
  await world.addTasks('s', ['t1'], { NodeID: 'n1', Status });
  await world.addTasks('s', ['t2'], { Slot: 2 });
  await world.addTasks('s', ['t3'], { Slot: 3, DesiredState: 'shutdown' });
  await world.addTasks('s', ['t4'], { Slot: 0, NodeID: 'n2' });
  const ok = (Filter: string) => ({ Filter, Ok: true, Reason: '' });
  const refused = (Filter: string, Reason: string) => ({ Filter, Ok: false, Reason });
  const n2 = {
    ID: 'n2',
    Hostname: 'n2',
    Verdicts: [
      refused('ready', 'node is down'),
      ok('resources'),
      refused('constraints', 'node.labels.tier==web does not hold'),
    ],
  };
  const n1 = {
    ID: 'n1',
    Hostname: 'n1',
    Verdicts: [ok('ready'), refused('resources', 'needs 3 CPUs, 1 free'), ok('constraints')],
  };
  t.same(explainService(world.view, 's', world.clock.now()), {
    ServiceID: 's',
    ServiceName: 'web',
    Tasks: [
      { ID: 't4', Slot: 0, NodeID: 'n2', State: 'pending', Err: '', Nodes: [n2] },
      { ID: 't2', Slot: 2, NodeID: '', State: 'pending', Err: '', Nodes: [n1, n2] },
    ],
  });
  t.same(explainService(world.view, 'none', 0), { ServiceID: 'none', ServiceName: '', Tasks: [] });
});

t.test('explain › tells of recent failures, which only move a node to the end', async (t) => {
  const world = await openWorld();
  await world.addNode('n1');
  await world.addService('s');
  const Status = { Timestamp: '2026-01-01T00:00:00Z', State: 'failed' as const, Message: '' };
  await world.addTasks('s', ['f1', 'f2', 'f3', 'f4', 'f5'], { NodeID: 'n1', Status, DesiredState: 'shutdown' });
  await world.addTasks('s', ['t1'], {});
  const explanation = explainService(world.view, 's', world.clock.now());
  t.same(explanation.Tasks[0]!.Nodes[0]!.Verdicts, [
    { Filter: 'ready', Ok: true, Reason: '' },
    { Filter: 'failures', Ok: true, Reason: '5 recent failures: last choice' },
  ]);
});

t.test('explain › the error of a task counts nodes per reason, most frequent first', async (t) => {
  const byName = (name: string): Filter => FILTERS.find((filter) => filter.name === name)!;
  const explain = (...counts: [string, number][]): string =>
    noSuitableNode(new Map(counts.map(([name, nodes]) => [byName(name), nodes])));
  t.equal(explain(), 'no suitable node');
  t.equal(
    explain(['resources', 1], ['constraints', 2]),
    'no suitable node (scheduling constraints not satisfied on 2 nodes; insufficient resources on 1 node)',
  );
  t.equal(
    explain(
      ['ready', 1],
      ['resources', 2],
      ['plugins', 1],
      ['overlay', 1],
      ['constraints', 1],
      ['platform', 1],
      ['host-ports', 1],
      ['max-replicas', 1],
    ),
    'no suitable node (insufficient resources on 2 nodes; 1 node not available for new tasks; missing plugin on 1 node; ' +
      'no overlay networks on 1 node; scheduling constraints not satisfied on 1 node; unsupported platform on 1 node; ' +
      'host-mode port already in use on 1 node; max replicas per node limit exceed)',
  );
  t.equal(
    explain(['ready', 7], ['plugins', 6], ['constraints', 5], ['platform', 4], ['host-ports', 3], ['resources', 2]),
    'no suitable node (7 nodes not available for new tasks; missing plugin on 6 nodes; ' +
      'scheduling constraints not satisfied on 5 nodes; unsupported platform on 4 nodes; ' +
      'host-mode port already in use on 3 nodes; insufficient resources on 2 nodes)',
  );
});
