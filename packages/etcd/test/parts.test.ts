import { X509Certificate } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { etcdEnvironment } from '../src/binary/find-etcd.js';
import { crc32c } from '../src/data/crc32c.js';
import { encodeState, readWal, type WalRecord } from '../src/data/wal.js';
import {
  compareEtcdData,
  createEtcdCa,
  createEtcdKeyAndCsr,
  findEtcd,
  histogramP99,
  issueEtcdCertificate,
} from '../src/index.js';
import { quotaBytesFor } from '../src/process/flags.js';
import { createLineForwarder, parseEtcdLine } from '../src/process/log-lines.js';
import { type EtcdExit, verdictOf } from '../src/process/verdict.js';
import { needsEtcd, realRandom } from './support/etcd.js';

t.test('etcd binary › is found, and what is none or too old is refused with what to install', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'swarmd-etcd-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const program = (name: string, version: string): string => {
    const path = join(dir, name);
    writeFileSync(path, `#!/bin/sh\necho "etcd Version: ${version}"\n`);
    chmodSync(path, 0o755);
    return path;
  };
  t.same(await findEtcd(program('new', '3.5.9')), { path: join(dir, 'new'), version: '3.5.9' });
  const refused = { code: 'failed-precondition', message: /apt-get install etcd-server.*--etcd/ };
  await t.rejects(findEtcd(program('old', '3.3.25')), { ...refused, message: /3\.4 or newer, and .* is 3\.3\.25/ });
  await t.rejects(findEtcd(join(dir, 'absent')), refused);
  await t.rejects(findEtcd('/bin/true'), { ...refused, message: /does not tell its version/ });
});

t.test('etcd binary › the one of the host is found', needsEtcd, async (t) => {
  t.match(await findEtcd(), { path: /etcd$/, version: /^3\.\d+\.\d+/ });
});

t.test('etcd environment › has nothing that changes what we decided', (t) => {
  const own = { PATH: '/bin', ETCD_NAME: 'x', ETCDCTL_API: '3', https_proxy: 'p', NO_PROXY: '*', GOGC: '50' };
  t.same(etcdEnvironment(own), { PATH: '/bin', GOGC: '50' });
  t.end();
});

