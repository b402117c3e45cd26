import { CLUSTER_KEY, SwarmdError } from '@swarmd/model';
import { createMemoryLog, createSharedMemory, openSharedStore, openStore } from '@swarmd/store';
import { buildNode, manualClock, seededRandom } from '@swarmd/testkit';
import t from 'tap';
import { bootstrapCluster } from '../src/cluster/bootstrap.js';
import { startLeadership } from '../src/cluster/leadership.js';
import { managerStatus } from '../src/cluster/manager-statuses.js';
import { startStateFormat } from '../src/cluster/state-format.js';
import type { LeaderLineHandlers, ManagerTransport } from '../src/cluster/transport.js';
import { realClock, realRandom, silent, untilStore } from './support/test-manager.js';

type Format = number | undefined;

/** What the managers say they can work on, what the cluster works on, and what it is to work on. */
const FORMATS: [Format[], Format, Format][] = [
  [[1, 1, 1], undefined, undefined],
  [[2, 2, 2], undefined, 2],
  [[2, 1, 2], undefined, undefined],
  [[2, undefined, 2], undefined, undefined],
  [[3, 2], undefined, 2],
  [[1, 1], 2, 2],
  [[3, 3], 2, 3],
];

for (const [managers, before, after] of FORMATS) {
  const said = managers.map((format) => format ?? 'nothing').join(', ');
  t.test(`state format › managers that say ${said} bring ${before ?? 'none'} to ${after ?? 'none'}`, async (t) => {
    const store = await openStore({ log: createMemoryLog(), clock: realClock });
    t.teardown(() => store.close());
    const deps = { clock: realClock, random: realRandom, advertiseAddr: '127.0.0.1:2377' };
    const { nodeId } = await bootstrapCluster(store, deps);
    await store.update((tx) => {
      const cluster = tx.get('cluster', CLUSTER_KEY)!;
      if (before !== undefined) tx.put('cluster', { ...cluster, StateFormat: before });
      tx.delete('node', nodeId);
      for (const [i, format] of managers.entries()) {
        const StateFormat = format === undefined ? {} : { StateFormat: format };
        const ManagerStatus = { Reachability: 'unreachable' as const, Addr: '', ...StateFormat };
        tx.create('node', buildNode(`m${i}`, { Spec: { Role: 'manager', Availability: 'active' }, ManagerStatus }));
      }
      tx.create('node', buildNode('worker'));
    });
    const duty = await startStateFormat({ store, logger: silent });
    t.equal(store.view.get('cluster', CLUSTER_KEY)?.StateFormat, after);
    await duty.stop();
  });
}

t.test('state format › is raised when the last manager that could not work on it is one no more', async (t) => {
  const store = await openStore({ log: createMemoryLog(), clock: realClock });
  t.teardown(() => store.close());
  const deps = { clock: realClock, random: realRandom, advertiseAddr: '127.0.0.1:2377' };
  const { nodeId } = await bootstrapCluster(store, deps);
  const old = buildNode('old', { Spec: { Role: 'manager', Availability: 'active' } });
  await store.update((tx) => {
    const node = tx.get('node', nodeId)!;
    tx.put('node', { ...node, ManagerStatus: { Reachability: 'reachable', Addr: '', StateFormat: 5 } });
    tx.create('node', old);
  });
  const duty = await startStateFormat({ store, logger: silent });
  t.teardown(() => duty.stop());
  const format = (): Format => store.view.get('cluster', CLUSTER_KEY)?.StateFormat;
  t.equal(format(), undefined);
  await store.update((tx) => {
    const node = tx.get('node', 'old')!;
    tx.put('node', { ...node, Spec: { ...node.Spec, Role: 'worker' } });
  });
  await untilStore(store, () => format() === 5);
});

t.test('manager status › keeps what a newer version has put there, and the form of one that is away', (t) => {
  const before = { Leader: false, Reachability: 'reachable', Addr: 'a:1', StateFormat: 3, Later: { x: 1 } } as const;
  const node = { ...buildNode('m1', { Spec: { Role: 'manager', Availability: 'active' }, ManagerStatus: before }) };
  const leader = { nodeId: 'other', addr: 'b:1', stateFormat: 4 };
  const away = managerStatus(node as Parameters<typeof managerStatus>[0], leader, undefined);
  t.same(away.ManagerStatus, { ...before, Reachability: 'unreachable' });
  const back = managerStatus(away, leader, { addr: 'c:1', stateFormat: 2 });
  t.same(back.ManagerStatus, { ...before, Addr: 'c:1', StateFormat: 2 });
  t.equal(managerStatus(back, leader, { addr: 'c:1', stateFormat: 2 }), back, 'nothing to write');
  t.end();
});

