import { changedAt, createEtcdClient, type EtcdClient, prefixEnd, putOp } from '@swarmd/etcd';
import type { LogEntry } from '@swarmd/model';
import t from 'tap';
import { ValueCipher } from '../src/cipher.js';
import { perTable } from '../src/engine/table.js';
import { partKey } from '../src/etcd/layout.js';
import { encodePart, splitRecords } from '../src/etcd/parts.js';
import { openState, sealPending, sealState } from '../src/etcd/state-record.js';
import { probeTxnLimits } from '../src/etcd/txn-limits.js';
import { openEtcdLog, openSharedStore } from '../src/index.js';
import { Batch } from '../src/records/batch.js';
import { anyObject, replayed, silent } from './builders.js';
import { entry } from './conformance.js';
import { code, dataKey, indexes, layout, manager, never, OURS, upTo, write } from './etcd-managers.js';
import { runEtcd, withoutEtcd } from './running-etcd.js';

t.setTimeout(120_000);

const skip = { skip: withoutEtcd };

/** An entry of `count` tasks with `padding` bytes each. */
function large(index: number, count: number, padding: number): LogEntry {
  const ids = Array.from({ length: count }, (_, i) => `big${i}`);
  return entry(
    index,
    ...ids.map((id): ['task', string, ReturnType<typeof anyObject>] => [
      'task',
      id,
      anyObject(id, index, { padding: 'x'.repeat(padding) }),
    ]),
  );
}

t.test('etcd log › learns how much an etcd takes at once', skip, async (t) => {
  const ours = await manager(t, await runEtcd(t, OURS), 'a');
  const theirs = await manager(t, await runEtcd(t), 'a');
  t.match(await probeTxnLimits(ours.client, '/x'), { operations: 10_240 });
  t.ok((await probeTxnLimits(ours.client, '/x')).bytes > 8_000_000);
  t.strictSame(await probeTxnLimits(theirs.client, '/x'), { operations: 128, bytes: 1_500_000 });
  t.equal((await theirs.client.status({})).header?.revision, 1, 'probing writes nothing');
});

t.test('etcd log › an entry larger than etcd takes at once is one entry to followers', skip, async (t) => {
  const etcd = await runEtcd(t);
  const [a, b] = [await manager(t, etcd, 'a'), await manager(t, etcd, 'b')];
  await a.lead();
  await a.log.append([write(1, 'big3')]);
  await a.log.append([large(2, 500, 10_000)]);
  await a.log.append([entry(3, ['task', 'big4', undefined]), write(4)]);
  await b.told(upTo(4));
  t.strictSame(indexes(b.events), [1, 2, 4]);
  t.equal(Object.keys(b.content).length, 500);
  const { content } = await replayed((await manager(t, etcd, 'c')).log);
  t.strictSame(b.content, content);
  const { kvs } = await a.client.range({ key: Buffer.from(layout.parts), rangeEnd: prefixEnd(layout.parts) });
  t.strictSame(kvs, [], 'no parts are left behind');
  await b.lead();
  await b.log.append([write(5)]);
  await a.told(upTo(5));
  t.equal(await code(b.log.append([large(6, 1, 3_000_000)])), 'invalid-argument', 'one value is too large for etcd');
});

t.test('etcd log › a leader that died between commit and copying: the next one copies', skip, async (t) => {
  const etcd = await runEtcd(t);
  const [a, b] = [await manager(t, etcd, 'a'), await manager(t, etcd, 'b')];
  const term = await a.lead();
  await a.log.append([write(1, 'big0'), write(2, 'other')]);
  a.unfollow();
  await commitOnly(a.client, term, large(3, 300, 10_000));
  await b.told(upTo(3));
  t.strictSame(indexes(b.events), [2, 3]);
  const c = await manager(t, etcd, 'c');
  t.strictSame(c.content, b.content, 'a replay sees the parts in their place');
  t.equal(Object.keys(c.content).length, 301);
  const raw = await c.client.range({ key: Buffer.from(`${layout.objects}task/big1`) });
  t.equal(raw.kvs.length, 0, 'which they have not been copied to');
  await c.lead();
  await c.log.append([entry(4, ['task', 'big2', undefined])]);
  await b.told(upTo(4));
  t.strictSame(indexes(b.events), [2, 3, 4]);
  const d = await manager(t, etcd, 'd');
  t.strictSame(d.content, b.content);
  t.equal(Object.keys(d.content).length, 300);
  const left = await c.client.range({ key: Buffer.from(layout.parts), rangeEnd: prefixEnd(layout.parts) });
  t.strictSame(left.kvs, []);
});

