import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { connect } from 'node:tls';
import t from 'tap';
import { readWal } from '../src/data/wal.js';
import { commitEtcdLog, createEtcdCa, type EtcdMember, findEtcd, inspectEtcdData, takeVote } from '../src/index.js';
import {
  callJson,
  get,
  needsEtcd,
  newPeerUrl,
  put,
  realRandom,
  soon,
  TestCluster,
  testTls,
  until,
} from './support/etcd.js';

/** Whether a process is there, or still a zombie. */
const isAlive = (pid: number): boolean => existsSync(`/proc/${pid}`);

/** Has the cluster of `running` expect another member, a learner, that nobody has started yet. */
async function addLearner(running: EtcdMember): Promise<{ peerUrl: string; memberId: string }> {
  const peerUrl = await newPeerUrl();
  const add = { peerURLs: [peerUrl], isLearner: true };
  type Added = { member: { ID: string } };
  const { member } = await callJson<Added>(running, running.clientTls, '/v3/cluster/member/add', add);
  return { peerUrl, memberId: member.ID };
}

t.test('etcd member › serves, keeps its keys to itself, and is gone after stop', needsEtcd, async (t) => {
  const cluster = await TestCluster.create(t);
  const { running, options } = await cluster.start('a');
  await running.ready(soon());
  await put(running, 'key', 'value');
  t.equal(await get(running, 'key'), 'value');
  t.equal(running.state, 'ready');
  t.equal(statSync(options.keyDir).mode & 0o777, 0o700);
  for (const file of readdirSync(options.keyDir)) t.equal(statSync(`${options.keyDir}/${file}`).mode & 0o777, 0o600);
  const pid = running.pid!;
  await running.stop();
  t.notOk(isAlive(pid));
  t.same(readdirSync(options.keyDir), [], 'and its keys are removed');
  await t.rejects(running.ready(soon()), { code: 'unavailable' });
});

t.test('etcd member › killed, is started again with what it had, on the same port', needsEtcd, async (t) => {
  const cluster = await TestCluster.create(t);
  const { running } = await cluster.start('a');
  await running.ready(soon());
  await put(running, 'key', 'kept');
  const [pid, endpoint] = [running.pid!, running.clientEndpoint];
  process.kill(pid, 'SIGKILL');
  await until('another process', () => running.pid !== undefined && running.pid !== pid);
  await running.ready(soon());
  t.equal(running.clientEndpoint, endpoint);
  t.equal(await get(running, 'key'), 'kept');
});

t.test('etcd member › that cannot serve where it was to is started on another port', needsEtcd, async (t) => {
  const cluster = await TestCluster.create(t);
  const failsOnce = join(cluster.root, 'etcd-that-fails-once');
  const marker = join(cluster.root, 'failed');
  const script = `#!/bin/sh\n[ -e ${marker} ] || { touch ${marker}; exit 1; }\nexec ${(await findEtcd()).path} "$@"\n`;
  writeFileSync(failsOnce, script, { mode: 0o755 });
  const { running } = await cluster.start('a', { etcdPath: failsOnce });
  const first = running.clientEndpoint;
  await running.ready(soon());
  t.not(running.clientEndpoint, first);
  await put(running, 'key', 'value');
});

t.test('etcd member › without a quorum starts and waits; ready can be given up', needsEtcd, async (t) => {
  const cluster = await TestCluster.create(t);
  const absent = { name: 'b', peerUrl: await newPeerUrl() };
  const peerUrl = await newPeerUrl();
  const initialCluster = [absent, { name: 'a', peerUrl }];
  const { running } = await cluster.start('a', { initialCluster }, peerUrl);
  const abort = new AbortController();
  const ready = running.ready(abort.signal);
  t.equal(running.state, 'starting');
  abort.abort();
  await t.rejects(ready, { name: 'AbortError' });
});

