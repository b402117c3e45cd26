import assert from 'node:assert/strict';
import { type Node, TASK_STATE_ORDER, type TaskState } from '@swarmd/model';
import { buildNode, buildTask, createService } from '@swarmd/testkit';
import fc from 'fast-check';
import t from 'tap';
import { ClusterMirror } from '../src/scheduler/mirror.js';
import type { Decision } from '../src/scheduler/place-group.js';
import { planPass } from '../src/scheduler/plan.js';
import { writeDecisions } from '../src/scheduler/write-back.js';
import { describeMirror, openWorld, specWith, type World } from './support/scheduler-world.js';

const NODES = ['n1', 'n2', 'n3'];
const TASKS = ['t1', 't2', 't3', 't4', 't5', 't6'];
const STATES: TaskState[] = ['new', 'pending', 'assigned', 'running', 'complete', 'failed', 'rejected'];

type Step =
  | { do: 'node'; id: string; cpus: number; availability: Node['Spec']['Availability'] }
  | { do: 'drop-node'; id: string }
  | { do: 'drop-task'; id: string }
  | { do: 'task'; id: string; state: TaskState; desired: TaskState; node: string; port: boolean }
  | { do: 'place' };

const steps = fc.array(
  fc.oneof(
    fc.record({
      do: fc.constant('node' as const),
      id: fc.constantFrom(...NODES),
      cpus: fc.integer({ min: 1, max: 4 }),
      availability: fc.constantFrom('active', 'active', 'drain'),
    }),
    fc.record({ do: fc.constant('drop-node' as const), id: fc.constantFrom(...NODES) }),
    fc.record({ do: fc.constant('drop-task' as const), id: fc.constantFrom(...TASKS) }),
    fc.record({ do: fc.constant('place' as const) }),
    fc.record({
      do: fc.constant('task' as const),
      id: fc.constantFrom(...TASKS),
      state: fc.constantFrom(...STATES),
      desired: fc.constantFrom('ready', 'running', 'running', 'shutdown', 'remove'),
      node: fc.constantFrom('', '', ...NODES),
      port: fc.boolean(),
    }),
  ) as fc.Arbitrary<Step>,
  { maxLength: 40 },
);

const SPEC = specWith({
  Resources: {
    Reservations: { NanoCPUs: 1e9, GenericResources: [{ DiscreteResourceSpec: { Kind: 'gpu', Value: 1 } }] },
  },
});

async function take({ store, clock }: World, mirror: ClusterMirror, step: Step): Promise<void> {
  if (step.do === 'place') {
    const decisions: Decision[] = [];
    for (const _step of planPass(mirror, clock.now(), (decision) => decisions.push(decision)));
    await store.update((tx) => writeDecisions(tx, decisions));
    return;
  }
  await store.update((tx) => {
    if (step.do === 'drop-node') tx.delete('node', step.id);
    else if (step.do === 'drop-task') tx.delete('task', step.id);
    else if (step.do === 'node') {
      const built = buildNode(step.id, { Spec: { Role: 'worker', Availability: step.availability } });
      const GenericResources = ['a', 'b'].map((Value) => ({ NamedResourceSpec: { Kind: 'gpu', Value } }));
      built.Description!.Resources = { NanoCPUs: step.cpus * 1e9, MemoryBytes: 2 ** 30, GenericResources };
      const known = tx.get('node', step.id);
      if (known === undefined) tx.create('node', built);
      else tx.put('node', { ...known, ...built });
    } else {
      const Ports = step.port ? [{ PublishedPort: 80, PublishMode: 'host' as const }] : [];
      const known = tx.get('task', step.id);
      const Status = { Timestamp: '2026-01-01T00:00:00Z', State: step.state, Message: '' };
      const built = buildTask(tx.get('service', 's')!, step.id, {
        Status,
        DesiredState: step.desired,
        Endpoint: known?.Endpoint ?? { Ports },
        // A task that has its node keeps it; that it ran implies that it had one.
        NodeID:
          known?.NodeID || (TASK_STATE_ORDER[step.state] >= TASK_STATE_ORDER.assigned ? step.node || 'n1' : step.node),
      });
      if (known === undefined) tx.create('task', built);
      else if (TASK_STATE_ORDER[step.state] >= TASK_STATE_ORDER[known.Status.State])
        tx.put('task', { ...known, ...built });
    }
  });
}

