import {
  type AnyObject,
  type Log,
  type LogEntry,
  MAX_ADVANCED_INDEX,
  SwarmdError,
  type TableName,
  VERSIONS,
} from '@swarmd/model';
import t from 'tap';
import { openStore } from '../src/index.js';
import { anyObject, type Content, contentOf, newTask, replayed, steppingClock } from './builders.js';

/** A place that outlives the logs opened on it, as a directory does. */
export interface LogPlace {
  /** Opens a log on the place; the one before has been closed. */
  open(): Promise<Log>;
}

type Test = typeof t;

/** The suite that every log passes. `place` makes a new, empty place for each test and removes it with the test. */
export function conformance(name: string, place: (t: Test) => Promise<LogPlace>): void {
  const check = (promise: string, body: (t: Test, place: LogPlace) => Promise<void>): void => {
    t.test(`log ${name} › ${promise}`, async (t) => body(t as unknown as Test, await place(t as unknown as Test)));
  };

  check('an empty log replays nothing, to index 0', async (t, { open }) => {
    const log = await open();
    t.strictSame(await replayed(log), { index: 0, content: {} });
    await log.close();
  });

  check('replays what was appended, whatever tables, keys and values', async (t, { open }) => {
    const values: [TableName, string, AnyObject][] = [
      ['task', 'a', anyObject('a', 1)],
      ['service', 'a', anyObject('a', 1, { Spec: { Name: 'same ID, other table' } })],
      ['spec', 's/1', anyObject('s/1', 1, { Spec: { Labels: { 'ключ "\\\n\u0000': '値 🐳 \u2028' } } })],
      ['cluster', 'cluster', anyObject('cluster', 1, { RemovedNodes: {}, SubnetSize: 24, Empty: [], Nothing: null })],
    ];
    await appendAll(open, [entry(1, ...values)]);
    const { index, content } = await reopened(open);
    t.equal(index, 1);
    t.strictSame(content, Object.fromEntries(values.map(([table, key, value]) => [`${table}/${key}`, value])));
  });

  check('the last value written to a key counts, in one append and across', async (t, { open }) => {
    const write = (index: number, text: string) => entry(index, ['task', 'x', anyObject('x', index, { text })]);
    await appendAll(
      open,
      [write(1, 'first'), write(2, 'second')],
      [write(3, 'third')],
      [write(4, 'fourth'), write(5, 'fifth')],
    );
    const { index, content } = await reopened(open);
    t.equal(index, 5);
    t.match(content, { 'task/x': { text: 'fifth' } });
    t.equal(Object.keys(content).length, 1);
  });

  check('a deleted object is gone, even when it never was there or came back in between', async (t, { open }) => {
    await appendAll(
      open,
      [entry(1, ['task', 'x', anyObject('x', 1)], ['task', 'y', anyObject('y', 1)], ['task', 'z', anyObject('z', 1)])],
      [entry(2, ['task', 'x', undefined], ['task', 'nothing', undefined])],
      [
        entry(3, ['task', 'y', undefined]),
        entry(4, ['task', 'y', anyObject('y', 4)]),
        entry(5, ['task', 'z', undefined]),
      ],
    );
    const { index, content } = await reopened(open);
    t.equal(index, 5);
    t.strictSame(content, { 'task/y': anyObject('y', 4) });
  });

  check(
    'fields that this version does not know survive, also in objects that a transaction writes',
    async (t, { open }) => {
      const Later = { deep: [1, { er: null }] };
      const Status = { Timestamp: '2026-01-01T00:00:00.000000000Z', State: 'new', Message: '', Later };
      await appendAll(open, [
        entry(1, ['task', 'x', anyObject('x', 1, { Later, Status })], ['task', 'y', anyObject('y', 1)]),
      ]);
      const store = await openStore({ log: await open(), clock: steppingClock() });
      await store.update((tx) => {
        const task = tx.get('task', 'x')!;
        tx.put('task', { ...task, NodeID: 'n1', Status: { ...task.Status, State: 'running' } });
      });
      await store.close();
      const { content } = await reopened(open);
      t.match(content['task/x'], { Later, NodeID: 'n1', Status: { State: 'running', Later } });
    },
  );

  check('a state of a newer form is refused with words that say so, and stays as it is', async (t, { open }) => {
    const cluster = anyObject('cluster', 1, { StateFormat: VERSIONS.stateFormat + 1 });
    await appendAll(open, [entry(1, ['task', 'x', anyObject('x', 1)], ['cluster', 'cluster', cluster])]);
    await t.rejects(openStore({ log: await open(), clock: steppingClock() }), {
      code: 'incompatible',
      message:
        `the cluster’s state has format ${VERSIONS.stateFormat + 1}, and swarmd ${VERSIONS.swarmd} reads formats up to ` +
        `${VERSIONS.stateFormat}: start the newer swarmd again`,
    });
    t.strictSame((await reopened(open)).content['cluster/cluster'], cluster);
  });

  check('holds values of a megabyte and more', async (t, { open }) => {
    const Data = 'ab0/'.repeat(2 ** 18);
    await appendAll(open, [entry(1, ['secret', 'big', anyObject('big', 1, { Spec: { Name: 'big', Data } })])]);
    await appendAll(open, [entry(2, ['task', 'small', anyObject('small', 2)])]);
    const { content } = await reopened(open);
    t.equal((content['secret/big'] as unknown as { Spec: { Data: string } }).Spec.Data, Data);
    t.match(content, { 'task/small': { ID: 'small' } });
  });

  check('takes thousands of entries in one append, and thousands of operations in one entry', async (t, { open }) => {
    const one = (i: number, index: number): [TableName, string, AnyObject] => [
      'task',
      `t${i}`,
      anyObject(`t${i}`, index),
    ];
    const entries = Array.from({ length: 3000 }, (_, i) => entry(i + 1, one(i, i + 1)));
    const large = entry(3001, ...Array.from({ length: 3000 }, (_, i) => one(i + 2000, 3001)));
    await appendAll(open, entries, [large]);
    const { index, content } = await reopened(open);
    t.equal(index, 3001);
    t.equal(Object.keys(content).length, 5000);
    t.equal(content['task/t1999']?.Version.Index, 2000);
    t.equal(content['task/t2000']?.Version.Index, 3001);
  });

  check('appends that were not awaited take effect in order, and close waits for them', async (t, { open }) => {
    const log = await open();
    await log.replay(() => {});
    const appends = Array.from({ length: 50 }, (_, i) =>
      log.append([entry(i + 1, ['task', 'x', anyObject('x', i + 1)], ['task', `t${i}`, anyObject(`t${i}`, i + 1)])]),
    );
    await log.close();
    await Promise.all(appends);
    const { index, content } = await reopened(open);
    t.equal(index, 50);
    t.equal(content['task/x']?.Version.Index, 50);
    t.equal(Object.keys(content).length, 51);
  });

  check('a closed log refuses to append', async (t, { open }) => {
    const log = await open();
    await log.replay(() => {});
    await log.close();
    await t.rejects(log.append([entry(1, ['task', 'x', anyObject('x', 1)])]), SwarmdError);
    t.strictSame(await reopened(open), { index: 0, content: {} });
  });

  check('an entry without operations raises the index, and indexes may be skipped', async (t, { open }) => {
    await appendAll(open, [entry(1, ['task', 'x', anyObject('x', 1)]), entry(2 ** 40)], [entry(2 ** 41 + 7)]);
    t.strictSame(await reopened(open), { index: 2 ** 41 + 7, content: { 'task/x': anyObject('x', 1) } });
    await appendAll(open, [entry(2 ** 41 + 9, ['task', 'x', anyObject('x', 2 ** 41 + 9)])]);
    t.strictSame(await reopened(open), { index: 2 ** 41 + 9, content: { 'task/x': anyObject('x', 2 ** 41 + 9) } });
  });

  check('takes the highest index that a store is raised to, and those that follow', async (t, { open }) => {
    const index = MAX_ADVANCED_INDEX + 2 ** 32;
    await appendAll(open, [entry(MAX_ADVANCED_INDEX)], [entry(index, ['task', 'x', anyObject('x', index)])]);
    t.strictSame(await reopened(open), { index, content: { 'task/x': anyObject('x', index) } });
  });

  check('a store on it whose index was raised goes on from there after each reopening', async (t, { open }) => {
    for (let round = 1; round <= 3; round++) {
      const store = await openStore({ log: await open(), clock: steppingClock() });
      const before = store.view.get('task', `${round - 1}`)?.Version.Index ?? 0;
      t.equal(store.index, before);
      const target = store.index + 2 ** 33;
      const raised = store.advance(target);
      const { Version } = await store.update((tx) => tx.create('task', newTask(`${round}`)));
      await raised;
      t.equal(Version.Index, target + 1);
      t.equal(store.index, target + 1);
      await store.close();
    }
  });

  check('a store on it is the same after each reopening', async (t, { open }) => {
    let before: Content = {};
    for (let round = 0; round < 4; round++) {
      const store = await openStore({ log: await open(), clock: steppingClock() });
      t.strictSame(contentOf(store.view), before);
      t.equal(store.index, round * 40);
      const writes = Array.from({ length: 40 }, (_, i) =>
        store.update((tx) => {
          if (i % 10 === 9) tx.delete('task', `${round}-${i - 1}`);
          else tx.create('task', newTask(`${round}-${i}`));
          const old = tx.get('task', `${round - 1}-${i}`);
          if (old !== undefined) tx.put('task', { ...old, NodeID: `n${round}` });
        }),
      );
      await Promise.all(writes);
      before = contentOf(store.view);
      await store.close();
    }
    t.equal(Object.keys(before).length, 4 * 32);
  });
}

/** A transaction for a log. */
export function entry(index: number, ...operations: [TableName, string, AnyObject | undefined][]): LogEntry {
  return { index, operations: operations.map(([table, key, value]) => ({ table, key, value })) };
}

async function appendAll(open: () => Promise<Log>, ...groups: LogEntry[][]): Promise<void> {
  const log = await open();
  await log.replay(() => {});
  for (const group of groups) await log.append(group);
  await log.close();
}

async function reopened(open: () => Promise<Log>): Promise<{ index: number; content: Content }> {
  const log = await open();
  const result = await replayed(log);
  await log.close();
  return result;
}
