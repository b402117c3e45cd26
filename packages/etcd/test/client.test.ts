import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as x509 from '@peculiar/x509';
import { isErrorCode } from '@swarmd/model';
import t from 'tap';
import {
  changedAt,
  createEtcdClient,
  deleteOp,
  type EtcdClient,
  EventType,
  prefixEnd,
  putOp,
  surelyNotApplied,
  type WatchResponse,
} from '../src/index.js';
import { runEtcd, withoutEtcd } from './running-etcd.js';

t.setTimeout(120_000);
const skip = { skip: withoutEtcd };
const bytes = (text: string): Buffer => Buffer.from(text);

function clientOf(t: { after: (fn: () => unknown) => void }, endpoint: string): EtcdClient {
  const client = createEtcdClient({ endpoint });
  t.after(() => client.close());
  return client;
}

async function failure(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (error: unknown) => error,
  );
}

/** Calls until the client has noticed that its etcd is gone; returns the error of calls since then. */
async function untilUnreachable(client: EtcdClient): Promise<unknown> {
  for (;;) {
    const error = await failure(client.put({ key: bytes('/gone'), value: bytes('') }, { timeoutMs: 300 }));
    if (surelyNotApplied(error)) return error;
  }
}

t.test('etcd client › puts, reads, deletes and compares', skip, async (t) => {
  const client = clientOf(t, (await runEtcd(t)).endpoint);
  await client.put({ key: bytes('/a/1'), value: bytes('one') });
  const txn = await client.txn({
    compare: [changedAt('/a/2', 0)],
    success: [putOp('/a/2', bytes('two')), putOp('/b', bytes('b'))],
  });
  t.equal(txn.succeeded, true);
  const again = await client.txn({ compare: [changedAt('/a/2', 0)], success: [deleteOp('/a/', prefixEnd('/a/'))] });
  t.equal(again.succeeded, false);
  const range = await client.range({ key: bytes('/a/'), rangeEnd: prefixEnd('/a/') });
  t.strictSame(
    range.kvs.map(({ key, value, modRevision }) => [key.toString(), value.toString(), modRevision]),
    [
      ['/a/1', 'one', 2],
      ['/a/2', 'two', 3],
    ],
  );
  t.match(range.header?.memberId, /^\d{17,20}$/, 'IDs keep all their digits');
  t.equal((await client.deleteRange({ key: bytes('/a/'), rangeEnd: prefixEnd('/a/') })).deleted, 2);
  const gone = await client.range({ key: bytes('/a/'), rangeEnd: prefixEnd('/a/'), revision: 3 });
  t.equal(gone.kvs.length, 2, 'an old revision is still there');
  await client.compact({ revision: 4, physical: true });
  t.ok(isErrorCode(await failure(client.range({ key: bytes('/a/1'), revision: 3 })), 'out-of-sequence'));
});

t.test('etcd client › takes messages larger than what gRPC allows by default', skip, async (t) => {
  const client = clientOf(t, (await runEtcd(t, ['--max-request-bytes', `${32 << 20}`])).endpoint);
  const value = Buffer.alloc(9 << 20, 7);
  await client.put({ key: bytes('/big'), value });
  t.ok((await client.range({ key: bytes('/big') })).kvs[0]?.value.equals(value));
});

t.test('etcd client › tells a refused request from one whose outcome nobody knows', skip, async (t) => {
  const etcd = await runEtcd(t);
  const client = clientOf(t, etcd.endpoint);
  const tooMany = await failure(
    client.txn({ success: Array.from({ length: 200 }, (_, i) => putOp(`/${i}`, bytes(''))) }),
  );
  t.ok(isErrorCode(tooMany, 'invalid-argument') && surelyNotApplied(tooMany));
  const tooLarge = await failure(client.put({ key: bytes('/big'), value: Buffer.alloc(2 << 20) }));
  t.ok(isErrorCode(tooLarge, 'invalid-argument') && surelyNotApplied(tooLarge));
  const noTime = await failure(client.put({ key: bytes('/k'), value: bytes('') }, { timeoutMs: 0 }));
  t.ok(isErrorCode(noTime, 'unavailable'));
  t.notOk(surelyNotApplied(noTime));
  const aborted = await failure(client.range({ key: bytes('/k') }, { signal: AbortSignal.abort() }));
  t.ok(isErrorCode(aborted, 'aborted') && surelyNotApplied(aborted));
  await etcd.kill();
  const unreached = await untilUnreachable(client);
  t.ok(isErrorCode(unreached, 'unavailable') && surelyNotApplied(unreached));
});

