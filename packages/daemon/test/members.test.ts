import { createMemoryLog, openStore } from '@swarmd/store';
import { buildNode, manualClock } from '@swarmd/testkit';
import t from 'tap';
import { memberVerdict } from '../src/manager/member-keeper.js';
import { replacedMembers } from '../src/manager/members.js';

const members = [
  { name: 'leader', peerUrls: ['https://10.0.0.1:2378'] },
  { name: 'reachable', peerUrls: ['https://10.0.0.2:2378'] },
  { name: 'dead', peerUrls: ['https://10.0.0.3:2378'] },
  { name: 'demoted', peerUrls: ['https://10.0.0.4:2378'] },
  // Added, and never started.
  { name: '', peerUrls: ['https://10.0.0.5:2378'] },
];

t.test('members › a newcomer replaces its former member and whoever is gone from its address', async (t) => {
  const store = await openStore({ log: createMemoryLog(), clock: manualClock() });
  await store.update((tx) => {
    for (const [id, Reachability] of Object.entries({
      leader: 'reachable',
      reachable: 'reachable',
      dead: 'unreachable',
    }))
      tx.create(
        'node',
        buildNode(id, {
          Spec: { Role: 'manager', Availability: 'active', Labels: {} },
          ManagerStatus: { Leader: id === 'leader', Reachability, Addr: '' } as never,
        }),
      );
  });
  const replaced = (nodeId: string, host: number): string[] =>
    replacedMembers(store.view, members, { nodeId, peerUrl: `https://10.0.0.${host}:2378` }).map(({ name }) => name);
  t.strictSame(replaced('new', 6), []);
  t.strictSame(replaced('new', 3), ['dead']);
  t.strictSame(replaced('new', 4), ['demoted']);
  t.strictSame(replaced('new', 5), [], 'what nobody has started is taken as it is');
  t.strictSame(replaced('reachable', 2), ['reachable'], 'it has lost its data');
  t.strictSame(replaced('dead', 6), ['dead'], 'and has another address now');
  for (const host of [1, 2])
    t.throws(() => replaced('new', host), { code: 'already-exists' }, 'a manager that is there stays');
});

t.test('members › a learner has ten minutes to catch up, and one to start', async (t) => {
  const store = await openStore({ log: createMemoryLog(), clock: manualClock() });
  await store.update((tx) => {
    tx.create('node', buildNode('new', { Spec: { Role: 'manager', Availability: 'active', Labels: {} } }));
  });
  const verdict = (name: string, isLearner: boolean, seconds: number) =>
    memberVerdict(store.view, { name, isLearner }, 'leader', seconds * 1_000);
  t.equal(verdict('', true, 60), 'keep');
  t.equal(verdict('', true, 61), 'remove');
  t.equal(verdict('', false, 0), 'keep', 'a voter was started once');
  t.equal(verdict('new', true, 61), 'keep');
  t.equal(verdict('new', true, 600), 'keep');
  t.equal(verdict('new', true, 601), 'remove');
  t.equal(verdict('new', false, 0), 'keep');
  t.equal(verdict('other', true, 0), 'remove');
});