t.test('etcd member › is refused where its certificate is of another CA', needsEtcd, async (t) => {
  const cluster = await TestCluster.create(t);
  const { running, peerUrl } = await cluster.start('a');
  await running.ready(soon());
  const foreign = await testTls(await createEtcdCa(Date.now(), realRandom), 'a');
  const ports = { client: Number(new URL(running.clientEndpoint).port), peer: Number(new URL(peerUrl).port) };
  const { caPem } = running.clientTls;
  for (const [name, port] of Object.entries(ports)) {
    for (const own of [foreign, undefined]) {
      const who = own === undefined ? {} : { cert: own.certificatePem, key: own.keyPem };
      const socket = connect({ host: '127.0.0.1', port, ca: caPem, ...who });
      socket.on('secureConnect', () => socket.write('GET /version HTTP/1.0\r\n\r\n'));
      let answer = '';
      socket.on('data', (part) => {
        answer += part;
      });
      socket.on('error', () => {});
      await new Promise((resolve) => socket.on('close', resolve));
      t.equal(answer, '', `${name} port`);
    }
  }
  await t.rejects(callJson(running, { ...foreign, caPem }, '/v3/maintenance/status'));
});

t.test('etcd member › takes a new certificate without a restart', needsEtcd, async (t) => {
  const cluster = await TestCluster.create(t);
  const { running, name } = await cluster.start('a');
  await running.ready(soon());
  const pid = running.pid;
  const serial = async (): Promise<string> => {
    const { caPem, certificatePem, keyPem } = running.clientTls;
    const port = Number(new URL(running.clientEndpoint).port);
    const socket = connect({ host: '127.0.0.1', port, ca: caPem, cert: certificatePem, key: keyPem });
    await once(socket, 'secureConnect');
    const { serialNumber } = socket.getPeerCertificate();
    socket.destroy();
    return serialNumber;
  };
  const before = await serial();
  await running.renew(await testTls(cluster.ca, name));
  t.not(await serial(), before);
  t.equal(running.pid, pid);
  running.restart();
  await until('another process', () => running.pid !== undefined && running.pid !== pid);
  await running.ready(soon());
});

