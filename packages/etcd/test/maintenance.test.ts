import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { httpsGet } from '../src/admin/https-get.js';
import type { EtcdEndpoint } from '../src/admin/target.js';
import { type MaintenanceReport, probeLimits, startEtcdMaintenance } from '../src/index.js';
import { callJson, needsEtcd, put, realClock, soon, TestCluster, testLogger } from './support/etcd.js';

const MIB = 1024 * 1024;

t.test(
  'etcd maintenance › a database that is full is emptied of its history, and writes go on',
  needsEtcd,
  async (t) => {
    const cluster = await TestCluster.create(t);
    const quotaBytes = 4 * MIB;
    const member = await cluster.start('a', { quotaBytes });
    const { running } = member;
    await running.ready(soon());
    const admin = cluster.admin(member);
    const reports: MaintenanceReport[] = [];
    const maintenance = startEtcdMaintenance({
      ...{ admin, quotaBytes: () => running.quotaBytes, isLeader: () => true, periodMs: 3_600_000 },
      ...{ onReport: (report) => reports.push(report), clock: realClock, logger: testLogger },
    });
    t.teardown(() => maintenance.stop());
    const value = 'x'.repeat(200_000);
    const fill = async (): Promise<void> => {
      for (let i = 0; i < 100; i++) await put(running, 'key', value);
    };
    await t.rejects(fill(), { message: /database space exceeded/ });
    t.same(await admin.alarms(soon()), [{ memberId: (await admin.status(soon())).memberId, kind: 'nospace' }]);
    await maintenance.round();
    t.equal(reports.at(-1)?.space, 'full');
    t.same(await admin.alarms(soon()), []);
    await put(running, 'key', value);
    const { dbSizeBytes } = await admin.status(soon());
    t.ok(dbSizeBytes < quotaBytes / 2, `${dbSizeBytes} bytes are left`);
    await maintenance.round();
    t.equal(reports.at(-1)?.space, 'ample', 'and that is told');
    t.equal(reports.length, 2);
  },
);

/** How often etcd has brought its database up to date with what was put. */
async function backendCommits({ clientEndpoint, clientTls }: EtcdEndpoint): Promise<number> {
  const metrics = await httpsGet(new URL('/metrics', clientEndpoint), clientTls, soon());
  return Number(/^etcd_disk_backend_commit_duration_seconds_count (\d+)$/m.exec(metrics)![1]);
}

t.test('etcd maintenance › warns before the database is full', needsEtcd, async (t) => {
  const cluster = await TestCluster.create(t);
  const member = await cluster.start('a', { quotaBytes: 4 * MIB });
  const { running } = member;
  await running.ready(soon());
  const admin = cluster.admin(member);
  const reports: MaintenanceReport[] = [];
  const maintenance = startEtcdMaintenance({
    ...{ admin, quotaBytes: () => running.quotaBytes, isLeader: () => false, periodMs: 3_600_000 },
    ...{ onReport: (report) => reports.push(report), clock: realClock, logger: testLogger },
  });
  t.teardown(() => maintenance.stop());
  const value = 'x'.repeat(50_000);
  // Half of it is far from full, however it comes.
  for (let i = 0; i < 40; i++) await put(running, `key${i}`, value);
  for (let i = 40; (await admin.status(soon())).dbSizeBytes < 3.4 * MIB; i++) {
    const before = await backendCommits(running);
    await put(running, `key${i}`, value);
    // The size is as of the last commit, and what is put between two of them could be more than there is room for.
    while ((await backendCommits(running)) === before);
  }
  await maintenance.round();
  t.same(
    reports.map(({ space }) => space),
    ['tight'],
  );
  await put(running, 'key', 'value');
});

t.test('etcd maintenance › a purge leaves nothing in the file of what the history has lost', needsEtcd, async (t) => {
  const cluster = await TestCluster.create(t);
  const member = await cluster.start('a');
  const { running } = member;
  await running.ready(soon());
  const admin = cluster.admin(member);
  const maintenance = startEtcdMaintenance({
    ...{ admin, quotaBytes: () => running.quotaBytes, isLeader: () => true, periodMs: 3_600_000 },
    ...{ onReport: () => {}, clock: realClock, logger: testLogger },
  });
  t.teardown(() => maintenance.stop());
  const inFile = (): boolean => readFileSync(join(member.dataDir, 'member/snap/db')).includes('replaced value');
  await put(running, 'key', 'replaced value');
  await put(running, 'key', 'value');
  await admin.compact((await admin.status(soon())).revision, true, soon());
  await maintenance.round();
  t.ok(inFile(), 'it would stay for long');
  maintenance.purge();
  await maintenance.round();
  t.notOk(inFile());
});

t.test('etcd maintenance › one member at a time is defragmented', needsEtcd, async (t) => {
  const cluster = await TestCluster.create(t);
  const member = await cluster.start('a');
  const { running } = member;
  await running.ready(soon());
  const admin = cluster.admin(member);
  const lock = { key: '/lock', nowMs: 1_000, ttlMs: 60 };
  const release = await admin.tryLock(lock, soon());
  t.equal(await admin.tryLock(lock, soon()), undefined);
  await release?.(soon());
  await release?.(soon());
  t.ok(await admin.tryLock(lock, soon()));
  t.equal(await admin.tryLock({ ...lock, nowMs: 1_059 }, soon()), undefined);
  t.ok(await admin.tryLock({ ...lock, nowMs: 1_060 }, soon()), 'its holder is gone');
});

t.test('etcd limits › are found, ours and etcd’s own, without a trace', needsEtcd, async (t) => {
  const cluster = await TestCluster.create(t);
  const member = await cluster.start('a');
  const { running } = member;
  await running.ready(soon());
  const admin = cluster.admin(member);
  const before = (await admin.status(soon())).revision;
  const limits = await probeLimits(admin, soon());
  t.match(limits, { txnOps: 10_240, version: /^3\./ });
  t.ok(limits.requestBytes > 15 * MIB && limits.requestBytes <= 16 * MIB);
  t.equal((await admin.status(soon())).revision, before);
  await callJson(running, running.clientTls, '/v3/auth/user/add', { name: 'root', password: 'secret' });
  await callJson(running, running.clientTls, '/v3/auth/role/add', { name: 'root' });
  await callJson(running, running.clientTls, '/v3/auth/user/grant', { user: 'root', role: 'root' });
  await callJson(running, running.clientTls, '/v3/auth/enable');
  await t.rejects(probeLimits(admin, soon()), { code: 'permission-denied' });
});
