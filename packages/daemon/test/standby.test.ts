import { createMemoryLog, openStore } from '@swarmd/store';
import { buildNode, manualClock } from '@swarmd/testkit';
import { pino } from 'pino';
import t from 'tap';
import { memberVerdict } from '../src/manager/member-keeper.js';
import { standbyProblem } from '../src/manager/standby.js';
import { standbyNoMore } from '../src/manager/standby-members.js';

const LONG_MS = 24 * 3_600_000;
const logger = pino({ level: 'silent' });

async function storeWith(Role: 'manager' | 'worker') {
  const store = await openStore({ log: createMemoryLog(), clock: manualClock() });
  const Labels = { 'swarmd.standby': 'true', zone: 'a' };
  await store.update((tx) => {
    tx.create('node', buildNode('standby', { Spec: { Role, Availability: 'active', Labels } }));
    tx.create('node', buildNode('other', { Spec: { Role: 'manager', Availability: 'active', Labels: {} } }));
  });
  return store;
}

t.test('standby › stays a learner for good, which others do not, and goes with its role', async (t) => {
  const { view } = await storeWith('manager');
  const verdict = (name: string, learnerMs: number) => memberVerdict(view, { name, isLearner: true }, 'me', learnerMs);
  t.equal(verdict('standby', LONG_MS), 'keep');
  t.equal(verdict('other', LONG_MS), 'remove');
  t.equal(verdict('', LONG_MS), 'remove', 'what nobody has started');
  t.equal(verdict('other', 0), 'keep');
  const demoted = await storeWith('worker');
  t.equal(memberVerdict(demoted.view, { name: 'standby', isLearner: true }, 'me', 0), 'remove');
});

t.test('standby › with its vote it loses its label and keeps its others', async (t) => {
  const store = await storeWith('manager');
  await standbyNoMore(store, 'standby', logger);
  t.strictSame(store.view.get('node', 'standby')?.Spec.Labels, { zone: 'a' });
  const { index } = store;
  await standbyNoMore(store, 'standby', logger);
  await standbyNoMore(store, 'nobody', logger);
  t.equal(store.index, index, 'nothing is written for who is none');
  const worker = await storeWith('worker');
  await standbyNoMore(worker, 'standby', logger);
  t.match(worker.view.get('node', 'standby')?.Spec.Labels, { 'swarmd.standby': 'true' }, 'of a worker it counts later');
});

t.test('standby › says whom to ask', (t) => {
  t.match(
    standbyProblem(['10.0.0.1:2377']),
    /is a standby.*ask the manager at 10\.0\.0\.1:2377, or run swarmctl cluster/,
  );
  t.match(standbyProblem([]), /ask the manager that has one/);
  t.end();
});
