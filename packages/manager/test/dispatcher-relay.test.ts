import type { ClientWritableStream } from '@grpc/grpc-js';
import type { LogRecord, LogsOptions } from '@swarmd/model';
import { buildServiceSpec, buildTask, createService } from '@swarmd/testkit';
import {
  clientArguments,
  createChannel,
  createIdentityHolder,
  fromGrpcError,
  type Identity,
  LogRelayClient,
  type PublishLogsRequest,
} from '@swarmd/wire';
import t from 'tap';
import { keepBeating, startTestAgent, type TestAgent } from './support/test-agent.js';
import { type ClusterManager, startTestCluster } from './support/test-cluster.js';

type Teardown = Pick<typeof import('tap').default, 'teardown'>;

const options = (over: Partial<LogsOptions> = {}): LogsOptions => ({
  ...{ follow: false, stdout: true, stderr: true, timestamps: false, tail: -1, details: false },
  ...over,
});

const time = (second: number): string => `2026-01-01T00:00:${String(second).padStart(2, '0')}.000000000Z`;

const line = (taskId: string, text: string, second: number): PublishLogsRequest['records'][number] => {
  return { taskId, serviceId: 'web', stream: 1, timestamp: time(second), data: Buffer.from(`${text}\n`) };
};

/** Answers a subscription; `send` is false when the manager holds the agent back. */
function publisher(agent: TestAgent, id: string) {
  const stream: ClientWritableStream<PublishLogsRequest> = agent.client.publishLogs(() => {});
  stream.on('error', () => {});
  const send = (over: Partial<PublishLogsRequest>): boolean =>
    stream.write({ subscriptionId: id, records: [], end: false, error: '', ...over });
  return { stream, send };
}

const text = ({ data, stream }: LogRecord): string => `${stream}:${Buffer.from(data).toString().trim()}`;

/** Two managers, the reader's and another, and a task of service `web` on each of `nodes` nodes. */
async function world(t: Teardown, nodes: number) {
  const test = await startTestCluster(1);
  t.teardown(() => test.stop());
  const [mine, other] = test.managers as [ClusterManager, ClusterManager];
  const identities: Identity[] = [];
  for (let i = 0; i < nodes; i++) identities.push(await test.join(mine));
  await test.store.update((tx) => {
    const service = createService(tx, 'web', buildServiceSpec('web', nodes));
    for (const [i, { nodeId }] of identities.entries()) {
      const Status = { Timestamp: tx.now, State: 'running', Message: '' } as const;
      tx.create('task', buildTask(service, `t${i}`, { NodeID: nodeId, Slot: i + 1, Status }));
    }
  });
  return { test, mine, other, identities };
}

async function connect(t: Teardown, at: ClusterManager, identity: Identity): Promise<TestAgent> {
  const agent = startTestAgent(at.addr, identity);
  t.teardown(() => agent.close());
  keepBeating(agent);
  await agent.next('assignments');
  return agent;
}

function read(at: ClusterManager, over: Partial<LogsOptions> = {}) {
  const abort = new AbortController();
  const records = at.dispatcher.logs.subscribe({ serviceId: 'web' }, options(over), abort.signal);
  const iterator = records[Symbol.asyncIterator]();
  return {
    abort,
    next: async (): Promise<string | undefined> => {
      const { value, done } = await iterator.next();
      return done ? undefined : text(value);
    },
  };
}

async function rest(reader: ReturnType<typeof read>): Promise<string[]> {
  const all: string[] = [];
  for (let one = await reader.next(); one !== undefined; one = await reader.next()) all.push(one);
  return all;
}

t.test('log relay › lines come from nodes at every manager, and end when all have ended', async (t) => {
  const { mine, other, identities } = await world(t, 3);
  const agents = [
    await connect(t, mine, identities[0]!),
    await connect(t, other, identities[1]!),
    await connect(t, other, identities[2]!),
  ];
  const reader = read(mine, { tail: 7 });
  for (const [i, agent] of agents.entries()) {
    const { id, taskIds, options } = await agent.next('logSubscription');
    t.same(taskIds, [`t${i}`]);
    t.equal(JSON.parse(options.toString()).tail, 7);
    const { send } = publisher(agent, id);
    send({ records: [line(`t${i}`, `first of ${i}`, 1), line(`t${i}`, `second of ${i}`, 2)] });
    send({ error: i === 2 ? 'task t2: no more' : '', end: true });
  }
  const all = await rest(reader);
  t.same(all.sort(), [
    '0:task t2: no more',
    ...[0, 1, 2].map((i) => `1:first of ${i}`),
    ...[0, 1, 2].map((i) => `1:second of ${i}`),
  ]);
});

t.test('log relay › nodes that are nowhere, or whose manager is gone, are named', async (t) => {
  const { test, mine, other, identities } = await world(t, 3);
  const agent = await connect(t, mine, identities[0]!);
  const gone = await connect(t, other, identities[1]!);
  gone.close();
  await gone.ended;
  const named = (i: number): string => `0:node ${identities[i]!.nodeId} is not available`;
  const all = async (): Promise<string[]> => {
    const reader = read(mine);
    const { id } = await agent.next('logSubscription');
    publisher(agent, id).send({ records: [line('t0', 'here', 1)], end: true });
    return (await rest(reader)).sort();
  };
  while (other.dispatcher.connectedNodes().length > 0) await new Promise((resolve) => setImmediate(resolve));
  t.same(await all(), [named(1), named(2), '1:here'].sort());
  await other.kill();
  t.same(await all(), [named(1), named(2), '1:here'].sort());
  test.managers.pop();
});

