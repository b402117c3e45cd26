import type { Clock } from '@swarmd/model';
import { type ManualClock, manualClock } from '@swarmd/testkit';
import t from 'tap';
import { createManager } from '../src/cluster/index.js';
import { gracePeriodMs, heartbeatPeriodMs, startLiveness } from '../src/dispatcher/liveness.js';
import { startTestAgent } from './support/test-agent.js';
import { realRandom, silent, startTestManager, type TestManager, untilStore } from './support/test-manager.js';

t.test('liveness › heartbeat period by number of nodes and by what the user set', (t) => {
  const dockersDefault = 5_000_000_000;
  const cases: [number, number | undefined, number][] = [
    [1, dockersDefault, 1_000],
    [1, undefined, 1_000],
    [1_000, dockersDefault, 1_000],
    [5_000, dockersDefault, 5_000],
    [20_000, dockersDefault, 20_000],
    [3, 2_000_000_000, 2_000],
    [5_000, 500_000_000, 500],
    [3, 1, 200],
    [3, Number.MAX_SAFE_INTEGER, 24 * 3_600_000],
  ];
  for (const [nodes, ns, expected] of cases) t.equal(heartbeatPeriodMs(nodes, ns), expected, `${nodes} nodes, ${ns}`);
  t.ok(gracePeriodMs(1_000, 0) >= 3_000 && gracePeriodMs(1_000, 0.999) <= 4_000, 'detected in 3 to 4 seconds');
  t.end();
});

/** A manual clock whose process can stall: time passes, but no timer runs. */
function stallableClock(): { clock: Clock; manual: ManualClock; stall(ms: number): void } {
  const manual = manualClock();
  let stalledMs = 0;
  return {
    manual,
    clock: { ...manual, monotonic: () => manual.monotonic() + stalledMs },
    stall: (ms) => {
      stalledMs += ms;
    },
  };
}

t.test('liveness › who is silent, and when', (t) => {
  const { clock, manual, stall } = stallableClock();
  const dead: string[] = [];
  const liveness = startLiveness({ clock, onSilent: (nodeId, session) => dead.push(`${nodeId} ${session}`) });
  t.teardown(() => liveness.stop());

  liveness.expect('quiet', 's1', 3_000);
  liveness.expect('beating', 's2', 3_000);
  liveness.expect('wrong', 's3', 3_000);
  liveness.expect('forgotten', 's4', 3_000);
  liveness.forget('forgotten');
  for (let i = 0; i < 3; i++) {
    manual.advance(1_000);
    liveness.heard('beating', 's2', 3_000);
    liveness.heard('wrong', 'another session', 3_000);
  }
  t.same(dead, [], 'not before the grace is over');
  manual.advance(200);
  t.same(dead.sort(), ['quiet s1', 'wrong s3'], 'a session’s beats count for that session only');
  manual.advance(2_000);
  liveness.heard('beating', 's2', 3_000);
  manual.advance(2_700);
  t.equal(dead.length, 2, 'each is reported once, and who beats never');

  stall(3_600_000);
  manual.advance(100);
  t.equal(dead.length, 2, 'an hour’s stall of our own counts for 200 ms');
  manual.advance(3_000);
  t.equal(dead.at(-1), 'beating s2');
  t.end();
});

async function startManual(t: Pick<typeof import('tap').default, 'teardown'>) {
  const { clock, manual, stall } = stallableClock();
  // TLS looks at the machine's own time: certificates must be valid by both.
  manual.jumpWall(Date.now() - manual.now());
  const test = await startTestManager({ clock: { ...clock, now: manual.now } });
  t.teardown(() => test.stop());
  const advanceUntil = async (condition: () => boolean, limitMs: number): Promise<number> => {
    let passedMs = 0;
    while (!condition() && passedMs < limitMs) {
      manual.advance(100);
      passedMs += 100;
      await new Promise((resolve) => setImmediate(resolve));
    }
    return passedMs;
  };
  return { test, clock, manual, stall, advanceUntil };
}

const stateOf = (test: TestManager, nodeId: string) => test.node(nodeId)?.Status.State;

t.test('dispatcher › a node that falls silent', async (t) => {
  const { test, stall, manual, advanceUntil } = await startManual(t);
  const identity = await test.join();
  const agent = startTestAgent(test.addr, identity);
  t.teardown(() => agent.close());
  await agent.next('assignments');

  stall(60_000);
  manual.advance(100);
  await new Promise((resolve) => setImmediate(resolve));
  t.equal(stateOf(test, identity.nodeId), 'ready', 'a stall of the manager’s is not its death');

  const passedMs = await advanceUntil(() => stateOf(test, identity.nodeId) === 'down', 10_000);
  t.ok(passedMs >= 3_000 && passedMs <= 5_000, `down after ${passedMs} ms`);
  t.match(test.node(identity.nodeId), { Status: { Message: 'heartbeat failure' }, DownSince: /^20/ });
  t.equal((await agent.ended)?.code, 'unavailable');

  const back = startTestAgent(test.addr, identity);
  t.teardown(() => back.close());
  await back.next('welcome');
  t.equal(stateOf(test, identity.nodeId), 'ready');
  t.equal(test.node(identity.nodeId)?.DownSince, undefined);
});

