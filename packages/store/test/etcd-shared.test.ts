import { createEtcdClient, type EtcdClient } from '@swarmd/etcd';
import type { Clock, LogEvent } from '@swarmd/model';
import t from 'tap';
import { openEtcdLog } from '../src/index.js';
import { replayed, silent } from './builders.js';
import { entry } from './conformance.js';
import { code, dataKey, indexes, manager, never, OURS, upTo, write } from './etcd-managers.js';
import { lossyProxy } from './lossy-proxy.js';
import { runEtcd, withoutEtcd } from './running-etcd.js';

t.setTimeout(120_000);

const skip = { skip: withoutEtcd };

t.test('etcd log › one of two claims; the other follows all that it writes, in order, once', skip, async (t) => {
  const etcd = await runEtcd(t, OURS);
  const [a, b] = [await manager(t, etcd, 'a'), await manager(t, etcd, 'b')];
  t.equal(await code(a.log.append([write(1)])), 'not-leader');
  const claims = await Promise.all(
    [a, b].map(({ log }, i) => log.claim({ nodeId: `${i}`, addr: `${i}` }, undefined, never())),
  );
  t.equal(claims.filter((claim) => claim !== undefined).length, 1);
  const [leader, follower] = claims[0] === undefined ? [b, a] : [a, b];
  const { term } = claims.find((claim) => claim !== undefined)!;
  await leader.told((event) => event.kind === 'leader');
  t.equal(leader.log.leader?.term, term);
  const appends = Array.from({ length: 30 }, (_, i) => leader.log.append([write(i + 1)]));
  await Promise.all(appends);
  await leader.log.append([write(31), entry(32, ['task', 't1', undefined]), entry(40)]);
  await follower.told(upTo(40));
  t.strictSame(
    follower.events.map((event) => event.kind),
    ['leader', ...Array.from({ length: 31 }, () => 'entry')],
  );
  t.strictSame(indexes(follower.events), [...Array.from({ length: 30 }, (_, i) => i + 1), 40]);
  t.ok(follower.events.every((event) => event.kind !== 'entry' || event.term === term));
  t.strictSame(follower.content, (await replayed(leader.log)).content);
  t.strictSame(await follower.log.barrier(never()), { index: 40, term });
});

t.test('etcd log › who lost the fence writes nothing, and knows it', skip, async (t) => {
  const etcd = await runEtcd(t, OURS);
  const [a, b] = [await manager(t, etcd, 'a'), await manager(t, etcd, 'b')];
  const first = await a.lead();
  await a.log.append([write(1)]);
  a.unfollow();
  await b.told(upTo(1));
  t.equal(await b.log.claim({ nodeId: 'b', addr: 'b' }, undefined, never()), undefined, 'over none, but there is one');
  const second = await b.lead();
  t.ok(second > first, 'terms grow');
  t.equal(await code(a.log.append([write(2, 'lost')])), 'not-leader');
  t.equal(await code(a.log.append([write(3, 'lost')])), 'not-leader');
  await b.log.append([write(2)]);
  await a.log.resign(first, never());
  t.equal((await a.log.barrier(never())).term, second, 'who leads no more has nothing to resign');
  const again = await manager(t, etcd, 'a');
  t.strictSame(Object.keys(again.content), ['task/t1', 'task/t2']);
  await b.log.resign(second, never());
  await again.told((event) => event.kind === 'leader' && event.leader === undefined);
  t.equal(again.log.leader, undefined);
  t.equal(await code(b.log.append([write(3)])), 'not-leader');
  await again.lead();
  await again.log.append([write(3)]);
  t.equal((await again.log.barrier(never())).index, 3);
});

t.test(
  'etcd log › a leader that follows no more leads on; following again begins where it knew all',
  skip,
  async (t) => {
    const etcd = await runEtcd(t, OURS);
    const [a, b] = [await manager(t, etcd, 'a'), await manager(t, etcd, 'b')];
    await a.lead();
    a.unfollow();
    for (let index = 1; index <= 5; index++) await a.log.append([write(index)]);
    await b.told(upTo(5));
    await b.lead();
    await b.log.append([write(6)]);
    const events: LogEvent[] = [];
    await new Promise<void>((resolve) => {
      a.log.follow((event) => {
        events.push(event);
        if (upTo(6)(event)) resolve();
      });
    });
    t.strictSame(
      events.map((event) => event.kind),
      ['leader', 'entry'],
    );
  },
);