t.test('etcd client › a call waits for an etcd that is being started', skip, async (t) => {
  const etcd = await runEtcd(t);
  const client = clientOf(t, etcd.endpoint);
  await client.put({ key: bytes('/k'), value: bytes('v') });
  await etcd.kill();
  await untilUnreachable(client);
  const waiting = client.range({ key: bytes('/k') }, { timeoutMs: 20_000 });
  await etcd.start();
  t.equal((await waiting).kvs[0]?.value.toString(), 'v');
});

t.test('etcd client › of several endpoints, uses the first that answers', skip, async (t) => {
  const [first, second] = [await runEtcd(t), await runEtcd(t)];
  const client = clientOf(t, `${first.endpoint},${second.endpoint}`);
  await client.put({ key: bytes('/k'), value: bytes('first') });
  const other = clientOf(t, second.endpoint);
  await other.put({ key: bytes('/k'), value: bytes('second') });
  const read = async () => (await client.range({ key: bytes('/k') }, { timeoutMs: 20_000 })).kvs[0]?.value.toString();
  t.equal(await read(), 'first');
  await first.kill();
  // The call that was under way when the connection was lost may fail.
  t.equal(await read().catch(read), 'second');
  t.throws(() => createEtcdClient({ endpoint: 'a:1,b:2' }), { code: 'invalid-argument' });
});

t.test('etcd client › a watch tells of whole revisions, and of its end', skip, async (t) => {
  const etcd = await runEtcd(t);
  const client = clientOf(t, etcd.endpoint);
  await client.put({ key: bytes('/a/0'), value: bytes('0') });
  const responses: WatchResponse[] = [];
  const seen = new Promise<void>((resolve, reject) => {
    client.watch(
      { key: bytes('/a/'), rangeEnd: prefixEnd('/a/'), startRevision: 2, progressNotify: true },
      {
        onResponse: (response) => {
          responses.push(response);
          if (response.events.some(({ type }) => type === EventType.DELETE)) resolve();
          return undefined;
        },
        onEnd: reject,
      },
    );
  });
  await client.txn({ success: [putOp('/a/1', bytes('1')), putOp('/a/2', bytes('2')), putOp('/b', bytes('b'))] });
  await client.txn({ success: [deleteOp('/a/1')] });
  await seen;
  t.equal(responses[0]?.created, true);
  const events = responses.flatMap((response) => response.events);
  t.strictSame(
    events.map(({ type, kv }) => [type, kv?.key.toString(), kv?.modRevision]),
    [
      [EventType.PUT, '/a/0', 2],
      [EventType.PUT, '/a/1', 3],
      [EventType.PUT, '/a/2', 3],
      [EventType.DELETE, '/a/1', 4],
    ],
  );
  const ended = new Promise((resolve) => {
    client.watch({ key: bytes('/a/') }, { onResponse: () => etcd.kill(), onEnd: resolve });
  });
  t.ok(isErrorCode(await ended, 'unavailable'));
});

t.test('etcd client › lists members, tells of its status, gives a snapshot', skip, async (t) => {
  const client = clientOf(t, (await runEtcd(t)).endpoint);
  const { members } = await client.memberList({});
  const { header, leader, version } = await client.status({});
  t.equal(members[0]?.ID, header?.memberId);
  t.equal(leader, header?.memberId);
  t.match(version, /^3\./);
  t.strictSame((await client.alarm({})).alarms, []);
  await client.defragment({});
  t.ok((await client.hashKv({})).hash > 0);
  const pieces: Buffer[] = [];
  for await (const piece of client.snapshot()) pieces.push(piece);
  t.ok(Buffer.concat(pieces).length >= 16_384);
  const learner = await client.memberAdd({ peerURLs: ['http://127.0.0.1:1'], isLearner: true });
  t.equal(learner.member?.isLearner, true);
  const ID = learner.member?.ID ?? '';
  await client.memberUpdate({ ID, peerURLs: ['http://127.0.0.1:2'] });
  t.ok(isErrorCode(await failure(client.memberPromote({ ID })), 'failed-precondition'), 'it has not caught up');
  t.strictSame((await client.memberRemove({ ID })).members.length, 1);
  t.ok(isErrorCode(await failure(client.moveLeader({ targetID: ID })), 'failed-precondition', 'unavailable'));
});

