import { createMemoryLog, openStore } from '@swarmd/store';
import { buildNode, manualClock } from '@swarmd/testkit';
import fc from 'fast-check';
import t from 'tap';
import { LOST_MS, managerToReplace, startLostManagers } from '../src/cluster/index.js';
import { silent } from './support/test-manager.js';

const ids = (count: number): { ID: string }[] => Array.from({ length: count }, (_, i) => ({ ID: `m${i}` }));
const lostFor = (...ms: number[]): Map<string, number> => new Map(ms.map((each, i) => [`m${i}`, each]));

t.test('lost managers › give up a vote that only stands in the way', async (t) => {
  for (const [managers, lost, expected] of [
    [3, lostFor(LOST_MS), undefined],
    [4, lostFor(LOST_MS), 'm0'],
    [4, lostFor(LOST_MS - 1), undefined],
    [5, lostFor(LOST_MS), undefined],
    [5, lostFor(LOST_MS, LOST_MS + 1), 'm1'],
    [6, lostFor(LOST_MS, 1), 'm0'],
    [2, lostFor(LOST_MS), undefined],
    [4, lostFor(LOST_MS, LOST_MS), undefined],
    [1, lostFor(), undefined],
  ] as const)
    t.equal(managerToReplace(ids(managers), lost), expected, `${managers} managers, ${[...lost.values()]}`);
});

t.test('lost managers › are never replaced to anyone’s loss', async () => {
  const property = fc.property(
    fc.integer({ min: 1, max: 9 }),
    fc.array(fc.nat(2 * LOST_MS), { maxLength: 9 }),
    (n, ms) => {
      let managers = ids(n);
      const lost = lostFor(...ms.slice(0, n));
      const margin = (): number => {
        const reachable = managers.filter(({ ID }) => !lost.has(ID)).length;
        return reachable - (Math.floor(managers.length / 2) + 1);
      };
      const before = margin();
      for (;;) {
        const next = managerToReplace(managers, lost);
        if (next === undefined) break;
        if ((lost.get(next) ?? 0) < LOST_MS) throw new Error(`${next} is not lost`);
        managers = managers.filter(({ ID }) => ID !== next);
        if (margin() < before) throw new Error('a step took from what may be lost');
      }
      return margin() >= before;
    },
  );
  fc.assert(property);
});

t.test('lost managers › become workers in time, unless they come back', async (t) => {
  const clock = manualClock();
  const store = await openStore({ log: createMemoryLog(), clock });
  const reachability = (id: string, Reachability: 'reachable' | 'unreachable') =>
    store.update((tx) => {
      const node = tx.get('node', id);
      const ManagerStatus = { Leader: id === 'm0', Reachability, Addr: '' };
      if (node === undefined)
        tx.create('node', buildNode(id, { Spec: { Role: 'manager', Availability: 'active' }, ManagerStatus }));
      else tx.put('node', { ...node, ManagerStatus });
    });
  const pass = async (ms: number): Promise<void> => {
    clock.advance(ms);
    for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve));
  };
  const roleOf = (id: string) => store.view.get('node', id)?.Spec.Role;
  for (const id of ['m0', 'm1', 'm2', 'm3']) await reachability(id, 'reachable');
  const duty = startLostManagers({ store, clock, logger: silent });
  await reachability('m3', 'unreachable');
  await pass(LOST_MS - 20_000);
  await reachability('m3', 'reachable');
  await pass(10_000);
  await reachability('m3', 'unreachable');
  await pass(10_000);
  for (let ms = 10_000; ms < LOST_MS; ms += 10_000) {
    await pass(10_000);
    if (ms + 10_000 < LOST_MS) t.equal(roleOf('m3'), 'manager');
  }
  await pass(10_000);
  t.equal(roleOf('m3'), 'worker');
  await reachability('m2', 'unreachable');
  for (let i = 0; i < 60; i++) await pass(10_000);
  t.equal(roleOf('m2'), 'manager', 'one of three keeps its vote');
  await duty.stop();
  t.equal(clock.nextTimerMs(), undefined);
});