t.test('etcd log › an object larger than etcd takes is refused, and the store goes on', skip, async (t) => {
  for (const [flags, atMost, tooMuch] of [
    [[], 1_400_000, 1_600_000],
    [OURS, 8_000_000, 9_000_000],
  ] as const) {
    const client = createEtcdClient({ endpoint: (await runEtcd(t, flags)).endpoint });
    t.after(() => client.close());
    const clock = { now: Date.now, monotonic: () => performance.now(), after: () => () => {} };
    const store = await openSharedStore({ log: await openEtcdLog({ client, dataKey, logger: silent }), clock });
    t.after(() => store.close());
    await store.claim({ nodeId: 'a', addr: 'a' }, never());
    const create = (id: string, bytes: number): Promise<unknown> =>
      store.update((tx) => tx.create('config', { ID: id, Spec: { Name: `n-${id}`, Data: 'x'.repeat(bytes) } }));
    await create('first', atMost);
    const others = ['a', 'b', 'c'].map((id) => create(id, 10));
    const refused = create('huge', tooMuch);
    others.push(create('d', 10));
    const message =
      /^config n-huge is too large to be stored: \d+ bytes, and the managers' etcd takes \d+ for one object/;
    await t.rejects(refused, { code: 'invalid-argument', message });
    await Promise.all(others);
    await create('last', atMost);
    t.ok(store.leads);
    const both = store.update((tx) => {
      tx.delete('config', 'a');
      tx.create('config', { ID: 'huge', Spec: { Name: 'huge', Data: '\n'.repeat(tooMuch / 2 + 1) } });
    });
    await t.rejects(both, { code: 'invalid-argument' }, 'what counts is how it is written');
    t.strictSame([...store.view.all('config')].map(({ ID }) => ID).sort(), ['a', 'b', 'c', 'd', 'first', 'last']);
  }
});

/** Does what a leader does of a large entry until it is durable, and no more. */
async function commitOnly(client: EtcdClient, term: number, { index, operations }: LogEntry): Promise<void> {
  const cipher = new ValueCipher(dataKey);
  const { kvs } = await client.range({ key: Buffer.from(layout.state) });
  const versions = perTable(() => new Map<string, number>());
  versions.task.set('big0', 1);
  versions.task.set('other', 2);
  const batch = new Batch(cipher, versions, openState(layout, cipher, kvs[0]!.value));
  await batch.add(index, operations);
  const groups = splitRecords(batch.records, { operations: 100, bytes: 1_000_000 });
  for (const [n, group] of groups.entries())
    await client.put({ key: Buffer.from(partKey(layout, index, n)), value: encodePart(group) });
  const success = [
    putOp(layout.pending, sealPending(cipher, index, groups.length)),
    putOp(layout.state, sealState(cipher, { ...batch.state, term })),
  ];
  const { succeeded } = await client.txn({ compare: [changedAt(layout.leader, term)], success });
  if (!succeeded) throw new Error('the fence moved');
}

t.test('etcd log › parts of an entry that never was one are not seen, and removed', skip, async (t) => {
  const etcd = await runEtcd(t);
  const a = await manager(t, etcd, 'a');
  await a.lead();
  await a.log.append([write(1)]);
  const orphan = encodePart(new Map([['task/t1', Buffer.from('nothing')]]));
  await a.client.put({ key: Buffer.from(partKey(layout, 2, 0)), value: orphan });
  const b = await manager(t, etcd, 'b');
  t.strictSame(Object.keys(b.content), ['task/t1']);
  await b.lead();
  await b.log.append([write(2)]);
  await a.told(upTo(2));
  const left = await b.client.range({ key: Buffer.from(layout.parts), rangeEnd: prefixEnd(layout.parts) });
  t.strictSame(left.kvs, []);
});