t.test('etcd client › close ends what is under way', skip, async (t) => {
  const etcd = await runEtcd(t);
  const client = clientOf(t, etcd.endpoint);
  const ended = new Promise((resolve) => {
    client.watch({ key: bytes('/a') }, { onResponse: async () => client.close(), onEnd: resolve });
  });
  t.ok(isErrorCode(await ended, 'unavailable'));
  t.ok(isErrorCode(await failure(client.range({ key: bytes('/a') })), 'unavailable'));
});

t.test(
  'etcd client › mutual TLS: who has no certificate of the CA, or meets another server, is told',
  skip,
  async (t) => {
    const ca = await createCa();
    const server = await ca.issue('etcd', [{ type: 'ip', value: '127.0.0.1' }]);
    const dir = await mkdtemp(join(tmpdir(), 'swarmd-etcd-tls-'));
    t.after(() => rm(dir, { recursive: true, force: true }));
    const files = { ca: ca.pem, cert: server.certificate, key: server.key };
    for (const [name, pem] of Object.entries(files)) await writeFile(join(dir, name), pem);
    const flags = ['--client-cert-auth', '--trusted-ca-file', join(dir, 'ca')];
    const { endpoint } = await runEtcd(
      t,
      [...flags, '--cert-file', join(dir, 'cert'), '--key-file', join(dir, 'key')],
      'https',
    );
    const attempt = async (
      tls: { ca: string; certificate: string; key: string; serverName?: string },
      timeoutMs = 800,
    ) => {
      const client = createEtcdClient({ endpoint, tls, timeoutMs });
      return failure(client.status({})).finally(() => client.close());
    };
    const ours = await ca.issue('manager', []);
    t.equal(await attempt({ ca: ca.pem, ...ours }, 20_000), undefined);
    const other = await createCa();
    t.ok(isErrorCode(await attempt({ ca: ca.pem, ...(await other.issue('manager', [])) }), 'unavailable'));
    t.ok(isErrorCode(await attempt({ ca: other.pem, ...ours }), 'unavailable'));
    t.ok(isErrorCode(await attempt({ ca: ca.pem, ...ours, serverName: 'elsewhere' }), 'unavailable'));
    t.throws(() => createEtcdClient({ endpoint, tls: { ca: ca.pem, certificate: 'none', key: 'none' } }));
  },
);

const KEY = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const SIGNATURE = { name: 'ECDSA', hash: 'SHA-256' } as const;

async function createCa() {
  const keys = await webcrypto.subtle.generateKey(KEY, true, ['sign', 'verify']);
  const times = { notBefore: new Date(Date.now() - 60_000), notAfter: new Date(Date.now() + 3_600_000) };
  const name = `CN=test-ca-${webcrypto.randomUUID()}`;
  const extensions = [new x509.BasicConstraintsExtension(true, undefined, true)];
  const root = await x509.X509CertificateGenerator.createSelfSigned(
    { name, keys, signingAlgorithm: SIGNATURE, ...times, extensions },
    webcrypto,
  );
  return {
    pem: `${root.toString('pem')}\n`,
    issue: async (commonName: string, names: x509.JsonGeneralName[]) => {
      const own = await webcrypto.subtle.generateKey(KEY, true, ['sign', 'verify']);
      const certificate = await x509.X509CertificateGenerator.create(
        {
          issuer: root.subjectName,
          subject: `CN=${commonName}`,
          ...times,
          publicKey: own.publicKey,
          signingKey: keys.privateKey,
          signingAlgorithm: SIGNATURE,
          extensions: names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : [],
        },
        webcrypto,
      );
      const der = await webcrypto.subtle.exportKey('pkcs8', own.privateKey);
      return {
        certificate: `${certificate.toString('pem')}\n`,
        key: `${x509.PemConverter.encode(der, 'PRIVATE KEY')}\n`,
      };
    },
  };
}