t.test('etcd certificates › stand for their addresses, on both sides, and are of their CA alone', async (t) => {
  const nowMs = Date.UTC(2030, 0, 1);
  const [ca, other] = [await createEtcdCa(nowMs, realRandom), await createEtcdCa(nowMs, realRandom)];
  const { csrPem } = await createEtcdKeyAndCsr();
  const wanted = { ca, csrPem, nodeId: 'node1', ips: ['10.0.0.1', 'fd00::1'], nowMs, validityMs: 90 * 86_400_000 };
  const certificate = new X509Certificate(await issueEtcdCertificate(wanted, realRandom));
  t.equal(certificate.subject, 'CN=node1');
  for (const ip of ['10.0.0.1', 'fd00::1', '127.0.0.1', '::1']) t.ok(certificate.checkIP(ip), ip);
  t.equal(certificate.checkIP('10.0.0.2'), undefined);
  t.ok(certificate.checkHost('localhost'));
  t.ok(certificate.verify(new X509Certificate(ca.certificatePem).publicKey));
  t.notOk(certificate.verify(new X509Certificate(other.certificatePem).publicKey));
  t.same(certificate.keyUsage, ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
  t.equal(new Date(certificate.validTo).getTime(), nowMs + wanted.validityMs);
  const invalid = { code: 'invalid-argument' };
  await t.rejects(issueEtcdCertificate({ ...wanted, ips: ['host'] }, realRandom), invalid);
  await t.rejects(issueEtcdCertificate({ ...wanted, csrPem: 'none' }, realRandom), invalid);
});

t.test('etcd quota › leaves room for a copy of the database', (t) => {
  const gib = 1024 ** 3;
  t.equal(quotaBytesFor(1000 * gib, 0), 8 * gib);
  t.equal(quotaBytesFor(10 * gib, 0), 4 * gib);
  t.equal(quotaBytesFor(6 * gib, 4 * gib), 4 * gib, 'what the database has already counts');
  t.equal(quotaBytesFor(0, 0), gib / 4, 'never nothing');
  t.end();
});

t.test('etcd log lines › are read, the usual ones quietened, floods cut', (t) => {
  const seen: [string, object, string][] = [];
  const note = (level: string) => (fields: object, message: string) => seen.push([level, fields, message]);
  const logger = { debug: note('debug'), info: note('info'), warn: note('warn'), error: note('error') };
  let nowMs = 0;
  const forward = createLineForwarder(logger as never, { monotonic: () => nowMs });
  const line = (level: string, msg: string) =>
    forward(parseEtcdLine(JSON.stringify({ level, ts: 't', caller: 'c', msg, error: 'why', 'peer-id': '1' })));
  line('warn', 'slow');
  line('warn', 'simple token is not cryptographically signed');
  line('fatal', 'end');
  forward(parseEtcdLine('panic: oh'));
  t.same(
    seen.map(([level]) => level),
    ['warn', 'debug', 'error', 'error'],
  );
  t.same(seen[0], ['warn', { 'peer-id': '1', error: 'why' }, 'slow']);
  for (let i = 0; i < 100; i++) line('warn', 'again');
  t.equal(seen.filter(([level]) => level !== 'debug').length, 20);
  nowMs = 10_000;
  line('warn', 'later');
  t.match(seen.at(-1), ['warn', { linesLeftOut: 83 }, 'later']);
  t.end();
});

t.test('etcd verdict › tells a removed member and damaged data from what passes', (t) => {
  const zap = (level: string, msg: string, error?: string): string => JSON.stringify({ level, msg, error });
  const exit = (code: number, lines: string[], over: Partial<EtcdExit> = {}): EtcdExit => ({
    ...{ code, signal: undefined, tail: lines.map(parseEtcdLine), wasReady: false, panicsBefore: 0 },
    ...over,
  });
  const removed = 'the member has been permanently removed from the cluster';
  t.match(verdictOf(exit(0, [zap('warn', 'server error', removed)])), { kind: 'removed' });
  t.equal(verdictOf(exit(0, [zap('warn', 'peer became inactive', `dial (${removed})`)])), undefined);
  const damaged = [
    exit(1, [zap('fatal', 'discovery failed', 'walpb: crc mismatch')]),
    exit(2, [zap('panic', 'failed to recover v3 backend from snapshot', 'snap: no file')]),
    exit(2, ['panic: freepages: failed to get all reachable pages (page 3: multiple references)']),
    exit(2, ['unexpected fault address 0x7f352000c000', 'fatal error: fault']),
    exit(2, [zap('panic', 'tocommit(9) is out of range [lastIndex(3)]. Was the raft log corrupted?')]),
    exit(2, ['panic: something new'], { panicsBefore: 2 }),
  ];
  for (const one of damaged) t.match(verdictOf(one), { kind: 'damaged' }, one.tail[0]!.message);
  const passing = [
    exit(1, [zap('fatal', 'discovery failed', 'listen tcp 10.0.0.1:2378: bind: address already in use')]),
    exit(1, [zap('fatal', 'failed to save', 'write: no space left on device')]),
    exit(2, ['panic: no space left on device, crc mismatch'], { panicsBefore: 9 }),
    exit(2, ['panic: something new'], { panicsBefore: 1 }),
    exit(2, ['panic: something new'], { panicsBefore: 9, wasReady: true }),
    // A damaged snapshot file is only warned of: etcd takes an older one.
    exit(0, [zap('warn', 'failed to read a snap file', 'snap: crc mismatch')]),
  ];
  for (const one of passing) t.equal(verdictOf(one), undefined, one.tail[0]!.message);
  t.end();
});

t.test('etcd log › records are read back, an interrupted write is cut off, damage is not', (t) => {
  t.equal(crc32c(Buffer.from('123456789')), 0xe3069283, 'the checksum of the standard’s check value');
  const states = [3n, 5n, 2n ** 40n].map((commit) => ({ term: 2n, vote: 2n ** 63n + 1n, commit }));
  let [bytes, checksum] = [Buffer.alloc(0), 0];
  const ends: number[] = [];
  for (const state of states) {
    bytes = Buffer.concat([bytes, encodeState(state, checksum)]);
    ends.push(bytes.length);
    ({ checksum } = readWal(bytes, 'x', () => {}));
  }
  const read = (from: Uint8Array) => {
    const records: WalRecord[] = [];
    const end = readWal(from, 'file', (record) => records.push(record));
    return { records, ...end };
  };
  const all = states.map((state) => ({ kind: 'state', ...state }));
  t.match(read(bytes), { records: all, offset: ends[2], isTorn: false });
  t.match(read(Buffer.concat([bytes, Buffer.alloc(4096)])), { records: all, offset: ends[2], isTorn: false });
  t.match(read(bytes.subarray(0, ends[2]! - 4)), { records: all.slice(0, 2), offset: ends[1], isTorn: true });
  const zeroed = Buffer.concat([bytes.subarray(0, ends[1]! + 8), Buffer.alloc(4096)]);
  t.match(read(zeroed), { records: all.slice(0, 2), offset: ends[1], isTorn: true }, 'the frame, but nothing after it');
  const altered = Buffer.from(bytes);
  altered[ends[0]! + 20] = altered[ends[0]! + 20]! ^ 1;
  t.throws(() => read(altered), { code: 'damaged', message: `etcd's log is damaged: file at byte ${ends[0]}` });
  const at = (lastTerm: bigint, lastIndex: bigint) => ({ lastTerm, lastIndex });
  t.same(
    [
      compareEtcdData(at(2n, 9n), at(3n, 1n)),
      compareEtcdData(at(3n, 2n), at(3n, 1n)),
      compareEtcdData(at(3n, 2n), at(3n, 2n)),
    ],
    [-1, 1, 0],
    'term, then index',
  );
  t.end();
});

t.test('etcd metrics › the 99th percentile is the step that 99 of 100 are within', (t) => {
  const metrics = (counts: readonly number[]): string =>
    ['0.001', '0.002', '0.004', '+Inf'].map((le, i) => `x_bucket{le="${le}"} ${counts[i]}`).join('\n');
  const p99 = (counts: readonly number[]): number | undefined =>
    histogramP99(`# HELP x\n${metrics(counts)}\nx_sum 1`, 'x');
  t.equal(p99([99, 100, 100, 100]), 1);
  t.equal(p99([98, 99, 100, 100]), 2);
  t.equal(p99([0, 0, 50, 100]), 4, 'beyond the last step there is only that');
  t.equal(p99([0, 0, 0, 0]), undefined);
  t.equal(histogramP99('y_bucket{le="1"} 1', 'x'), undefined);
  t.end();
});
