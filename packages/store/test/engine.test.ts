import type { Commit, Task } from '@swarmd/model';
import { MAX_ADVANCED_INDEX, MAX_INDEX_JUMP, SwarmdError } from '@swarmd/model';
import t from 'tap';
import { createMemoryLog, openStore } from '../src/index.js';
import { newService, newTask, steppingClock } from './builders.js';
import { ControlledLog, turn } from './controlled-log.js';

const never = new AbortController().signal;

async function memoryStore() {
  return openStore({ log: createMemoryLog(), clock: steppingClock() });
}

async function controlledStore() {
  const log = new ControlledLog();
  return { log, store: await openStore({ log, clock: steppingClock() }) };
}

t.test('store › a transaction sees its own writes and those that wait for the disk; nobody else does', async (t) => {
  const { log, store } = await controlledStore();
  const first = store.update((tx) => tx.create('task', newTask('a')));
  const second = store.update((tx) => {
    t.strictSame(
      [...tx.find('task', 'service', 's1')].map((task) => task.ID),
      ['a'],
    );
    tx.create('task', newTask('b'));
    return [...tx.all('task')].map((task) => task.ID).sort();
  });
  await turn();
  t.equal(store.view.count('task'), 0);
  t.strictSame([...store.view.all('task')], []);
  t.equal(store.view.get('task', 'a'), undefined);
  t.equal(store.index, 0);
  await log.release();
  t.equal((await first).ID, 'a');
  t.strictSame(await second, ['a', 'b']);
  t.equal(store.view.count('task'), 2);
  t.equal(store.index, 2);
});

t.test('store › transactions of one turn share a sync, and so do those that come while one is under way', async (t) => {
  const { log, store } = await controlledStore();
  const create = (id: string) => store.update((tx) => tx.create('task', newTask(id)));
  const done = [create('a'), create('b')];
  await turn();
  done.push(create('c'), create('d'), create('e'));
  await turn();
  t.strictSame(
    log.appends.map((entries) => entries.map(({ index }) => index)),
    [[1, 2]],
  );
  await log.release();
  await log.release();
  await Promise.all(done);
  t.strictSame(
    log.appends.map((entries) => entries.map(({ index }) => index)),
    [
      [1, 2],
      [3, 4, 5],
    ],
  );
});

t.test(
  'store › the index is raised once the log has it, after all that waits, and watchers are not told',
  async (t) => {
    const { log, store } = await controlledStore();
    const heard: number[] = [];
    store.watch(({ index }) => heard.push(index));
    const created = store.update((tx) => tx.create('task', newTask('a')));
    let isRaised = false;
    const raised = store.advance(1000).then(() => {
      isRaised = true;
    });
    const reached = store.waitFor(1000, never);
    await turn();
    t.equal(isRaised, false);
    t.equal(store.index, 0);
    await log.release();
    await Promise.all([created, raised, reached]);
    t.equal(store.index, 1000);
    const later = store.update((tx) => tx.create('task', newTask('b')));
    await turn();
    await log.release();
    t.equal((await later).Version.Index, 1001);
    t.strictSame(heard, [1, 1001]);
    t.strictSame(
      log.appends.flat().map(({ index }) => index),
      [1, 1000, 1001],
    );
  },
);

t.test('store › an index that is there, or waits to be, is not raised again', async (t) => {
  const { log, store } = await controlledStore();
  const raised = [store.advance(10), store.advance(10), store.advance(7)];
  await turn();
  await log.release();
  await Promise.all(raised);
  await store.advance(9);
  t.equal(store.index, 10);
  t.strictSame(
    log.appends.flat().map(({ index }) => index),
    [10],
  );
});

t.test('store › the index is never raised to what no history can have reached', async (t) => {
  const store = await memoryStore();
  const absurd = [MAX_INDEX_JUMP + 1, MAX_ADVANCED_INDEX + 1, Number.MAX_SAFE_INTEGER, Number.NaN, 1.5, Infinity];
  for (const index of absurd) await t.rejects(store.advance(index), { code: 'invalid-argument' });
  t.equal(store.index, 0);
  for (let index = MAX_INDEX_JUMP; index <= MAX_ADVANCED_INDEX; index += MAX_INDEX_JUMP) await store.advance(index);
  const highest = store.index;
  await t.rejects(store.advance(highest + MAX_INDEX_JUMP), { code: 'invalid-argument' });
  t.equal((await store.update((tx) => tx.create('task', newTask('a')))).Version.Index, highest + 1);
});

