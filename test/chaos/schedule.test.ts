import t from 'tap';
import { createDice } from './support/dice.js';
import { FAULT_KINDS, type FaultKind, type PlannedFault, planFaults } from './support/schedule.js';

const KINDS = Object.keys(FAULT_KINDS) as FaultKind[];
const HOSTS = ['m1', 'm2', 'm3', 'w1', 'w2'].map((name) => ({ name, manager: name.startsWith('m') }));
const SEEDS = Array.from({ length: 50 }, (_, index) => index + 1);

function plan(seed: number, maxHurtManagers: number): PlannedFault[] {
  const dice = createDice(seed, 0);
  return planFaults({ dice, hosts: HOSTS, kinds: KINDS, seconds: 120, maxHurtManagers });
}

t.test('chaos schedule › the same seed draws the same faults, another seed others', (t) => {
  t.same(plan(1, 1), plan(1, 1));
  t.notSame(plan(1, 1), plan(2, 1));
  t.end();
});

t.test('chaos schedule › never hurts more managers at once than it may, nor a host in two ways', (t) => {
  for (const seed of SEEDS) {
    for (const most of [0, 1, 2]) {
      const faults = plan(seed, most);
      for (const { from } of faults) {
        const going = faults.filter((other) => other.from <= from && other.to >= from);
        const hurt = new Set(going.filter(({ kind }) => FAULT_KINDS[kind].hurts).map(({ host }) => host));
        const managers = [...hurt].filter((name) => name.startsWith('m'));
        if (managers.length > most) t.fail(`seed ${seed}: ${managers.join(' ')} at ${from} s`);
        if (new Set(going.map(({ host }) => host)).size < going.length)
          t.fail(`seed ${seed}: a host twice at ${from} s`);
      }
    }
  }
  t.end();
});

t.test('chaos schedule › every fault ends in time, and every kind comes in two minutes', (t) => {
  for (const seed of SEEDS) {
    const faults = plan(seed, 1);
    if (faults.some(({ from, to }) => to < from || to > 120)) t.fail(`seed ${seed}: a fault outlasts the run`);
  }
  const drawn = new Set(SEEDS.flatMap((seed) => plan(seed, 1).map(({ kind }) => kind)));
  t.same([...drawn].sort(), [...KINDS].sort());
  const counts = SEEDS.map((seed) => new Set(plan(seed, 1).map(({ kind }) => kind)).size);
  t.ok(Math.min(...counts) >= KINDS.length - 4, `at least ${Math.min(...counts)} of ${KINDS.length} kinds in each`);
  t.end();
});

t.test('chaos schedule › etcd is hurt on managers alone', (t) => {
  const hosts = SEEDS.flatMap((seed) => plan(seed, 1).filter(({ kind }) => kind.endsWith('etcd')));
  t.ok(hosts.length > 0 && hosts.every(({ host }) => host.startsWith('m')));
  t.end();
});
