import fc from 'fast-check';
import t from 'tap';
import { mayRemove, quorumMargin } from '../src/index.js';
import { KEEP_MS, KEEP_REVISIONS, type MaintenanceView, planMaintenance } from '../src/maintenance/decide.js';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

/** A quiet cluster of two, seen on the host of member `a`, which leads. */
function view(over: Partial<MaintenanceView> = {}, status: Partial<MaintenanceView['status']> = {}): MaintenanceView {
  return {
    ...{ nowMs: 10_000_000, quotaBytes: 8 * GIB, alarms: [], memberIds: ['a', 'b'], isLeader: true, samples: [] },
    ...{ compacted: 0, defragmentedAtMs: undefined, nospaceSinceMs: undefined },
    status: { memberId: 'a', leaderId: 'b', revision: 100, dbSizeBytes: MIB, dbSizeInUseBytes: MIB, ...status },
    ...over,
  };
}

t.test('etcd maintenance › keeps history for followers, by count and by age', (t) => {
  const old = { atMs: 10_000_000 - KEEP_MS, revision: 500_000 };
  const young = { atMs: 10_000_000 - KEEP_MS + 1, revision: 600_000 };
  const at = (revision: number, over: Partial<MaintenanceView>) => planMaintenance(view(over, { revision })).compact;
  t.equal(at(100, { samples: [{ ...old, revision: 50 }] }), undefined, 'nothing to gain');
  t.equal(at(1_000_000, { samples: [young] }), undefined, 'all of it is young, for what is known');
  t.same(at(1_000_000, { samples: [old, young] }), { revision: 500_000, isPhysical: false });
  t.same(at(505_000, { samples: [old] }), { revision: 505_000 - KEEP_REVISIONS, isPhysical: false });
  t.equal(at(1_000_000, { samples: [old], compacted: 499_500 }), undefined, 'done already');
  t.equal(at(1_000_000, { samples: [old], isLeader: false }), undefined, 'the leader does it');
  t.end();
});

t.test('etcd maintenance › short of space keeps less history, full none', (t) => {
  const short = planMaintenance(view({}, { revision: 50_000, dbSizeBytes: 5 * GIB, dbSizeInUseBytes: 5 * GIB }));
  t.same(short.compact, { revision: 49_000, isPhysical: false });
  const alarms = [{ memberId: 'b', kind: 'nospace' as const }];
  t.same(planMaintenance(view({ alarms }, { revision: 50 })).compact, { revision: 50, isPhysical: true });
  t.end();
});

t.test('etcd maintenance › defragments when it is worth it, and not again soon', (t) => {
  const plan = (dbMib: number, inUseMib: number, over: Partial<MaintenanceView> = {}, leaderId = 'b') => {
    const size = { dbSizeBytes: dbMib * MIB, dbSizeInUseBytes: inUseMib * MIB };
    return planMaintenance(view(over, { ...size, leaderId })).defragment !== undefined;
  };
  t.equal(plan(90, 10), false, 'too little');
  t.equal(plan(1_000, 600), false, 'too small a share');
  t.equal(plan(300, 100), true);
  t.equal(plan(300, 100, {}, 'a'), false, 'Raft’s leader would stop every write');
  t.equal(plan(2_000, 100, {}, 'a'), true, 'for so much it may');
  t.equal(plan(300, 100, { defragmentedAtMs: 9_900_000 }), false, 'just done');
  t.equal(plan(60, 50, { quotaBytes: 100 * MIB }), true, 'short of space');
  t.end();
});

