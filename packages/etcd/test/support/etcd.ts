import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pauseMs } from 'node:timers/promises';
import type { Clock, Random } from '@swarmd/model';
import { pino } from 'pino';
import {
  createEtcdAdmin,
  createEtcdCa,
  createEtcdKeyAndCsr,
  type EtcdAdmin,
  type EtcdCa,
  type EtcdMember,
  type EtcdMemberOptions,
  type EtcdTls,
  findEtcd,
  type GoneReason,
  issueEtcdCertificate,
  startEtcdMember,
} from '../../src/index.js';
import { freePort } from '../../src/process/probe.js';

export const realClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after: (delayMs, fn) => {
    const timer = setTimeout(fn, delayMs);
    return () => clearTimeout(timer);
  },
};

export const realRandom: Random = { bytes: (n) => randomBytes(n), float: () => Math.random() };

/** What etcd and its supervision said; a test that fails prints it. */
const said: string[] = [];

export const testLogger = pino(
  { level: process.env['TEST_LOG'] ?? 'info' },
  { write: (line: string) => void said.push(line.trim()) },
);

/** For `t.test`: skips by name when the host has no etcd. */
export const needsEtcd: { skip: string } | Record<string, never> = await findEtcd().then(
  () => ({}),
  () => ({ skip: 'no etcd is installed' }),
);

/** A limit for what a test waits for. */
export const soon = (): AbortSignal => AbortSignal.timeout(20_000);

/** Waits until `condition` holds. */
export async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  for (const limit = soon(); !(await condition()); ) {
    if (limit.aborted) throw new Error(`waited in vain: ${what}`);
    await pauseMs(20);
  }
}

/** A member of a test's cluster: supervised, with everything to start it again or to talk to it. */
export interface TestMember {
  name: string;
  peerUrl: string;
  dataDir: string;
  options: EtcdMemberOptions;
  running: EtcdMember;
  /** Resolves when the supervisor has said that the member is gone. */
  gone: Promise<GoneReason>;
}

/** What {@link TestCluster} wants of tap's test. */
interface TestOfCluster {
  teardown(fn: () => Promise<void>): unknown;
  passing(): boolean;
}

/** etcd members on loopback, with TLS, of one CA. All are ended when the test is. */
export class TestCluster {
  readonly root = mkdtempSync(join(tmpdir(), 'swarmd-etcd-'));
  readonly keys = mkdtempSync('/dev/shm/swarmd-etcd-');
  readonly members: TestMember[] = [];
  readonly #admins: EtcdAdmin[] = [];
  readonly ca: EtcdCa;

  private constructor(ca: EtcdCa) {
    this.ca = ca;
  }

  static async create(t: TestOfCluster): Promise<TestCluster> {
    const from = said.length;
    const cluster = new TestCluster(await createEtcdCa(Date.now(), realRandom));
    t.teardown(async () => {
      if (!t.passing()) for (const line of said.slice(from)) console.error(line);
      for (const admin of cluster.#admins) admin.close();
      await Promise.all(cluster.members.map(({ running }) => running.stop()));
      rmSync(cluster.root, { recursive: true, force: true });
      rmSync(cluster.keys, { recursive: true, force: true });
    });
    return cluster;
  }

  /** To administer the cluster through `member`. */
  admin({ running }: TestMember): EtcdAdmin {
    const admin = createEtcdAdmin(running);
    this.#admins.push(admin);
    return admin;
  }

  /** Starts a member; the first makes the cluster, others must have been added to it with the URL of `peerUrl`. */
  async start(
    name: string,
    over: Partial<EtcdMemberOptions> = {},
    peerUrl?: string,
    among: readonly TestMember[] = this.members,
  ): Promise<TestMember> {
    const url = peerUrl ?? (await newPeerUrl());
    let tellGone: (reason: GoneReason) => void = () => {};
    const gone = new Promise<GoneReason>((resolve) => {
      tellGone = resolve;
    });
    const options: EtcdMemberOptions = {
      etcdPath: (await findEtcd()).path,
      ...{ nodeId: name, clusterId: 'test-cluster', listenPeerUrl: url, advertisePeerUrl: url },
      ...{ dataDir: join(this.root, name), keyDir: join(this.keys, name), tls: await testTls(this.ca, name) },
      initialCluster: [...among, { name, peerUrl: url }],
      initialClusterState: among.length === 0 ? 'new' : 'existing',
      ...{ onGone: tellGone, clock: realClock, logger: testLogger },
      ...over,
    };
    const running = await startEtcdMember(options);
    const member = { name, peerUrl: url, dataDir: options.dataDir, options, running, gone };
    this.members.push(member);
    return member;
  }
}

/** A peer URL on a free port of loopback. */
export async function newPeerUrl(): Promise<string> {
  return `https://127.0.0.1:${await freePort()}`;
}

/** A certificate of `ca` for a member on loopback. */
export async function testTls(ca: EtcdCa, nodeId: string): Promise<EtcdTls> {
  const { keyPem, csrPem } = await createEtcdKeyAndCsr();
  const day = 86_400_000;
  const wanted = { ca, csrPem, nodeId, ips: ['127.0.0.1'], nowMs: Date.now(), validityMs: day };
  return { caPem: ca.certificatePem, keyPem, certificatePem: await issueEtcdCertificate(wanted, realRandom) };
}

/** Calls etcd's own JSON form of its API, so that what our client does is checked from outside. */
export async function callJson<T = Record<string, unknown>>(
  member: { clientEndpoint: string },
  tls: EtcdTls,
  path: string,
  body: object = {},
): Promise<T> {
  const text = await new Promise<string>((resolve, reject) => {
    const options = { method: 'POST', ca: tls.caPem, cert: tls.certificatePem, key: tls.keyPem, agent: false as const };
    const call = request(new URL(path, member.clientEndpoint), { ...options, signal: soon() }, (response) => {
      let all = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        all += part;
      });
      response.on('error', reject);
      response.on('end', () => (response.statusCode === 200 ? resolve(all) : reject(new Error(all))));
    });
    call.on('error', reject);
    call.end(JSON.stringify(body));
  });
  return JSON.parse(text) as T;
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');

/** Writes one key through `member`. */
export async function put(member: EtcdMember, key: string, value: string): Promise<void> {
  await callJson(member, member.clientTls, '/v3/kv/put', { key: base64(key), value: base64(value) });
}

/** Reads one key through `member`, linearizably. */
export async function get(member: EtcdMember, key: string): Promise<string | undefined> {
  type Answer = { kvs?: { value: string }[] };
  const { kvs } = await callJson<Answer>(member, member.clientTls, '/v3/kv/range', { key: base64(key) });
  return kvs?.[0] === undefined ? undefined : Buffer.from(kvs[0].value, 'base64').toString();
}