/** Failures of tasks that are gone are remembered, and those on nodes that are gone forgotten: no view tells of either. */
function withoutFailures(described: unknown): unknown {
  return JSON.parse(JSON.stringify(described, (key, value) => (key === 'failures' ? undefined : value)));
}

t.test('mirror › kept up by events it equals one built anew', async (t) => {
  await t.resolves(
    fc.assert(
      fc.asyncProperty(steps, async (taken) => {
        const world = await openWorld();
        await world.store.update((tx) => void createService(tx, 's', SPEC));
        const mirror = new ClusterMirror(() => world.view);
        mirror.rebuild();
        world.store.watch((commit) => mirror.apply(commit));
        for (const step of taken) await take(world, mirror, step);
        const anew = new ClusterMirror(() => world.view);
        anew.rebuild();
        await world.store.close();
        assert.deepEqual(withoutFailures(describeMirror(mirror)), withoutFailures(describeMirror(anew)));
      }),
      { numRuns: 300 },
    ),
  );
});

t.test('mirror › is right again once its decisions were written or refused, whatever happened meanwhile', async (t) => {
  const never = new AbortController().signal;
  await t.resolves(
    fc.assert(
      fc.asyncProperty(steps, fc.array(fc.nat({ max: 3 })), async (taken, pauses) => {
        const world = await openWorld();
        await world.store.update((tx) => void createService(tx, 's', SPEC));
        const mirror = new ClusterMirror(() => world.view);
        mirror.rebuild();
        world.store.watch((commit) => mirror.apply(commit));
        const underWay: Promise<void>[] = [];
        const place = async (): Promise<void> => {
          const decisions: Decision[] = [];
          for (const _step of planPass(mirror, world.clock.now(), (decision) => decisions.push(decision)));
          const { refused, seenIndex } = await world.store.update((tx) => writeDecisions(tx, decisions));
          await world.store.waitFor(seenIndex, never);
          for (const { taskId, hold } of refused) mirror.undo(taskId, hold);
        };
        for (const [i, step] of taken.entries()) {
          // Steps run before what the ones before them wrote is published, unless a pause lets some of it happen.
          underWay.push(step.do === 'place' ? place() : take(world, mirror, step));
          for (let pause = pauses[i] ?? 0; pause > 0; pause--) await Promise.resolve();
        }
        await Promise.all(underWay);
        const anew = new ClusterMirror(() => world.view);
        anew.rebuild();
        await world.store.close();
        assert.deepEqual(withoutFailures(describeMirror(mirror)), withoutFailures(describeMirror(anew)));
      }),
      { numRuns: 500 },
    ),
  );
});

t.test('mirror › keeps failures of tasks that are gone when it starts over', async (t) => {
  const world = await openWorld();
  await world.addNode('n1');
  await world.addService('s');
  const mirror = new ClusterMirror(() => world.view);
  mirror.rebuild();
  world.store.watch((commit) => mirror.apply(commit));
  await world.addTasks('s', ['t1', 't2', 't3', 't4', 't5'], { NodeID: 'n1' });
  for (const id of ['t1', 't2', 't3', 't4', 't5']) {
    await world.changeTask(id, (task) => ({ ...task, Status: { ...task.Status, State: 'failed' } }));
  }
  const { key } = mirror.specOf('s', world.view.get('service', 's')!.SpecVersion);
  const failures = (): number => mirror.nodes.get('n1')!.weighingFailures(key, world.clock.now());
  t.equal(failures(), 5);
  await world.removeTask('t5');
  mirror.rebuild();
  t.equal(failures(), 5, 'no failure is lost, none is counted twice');
  world.clock.advance(5 * 60_000 + 1);
  t.equal(failures(), 0, 'they age');
  await world.store.close();
});