t.test('etcd maintenance › takes back its own alarm, and those of others that cannot', (t) => {
  const alarms = ['a', 'b', 'gone'].map((memberId) => ({ memberId, kind: 'nospace' as const }));
  const whose = (over: Partial<MaintenanceView>) =>
    planMaintenance(view({ alarms, ...over })).disarm.map(({ memberId }) => memberId);
  t.same(whose({ isLeader: false }), ['a']);
  t.same(whose({ nospaceSinceMs: 9_990_000 }), ['a', 'gone']);
  t.same(whose({ nospaceSinceMs: 9_900_000 }), ['a', 'b', 'gone']);
  const full = { dbSizeBytes: 8 * GIB, dbSizeInUseBytes: 8 * GIB };
  const stuck = planMaintenance(view({ alarms, isLeader: false, defragmentedAtMs: 9_999_000 }, full));
  t.same(stuck.disarm, [], 'not without room');
  t.equal(stuck.space, 'full');
  t.end();
});

t.test('etcd maintenance › warns at four fifths of the quota and tells of data that differs', (t) => {
  const space = (dbSizeBytes: number) => planMaintenance(view({ quotaBytes: 1000 }, { dbSizeBytes })).space;
  t.same([799, 800, 999].map(space), ['ample', 'tight', 'tight']);
  const { corrupt, disarm, defragment } = planMaintenance(view({ alarms: [{ memberId: 'b', kind: 'corrupt' }] }));
  t.same({ corrupt, disarm, defragment }, { corrupt: ['b'], disarm: [], defragment: undefined });
  t.end();
});

t.test('etcd maintenance › never forgets what is younger than it should keep, unless space runs out', (t) => {
  const revisions = fc.array(fc.nat(200_000), { maxLength: 20 }).map((all) => all.sort((a, b) => a - b));
  fc.assert(
    fc.property(revisions, fc.integer({ min: 1_000, max: 100_000 }), fc.nat(50_000), (all, stepMs, ahead) => {
      const nowMs = 10_000_000;
      const samples = all.map((revision, i) => ({ revision, atMs: nowMs - (all.length - i) * stepMs }));
      const revision = (all.at(-1) ?? 0) + ahead;
      const { compact } = planMaintenance(view({ samples, nowMs }, { revision }));
      if (compact === undefined) return true;
      const kept = samples.filter(({ revision }) => revision > compact.revision);
      const young = samples.filter(({ atMs }) => atMs > nowMs - KEEP_MS);
      return (
        compact.revision + KEEP_REVISIONS <= revision &&
        young.every((sample) => kept.includes(sample) || sample.revision === compact.revision)
      );
    }),
  );
  t.pass('in every run');
  t.end();
});

t.test('quorum › agrees with counting every vote by hand', (t) => {
  const members = fc.array(fc.record({ isLearner: fc.boolean(), isWell: fc.boolean() }), {
    minLength: 1,
    maxLength: 7,
  });
  fc.assert(
    fc.property(members, fc.nat(6), (all, pick) => {
      const list = all.map((member, i) => ({ ...member, id: `m${i}` }));
      const target = list[pick % list.length]!;
      const well = new Set(list.filter(({ isWell }) => isWell).map(({ id }) => id));
      // The oracle: more than half of those who vote are there to do so.
      const decides = (some: typeof list): boolean => {
        const voters = some.filter(({ isLearner }) => !isLearner);
        return voters.filter(({ isWell }) => isWell).length * 2 > voters.length;
      };
      const rest = list.filter((member) => member !== target);
      const { isAllowed } = mayRemove(list, well, target.id);
      const isFirst = quorumMargin(list, well).margin >= 0 === decides(list);
      return isFirst && isAllowed === (decides(list) && decides(rest));
    }),
  );
  t.pass('in every run');
  t.end();
});

t.test('quorum › says why a member may not be removed', (t) => {
  const members = ['a', 'b', 'c'].map((id) => ({ id, isLearner: false }));
  t.match(mayRemove(members, new Set(['a']), 'b'), {
    reason: 'the cluster has lost its quorum: 1 of 3 managers are reachable, and 2 are needed',
  });
  t.match(mayRemove(members.slice(0, 1), new Set(['a']), 'a'), { reason: 'it is the last manager' });
  t.match(mayRemove(members, new Set(['a', 'b']), 'b'), {
    reason: /only 1 of the 2 other managers are reachable, and 2/,
  });
  t.end();
});