t.test('etcd member › dies with the process that supervises it', needsEtcd, async (t) => {
  const module = new URL('./support/supervising-process.js', import.meta.url).pathname;
  const supervisor = spawn(process.execPath, [module], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [text] = (await once(supervisor.stdout, 'data')) as [Buffer];
  const { pid, root, keys } = JSON.parse(text.toString()) as { pid: number; root: string; keys: string };
  t.ok(isAlive(pid));
  supervisor.kill('SIGKILL');
  await until('etcd to be gone', () => !isAlive(pid));
  rmSync(root, { recursive: true });
  rmSync(keys, { recursive: true });
});

t.test('etcd member › removed from its cluster says so once, now or when it comes back', needsEtcd, async (t) => {
  const cluster = await TestCluster.create(t);
  const a = await cluster.start('a');
  await a.running.ready(soon());
  const { peerUrl, memberId } = await addLearner(a.running);
  const b = await cluster.start('b', {}, peerUrl);
  await b.running.ready(soon());
  await callJson(a.running, a.running.clientTls, '/v3/cluster/member/remove', { ID: memberId });
  t.match(await b.gone, { kind: 'removed' });
  t.equal(b.running.state, 'gone');
  t.equal(b.running.pid, undefined);
  await b.running.stop();
  const again = await cluster.start('b', {}, peerUrl, [a]);
  t.match(await again.gone, { kind: 'removed' });
});

t.test('etcd member › what it had not yet known to be committed survives recovery', needsEtcd, async (t) => {
  const cluster = await TestCluster.create(t);
  const urls = [await newPeerUrl(), await newPeerUrl()];
  const initialCluster = [
    { name: 'a', peerUrl: urls[0]! },
    { name: 'b', peerUrl: urls[1]! },
  ];
  const over = { initialCluster, initialClusterState: 'new' } as const;
  const [a, b] = await Promise.all([cluster.start('a', over, urls[0]), cluster.start('b', over, urls[1])]);
  await Promise.all([a.running.ready(soon()), b.running.ready(soon())]);
  await put(a.running, 'key', 'old');
  const { leader, header } = await callJson<{ leader: string; header: { member_id: string } }>(
    a.running,
    a.running.clientTls,
    '/v3/maintenance/status',
  );
  const [first, other] = leader === header.member_id ? [a, b] : [b, a];
  process.kill(other.running.pid!, 'SIGSTOP');
  const { lastIndex: lastBefore } = await inspectEtcdData(first.dataDir);
  const late = put(first.running, 'key', 'new').catch(() => {});
  await until('the entry in the log', async () => {
    return (await inspectEtcdData(first.dataDir)).lastIndex > lastBefore;
  });
  process.kill(other.running.pid!, 'SIGKILL');
  await Promise.all([first.running.stop(), other.running.stop()]);
  await late;
  const before = await inspectEtcdData(first.dataDir);
  t.ok((await commitEtcdLog(first.dataDir)) >= 1);
  t.match(await inspectEtcdData(first.dataDir), { ...before, commitIndex: before.lastIndex });
  t.equal(await commitEtcdLog(first.dataDir), 0, 'and nothing is left to do');
  await takeVote(first.dataDir);
  const alone = await cluster.start(first.name, { forceNewCluster: true }, await newPeerUrl(), []);
  await alone.running.ready(soon());
  t.equal(await get(alone.running, 'key'), 'new');

  const admin = cluster.admin(alone);
  await admin.memberAdd(await newPeerUrl(), true, soon());
  const pid = alone.running.pid!;
  process.kill(pid, 'SIGKILL');
  await until('another process', () => alone.running.pid !== undefined && alone.running.pid !== pid);
  await alone.running.ready(soon());
  t.equal((await admin.memberList(soon())).length, 2, 'started again, it throws nobody out');
});

t.test('etcd member › that was removed before its first start says so once', needsEtcd, async (t) => {
  const cluster = await TestCluster.create(t);
  const a = await cluster.start('a');
  await a.running.ready(soon());
  const { peerUrl, memberId } = await addLearner(a.running);
  await callJson(a.running, a.running.clientTls, '/v3/cluster/member/remove', { ID: memberId });
  const b = await cluster.start('b', {}, peerUrl);
  t.match(await b.gone, { kind: 'outdated', detail: /member count is unequal/ });
  t.equal(b.running.pid, undefined);
});

t.test('etcd member › whose data is damaged says so once', needsEtcd, async (t) => {
  const cluster = await TestCluster.create(t);
  const a = await cluster.start('a');
  await a.running.ready(soon());
  for (let i = 0; i < 20; i++) await put(a.running, `key${i}`, 'value'.repeat(50));
  await a.running.stop();
  const wal = readdirSync(`${a.dataDir}/member/wal`).find((name) => name.endsWith('.wal'))!;
  await t.resolves(inspectEtcdData(a.dataDir));
  const bytes = readFileSync(`${a.dataDir}/member/wal/${wal}`).subarray(0, 64 * 1024);
  const { offset: end } = readWal(bytes, wal, () => {});
  t.ok(end > 5_000, `${end} bytes of records`);
  for (let at = 0; at < end; at += 8) {
    const altered = Buffer.from(bytes).fill(0xff, at, at + 8);
    t.throws(() => readWal(altered, wal, () => {}), { code: 'damaged' }, `at byte ${at}`);
  }
  await flip(`${a.dataDir}/member/wal/${wal}`, 3_000);
  await t.rejects(inspectEtcdData(a.dataDir), { code: 'damaged' });
  const again = await cluster.start('a', {}, a.peerUrl, []);
  t.match(await again.gone, { kind: 'damaged', detail: /crc mismatch|max entry size limit exceeded/ });
  t.equal(again.running.pid, undefined);
  rmSync(`${a.dataDir}/member/wal`, { recursive: true });
  await t.rejects(cluster.start('a', {}, a.peerUrl, []), { code: 'damaged', message: /log .* is missing/ });
});

async function flip(path: string, at: number): Promise<void> {
  const file = await open(path, 'r+');
  const bytes = Buffer.alloc(8);
  await file.read(bytes, 0, 8, at);
  for (const [i, byte] of bytes.entries()) bytes[i] = byte ^ 0xff;
  await file.write(bytes, 0, 8, at);
  await file.close();
}