t.test('store › a log that fails does not raise the index', async (t) => {
  const { log, store } = await controlledStore();
  const refused = t.rejects(store.advance(10), { code: 'unavailable' });
  await turn();
  await log.fail(new Error('disk full'));
  await refused;
  t.equal(store.index, 0);
  await t.rejects(store.advance(10), { code: 'unavailable' });
});

t.test('store › a transaction that throws leaves nothing, not even above writes that wait for the disk', async (t) => {
  const { log, store } = await controlledStore();
  const pending = store.update((tx) => tx.create('task', newTask('a', { NodeID: 'n1' })));
  const failed = store.update((tx) => {
    tx.put('task', { ...(tx.get('task', 'a') as Task), NodeID: 'n2' });
    tx.create('task', newTask('b'));
    tx.delete('task', 'a');
    throw new RangeError('changed my mind');
  });
  const rejected = t.rejects(failed, RangeError);
  const seen = store.update((tx) => [tx.count('task'), [...tx.find('task', 'node', 'n1')].length, tx.index]);
  await turn();
  await log.release();
  await Promise.all([pending, rejected]);
  t.strictSame(await seen, [1, 1, 2]);
  t.equal(store.view.get('task', 'a')?.NodeID, 'n1');
  t.equal(store.index, 1);
});

t.test(
  'store › stamps versions and times: once per transaction, versions of specs only when the spec changes',
  async (t) => {
    const store = await memoryStore();
    const [task, service] = await store.update((tx) => [
      tx.create('task', newTask('t')),
      tx.create('service', newService('s')),
    ]);
    t.match([task, service], [{ Version: { Index: 1 } }, { Version: { Index: 1 } }]);
    t.equal(task?.CreatedAt, '2026-01-01T00:00:00.000000000Z');
    t.equal(task?.UpdatedAt, service?.CreatedAt);
    t.equal(task?.Version, service?.Version, 'shared, not equal alone');

    const [task2, sameSpec] = await store.update((tx) => [
      tx.put('task', { ...tx.get('task', 't')!, CreatedAt: 'forged', Version: { Index: 99 } }),
      tx.put('service', { ...tx.get('service', 's')!, UpdateStatus: { State: 'updating', Message: '' } }),
    ]);
    t.match(task2, { Version: { Index: 2 }, CreatedAt: task?.CreatedAt, UpdatedAt: '2026-01-01T00:00:00.001000000Z' });
    t.match(sameSpec, { Version: { Index: 1 }, UpdatedAt: '2026-01-01T00:00:00.001000000Z' });

    const newSpec = await store.update((tx) => tx.put('service', { ...sameSpec!, Spec: { Name: 's' } } as never));
    t.match(newSpec, { Version: { Index: 3 } });
  },
);

t.test('store › refuses to create what exists and to put what does not; deleting nothing is no write', async (t) => {
  const store = await memoryStore();
  await store.update((tx) => tx.create('task', newTask('a')));
  await t.rejects(
    store.update((tx) => tx.create('task', newTask('a'))),
    { code: 'already-exists' },
  );
  const absent = { ...store.view.get('task', 'a')!, ID: 'b' };
  await t.rejects(
    store.update((tx) => tx.put('task', absent)),
    { code: 'not-found' },
  );
  t.equal(await store.update((tx) => tx.delete('task', 'b')), false);
  t.equal(await store.update((tx) => tx.delete('task', 'a')), true);
  t.equal(store.index, 2);
});

t.test('store › a transaction without writes takes no index and waits for what it has read', async (t) => {
  const { log, store } = await controlledStore();
  let answered = false;
  t.equal(await store.update((tx) => tx.count('task')), 0);
  const write = store.update((tx) => tx.create('task', newTask('a')));
  const read = store.update((tx) => tx.get('task', 'a')?.ID);
  void read.then(() => {
    answered = true;
  });
  const undone = store.update((tx) => {
    tx.create('task', newTask('b'));
    tx.delete('task', 'b');
  });
  await turn();
  t.equal(answered, false);
  await log.release();
  await Promise.all([write, undone]);
  t.equal(await read, 'a');
  t.equal(store.index, 1);
  t.equal(log.appends.length, 1);
});

