import type { ClientWritableStream } from '@grpc/grpc-js';
import type { LogRecord, LogsOptions, TaskState } from '@swarmd/model';
import { buildServiceSpec, buildTask, createService } from '@swarmd/testkit';
import { fromGrpcError, type Identity, type LogSubscription, type PublishLogsRequest } from '@swarmd/wire';
import t from 'tap';
import { keepBeating, startTestAgent, type TestAgent } from './support/test-agent.js';
import { startTestManager, type TestManager } from './support/test-manager.js';

type Teardown = Pick<typeof import('tap').default, 'teardown'>;

const options = (over: Partial<LogsOptions> = {}): LogsOptions => ({
  ...{ follow: false, stdout: true, stderr: true, timestamps: false, tail: -1, details: false },
  ...over,
});

const time = (second: number): string => `2026-01-01T00:00:${String(second).padStart(2, '0')}.000000000Z`;

function line(taskId: string, text: string, second: number, stream = 1): PublishLogsRequest['records'][number] {
  return { taskId, serviceId: 'web', stream, timestamp: time(second), data: Buffer.from(`${text}\n`) };
}

/** Opens the stream in which an agent answers a subscription. */
function publisher(agent: TestAgent, id: string) {
  let fail: (error: unknown) => void = () => {};
  let done: () => void = () => {};
  const ended = new Promise<void>((resolve, reject) => {
    [done, fail] = [resolve, reject];
  });
  ended.catch(() => {});
  const stream: ClientWritableStream<PublishLogsRequest> = agent.client.publishLogs((error) =>
    error === null ? done() : fail(fromGrpcError(error)),
  );
  const send = (over: Partial<PublishLogsRequest>): boolean =>
    stream.write({ subscriptionId: id, records: [], end: false, error: '', ...over });
  return { stream, send, ended };
}

/** A manager with service `web`, and workers that each run tasks of it. */
async function world(t: Teardown, tasks: Readonly<Record<string, { on: number; state: TaskState }>>, workers: number) {
  const test = await startTestManager();
  t.teardown(() => test.stop());
  const identities: Identity[] = [];
  for (let i = 0; i < workers; i++) identities.push(await test.join());
  await test.store.update((tx) => {
    const service = createService(tx, 'web', buildServiceSpec('web', 2));
    for (const [id, { on, state }] of Object.entries(tasks)) {
      const NodeID = identities[on]?.nodeId ?? '';
      tx.create('task', buildTask(service, id, { NodeID, Status: { Timestamp: tx.now, State: state, Message: '' } }));
    }
  });
  return { test, identities };
}

async function connect(t: Teardown, test: TestManager, identity: Identity): Promise<TestAgent> {
  const agent = startTestAgent(test.addr, identity);
  t.teardown(() => agent.close());
  keepBeating(agent);
  await agent.next('assignments');
  return agent;
}

const text = ({ data, stream }: LogRecord): string => `${stream}:${Buffer.from(data).toString().trim()}`;

async function readAll(records: AsyncIterable<LogRecord>): Promise<string[]> {
  const all: string[] = [];
  for await (const record of records) all.push(text(record));
  return all;
}

t.test('logs › of a service come from every node with its tasks, and end when all have ended', async (t) => {
  const { test, identities } = await world(t, { a: { on: 0, state: 'running' }, b: { on: 1, state: 'failed' } }, 2);
  const agents = await Promise.all(identities.map((identity) => connect(t, test, identity)));
  const records = test.manager.logSource.subscribe(
    { serviceId: 'web' },
    options({ tail: 5 }),
    new AbortController().signal,
  );
  const subscriptions: LogSubscription[] = [];
  for (const agent of agents) subscriptions.push(await agent.next('logSubscription'));
  t.same(
    subscriptions.map(({ taskIds }) => taskIds),
    [['a'], ['b']],
  );
  t.equal(JSON.parse(subscriptions[0]!.options.toString()).tail, 5);
  for (const [i, agent] of agents.entries()) {
    const { send, ended } = publisher(agent, subscriptions[i]!.id);
    send({ records: [line('ab'[i]!, `line ${i}`, 1), line('ab'[i]!, `error ${i}`, 2, 2)] });
    send({ end: true });
    await ended;
  }
  t.same(await readAll(records), ['1:line 0', '2:error 0', '1:line 1', '2:error 1']);
});

t.test('logs › that cannot be had are named instead of failing', async (t) => {
  const tasks = {
    a: { on: 0, state: 'running' },
    b: { on: 1, state: 'running' },
    c: { on: 9, state: 'pending' },
  } as const;
  const { test, identities } = await world(t, tasks, 2);
  const agent = await connect(t, test, identities[0]!);
  const records = test.manager.logSource.subscribe({ serviceId: 'web' }, options(), new AbortController().signal);
  const { id } = await agent.next('logSubscription');
  const { send } = publisher(agent, id);
  send({ records: [line('a', 'here', 1)], error: 'task x: no logs from this driver', end: true });
  const all = await readAll(records);
  t.same(all.sort(), [
    '0:node '.concat(identities[1]!.nodeId, ' is not available'),
    '0:task c has not been scheduled',
    '0:task x: no logs from this driver',
    '1:here',
  ]);
});