t.test(
  'etcd log › etcd killed and started: appends and followers go on, without gaps or repetitions',
  skip,
  async (t) => {
    const etcd = await runEtcd(t, OURS);
    const [a, b] = [await manager(t, etcd, 'a'), await manager(t, etcd, 'b')];
    await a.lead();
    let index = 0;
    for (let round = 0; round < 3; round++) {
      const appends = Array.from({ length: 20 }, () => a.log.append([write(++index)]));
      await appends[5];
      await etcd.kill();
      const during = a.log.append([write(++index)]);
      await etcd.start();
      await Promise.all([...appends, during]);
    }
    await b.told(upTo(index));
    t.strictSame(
      indexes(b.events),
      Array.from({ length: index }, (_, i) => i + 1),
    );
    t.strictSame((await replayed(a.log)).content, b.content);
  },
);

t.test(
  'etcd log › without etcd an append is given up as unknown after a while, a barrier is refused',
  skip,
  async (t) => {
    const etcd = await runEtcd(t, OURS);
    const a = await manager(t, etcd, 'a', { unknownMs: 0 });
    const term = await a.lead();
    await etcd.kill();
    t.equal(await code(a.log.append([write(1)])), 'unavailable');
    t.equal(await code(a.log.append([write(2)])), 'unavailable', 'nothing may follow what nobody knows');
    t.equal(await code(a.log.barrier(never())), 'unavailable');
    t.equal(await code(a.log.barrier(AbortSignal.abort())), 'aborted');
    await etcd.start();
    t.ok((await a.lead()) > term);
    await a.log.append([write(3)]);
    t.equal((await a.log.barrier(never())).index, 3);
  },
);

t.test('etcd log › barriers made at once share reads, each sees what was acknowledged before it', skip, async (t) => {
  const etcd = await runEtcd(t, OURS);
  const [a, b] = [await manager(t, etcd, 'a'), await manager(t, etcd, 'b')];
  const term = await a.lead();
  for (let index = 1; index <= 20; index++) {
    const before = b.log.barrier(never());
    await a.log.append([write(index)]);
    const after = await Promise.all(Array.from({ length: 50 }, () => b.log.barrier(never())));
    t.ok(after.every((read) => read.index === index && read.term === term));
    t.ok([index - 1, index].includes((await before).index));
  }
});

t.test('etcd log › a follower that etcd has been compacted under is told that it is lost', skip, async (t) => {
  const etcd = await runEtcd(t, OURS);
  const [a, b] = [await manager(t, etcd, 'a'), await manager(t, etcd, 'b')];
  await a.lead();
  await b.told((event) => event.kind === 'leader');
  b.unfollow();
  for (let index = 1; index <= 5; index++) await a.log.append([write(index)]);
  const { header } = await a.client.status({});
  await a.client.compact({ revision: header!.revision, physical: true });
  const event = await new Promise<LogEvent>((resolve) => b.log.follow(resolve));
  t.equal(event.kind, 'lost');
  t.equal((await replayed(b.log)).index, 5);
  const followed = new Promise<LogEvent>((resolve) => b.log.follow(resolve));
  await a.log.append([write(6)]);
  t.match(await followed, { kind: 'entry', entry: { index: 6 } });
});

t.test('etcd log › an append whose answer was lost is told the truth, whoever leads by then', skip, async (t) => {
  const etcd = await runEtcd(t, OURS);
  const proxy = await lossyProxy(t, etcd.endpoint);
  const [a, b] = [await manager(t, proxy, 'a'), await manager(t, etcd, 'b')];
  await a.lead();
  proxy.hold('answers');
  const first = a.log.append([write(1)]);
  await b.told(upTo(1));
  proxy.cut();
  t.equal(await code(first), 'done', 'it still leads: the same write is found to be there');
  proxy.hold('answers');
  const second = a.log.append([write(2)]);
  await b.told(upTo(2));
  await b.lead();
  await b.log.append([write(3)]);
  proxy.cut();
  t.equal(await code(second), 'done', 'it leads no more: the write came before it was replaced');
  await a.told(upTo(3));
  t.strictSame(indexes(a.events), [1, 2, 3]);
  t.strictSame(indexes(b.events), [1, 2, 3]);
  t.equal(await code(a.log.append([write(4)])), 'not-leader');
  await a.lead();
  await a.log.append([write(4)]);
  await b.told(upTo(4));
  t.strictSame(indexes(b.events), [1, 2, 3, 4], 'and it knows where the log is when it leads again');
});