t.test('store › a transaction that throws for what it saw says so when that is durable', async (t) => {
  const { log, store } = await controlledStore();
  const create = (): Promise<Task> => store.update((tx) => tx.create('task', newTask('a')));
  const first = create();
  let refused = false;
  const second = t.rejects(create(), { code: 'already-exists' }).then(() => {
    refused = true;
  });
  await turn();
  t.equal(refused, false, 'nobody finds it yet');
  await log.release();
  await first;
  await second;
  t.equal(log.appends.length, 1);
  await t.rejects(create(), { code: 'already-exists' });
});

t.test('store › a transaction that throws for what then fails to be durable fails with it', async (t) => {
  const { log, store } = await controlledStore();
  const answers = Promise.allSettled([1, 2].map(() => store.update((tx) => tx.create('task', newTask('a')))));
  await turn();
  await log.fail(new SwarmdError('unavailable', 'the disk is gone'));
  t.match(await answers, [{ reason: { code: 'unavailable' } }, { reason: { code: 'unavailable' } }]);
});

t.test('store › watchers hear of each transaction in order, after the view has it, with what changed', async (t) => {
  const store = await memoryStore();
  const heard: string[] = [];
  const stop = store.watch((commit) => heard.push(`first ${describe(commit)} of ${store.view.count('task')}`));
  store.watch((commit) => heard.push(`second ${describe(commit)}`));
  await Promise.all([
    store.update((tx) => [tx.create('task', newTask('a')), tx.create('task', newTask('b'))]),
    store.update((tx) => [tx.put('task', tx.get('task', 'a')!), tx.delete('task', 'b')]),
  ]);
  stop();
  await store.update((tx) => {
    tx.delete('task', 'a');
    tx.create('task', newTask('a'));
    tx.create('task', newTask('c'));
    tx.put('task', tx.get('task', 'c')!);
  });
  t.strictSame(heard, [
    'first 1: create a, create b of 2',
    'second 1: create a, create b',
    'first 2: update a, delete b of 1',
    'second 2: update a, delete b',
    'second 3: update a, create c',
  ]);
});

t.test('store › events carry the object and the one before it', async (t) => {
  const store = await memoryStore();
  const commits: Commit[] = [];
  store.watch((commit) => commits.push(commit));
  const a = await store.update((tx) => tx.create('task', newTask('a')));
  const b = await store.update((tx) => tx.put('task', { ...a, NodeID: 'n1' }));
  await store.update((tx) => tx.delete('task', 'a'));
  const events = commits.flatMap((commit) => commit.events);
  t.strictSame(events, [
    { table: 'task', kind: 'create', object: a },
    { table: 'task', kind: 'update', object: b, previous: a },
    { table: 'task', kind: 'delete', object: b },
  ]);
});

t.test('store › a watcher that throws, ends another or writes does not disturb the rest', async (t) => {
  const store = await memoryStore();
  const heard: string[] = [];
  let follow: Promise<unknown> = Promise.resolve();
  store.watch(() => {
    throw new Error('a bug');
  });
  store.watch((commit) => {
    stopLast();
    if (commit.index === 1) follow = store.update((tx) => tx.create('task', newTask(`after ${tx.count('task')}`)));
    store.watch((later) => heard.push(`added at ${commit.index} hears ${later.index}`));
  });
  const stopLast = store.watch(() => heard.push('ended'));
  await store.update((tx) => tx.create('task', newTask('a')));
  await follow;
  t.strictSame(heard, ['added at 1 hears 2']);
  t.not(store.view.get('task', 'after 1'), undefined);
});

t.test('store › taking the view and watching in one turn leaves no gap, whenever the turn falls', async (t) => {
  const { log, store } = await controlledStore();
  const copies: { ids: Set<string> }[] = [];
  const follow = () => {
    const ids = new Set([...store.view.all('task')].map((task) => task.ID));
    store.watch(({ events }) => {
      for (const { object } of events) ids.add(object.ID);
    });
    copies.push({ ids });
  };
  store.watch(follow);
  const writes = Array.from({ length: 5 }, (_, i) =>
    store.update((tx) => tx.create('task', newTask(`${i}`))).then(follow),
  );
  follow();
  await turn();
  await log.release();
  await Promise.all(writes);
  t.equal(copies.length, 11);
  for (const { ids } of copies) t.equal(ids.size, 5);
});