t.test('logs › of a node that is lost on the way end with a word about it', async (t) => {
  const { test, identities } = await world(t, { a: { on: 0, state: 'running' } }, 1);
  const agent = await connect(t, test, identities[0]!);
  const records = test.manager.logSource.subscribe({ taskId: 'a' }, options(), new AbortController().signal);
  const { id } = await agent.next('logSubscription');
  const { send } = publisher(agent, id);
  send({ records: [line('a', 'first', 1)] });
  const iterator = records[Symbol.asyncIterator]();
  t.equal(text((await iterator.next()).value), '1:first');
  agent.close();
  t.equal(text((await iterator.next()).value), `0:node ${identities[0]!.nodeId} disconnected unexpectedly`);
  t.equal((await iterator.next()).done, true);
});

t.test('logs › a node may not publish for another node, nor of tasks it was not asked for', async (t) => {
  const { test, identities } = await world(t, { a: { on: 0, state: 'running' }, b: { on: 1, state: 'running' } }, 2);
  const [agent, other] = await Promise.all(identities.map((identity) => connect(t, test, identity)));
  const records = test.manager.logSource.subscribe({ taskId: 'a' }, options(), new AbortController().signal);
  const { id } = await agent!.next('logSubscription');
  const forged = publisher(other!, id);
  forged.send({ records: [line('a', 'forged', 1)] });
  await t.rejects(forged.ended, { code: 'permission-denied' });
  publisher(agent!, id).send({ records: [line('b', 'of another task', 1), line('a', 'true', 2)], end: true });
  t.same(await readAll(records), ['1:true']);
});

t.test('logs › following', async (t) => {
  const { test, identities } = await world(t, { a: { on: 0, state: 'running' }, b: { on: 1, state: 'starting' } }, 2);
  const agent = await connect(t, test, identities[0]!);
  const other = await connect(t, test, identities[1]!);
  const reader = new AbortController();
  const records = test.manager.logSource.subscribe(
    { serviceId: 'web' },
    options({ follow: true, tail: 1 }),
    reader.signal,
  );
  const iterator = records[Symbol.asyncIterator]();
  const next = async (): Promise<string> => text((await iterator.next()).value);
  const first = await agent.next('logSubscription');
  publisher(agent, first.id).send({ records: [line('a', 'one', 1), line('a', 'two', 2)] });
  t.same([await next(), await next()], ['1:one', '1:two']);

  t.test('adds a task once it runs, with all of its lines', async (t) => {
    await other.report('b', 'running');
    const landed = await other.next('logSubscription');
    t.same(landed.taskIds, ['b']);
    t.equal(JSON.parse(landed.options.toString()).tail, -1);
    publisher(other, landed.id).send({ records: [line('b', 'landed', 3)] });
    t.equal(await next(), '1:landed');
  });

  t.test('goes on when a lost node is back, without repeating lines', async (t) => {
    agent.close();
    t.equal(await next(), `0:node ${identities[0]!.nodeId} disconnected unexpectedly`);
    const back = await connect(t, test, identities[0]!);
    const again = await back.next('logSubscription');
    t.equal(JSON.parse(again.options.toString()).sinceMs, Date.parse(time(2)));
    publisher(back, again.id).send({ records: [line('a', 'two', 2), line('a', 'three', 4)] });
    t.equal(await next(), '1:three');
  });

  t.test('ends with the signal, and the nodes are told', async (t) => {
    reader.abort();
    t.equal((await iterator.next()).done, true);
    t.ok(await other.next('logUnsubscription'));
  });
});

t.test('logs › a slow reader holds the agent back, and loses nothing', async (t) => {
  const { test, identities } = await world(t, { a: { on: 0, state: 'running' } }, 1);
  const agent = await connect(t, test, identities[0]!);
  const records = test.manager.logSource.subscribe({ taskId: 'a' }, options(), new AbortController().signal);
  const { id } = await agent.next('logSubscription');
  const { stream, send } = publisher(agent, id);
  const padding = 'x'.repeat(10_000);
  let [sent, blocked] = [0, false];
  const produce = (): void => {
    while (sent < 5_000) {
      sent += 10;
      const batch = Array.from({ length: 10 }, (_, i) => line('a', `${sent - 10 + i} ${padding}`, 1));
      if (send({ records: batch, end: sent === 5_000 })) continue;
      blocked = true;
      stream.once('drain', produce);
      return;
    }
  };
  produce();
  let expected = 0;
  for await (const record of records) {
    if (expected === 0) {
      // Nothing was read so far: give the agent every chance to send all.
      for (let i = 0; i < 200; i++) await new Promise((resolve) => setImmediate(resolve));
      t.ok(blocked && sent < 5_000, `the agent waits after ${sent} of 5,000 lines`);
    }
    if (!text(record).startsWith(`1:${expected} `)) t.fail(`line ${expected} is missing`);
    expected += 1;
  }
  t.equal(expected, 5_000);
});