t.test('etcd log › an append that never arrived is told so once another leads', skip, async (t) => {
  const etcd = await runEtcd(t, OURS);
  const proxy = await lossyProxy(t, etcd.endpoint);
  const [a, b] = [await manager(t, proxy, 'a'), await manager(t, etcd, 'b')];
  await a.lead();
  await b.told((event) => event.kind === 'leader');
  proxy.hold('requests');
  const lost = a.log.append([write(1)]);
  await proxy.held();
  await b.lead();
  await b.log.append([write(1, 'of b')]);
  proxy.cut();
  t.equal(await code(lost), 'not-leader');
  t.strictSame(Object.keys((await replayed(a.log)).content), ['task/of b']);
});

t.test('etcd log › what became of an append is unknown when its history is gone; following tells', skip, async (t) => {
  const etcd = await runEtcd(t, OURS);
  const proxy = await lossyProxy(t, etcd.endpoint);
  const [a, b] = [await manager(t, proxy, 'a'), await manager(t, etcd, 'b')];
  const term = await a.lead();
  proxy.hold('answers');
  const lost = a.log.append([write(1)]);
  await b.told(upTo(1));
  await b.lead();
  await b.log.append([write(2)]);
  const { header } = await b.client.status({});
  await b.client.compact({ revision: header?.revision ?? 0, physical: true });
  proxy.cut();
  t.equal(await code(lost), 'unavailable');
  t.match(b.events.filter(upTo(1)), [{ term }]);
});

t.test('etcd log › a claim whose answer was lost is told the truth', skip, async (t) => {
  const etcd = await runEtcd(t, OURS);
  const proxy = await lossyProxy(t, etcd.endpoint);
  const [a, b] = [await manager(t, proxy, 'a'), await manager(t, etcd, 'b')];
  proxy.hold('answers');
  const claim = a.log.claim({ nodeId: 'a', addr: 'a' }, undefined, never());
  await b.told((event) => event.kind === 'leader');
  proxy.cut();
  t.equal((await claim)?.term, b.log.leader?.term);
  await a.told((event) => event.kind === 'leader');
  await a.log.append([write(1)]);
  proxy.hold('requests');
  const late = a.log.claim({ nodeId: 'a', addr: 'a' }, a.log.leader?.term, never());
  await proxy.held();
  await b.lead();
  proxy.cut();
  t.equal(await late, undefined, 'somebody was faster');
});

t.test('etcd log › a watch that fell silent is noticed and begun again, without anyone asking', skip, async (t) => {
  const etcd = await runEtcd(t, OURS);
  const a = await manager(t, etcd, 'a');
  const client = createEtcdClient({ endpoint: etcd.endpoint });
  let watches = 0;
  const silentOnce: EtcdClient['watch'] = (request, handlers) => {
    if (watches++ > 0) return client.watch(request, handlers);
    return client.watch(request, { ...handlers, onResponse: () => undefined });
  };
  const clock: Clock = {
    now: Date.now,
    monotonic: () => performance.now(),
    after: (ms, fn) => {
      const timer = setTimeout(fn, ms / 20);
      return () => clearTimeout(timer);
    },
  };
  const log = await openEtcdLog({ client: { ...client, watch: silentOnce }, dataKey, logger: silent, clock });
  t.after(async () => {
    await log.close();
    client.close();
  });
  await log.replay(() => {});
  await a.lead();
  await a.log.append([write(1)]);
  const events: LogEvent[] = [];
  await new Promise<void>((resolve) => {
    log.follow((event) => {
      events.push(event);
      if (event.kind === 'entry') resolve();
    });
  });
  t.strictSame(
    events.map(({ kind }) => kind),
    ['leader', 'entry'],
  );
  t.equal(watches, 2);
});
