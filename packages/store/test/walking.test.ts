import type { Task, WriteTx } from '@swarmd/model';
import fc from 'fast-check';
import t from 'tap';
import { openStore } from '../src/index.js';
import { newTask, steppingClock } from './builders.js';
import { ControlledLog, turn } from './controlled-log.js';

/** What the walker does when it meets its nth object: something to an object that exists, or a new object. */
interface Deed {
  deed: 'move away' | 'move in' | 'touch' | 'delete' | 'create' | 'away and back';
  victim: number;
}

const deed: fc.Arbitrary<Deed> = fc.record({
  deed: fc.constantFrom('move away', 'move in', 'touch', 'delete', 'create', 'away and back'),
  victim: fc.nat(11),
});

/** IDs `0`… of which the first `durable` are durable, the rest pending; `elsewhere` of them under another key. */
async function storeWith(durable: number, pending: number, elsewhere: ReadonlySet<number>) {
  const log = new ControlledLog();
  const store = await openStore({ log, clock: steppingClock() });
  const create = (from: number, to: number) =>
    store.update((tx) => {
      for (let i = from; i < to; i++)
        tx.create('task', newTask(`${i}`, { ServiceID: elsewhere.has(i) ? 'other' : 'walked' }));
    });
  const first = create(0, durable);
  await turn();
  await log.release();
  await first;
  void create(durable, durable + pending);
  return { store, log };
}

function act(tx: WriteTx, { deed, victim }: Deed, n: number, disturbed: Set<string>): void {
  const task = tx.get('task', `${victim}`);
  const move = (task: Task, ServiceID: string) => {
    if (task.ServiceID !== ServiceID) disturbed.add(task.ID);
    return tx.put('task', { ...task, ServiceID });
  };
  if (deed === 'create') tx.create('task', newTask(`new ${n}`, { ServiceID: 'walked' }));
  else if (task === undefined) return;
  else if (deed === 'touch') tx.put('task', { ...task, Slot: 7 });
  else if (deed === 'move away') move(task, 'other');
  else if (deed === 'move in') move(task, 'walked');
  else if (deed === 'away and back') move(move(task, 'elsewhere'), task.ServiceID);
  else {
    tx.delete('task', task.ID);
    disturbed.add(task.ID);
  }
}

for (const walked of ['find', 'all'] as const) {
  t.test(`store › a walk of ${walked} is sound while its transaction writes`, async () => {
    const property = fc.asyncProperty(
      fc.nat(6),
      fc.nat(6),
      fc.uniqueArray(fc.nat(11), { maxLength: 4 }),
      fc.array(deed, { maxLength: 14 }),
      async (durable, pending, elsewhere, deeds) => {
        const { store, log } = await storeWith(durable, pending, new Set(elsewhere));
        const walk = store
          .update((tx) => {
            const list = () => (walked === 'find' ? tx.find('task', 'service', 'walked') : tx.all('task'));
            const atStart = [...list()].map((task) => task.ID);
            const disturbed = new Set<string>();
            const visited: string[] = [];
            for (const task of list()) {
              if (visited.length > 24) throw new Error('the walk does not end');
              if (task !== tx.get('task', task.ID)) throw new Error(`${task.ID} is shown as it was, not as it is`);
              if (visited.includes(task.ID) && !disturbed.has(task.ID)) throw new Error(`${task.ID} came twice`);
              if (task.ID.startsWith('new')) throw new Error('an object came that was made during the walk');
              visited.push(task.ID);
              const next = deeds[visited.length - 1];
              if (next !== undefined) act(tx, next, visited.length, disturbed);
            }
            // What was deleted or moved may have been met before that, or not at all; everything else must come.
            const missed = atStart.filter((id) => !disturbed.has(id) && !visited.includes(id));
            if (missed.length > 0) throw new Error(`${missed.join()} never came`);
            throw new RangeError('done');
          })
          .catch((error: unknown) => {
            if (!(error instanceof RangeError)) throw error;
          });
        // What the walk threw is told when what it saw is durable.
        await turn();
        await log.release();
        await walk;
      },
    );
    await fc.assert(property, { numRuns: 500 });
  });
}

t.test('store › a find is answered from its index, however much there is and pends', async (t) => {
  const { store } = await storeWith(12, 0, new Set([3]));
  await store.update((tx) => {
    const found = tx.find('task', 'service', 'other')[Symbol.iterator]();
    t.equal(found.next().value?.ID, '3');
    t.equal(found.next().done, true);
  });
});
