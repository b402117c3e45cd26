import t from 'tap';
import {
  addLearner,
  type EtcdAdmin,
  type MemberOperation,
  mayRemove,
  moveLeader,
  promoteLearner,
  quorumMargin,
  reachablePeers,
  removeMember,
  updatePeerUrl,
} from '../src/index.js';
import { get, needsEtcd, newPeerUrl, put, realClock, soon, TestCluster, type TestMember } from './support/etcd.js';

const operationOf = (admin: EtcdAdmin): MemberOperation => ({
  ...{ admin, clock: realClock, signal: soon(), patienceMs: 15_000 },
});

/** Adds, starts and promotes a member through `sponsor`. */
async function grow(
  cluster: TestCluster,
  sponsor: TestMember,
  name: string,
): Promise<{ id: string; member: TestMember }> {
  const operation = operationOf(cluster.admin(sponsor));
  const peerUrl = await newPeerUrl();
  const { id } = await addLearner(operation, peerUrl);
  const member = await cluster.start(name, {}, peerUrl);
  await promoteLearner(operation, id);
  await member.running.ready(soon());
  return { id, member };
}

t.test('etcd cluster › grows from one to three, moves its leader, and lives through a loss', needsEtcd, async (t) => {
  const cluster = await TestCluster.create(t);
  const a = await cluster.start('a');
  await a.running.ready(soon());
  await put(a.running, 'key', 'one');
  const admin = cluster.admin(a);
  // Both at once: one of them waits for the other's learner to be promoted.
  const [b, c] = await Promise.all([grow(cluster, a, 'b'), grow(cluster, a, 'c')]);
  const members = await admin.memberList(soon());
  t.same(
    new Set(members.map(({ name, isLearner }) => `${name} ${isLearner}`)),
    new Set(['a false', 'b false', 'c false']),
  );
  t.equal(await get(c.member.running, 'key'), 'one');
  const reachable = await reachablePeers(members, a.running.clientTls, soon());
  t.equal(reachable.size, 3);
  t.match(reachable.get(b.id), /^3\.\d+\.\d+/);

  await t.rejects(addLearner(operationOf(admin), b.member.peerUrl), { code: 'already-exists', message: /: b$/ });
  await promoteLearner(operationOf(admin), b.id);
  await moveLeader({ admin, signal: soon() }, b.id);
  t.equal((await cluster.admin(b.member).status(soon())).leaderId, b.id);
  await t.rejects(moveLeader({ admin, signal: soon() }, c.id), { code: 'not-leader' });

  await b.member.running.stop();
  await put(a.running, 'key', 'two');
  t.equal(await get(c.member.running, 'key'), 'two');
  const left = await reachablePeers(members, a.running.clientTls, soon());
  const well = new Set(left.keys());
  t.same(quorumMargin(members, well), { voters: 3, healthy: 2, quorum: 2, margin: 0 });
  t.match(mayRemove(members, well, c.id), { isAllowed: false, reason: /only 1 of the 2 other managers/ });
  t.match(mayRemove(members, well, b.id), { isAllowed: true, after: { voters: 2, healthy: 2, margin: 0 } });
  await removeMember(operationOf(admin), b.id);
  await removeMember(operationOf(admin), b.id);
  t.equal((await admin.memberList(soon())).length, 2);
});

t.test('etcd cluster › a member comes back under another address', needsEtcd, async (t) => {
  const cluster = await TestCluster.create(t);
  const a = await cluster.start('a');
  await a.running.ready(soon());
  const { id, member } = await grow(cluster, a, 'b');
  const peerUrl = await newPeerUrl();
  await updatePeerUrl(operationOf(cluster.admin(a)), id, peerUrl);
  await member.running.stop();
  const back = await cluster.start('b', {}, peerUrl, [a]);
  await back.running.ready(soon());
  await put(back.running, 'key', 'value');
  t.equal(await get(a.running, 'key'), 'value', 'and both together are a quorum');
});

t.test(
  'etcd cluster › a learner that never starts is not promoted, and a second one waits in vain',
  needsEtcd,
  async (t) => {
    const cluster = await TestCluster.create(t);
    const a = await cluster.start('a');
    await a.running.ready(soon());
    const operation = { ...operationOf(cluster.admin(a)), patienceMs: 300 };
    const peerUrl = await newPeerUrl();
    const learner = await addLearner(operation, peerUrl);
    t.same(await addLearner(operation, peerUrl), learner, 'asked for again, it is the same');
    await t.rejects(promoteLearner(operation, learner.id), {
      code: 'failed-precondition',
      message: /in sync with leader/,
    });
    await t.rejects(addLearner(operation, await newPeerUrl()), {
      code: 'failed-precondition',
      message: /too many learner/,
    });
    const abort = new AbortController();
    const forever = promoteLearner({ ...operation, patienceMs: 60_000, signal: abort.signal }, learner.id);
    abort.abort();
    await t.rejects(forever, { name: 'AbortError' });
    await removeMember(operation, learner.id);
    await t.rejects(promoteLearner(operation, learner.id), { code: 'not-found' });
  },
);
