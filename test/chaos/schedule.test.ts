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

t.test(
  'chaos schedule › every fault ends in time, and every kind comes in two minutes, some of them at the leader',
  (t) => {
    for (const seed of SEEDS) {
      const faults = plan(seed, 1);
      if (faults.some(({ from, to }) => to < from || to > 120)) t.fail(`seed ${seed}: a fault outlasts the run`);
      const drawn = new Set(faults.map(({ kind }) => kind));
      const missing = KINDS.filter((kind) => !drawn.has(kind));
      if (missing.length > 0) t.fail(`seed ${seed}: no ${missing.join(', no ')}`);
      if (faults.filter(({ atLeader }) => atLeader).length < 3) t.fail(`seed ${seed} leaves the leader alone`);
    }
    t.end();
  },
);

t.test('chaos schedule › managers are cut off from managers, or from agents', (t) => {
  const faults = SEEDS.flatMap((seed) => plan(seed, 1));
  for (const { kind, host, peers } of faults) {
    if (kind === 'cut-managers') t.same([host, ...peers].sort(), ['m1', 'm2', 'm3']);
    if (kind === 'cut-agents') t.same(peers, ['w1', 'w2']);
  }
  t.end();
});

t.test('chaos schedule › etcd is hurt on managers alone', (t) => {
  const hosts = SEEDS.flatMap((seed) => plan(seed, 1).filter(({ kind }) => kind.endsWith('etcd')));
  t.ok(hosts.length > 0 && hosts.every(({ host }) => host.startsWith('m')));
  t.end();
});
