import type { SwarmdError } from '@swarmd/model';
import {
  callUnary,
  clientArguments,
  createChannel,
  createIdentityHolder,
  type Identity,
  NodeInquiryClient,
} from '@swarmd/wire';
import t from 'tap';
import type { AskOptions } from '../src/dispatcher/index.js';
import { keepBeating, startTestAgent, type TestAgent } from './support/test-agent.js';
import { type ClusterManager, startTestCluster } from './support/test-cluster.js';

type Teardown = Pick<typeof import('tap').default, 'teardown'>;

/** Two managers, the asker's and another, and nodes that are connected nowhere yet. */
async function world(t: Teardown, nodes: number) {
  const test = await startTestCluster(1);
  t.teardown(() => test.stop());
  const [mine, other] = test.managers as [ClusterManager, ClusterManager];
  const identities: Identity[] = [];
  for (let i = 0; i < nodes; i++) identities.push(await test.join(mine));
  return { test, mine, other, identities };
}

async function connect(t: Teardown, at: ClusterManager, identity: Identity): Promise<TestAgent> {
  const agent = startTestAgent(at.addr, identity);
  t.teardown(() => agent.close());
  keepBeating(agent);
  await agent.next('assignments');
  return agent;
}

function ask(at: ClusterManager, nodeId: string, over: Partial<AskOptions> & { kind?: string } = {}) {
  const { kind = 'echo', ...options } = over;
  const question = { of: nodeId };
  const asked = at.dispatcher.ask(nodeId, kind, question, { signal: new AbortController().signal, ...options });
  return asked.catch(({ code, message }: SwarmdError) => `${code}: ${message}`);
}

/** Answers the next question with itself. */
async function echo(agent: TestAgent): Promise<void> {
  const { id, question } = await agent.next('inquiry');
  agent.send({ $case: 'inquiryAnswer', value: { id, answer: question, errorCode: '', error: '' } });
}

t.test('asking nodes › reaches a node at every manager and brings back its answer, or its error', async (t) => {
  const { mine, other, identities } = await world(t, 2);
  for (const [i, at] of [mine, other].entries()) {
    const { nodeId } = identities[i]!;
    const agent = await connect(t, at, identities[i]!);
    const answered = ask(mine, nodeId, { kind: 'k', timeoutMs: 3_000 });
    const { id, kind, question, timeoutMs } = await agent.next('inquiry');
    t.match({ kind, timeoutMs }, { kind: 'k', timeoutMs: 3_000 });
    t.same(JSON.parse(question.toString()), { of: nodeId });
    agent.send({
      $case: 'inquiryAnswer',
      value: { id, answer: Buffer.from('{"a":[1]}'), errorCode: '', error: '' },
    });
    t.same(await answered, { a: [1] });

    const refused = ask(mine, nodeId);
    const next = await agent.next('inquiry');
    const nothing = { answer: Buffer.alloc(0), errorCode: 'in-use', error: 'not now' };
    agent.send({ $case: 'inquiryAnswer', value: { id: next.id, ...nothing } });
    t.equal(await refused, 'in-use: not now');
  }
});

t.test('asking nodes › one that is connected nowhere, is lost or stays silent is an error', async (t) => {
  const { mine, other, identities } = await world(t, 2);
  const { nodeId } = identities[0]!;
  const nowhere = `unavailable: node ${nodeId} is not connected to a manager`;
  t.equal(await ask(mine, nodeId), nowhere);
  t.equal(await ask(mine, 'never-heard-of'), 'unavailable: node never-heard-of is not connected to a manager');
  for (const at of [mine, other]) {
    const agent = await connect(t, at, identities[0]!);
    t.match(await ask(mine, nodeId, { timeoutMs: 1 }), /^deadline-exceeded: /);
    await agent.next('inquiry');
    const lost = ask(mine, nodeId);
    await agent.next('inquiry');
    agent.close();
    t.equal(await lost, nowhere);
    while (at.dispatcher.connectedNodes().length > 0) await new Promise((resolve) => setImmediate(resolve));
  }
  const there = await connect(t, other, identities[1]!);
  await other.kill();
  t.match(await ask(mine, identities[1]!.nodeId), /^unavailable: /);
  await there.ended;
});

t.test('asking nodes › the asker’s signal ends it, here and elsewhere', async (t) => {
  const { mine, other, identities } = await world(t, 2);
  for (const [i, at] of [mine, other].entries()) {
    const agent = await connect(t, at, identities[i]!);
    const abort = new AbortController();
    const asked = ask(mine, identities[i]!.nodeId, { signal: abort.signal });
    await agent.next('inquiry');
    abort.abort(Object.assign(new Error('enough'), { code: 'aborted' }));
    t.match(await asked, /^aborted: /);
  }
});

t.test('asking nodes › an answer to another node’s question, or to none, is dropped', async (t) => {
  const { mine, identities } = await world(t, 2);
  const [asked, liar] = [await connect(t, mine, identities[0]!), await connect(t, mine, identities[1]!)];
  const answered = ask(mine, identities[0]!.nodeId);
  const { id } = await asked.next('inquiry');
  const answer = (text: string) => ({ id, answer: Buffer.from(text), errorCode: '', error: '' });
  liar.send({ $case: 'inquiryAnswer', value: answer('"lie"') });
  // It is served in order: once this is acknowledged, the lie was heard.
  await liar.report('t', 'running');
  asked.send({ $case: 'inquiryAnswer', value: { ...answer('"none"'), id: 'unknown' } });
  asked.send({ $case: 'inquiryAnswer', value: answer('"truth"') });
  t.equal(await answered, 'truth');
});

t.test('asking nodes › of many questions fifty are open at once, and all are answered', async (t) => {
  const { mine, other, identities } = await world(t, 6);
  const agents: TestAgent[] = [];
  for (const [i, identity] of identities.entries()) agents.push(await connect(t, i % 2 ? mine : other, identity));
  // Nobody answers yet: each node is asked ten times, of which fifty questions go out.
  const asked = Array.from({ length: 10 }, () => identities.map(({ nodeId }) => ask(mine, nodeId))).flat();
  const open = (): number => agents.reduce((sum, { received }) => sum + count(received), 0);
  await Promise.all(agents.map((agent) => agent.until(() => count(agent.received) >= 8)));
  while (open() < 50) await new Promise((resolve) => setImmediate(resolve));
  t.equal(open(), 50);
  const answering = agents.map(async (agent) => {
    for (let i = 0; i < 10; i++) await echo(agent);
  });
  const answers = await Promise.all(asked);
  await Promise.all(answering);
  t.same(answers, Array.from({ length: 10 }, () => identities.map(({ nodeId }) => ({ of: nodeId }))).flat());
});

const count = (received: TestAgent['received']): number => received.filter(({ $case }) => $case === 'inquiry').length;

t.test('asking nodes › only managers may ask', async (t) => {
  const { mine, other, identities } = await world(t, 1);
  const asAnyone = async (identity: Identity): Promise<string> => {
    const channel = createChannel(mine.addr, createIdentityHolder(identity));
    t.teardown(() => channel.close());
    const client = new NodeInquiryClient(...clientArguments(channel));
    const request = { nodeId: 'n', kind: 'k', question: Buffer.alloc(0), timeoutMs: 1_000 };
    return callUnary(client.askNode.bind(client), request, { timeoutMs: 5_000 }).then(
      () => 'answered',
      ({ code }: SwarmdError) => code,
    );
  };
  t.equal(await asAnyone(identities[0]!), 'permission-denied');
  t.equal(await asAnyone(other.identity.current), 'unavailable', 'a manager is heard, and the node is not there');
});
