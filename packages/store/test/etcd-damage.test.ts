import { createEtcdClient, deleteOp, prefixEnd, putOp } from '@swarmd/etcd';
import { isErrorCode } from '@swarmd/model';
import t from 'tap';
import { ValueCipher } from '../src/cipher.js';
import { openState, sealState } from '../src/etcd/state-record.js';
import { openEtcdLog } from '../src/index.js';
import { replayed, silent } from './builders.js';
import { code, dataKey, layout, manager, OURS, write } from './etcd-managers.js';
import { runEtcd, withoutEtcd } from './running-etcd.js';

t.setTimeout(120_000);

const skip = { skip: withoutEtcd };

t.test('etcd log › whatever was altered is damage, at replay and while following', skip, async (t) => {
  const etcd = await runEtcd(t, OURS);
  const a = await manager(t, etcd, 'a');
  await a.lead();
  await a.log.append([write(1), write(2), write(3)]);
  await a.log.append([write(4, 't1')]);
  const key = (suffix: string): Buffer => Buffer.from(layout.prefix + suffix);
  const keys = (await a.client.range({ key: key(''), rangeEnd: prefixEnd(layout.prefix) })).kvs;
  t.equal(keys.length, 5);
  const findings: Record<string, string> = {
    'o/task/t1': 'record "task/t1" was altered',
    state: '"state" was altered',
  };
  for (const { key, value } of keys) {
    const suffix = key.toString().slice(layout.prefix.length);
    const altered = Buffer.from(value);
    altered[suffix === 'leader' ? 0 : altered.length - 20]! ^= 1;
    await a.client.put({ key, value: altered });
    const c = createEtcdClient({ endpoint: etcd.endpoint });
    const log = await openEtcdLog({ client: c, dataKey, logger: silent });
    const error = await log.replay(() => {}).then(undefined, (error: unknown) => error);
    t.ok(isErrorCode(error, 'damaged'), suffix);
    t.match((error as Error).message, findings[suffix] ?? suffix.replace('o/', ''));
    await a.client.put({ key, value });
    t.equal((await replayed(log)).index, 4, 'whole again');
    await a.client.txn({ success: [deleteOp(key.toString())] });
    t.equal(await code(log.replay(() => {})), suffix === 'leader' ? 'done' : 'damaged', `without ${suffix}`);
    await a.client.put({ key, value });
    await log.close();
    c.close();
  }
  const old = (await a.client.range({ key: key('o/task/t1'), revision: keys[1]!.modRevision - 1 })).kvs[0]!;
  await a.client.put({ key: old.key, value: old.value });
  t.equal(await code(a.log.replay(() => {})), 'damaged', 'an older version of a record');
  const other = await openEtcdLog({ client: a.client, dataKey: Buffer.alloc(32, 8), logger: silent });
  t.equal(await code(other.replay(() => {})), 'failed-precondition', 'another data key');
});

t.test('etcd log › a follower is lost when an entry does not open, or does not follow', skip, async (t) => {
  const etcd = await runEtcd(t, OURS);
  const a = await manager(t, etcd, 'a');
  const term = await a.lead();
  await a.log.append([write(1)]);
  const b = await manager(t, etcd, 'b');
  const cipher = new ValueCipher(dataKey);
  const { kvs } = await a.client.range({ key: Buffer.from(layout.state) });
  const state = { ...openState(layout, cipher, kvs[0]!.value), index: 2, term };
  const stateOp = putOp(layout.state, sealState(cipher, state));
  await a.client.txn({ success: [putOp(`${layout.objects}task/t2`, Buffer.alloc(60, 1)), stateOp] });
  t.match(await b.told((event) => event.kind === 'lost'), { reason: /task\/t2/ });
  await a.client.txn({ success: [deleteOp(`${layout.objects}task/t2`)] });
  const c = await manager(t, etcd, 'c');
  const sealed = cipher.seal('task/t3', 3, '{}');
  const nextOp = putOp(layout.state, sealState(cipher, { ...state, index: 3 }));
  await a.client.txn({ success: [putOp(`${layout.objects}task/t3`, sealed), nextOp] });
  t.match(await c.told((event) => event.kind === 'lost'), { reason: /does not follow/ });
});