t.test('dispatcher › a node whose connection breaks keeps its state for the grace period', async (t) => {
  const { test, advanceUntil } = await startManual(t);
  const identity = await test.join();
  const agent = startTestAgent(test.addr, identity);
  await agent.next('assignments');
  agent.close();
  await agent.ended;
  const passedMs = await advanceUntil(() => stateOf(test, identity.nodeId) === 'down', 10_000);
  t.ok(passedMs >= 3_000 && passedMs <= 5_000, `down after ${passedMs} ms`);
});

t.test('dispatcher › a node that says when it comes back keeps its state until then', async (t) => {
  const { test, advanceUntil } = await startManual(t);
  const identity = await test.join();
  const agent = startTestAgent(test.addr, identity);
  t.teardown(() => agent.close());
  await agent.next('assignments');
  agent.send({ $case: 'goodbye', value: { backWithinMs: 20_000 } });
  t.equal(await agent.ended, undefined);
  const passedMs = await advanceUntil(() => stateOf(test, identity.nodeId) === 'down', 60_000);
  t.ok(passedMs >= 20_000 && passedMs <= 21_000, `down after ${passedMs} ms`);
});

t.test('dispatcher › a node that joined and never registers is down after a minute', async (t) => {
  const { test, advanceUntil } = await startManual(t);
  const identity = await test.join();
  t.equal(stateOf(test, identity.nodeId), 'unknown');
  const passedMs = await advanceUntil(() => stateOf(test, identity.nodeId) === 'down', 90_000);
  t.ok(passedMs >= 60_000 && passedMs <= 61_000, `down after ${passedMs} ms`);
});

t.test('dispatcher › a manager that starts anew', async (t) => {
  const { test, clock, manual, advanceUntil } = await startManual(t);
  const [returning, lost] = [await test.join(), await test.join()];
  const agents = [returning, lost].map((identity) => startTestAgent(test.addr, identity));
  await Promise.all(agents.map((agent) => agent.next('assignments')));
  await test.manager.stop();
  for (const agent of agents) {
    t.equal((await agent.ended)?.code, 'unavailable');
    agent.close();
  }
  t.equal(stateOf(test, returning.nodeId), 'ready', 'stopping writes nothing');

  const { store, identity } = test;
  const second = createManager({
    ...{ store, identity, random: realRandom, logger: silent, clock: { ...clock, now: manual.now } },
    ...{ listenAddr: '127.0.0.1:0', advertiseAddr: '127.0.0.1' },
  });
  await second.start();
  t.teardown(() => second.stop());
  t.equal(stateOf(test, returning.nodeId), 'unknown');
  t.equal(stateOf(test, lost.nodeId), 'unknown');
  t.equal(test.node(identity.current.nodeId)?.ManagerStatus?.Addr, `127.0.0.1:${second.port}`);

  const back = startTestAgent(`127.0.0.1:${second.port}`, returning);
  t.teardown(() => back.close());
  await back.next('welcome');
  t.equal(stateOf(test, returning.nodeId), 'ready');
  const beat = setInterval(() => back.send({ $case: 'heartbeat', value: { clockMs: 0 } }), 5);
  t.teardown(() => clearInterval(beat));
  const passedMs = await advanceUntil(() => stateOf(test, lost.nodeId) === 'down', 20_000);
  t.ok(passedMs >= 6_500 && passedMs <= 9_000, `down after twice the grace: ${passedMs} ms`);
  t.match(test.node(lost.nodeId)?.Status.Message, /in "unknown" state/);
});

t.test('dispatcher › tasks of a node that has been down for a day are orphaned', async (t) => {
  const { test, manual } = await startManual(t);
  const identity = await test.join();
  await test.store.update((tx) => {
    const node = tx.get('node', identity.nodeId)!;
    tx.put('node', { ...node, Status: { ...node.Status, State: 'down' }, DownSince: tx.now });
    const Status = { Timestamp: tx.now, Message: '' };
    const task = { ServiceID: 's', ServiceName: 's', SpecVersion: 1, Slot: 1, NodeID: identity.nodeId };
    tx.create('task', { ...task, ID: 'held', DesiredState: 'running', Status: { ...Status, State: 'running' } });
    tx.create('task', { ...task, ID: 'over', DesiredState: 'shutdown', Status: { ...Status, State: 'failed' } });
  });
  await new Promise((resolve) => setImmediate(resolve));
  manual.advance(23.9 * 3_600_000);
  await new Promise((resolve) => setImmediate(resolve));
  t.equal(test.store.view.get('task', 'held')?.Status.State, 'running');
  manual.advance(0.2 * 3_600_000);
  await untilStore(test.store, () => test.store.view.get('task', 'held')?.Status.State === 'orphaned');
  t.equal(test.store.view.get('task', 'over')?.Status.State, 'failed');
});
