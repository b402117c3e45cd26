import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { firstRefusal } from '../src/scheduler/filters.js';
import { ClusterMirror } from '../src/scheduler/mirror.js';
import type { Decision } from '../src/scheduler/place-group.js';
import { planPass } from '../src/scheduler/plan.js';
import { expectedPlacements } from './support/scheduler-oracle.js';
import { fill, type Scenario, scenarios } from './support/scheduler-scenario.js';
import { openWorld } from './support/scheduler-world.js';

interface Pass {
  mirror: ClusterMirror;
  decisions: Decision[];
  placements: Map<string, string>;
}

async function pass(scenario: Scenario, backwards = false): Promise<Pass> {
  const world = await openWorld();
  await fill(world, scenario, backwards);
  const mirror = new ClusterMirror(() => world.view);
  mirror.rebuild();
  const decisions: Decision[] = [];
  for (const _step of planPass(mirror, world.clock.now(), (decision) => decisions.push(decision)));
  await world.store.close();
  const placements = new Map<string, string>();
  for (const decision of decisions) {
    if (decision.kind === 'assign') placements.set(decision.taskId, decision.hold.node.id);
  }
  return { mirror, decisions, placements };
}

const spread = (nodes: Scenario['nodes'], service: Partial<Scenario['services'][number]>): Scenario => ({
  nodes,
  services: [{ cpus: 0, spreads: [], web: false, maxReplicas: 0, port: false, pending: 0, ...service }],
  held: [],
  failures: [],
});
const at = (zone: string, cpus = 4) => ({ cpus, zone, rack: '1', web: false, active: true });

t.test('scheduler › places as the rules say, word by word', async (t) => {
  await t.resolves(
    fc.assert(
      fc.asyncProperty(scenarios, async (scenario) => {
        const { placements } = await pass(scenario);
        assert.deepEqual([...placements].sort(), [...expectedPlacements(scenario)].sort());
      }),
      { numRuns: 400 },
    ),
  );
});

t.test('scheduler › does not depend on the order in which it hears of things', async (t) => {
  await t.resolves(
    fc.assert(
      fc.asyncProperty(scenarios, async (scenario) => {
        const [forwards, backwards] = await Promise.all([pass(scenario), pass(scenario, true)]);
        assert.deepEqual([...backwards.placements].sort(), [...forwards.placements].sort());
      }),
      { numRuns: 100 },
    ),
  );
});

t.test('scheduler › leaves no task waiting that some node would take, and over-commits none', async (t) => {
  await t.resolves(
    fc.assert(
      fc.asyncProperty(scenarios, async (scenario) => {
        const { mirror, placements } = await pass(scenario);
        for (const group of mirror.pending.groups.values()) {
          for (const node of mirror.order.list())
            if (firstRefusal(group.filters, node, group) === undefined) return false;
        }
        const touched = new Set(placements.values());
        return [...touched].every((id) => {
          const node = mirror.nodes.get(id)!;
          const reserves = [...placements].some(
            ([task, on]) => on === id && scenario.services[Number(task[1])]!.cpus > 0,
          );
          return !reserves || (node.usedNanoCpus <= node.nanoCpus && node.usedMemoryBytes <= node.memoryBytes);
        });
      }),
      { numRuns: 200 },
    ),
  );
});

t.test('scheduler › spreads evenly over branches that have room, whatever they hold', async (t) => {
  const zones = fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { minLength: 1, maxLength: 12 });
  await t.resolves(
    fc.assert(
      fc.asyncProperty(zones, fc.integer({ min: 1, max: 40 }), async (names, pending) => {
        const { placements } = await pass(
          spread(
            names.map((zone) => at(zone)),
            { spreads: ['zone'], pending },
          ),
        );
        const perZone = new Map(names.map((zone) => [zone, 0]));
        for (const node of placements.values()) {
          const zone = names[Number(node.slice(1))]!;
          perZone.set(zone, perZone.get(zone)! + 1);
        }
        const counts = [...perZone.values()];
        return placements.size === pending && Math.max(...counts) - Math.min(...counts) <= 1;
      }),
      { numRuns: 100 },
    ),
  );
});

t.test('scheduler › fills the other branches with what one has no room for', async (t) => {
  const nodes = [at('a', 1), at('b', 10), at('c', 10)];
  const { placements, decisions } = await pass(spread(nodes, { spreads: ['zone'], cpus: 1, pending: 20 }));
  const on = (id: string): number => [...placements.values()].filter((node) => node === id).length;
  // Memory (8 GiB, one for each task) is what ends it at eight.
  t.same([on('n0'), on('n1'), on('n2')], [1, 8, 8]);
  const waiting = decisions.flatMap((decision) => (decision.kind === 'explain' ? [decision] : []));
  t.equal(waiting.length, 3);
  t.equal(waiting[0]!.reason, 'no suitable node (insufficient resources on 3 nodes)');
});

t.test('scheduler › spreads by service before total tasks', async (t) => {
  const scenario = spread([at('a'), at('a')], { pending: 1 });
  scenario.services.push({ ...scenario.services[0]!, pending: 0 });
  scenario.held = [
    { node: 0, service: 1, wanted: true },
    { node: 0, service: 1, wanted: true },
    { node: 1, service: 0, wanted: true },
  ];
  t.same([...(await pass(scenario)).placements], [['s0.1', 'n0']]);
  scenario.held.push({ node: 0, service: 0, wanted: true });
  t.same([...(await pass(scenario)).placements], [['s0.1', 'n1']], 'equal in the service: fewer tasks in all');
});

t.test('scheduler › turns to a node with five recent failures only when no other is left', async (t) => {
  const scenario = spread([at('a', 9), at('a', 1)], { cpus: 1, pending: 3 });
  scenario.failures = [{ node: 0, service: 0, count: 5 }];
  t.same([...(await pass(scenario)).placements.values()], ['n1', 'n0', 'n0']);
  scenario.failures = [{ node: 0, service: 0, count: 4 }];
  t.same([...(await pass(scenario)).placements.values()], ['n0', 'n1', 'n0'], 'four are forgiven');
});

t.test('scheduler › a new branch level changes nothing for nodes that lack the label', async (t) => {
  const bare = { cpus: 4, rack: '1', web: false, active: true };
  const { placements } = await pass(spread([bare, bare, at('a')], { spreads: ['zone'], pending: 4 }));
  const count = (id: string): number => [...placements.values()].filter((node) => node === id).length;
  t.same([count('n0') + count('n1'), count('n2')], [2, 2], 'a missing label is a value of its own');
});
