import { randomBytes } from 'node:crypto';
import { type EtcdClient, prefixEnd } from '@swarmd/etcd';
import type { LogEntry, ResealableSharedLog } from '@swarmd/model';
import t from 'tap';
import { ValueCipher } from '../src/cipher.js';
import { anyObject, replayed } from './builders.js';
import { entry } from './conformance.js';
import { code, indexes, layout, type Manager, manager, never, OURS, upTo, write } from './etcd-managers.js';
import { lossyProxy } from './lossy-proxy.js';
import { runEtcd, withoutEtcd } from './running-etcd.js';

t.setTimeout(180_000);

const skip = { skip: withoutEtcd };
const [before, after] = [randomBytes(32), randomBytes(32)];

/** A manager that holds `keys`, the first of which seals. */
async function holder(t: Parameters<typeof manager>[0], etcd: { endpoint: string }, id: string, keys: Uint8Array[]) {
  const cipher = new ValueCipher(keys as [Uint8Array]);
  const held = await manager(t, etcd, id, { dataKey: cipher });
  return { ...held, cipher, reseal: () => (held.log as ResealableSharedLog).reseal(never()) };
}

/** The keys in etcd whose values the cipher's present key has not sealed; the fence is none of them. */
async function stale(client: EtcdClient, cipher: ValueCipher): Promise<string[]> {
  const { kvs } = await client.range({ key: Buffer.from(layout.prefix), rangeEnd: prefixEnd(layout.prefix) });
  return kvs
    .filter(({ key, value }) => key.toString() !== layout.leader && !cipher.isCurrent(value))
    .map(({ key }) => key.toString());
}

/** Entries `first` to `last`, ten tasks each. */
const some = (first: number, last: number): LogEntry[] =>
  Array.from({ length: last - first + 1 }, (_, i) => {
    const index = first + i;
    return entry(
      index,
      ...Array.from({ length: 10 }, (_, n): ['task', string, ReturnType<typeof anyObject>] => {
        const id = `t${index}-${n}`;
        return ['task', id, anyObject(id, index)];
      }),
    );
  });

const sorted = (content: Manager['content']) => Object.entries(content).sort(([a], [b]) => (a < b ? -1 : 1));

t.test('etcd log › sealed anew while it is written and followed: the new key alone opens it', skip, async (t) => {
  const etcd = await runEtcd(t, OURS);
  const a = await holder(t, etcd, 'a', [before]);
  const b = await holder(t, etcd, 'b', [before, after]);
  await a.lead();
  await a.log.append(some(1, 100));
  a.cipher.use([after, before]);
  const resealing = a.reseal();
  for (let index = 101; index <= 140; index++)
    await a.log.append([
      entry(index, ['task', `t${index - 100}-0`, undefined], ['task', 't99-1', anyObject('t99-1', index)]),
    ]);
  await resealing;
  t.strictSame(await stale(a.client, a.cipher), []);
  await b.told(upTo(140));
  t.strictSame(indexes(b.events).slice(-3), [138, 139, 140], 'followers are told of entries alone');
  const c = await holder(t, etcd, 'c', [after]);
  t.strictSame(sorted(c.content), sorted(b.content));
  t.equal(Object.keys(c.content).length, 960);
  t.equal((await c.log.barrier(never())).index, 140);
  b.cipher.use([after]);
  await b.lead();
  await b.log.append([write(141)]);
  await c.told(upTo(141));
  await a.told(upTo(141));
  t.strictSame(
    indexes(a.events),
    Array.from({ length: 42 }, (_, i) => 100 + i),
    'and so is who led',
  );
});

t.test('etcd log › sealed anew with nothing to do, or without an entry, is as it was', skip, async (t) => {
  const etcd = await runEtcd(t, OURS);
  const a = await holder(t, etcd, 'a', [before]);
  t.equal(await code(a.reseal()), 'not-leader');
  await a.lead();
  await a.reseal();
  await a.log.append([write(1)]);
  await a.reseal();
  const { content, index } = await replayed((await holder(t, etcd, 'b', [before])).log);
  t.equal(index, 1);
  t.strictSame(Object.keys(content), ['task/t1']);
});

t.test('etcd log › a leader that loses its place while it seals anew: the next one finishes', skip, async (t) => {
  const etcd = await runEtcd(t, OURS);
  const a = await holder(t, etcd, 'a', [before]);
  const b = await holder(t, etcd, 'b', [before, after]);
  await a.lead();
  await a.log.append(some(1, 100));
  await b.told(upTo(100));
  a.cipher.use([after, before]);
  const resealing = code(a.reseal());
  const half = async (): Promise<void> => {
    const left = (await stale(a.client, a.cipher)).length;
    if (left === 0 || left > 900) await half();
  };
  await half();
  b.cipher.use([after, before]);
  await b.lead();
  t.equal(await resealing, 'not-leader');
  t.ok((await stale(b.client, b.cipher)).length > 0, 'it was cut off');
  const c = await holder(t, etcd, 'c', [after, before]);
  t.equal(Object.keys(c.content).length, 1_000, 'half of it under either key it is whole');
  await b.log.append([write(101)]);
  await b.reseal();
  t.strictSame(await stale(b.client, b.cipher), []);
  t.strictSame(sorted((await holder(t, etcd, 'd', [after])).content), sorted((await replayed(c.log)).content));
});

t.test('etcd log › answers that are lost while it is sealed anew lose nothing', skip, async (t) => {
  const etcd = await runEtcd(t, OURS);
  const proxy = await lossyProxy(t, etcd.endpoint);
  const a = await holder(t, proxy, 'a', [before]);
  const b = await holder(t, etcd, 'b', [before, after]);
  await a.lead();
  await a.log.append([write(1), write(2)]);
  await b.told(upTo(2));
  a.cipher.use([after, before]);
  proxy.hold('answers');
  const resealing = code(a.reseal());
  await proxy.held();
  proxy.cut();
  t.equal(await resealing, 'done');
  await a.log.append([write(3)]);
  await b.told(upTo(3));
  t.strictSame(await stale(b.client, a.cipher), []);
  t.strictSame(Object.keys((await holder(t, etcd, 'c', [after])).content), ['task/t1', 'task/t2', 'task/t3']);
});

t.test('etcd log › an entry that waits in parts under the old key is sealed anew, too', skip, async (t) => {
  const etcd = await runEtcd(t);
  const a = await holder(t, etcd, 'a', [before]);
  await a.lead();
  const tasks = Array.from({ length: 400 }, (_, i): ['task', string, ReturnType<typeof anyObject>] => [
    'task',
    `big${i}`,
    anyObject(`big${i}`, 1, { padding: 'x'.repeat(5_000) }),
  ]);
  const writing = a.log.append([entry(1, ...tasks)]);
  a.cipher.use([after, before]);
  const resealing = a.reseal();
  await writing;
  await resealing;
  t.strictSame(await stale(a.client, a.cipher), []);
  t.equal(Object.keys((await holder(t, etcd, 'b', [after])).content).length, 400);
});
