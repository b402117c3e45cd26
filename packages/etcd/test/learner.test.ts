import t from 'tap';
import { addLearner, commitEtcdLog, inspectEtcdData, takeVote } from '../src/index.js';
import { get, needsEtcd, newPeerUrl, put, realClock, soon, TestCluster, until } from './support/etcd.js';

for (const snapshotCount of [5_000, 10]) {
  const name = `etcd learner › is what a cluster can be recovered from, with a snapshot every ${snapshotCount} entries`;
  t.test(name, needsEtcd, async (t) => {
    const cluster = await TestCluster.create(t);
    const a = await cluster.start('a', { snapshotCount });
    await a.running.ready(soon());
    const peerUrl = await newPeerUrl();
    const operation = { admin: cluster.admin(a), clock: realClock, signal: soon(), patienceMs: 15_000 };
    const { id } = await addLearner(operation, peerUrl);
    const b = await cluster.start('b', { snapshotCount }, peerUrl);
    await b.running.ready(soon());
    for (let i = 0; i < 40; i++) await put(a.running, `key${i}`, 'value');
    const { lastIndex } = await inspectEtcdData(a.dataDir);
    await until('the learner to have it all', async () => (await inspectEtcdData(b.dataDir)).lastIndex === lastIndex);
    process.kill(a.running.pid!, 'SIGSTOP');
    await b.running.stop();

    await commitEtcdLog(b.dataDir);
    await takeVote(b.dataDir);
    await takeVote(b.dataDir);
    t.match(await inspectEtcdData(b.dataDir), { lastIndex: lastIndex + 2n, commitIndex: lastIndex + 2n });
    const alone = await cluster.start('b', { snapshotCount, forceNewCluster: true }, peerUrl, []);
    await alone.running.ready(soon());
    t.equal(await get(alone.running, 'key39'), 'value');
    t.match(await cluster.admin(alone).memberList(soon()), [{ id, name: 'b', isLearner: false }]);
    process.kill(a.running.pid!, 'SIGCONT');
    t.match(await a.gone, { kind: 'removed' }, 'the former voter hears that it is none');

    await alone.running.stop();
    const again = await cluster.start('b', { snapshotCount }, peerUrl, []);
    await again.running.ready(soon());
    await put(again.running, 'later', 'value');
    t.equal(await get(again.running, 'key0'), 'value');
  });
}