t.test('log relay › a node that is lost on the way ends with a word about it', async (t) => {
  const { mine, other, identities } = await world(t, 1);
  const agent = await connect(t, other, identities[0]!);
  const reader = read(mine);
  const { id } = await agent.next('logSubscription');
  publisher(agent, id).send({ records: [line('t0', 'first', 1)] });
  t.equal(await reader.next(), '1:first');
  agent.close();
  t.equal(await reader.next(), `0:node ${identities[0]!.nodeId} disconnected unexpectedly`);
  t.equal(await reader.next(), undefined);
});

t.test(
  'log relay › a reader that follows goes on when a node moves between managers, without repeating lines',
  async (t) => {
    const { mine, other, identities } = await world(t, 1);
    const identity = identities[0]!;
    const lost = `0:node ${identity.nodeId} disconnected unexpectedly`;
    const reader = read(mine, { follow: true });
    t.equal(await reader.next(), `0:node ${identity.nodeId} is not available`);

    const first = await connect(t, other, identity);
    publisher(first, (await first.next('logSubscription')).id).send({ records: [line('t0', 'one', 1)] });
    t.equal(await reader.next(), '1:one');

    let second = 2;
    for (const at of [mine, other, mine]) {
      const agent = await connect(t, at, identity);
      const { id, options } = await agent.next('logSubscription');
      t.equal(JSON.parse(options.toString()).sinceMs, Date.parse(time(second - 1)));
      const { send } = publisher(agent, id);
      send({ records: [line('t0', 'had', second - 1), line('t0', `line ${second}`, second)] });
      t.equal(await reader.next(), lost);
      t.equal(await reader.next(), `1:line ${second}`);
      second += 1;
    }
    reader.abort.abort();
    t.equal(await reader.next(), undefined);
  },
);

t.test('log relay › a reader that follows asks again once the way to a node’s manager is open', async (t) => {
  const { test, mine, other, identities } = await world(t, 1);
  const agent = await connect(t, other, identities[0]!);
  const { managers } = test;
  managers.pop();
  const reader = read(mine, { follow: true });
  t.equal(await reader.next(), `0:node ${identities[0]!.nodeId} is not available`);
  managers.push(other);
  publisher(agent, (await agent.next('logSubscription')).id).send({ records: [line('t0', 'one', 1)] });
  t.equal(await reader.next(), '1:one', 'and says nothing of it twice');
  reader.abort.abort();
});

t.test('log relay › nodes at other managers are told when nobody reads any more', async (t) => {
  const { mine, other, identities } = await world(t, 2);
  const agents = [await connect(t, other, identities[0]!), await connect(t, other, identities[1]!)];
  const reader = read(mine, { follow: true });
  const asked = await Promise.all(agents.map((agent) => agent.next('logSubscription')));
  reader.abort.abort();
  for (const [i, agent] of agents.entries()) t.equal((await agent.next('logUnsubscription')).id, asked[i]!.id);
});

t.test('log relay › a slow reader holds an agent at another manager back, and loses nothing', async (t) => {
  const { mine, other, identities } = await world(t, 1);
  const agent = await connect(t, other, identities[0]!);
  const reader = read(mine);
  const { id } = await agent.next('logSubscription');
  const { stream, send } = publisher(agent, id);
  const padding = 'x'.repeat(10_000);
  const total = 5_000;
  let [sent, blocked] = [0, false];
  const produce = (): void => {
    while (sent < total) {
      sent += 10;
      const batch = Array.from({ length: 10 }, (_, i) => line('t0', `${sent - 10 + i} ${padding}`, 1));
      if (send({ records: batch, end: sent === total })) continue;
      blocked = true;
      stream.once('drain', produce);
      return;
    }
  };
  produce();
  t.ok((await reader.next())?.startsWith('1:0 '));
  // Nothing more is read: the agent sends on until every buffer on the way is full.
  for (let [quiet, before] = [0, sent]; quiet < 3_000; [quiet, before] = [sent === before ? quiet + 1 : 0, sent]) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  t.ok(blocked && sent < total, `the agent waits after ${sent} of ${total} lines`);
  for (let expected = 1; expected < total; expected++) {
    const got = await reader.next();
    if (!got?.startsWith(`1:${expected} `)) return t.fail(`line ${expected} is missing: ${got?.slice(0, 80)}`);
  }
  t.equal(await reader.next(), undefined);
});

t.test('log relay › only managers may read what nodes write', async (t) => {
  const { mine, identities, other } = await world(t, 1);
  const ask = async (identity: Identity): Promise<string> => {
    const channel = createChannel(mine.addr, createIdentityHolder(identity));
    t.teardown(() => channel.close());
    const call = new LogRelayClient(...clientArguments(channel)).readLogs({
      nodes: [{ nodeId: 'n', taskIds: [], options: Buffer.from('{') }],
    });
    call.resume();
    return new Promise((resolve) => call.on('error', (error) => resolve(fromGrpcError(error).code)));
  };
  t.equal(await ask(identities[0]!), 'permission-denied');
  t.equal(await ask(other.identity.current), 'invalid-argument', 'a manager is heard, but must make sense');
});