/** A manager whose leader answers each line with an error; resolves with whether it came to lead. */
async function takesOver(reason: SwarmdError, forMs: number): Promise<boolean> {
  const memory = createSharedMemory();
  const clock = manualClock();
  const open = () => openSharedStore({ log: memory.open(), clock, logger: silent });
  const [leading, following] = [await open(), await open()];
  const { signal } = new AbortController();
  await leading.claim({ nodeId: 'leader', addr: 'leader:1' }, signal);
  await leading.update((tx) => tx.create('node', buildNode('n')));
  await following.waitFor(leading.index, signal);
  const transport: ManagerTransport = {
    attach: (_addr, _first, handlers: LeaderLineHandlers) => {
      queueMicrotask(() => handlers.onEnd(reason));
      return { sign: () => {}, end: () => {} };
    },
    call: () => Promise.reject(reason),
    hears: async () => false,
    close: () => {},
  };
  const leadership = startLeadership({
    ...{ store: following, transport, clock, random: seededRandom(1), logger: silent },
    ...{ self: { nodeId: 'me', addr: 'me:1' }, version: '', protocol: 1, stateFormat: 1 },
    others: () => [{ nodeId: 'leader', addr: 'leader:1' }],
    leadsConsensus: () => false,
    mayLead: () => true,
  });
  for (let passedMs = 0; passedMs < forMs && !leadership.leads; passedMs += 50) {
    clock.advance(50);
    for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
  }
  const took = leadership.leads;
  await leadership.stop();
  return took;
}

t.test('leadership › a leader that refuses this version is there: nobody takes its place', async (t) => {
  t.equal(await takesOver(new SwarmdError('incompatible', 'no protocol in common'), 60_000), false);
});

t.test('leadership › a leader that refuses a manager it has demoted is there, too', async (t) => {
  t.equal(await takesOver(new SwarmdError('permission-denied', 'no manager any more'), 60_000), false);
});

t.test('leadership › one that does not lead yet has until it counts as silent', async (t) => {
  const refusal = new SwarmdError('not-leader', 'this manager does not lead');
  t.equal(await takesOver(refusal, 1_000), false);
  t.equal(await takesOver(refusal, 3_000), true);
});

t.test('leadership › one that cannot be reached is replaced at once', async (t) => {
  t.equal(await takesOver(new SwarmdError('unavailable', 'connection refused'), 1_000), true);
});

t.test('leadership › a manager that gives up leading leaves it to others for a while', async (t) => {
  const clock = manualClock();
  const store = await openSharedStore({ log: createSharedMemory().open(), clock, logger: silent });
  let others: { nodeId: string; addr: string }[] = [];
  const transport: ManagerTransport = {
    attach: () => ({ sign: () => {}, end: () => {} }),
    call: () => Promise.reject(new SwarmdError('unavailable', 'nobody is there')),
    hears: async () => false,
    close: () => {},
  };
  const leadership = startLeadership({
    ...{ store, transport, clock, random: seededRandom(1), logger: silent },
    ...{ self: { nodeId: 'me', addr: 'me:1' }, version: '', protocol: 1, stateFormat: 1 },
    others: () => others,
    leadsConsensus: () => false,
    mayLead: () => true,
  });
  const pass = async (forMs: number): Promise<void> => {
    for (let passedMs = 0; passedMs < forMs; passedMs += 50) {
      clock.advance(50);
      for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
    }
  };
  await pass(500);
  t.ok(leadership.leads);
  t.equal(await leadership.giveUp(), false, 'nobody else is there');
  t.ok(leadership.leads);
  others = [{ nodeId: 'other', addr: 'other:1' }];
  t.equal(await leadership.giveUp(), true);
  t.notOk(leadership.leads);
  await pass(4_000);
  t.notOk(leadership.leads, 'the other one may');
  await pass(2_000);
  t.ok(leadership.leads, 'and has not');
  others = [];
  await leadership.stop();
});