t.test('store › waitFor resolves once the index is durable, and rejects when its signal fires', async (t) => {
  const { log, store } = await controlledStore();
  const abort = new AbortController();
  const aborted = store.waitFor(2, abort.signal);
  const reached = store.waitFor(1, never).then(() => store.index);
  const write = store.update((tx) => tx.create('task', newTask('a')));
  await turn();
  await log.release();
  await write;
  t.equal(await reached, 1);
  await store.waitFor(1, AbortSignal.abort());
  abort.abort(new RangeError('enough'));
  await t.rejects(aborted, RangeError);
  await t.rejects(store.waitFor(9, AbortSignal.abort()), { name: 'AbortError' });
});

t.test(
  'store › when the log fails, all that waits is refused and the store stays as it was last durable',
  async (t) => {
    const { log, store } = await controlledStore();
    const kept = store.update((tx) => tx.create('task', newTask('kept')));
    await turn();
    await log.release();
    await kept;
    let events = 0;
    store.watch(() => events++);
    const lost: Promise<unknown>[] = [
      store.update((tx) => tx.create('task', newTask('lost'))),
      store.waitFor(9, never),
    ];
    await turn();
    lost.push(store.update((tx) => tx.delete('task', 'kept')));
    lost.push(store.update((tx) => tx.get('task', 'lost')));
    const outcomes = Promise.allSettled(lost);
    await log.fail(new Error('no space left on device'));
    for (const outcome of await outcomes)
      t.match(outcome, { status: 'rejected', reason: { code: 'unavailable', message: /no space left on device/ } });
    await t.rejects(
      store.update((tx) => tx.create('task', newTask('later'))),
      { code: 'unavailable' },
    );
    await t.rejects(store.waitFor(2, never), { code: 'unavailable' });
    t.strictSame(
      [...store.view.all('task')].map((task) => task.ID),
      ['kept'],
    );
    t.strictSame([store.index, events, log.appends.length], [1, 0, 2]);
    await store.close();
  },
);

t.test('store › whoever opened it hears once that it can no longer write', async (t) => {
  const heard: SwarmdError[] = [];
  const log = new ControlledLog();
  const store = await openStore({ log, clock: steppingClock(), onFailure: (reason) => heard.push(reason) });
  const lost = t.rejects(store.update((tx) => tx.create('task', newTask('lost'))));
  await turn();
  await log.fail(new Error('no space left on device'));
  await lost;
  await t.rejects(store.update((tx) => tx.create('task', newTask('later'))));
  t.match(heard, [{ code: 'unavailable', message: /no space left on device/ }]);
  await store.close();
});

t.test('store › closing waits for what is under way and refuses the rest', async (t) => {
  const { log, store } = await controlledStore();
  const write = store.update((tx) => tx.create('task', newTask('a')));
  const waiting = t.rejects(store.waitFor(2, never), { code: 'unavailable' });
  const closed = store.close();
  await t.rejects(
    store.update((tx) => tx.create('task', newTask('b'))),
    { code: 'unavailable' },
  );
  await turn();
  await log.release();
  await Promise.all([write, closed, waiting]);
  t.equal(store.view.count('task'), 1);
});

t.test('store › a transaction must be synchronous, not nested, and over when it is over', async (t) => {
  const store = await memoryStore();
  await t.rejects(
    store.update(async (tx) => tx.create('task', newTask('a'))),
    { code: 'internal' },
  );
  let late: (() => void) | undefined;
  let nested: Promise<unknown> = Promise.resolve();
  await store.update((tx) => {
    late = () => tx.create('task', newTask('late'));
    nested = t.rejects(
      store.update(() => {}),
      { code: 'internal' },
    );
  });
  await nested;
  t.throws(() => late?.(), SwarmdError);
  t.strictSame([store.view.count('task'), store.index], [0, 0]);
});

t.test('store › an object that its indexes cannot take fails its transaction alone', async (t) => {
  const store = await memoryStore();
  await t.rejects(
    store.update((tx) => tx.create('service', { ID: 's' } as never)),
    TypeError,
  );
  await store.update((tx) => tx.create('service', newService('s')));
  t.equal([...store.view.find('service', 'name', 's')].length, 1);
});

t.test('store › what find and all return can be walked again', async (t) => {
  const store = await memoryStore();
  await store.update((tx) => [tx.create('task', newTask('a')), tx.create('task', newTask('b'))]);
  for (const found of [store.view.find('task', 'service', 's1'), store.view.all('task')])
    t.strictSame([[...found].length, [...found].length], [2, 2]);
});

function describe(commit: Commit): string {
  return `${commit.index}: ${commit.events.map((event) => `${event.kind} ${event.object.ID}`).join(', ')}`;
}
