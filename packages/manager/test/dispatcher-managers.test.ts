import { isErrorCode } from '@swarmd/model';
import { buildServiceSpec, buildTask, createService } from '@swarmd/testkit';
import { CertificateAuthorityClient, callUnary, clientArguments, createAnonymousChannel } from '@swarmd/wire';
import fc from 'fast-check';
import t from 'tap';
import { createKeyAndCsr, issuerHandlers, localIssuer } from '../src/ca/index.js';
import { createDispatcher, localReports, remoteReports, reportHandlers } from '../src/dispatcher/index.js';
import { sessionsToMove } from '../src/dispatcher/rebalance.js';
import { splitSubmissions } from '../src/dispatcher/remote-reports.js';
import { keepBeating, startTestAgent, type TestAgent } from './support/test-agent.js';
import { type ClusterManager, startTestCluster, steppedClock, type TestCluster } from './support/test-cluster.js';
import { realClock, realRandom, silent, untilStore } from './support/test-manager.js';

type Teardown = Pick<typeof import('tap').default, 'teardown'>;

async function cluster(t: Teardown, followers: number, clock = realClock): Promise<TestCluster> {
  const cluster = await startTestCluster(followers, clock);
  t.teardown(() => cluster.stop());
  return cluster;
}

async function connect(
  t: Teardown,
  at: ClusterManager,
  identity: Parameters<typeof startTestAgent>[1],
  over = {},
): Promise<TestAgent> {
  const agent = startTestAgent(at.addr, identity, over);
  t.teardown(() => agent.close());
  await agent.next('assignments');
  return agent;
}

/** One task on a node. */
function assign(test: TestCluster, nodeId: string, id: string): Promise<unknown> {
  return test.store.update((tx) => {
    const service = createService(tx, `service-${id}`, buildServiceSpec(`service-${id}`, 1));
    const Status = { Timestamp: tx.now, State: 'assigned', Message: '' } as const;
    tx.create('task', buildTask(service, id, { NodeID: nodeId, Slot: 1, Status }));
  });
}

const stateOf = (test: TestCluster, id: string) => test.node(id)?.Status.State;

t.test('managers › a node at a manager that does not lead', async (t) => {
  const test = await cluster(t, 1);
  const [leading, other] = test.managers as [ClusterManager, ClusterManager];
  const identity = await test.join(other);
  t.match(test.node(identity.nodeId), { Spec: { Role: 'worker' } }, 'joined there too');
  const agent = await connect(t, other, identity);
  keepBeating(agent);

  t.match(test.node(identity.nodeId), { Status: { State: 'ready' }, Session: { Manager: other.id } });
  t.same([leading.dispatcher.connectedNodes(), other.dispatcher.connectedNodes()], [[], [identity.nodeId]]);
  await assign(test, identity.nodeId, 'task1');
  await agent.until(() => agent.assigned.has('task/task1'));
  const ack = await agent.report('task1', 'running');
  t.same(ack.rejected, []);
  t.equal(test.store.view.get('task', 'task1')?.Status.State, 'running');
  t.same((await agent.report('nothing', 'running')).rejected, [{ taskId: 'nothing', code: 'not-found' }]);

  const description = { Hostname: 'renamed', Platform: {}, Resources: {}, Engine: {} };
  agent.send({ $case: 'description', value: { description: Buffer.from(JSON.stringify(description)) } });
  await untilStore(test.store, () => test.node(identity.nodeId)?.Description?.Hostname === 'renamed');
  agent.send({ $case: 'goodbye', value: { backWithinMs: 0 } });
  await untilStore(test.store, () => stateOf(test, identity.nodeId) === 'down');
  t.ok(test.leader.calls.includes('node.silent'));
});

t.test('managers › a node that moves to another manager is counted there alone', async (t) => {
  const { clock, advanceUntil } = steppedClock();
  const test = await cluster(t, 2, clock);
  const [, a, b] = test.managers as [ClusterManager, ClusterManager, ClusterManager];
  test.lead();
  const identity = await test.join(a);
  const before = await connect(t, a, identity);
  const after = await connect(t, b, identity);
  t.match(await before.ended, { code: 'aborted' });
  t.equal(test.node(identity.nodeId)?.Session?.Manager, b.id);
  await advanceUntil(() => a.dispatcher.connectedNodes().length === 0, 1_000);

  await advanceUntil(() => stateOf(test, identity.nodeId) !== 'ready', 6_000, [after]);
  t.equal(stateOf(test, identity.nodeId), 'ready', 'the manager that it left does not miss it');
  const passedMs = await advanceUntil(() => stateOf(test, identity.nodeId) === 'down', 10_000);
  t.ok(passedMs <= 5_000, `down after ${passedMs} ms`);
});

t.test('managers › a node is told its set only once its manager’s store shows the registration', async (t) => {
  const { clock, advanceUntil } = steppedClock();
  const test = await cluster(t, 0, clock);
  const { store } = test;
  let behind = Promise.resolve();
  const lagging = {
    get view() {
      return store.view;
    },
    index: 0,
    watch: () => () => {},
    waitFor: async (index: number, signal: AbortSignal) => {
      const aborted = new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
      await Promise.race([behind, aborted]);
      await store.waitFor(index, signal);
    },
  };
  let catchUp = (): void => {};
  behind = new Promise((resolve) => {
    catchUp = resolve;
  });
  const follower = await test.addManager({ store: lagging });
  const [early, late] = [await test.join(follower), await test.join(follower)];

  const refused = startTestAgent(follower.addr, early);
  t.teardown(() => refused.close());
  await untilStore(store, () => stateOf(test, early.nodeId) === 'ready');
  const passedMs = await advanceUntil(() => follower.dispatcher.connectedNodes().length === 0, 20_000);
  t.ok(passedMs >= 10_000 && passedMs <= 10_500, `given up after ${passedMs} ms`);
  t.match(await refused.ended, { code: 'unavailable', message: /behind/ });
  t.same(refused.received, []);

  const ahead = store.index + 1_000;
  const agent = startTestAgent(follower.addr, late, { seenIndex: ahead });
  t.teardown(() => agent.close());
  await untilStore(store, () => stateOf(test, late.nodeId) === 'ready');
  t.ok(store.index >= ahead, 'the leader went ahead of what the node has seen');
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
  t.same(agent.received, []);
  catchUp();
  await agent.next('assignments');
});

t.test('managers › nodes of a manager that is gone', async (t) => {
  const { clock, advanceUntil } = steppedClock();
  const test = await cluster(t, 1, clock);
  const [leading, other] = test.managers as [ClusterManager, ClusterManager];
  test.lead();
  const [moving, lost, staying] = [await test.join(other), await test.join(other), await test.join(other)];
  await connect(t, other, moving);
  await connect(t, other, lost);
  const stays = await connect(t, leading, staying);
  await other.kill();
  test.attached.delete(other.id);
  test.attachedChanged();

  const doubtedMs = await advanceUntil(() => stateOf(test, lost.nodeId) !== 'ready', 5_000, [stays]);
  t.ok(doubtedMs >= 1_000 && doubtedMs <= 1_200, `in doubt after ${doubtedMs} ms`);
  t.same([stateOf(test, lost.nodeId), stateOf(test, moving.nodeId)], ['unknown', 'unknown']);
  t.equal(stateOf(test, staying.nodeId), 'ready');
  const moved = await connect(t, leading, moving);
  t.equal(stateOf(test, moving.nodeId), 'ready');
  const downMs = await advanceUntil(() => stateOf(test, lost.nodeId) === 'down', 20_000, [stays, moved]);
  t.ok(downMs >= 6_500 && downMs <= 8_500, `down after ${downMs} ms`);
  t.same([stateOf(test, moving.nodeId), stateOf(test, staying.nodeId)], ['ready', 'ready']);
});

t.test('managers › a node that says when it comes back is waited for, though its manager goes with it', async (t) => {
  const { clock, advanceUntil } = steppedClock();
  const test = await cluster(t, 1, clock);
  const other = test.managers[1]!;
  test.lead();
  const identity = await test.join(other);
  const agent = await connect(t, other, identity);
  agent.send({ $case: 'goodbye', value: { backWithinMs: 30_000 } });
  t.equal(await agent.ended, undefined);
  t.equal(test.node(identity.nodeId)?.Session?.BackWithinMs, 30_000, 'kept by the time that the agent may go');
  await other.kill();
  test.attached.delete(other.id);
  test.attachedChanged();
  const passedMs = await advanceUntil(() => stateOf(test, identity.nodeId) === 'down', 60_000);
  t.ok(passedMs >= 30_000 && passedMs <= 32_500, `down after ${passedMs} ms`);
});

t.test('managers › a node that is back is waited for no longer than others', async (t) => {
  const test = await cluster(t, 1);
  const [leading, other] = test.managers as [ClusterManager, ClusterManager];
  const identity = await test.join(other);
  const agent = await connect(t, other, identity);
  agent.send({ $case: 'goodbye', value: { backWithinMs: 30_000 } });
  await agent.ended;
  await connect(t, leading, identity);
  t.equal(test.node(identity.nodeId)?.Session?.BackWithinMs, undefined);
});

t.test('managers › a short absence of a manager does not put its nodes in doubt', async (t) => {
  const { clock, advanceUntil } = steppedClock();
  const test = await cluster(t, 1, clock);
  const other = test.managers[1]!;
  test.lead();
  const identity = await test.join(other);
  const agent = await connect(t, other, identity);
  let changes = 0;
  test.store.watch(({ events }) => {
    for (const event of events) if (event.table === 'node' && event.object.ID === identity.nodeId) changes += 1;
  });
  for (const forMs of [900, 900]) {
    test.attached.delete(other.id);
    test.attachedChanged();
    await advanceUntil(() => false, forMs, [agent]);
    test.attached.add(other.id);
    test.attachedChanged();
    await advanceUntil(() => false, 300, [agent]);
  }
  t.equal(changes, 0);
});

t.test('managers › a change of leader leaves the nodes of managers that are there as they are', async (t) => {
  const { clock, advanceUntil } = steppedClock();
  const test = await cluster(t, 1, clock);
  const other = test.managers[1]!;
  const first = test.lead();
  const identities = await Promise.all([1, 2, 3].map(() => test.join(other)));
  const never = await test.join(other);
  const agents: TestAgent[] = [];
  for (const identity of identities) agents.push(await connect(t, other, identity));
  await first.stop();
  const ids = identities.map(({ nodeId }) => nodeId);
  const states: string[] = [];
  test.store.watch(({ events }) => {
    for (const event of events) {
      if (event.table === 'node' && ids.includes(event.object.ID)) states.push(event.object.Status.State);
    }
  });
  test.attached.delete(other.id);
  test.lead();
  await advanceUntil(() => false, 1_300, agents);
  test.attached.add(other.id);
  test.attachedChanged();
  const passedMs = await advanceUntil(() => stateOf(test, never.nodeId) === 'down', 20_000, agents);
  t.ok(passedMs > 5_000 && passedMs < 8_500, `who never registered is down ${passedMs} ms later`);
  t.same(states, []);
});

t.test('managers › a node of which the store wrongly says that it is not there is put right', async (t) => {
  const test = await cluster(t, 1);
  const other = test.managers[1]!;
  const identity = await test.join(other);
  const agent = await connect(t, other, identity);
  keepBeating(agent);
  for (const State of ['unknown', 'down'] as const) {
    await test.store.update((tx) => {
      const node = tx.get('node', identity.nodeId)!;
      tx.put('node', { ...node, Status: { ...node.Status, State, Message: 'gone' }, DownSince: tx.now });
    });
    await untilStore(test.store, () => stateOf(test, identity.nodeId) === 'ready');
    t.equal(test.node(identity.nodeId)?.DownSince, undefined);
    t.equal(test.node(identity.nodeId)?.Status.Message, undefined);
  }
  t.same(other.dispatcher.connectedNodes(), [identity.nodeId], 'its session goes on');
});

t.test('managers › without a leader', async (t) => {
  const { clock, advanceUntil } = steppedClock();
  const test = await cluster(t, 1, clock);
  const other = test.managers[1]!;
  const [identity, late] = [await test.join(other), await test.join(other)];
  const agent = await connect(t, other, identity);
  await assign(test, identity.nodeId, 'task1');
  await agent.until(() => agent.assigned.has('task/task1'));
  const fail = (): void => {
    test.leader.down = true;
    test.leader.lostForMs = 1;
  };

  t.test('for two seconds, statuses wait and heartbeats are answered', async (t) => {
    fail();
    const acknowledged = agent.report('task1', 'running');
    let done = false;
    void acknowledged.then(() => {
      done = true;
    });
    const calls = (): number => test.leader.calls.filter((method) => method === 'node.statuses').length;
    await agent.until(() => true);
    while (calls() === 0) await new Promise((resolve) => setImmediate(resolve));
    for (let i = 0; i < 4; i++) {
      agent.send({ $case: 'heartbeat', value: { clockMs: 0 } });
      await agent.next('heartbeat');
      await advanceUntil(() => false, 500);
    }
    t.equal(done, false);
    t.ok(calls() > 1, 'tried again');
    test.leader.down = false;
    test.leader.lostForMs = 0;
    await advanceUntil(() => done, 2_000);
    t.same((await acknowledged).rejected, []);
    t.equal(test.store.view.get('task', 'task1')?.Status.State, 'running');
  });

  t.test('nobody registers or joins: others may know of one', async (t) => {
    fail();
    const refused = startTestAgent(other.addr, late);
    t.teardown(() => refused.close());
    t.match(await refused.ended, { code: 'unavailable' });
    t.equal(stateOf(test, late.nodeId), 'unknown');
    const rejected = await test.join(other).catch((error: unknown) => error);
    t.ok(isErrorCode(rejected, 'unavailable'), String(rejected));
  });

  t.test('for more than five seconds, sessions end so that agents try other managers', async (t) => {
    test.leader.lostForMs = 5_001;
    await advanceUntil(() => other.dispatcher.connectedNodes().length === 0, 2_000);
    t.match(await agent.ended, { code: 'unavailable', message: /leader/ });
    t.equal(stateOf(test, identity.nodeId), 'ready', 'nobody can write that it is not');
  });

  t.test('whom a manager could not report as silent it reports once there is one', async (t) => {
    await advanceUntil(() => false, 6_000);
    t.equal(stateOf(test, identity.nodeId), 'ready');
    test.leader.down = false;
    test.leader.lostForMs = 0;
    await advanceUntil(() => stateOf(test, identity.nodeId) === 'down', 5_000);
    t.equal(stateOf(test, identity.nodeId), 'down');
  });
});

t.test('managers › a status that waited too long for a leader ends its session', async (t) => {
  const { clock, advanceUntil } = steppedClock();
  const test = await cluster(t, 1, clock);
  const other = test.managers[1]!;
  const identity = await test.join(other);
  const agent = await connect(t, other, identity);
  await assign(test, identity.nodeId, 'task1');
  test.leader.down = true;
  void agent.report('task1', 'running');
  while (!test.leader.calls.includes('node.statuses')) await new Promise((resolve) => setImmediate(resolve));
  const passedMs = await advanceUntil(() => other.dispatcher.connectedNodes().length === 0, 20_000, [agent]);
  t.ok(passedMs >= 4_000 && passedMs <= 6_000, `ended after ${passedMs} ms`);
  t.match(await agent.ended, { code: 'unavailable' });
});

t.test('managers › a manager that starts anew doubts the nodes that were connected to it', async (t) => {
  const test = await cluster(t, 1);
  const [leading, other] = test.managers as [ClusterManager, ClusterManager];
  const [there, here] = [await test.join(other), await test.join(other)];
  const elsewhere = await connect(t, leading, here);
  keepBeating(elsewhere);
  await connect(t, other, there);
  await other.kill();
  const deps = { store: test.store, clock: realClock, random: realRandom, logger: silent, managerId: other.id };
  const again = createDispatcher({ ...deps, reports: remoteReports(test.leader) });
  t.teardown(() => again.stop());
  // The leader is found a little later.
  test.leader.down = true;
  await again.start();
  t.equal(stateOf(test, there.nodeId), 'ready');
  test.leader.down = false;
  await untilStore(test.store, () => stateOf(test, there.nodeId) === 'unknown');
  t.equal(stateOf(test, here.nodeId), 'ready');
});

t.test('managers › another start of swarmd at another manager', async (t) => {
  const test = await cluster(t, 2);
  const [leading, a, b] = test.managers as [ClusterManager, ClusterManager, ClusterManager];

  t.test('is kept out while the first lives: the disk was copied', async (t) => {
    const identity = await test.join(a);
    const agent = await connect(t, a, identity, { advertiseAddr: '10.1.1.1' });
    keepBeating(agent);
    const { sessionId } = await agent.next('welcome');
    for (const at of [b, leading]) {
      const copy = startTestAgent(at.addr, identity, { bootNonce: 'copy', advertiseAddr: '10.9.9.9' });
      t.teardown(() => copy.close());
      t.match(await copy.ended, { code: 'already-exists', message: /already connected from 10.1.1.1/ });
    }
    t.match(test.node(identity.nodeId), {
      Session: { ID: sessionId, Manager: a.id },
      Status: { State: 'ready', Message: /another machine at 10.9.9.9/ },
    });
    t.same(a.dispatcher.connectedNodes(), [identity.nodeId]);
  });

  t.test('takes over when the first gives no sign', async (t) => {
    const identity = await test.join(a);
    const agent = await connect(t, a, identity);
    const restarted = startTestAgent(b.addr, identity, { bootNonce: 'second' });
    t.teardown(() => restarted.close());
    await restarted.next('welcome');
    t.match(await agent.ended, { code: 'aborted' });
  });

  t.test('takes over when the manager of the first is gone', async (t) => {
    const identity = await test.join(a);
    const agent = await connect(t, a, identity);
    keepBeating(agent);
    await a.kill();
    const restarted = startTestAgent(b.addr, identity, { bootNonce: 'second' });
    t.teardown(() => restarted.close());
    await restarted.next('welcome');
    t.equal(test.node(identity.nodeId)?.Session?.Manager, b.id);
  });
});

t.test('managers › sessions are spread', async (t) => {
  t.test('only as far as it must be', (t) => {
    const cases: [here: number, everywhere: number, managers: number, move: number][] = [
      [1_000, 1_000, 1, 0],
      [10, 10, 2, 0],
      [11, 11, 2, 0],
      [14, 14, 2, 1],
      [1_000, 1_000, 3, 3],
      [420, 1_000, 3, 0],
      [422, 1_000, 3, 1],
      [0, 1_000, 3, 0],
    ];
    for (const [here, everywhere, managers, move] of cases) {
      t.equal(sessionsToMove({ here, everywhere, managers }), move, `${here} of ${everywhere}, ${managers} managers`);
    }
    t.end();
  });

  t.test('until no manager has much more than its part, and then no more', (t) => {
    const spread = fc.array(fc.nat(400), { minLength: 2, maxLength: 7 });
    fc.assert(
      fc.property(spread, fc.infiniteStream(fc.nat(6)), (sessions, draws) => {
        const everywhere = sessions.reduce((sum, count) => sum + count, 0);
        for (let round = 0; round < 5_000; round++) {
          const moves = sessions.map((here) => sessionsToMove({ here, everywhere, managers: sessions.length }));
          if (moves.every((count) => count === 0)) break;
          for (const [from, count] of moves.entries()) {
            for (let i = 0; i < count; i++) {
              const others = sessions.map((_, at) => at).filter((at) => at !== from);
              sessions[from]! -= 1;
              sessions[others[(draws.next().value as number) % others.length]!]! += 1;
            }
          }
        }
        const most = Math.ceil((everywhere / sessions.length) * 1.25) + 4;
        return sessions.every((here) => here <= most);
      }),
      { numRuns: 50 },
    );
    t.end();
  });

  t.test('by asking agents to move, one after the other', async (t) => {
    const { clock, advanceUntil } = steppedClock();
    const test = await cluster(t, 1, clock);
    const leading = test.managers[0]!;
    const agents: TestAgent[] = [];
    for (let i = 0; i < 14; i++) agents.push(await connect(t, leading, await test.join(leading)));
    const here = (): number => leading.dispatcher.connectedNodes().length;
    await advanceUntil(() => here() < 14, 3_000, agents);
    const moved = await Promise.race(agents.map(async (agent) => ({ agent, reason: await agent.ended })));
    t.match(moved.reason, { code: 'aborted', message: /another/ });
    t.equal(moved.agent, agents[0]);
    await advanceUntil(() => here() < 13, 3_000, agents.slice(1));
    t.equal(here(), 13, 'and no more than must');
  });
});

t.test('managers › a join that comes to the leader twice makes one node', async (t) => {
  const test = await cluster(t, 1);
  const issuer = localIssuer({
    store: test.store,
    clock: realClock,
    random: realRandom,
    logger: silent,
    refuseManager: async () => undefined,
  });
  const token = test.store.view.get('cluster', 'cluster')!.JoinTokens.Worker;
  const { csrPem } = await createKeyAndCsr();
  const about = {
    availability: '',
    noManagerReason: '',
    externalStore: false,
    advertiseAddr: '10.0.0.7',
    description: Buffer.alloc(0),
  };
  const request = { ...about, token, csrPem: Buffer.from(csrPem) };
  const before = test.store.view.count('node');
  const [first, second] = [
    await issuer.issueCertificate(request, undefined, 'request1'),
    await issuer.issueCertificate(request, undefined, 'request1'),
  ];
  t.equal(first.nodeId, second.nodeId);
  t.equal(second.role, 'worker');
  t.equal(test.store.view.count('node'), before + 1);
  const other = await issuer.issueCertificate(request, undefined, 'request2');
  t.not(other.nodeId, first.nodeId);
  const another = { ...request, csrPem: Buffer.from((await createKeyAndCsr()).csrPem) };
  t.not(
    (await issuer.issueCertificate(another, undefined, 'request1')).nodeId,
    first.nodeId,
    'nobody else’s key gets in',
  );
  t.equal(test.store.view.count('node'), before + 3);
  await t.rejects(issuer.issueCertificate({ ...request, token: 'SWMTKN-1-no' }, undefined, 'request3'), {
    code: 'invalid-argument',
  });
});

t.test('managers › one that does not lead answers with the root itself, and passes refusals on', async (t) => {
  const test = await cluster(t, 1);
  const other = test.managers[1]!;
  const rootPem = test.store.view.get('cluster', 'cluster')!.RootCA.Certificate;
  const channel = createAnonymousChannel(other.addr, { verify: true, rootPem });
  t.teardown(() => channel.close());
  const client = new CertificateAuthorityClient(...clientArguments(channel));
  test.leader.calls.length = 0;
  const root = await callUnary(client.getRootCertificate.bind(client), {}, { timeoutMs: 5_000 });
  t.equal(root.certificatePem.toString(), rootPem);
  t.same(test.leader.calls, []);
  const { csrPem } = await createKeyAndCsr();
  const about = {
    availability: '',
    noManagerReason: '',
    externalStore: false,
    advertiseAddr: '',
    description: Buffer.alloc(0),
    csrPem: Buffer.from(csrPem),
  };
  for (const token of ['', 'SWMTKN-1-wrong']) {
    const call = callUnary(client.issueCertificate.bind(client), { ...about, token }, { timeoutMs: 5_000 });
    await t.rejects(call, { code: 'invalid-argument', message: /valid join token/, rpc: true });
  }
});

t.test('managers › the leader takes no call that has not the right shape', async (t) => {
  const test = await cluster(t, 0);
  const issuer = localIssuer({
    store: test.store,
    clock: realClock,
    random: realRandom,
    logger: silent,
    refuseManager: async () => undefined,
  });
  const handlers = {
    ...reportHandlers(localReports({ store: test.store, logger: silent })),
    ...issuerHandlers(issuer),
  };
  const before = test.store.index;
  const wrong: [string, unknown][] = [
    ...Object.keys(handlers).flatMap((method): [string, unknown][] => [
      [method, null],
      [method, 'x'],
      [method, {}],
    ]),
    [
      'node.register',
      { nodeId: 'n', sessionId: 's', bootNonce: 'b', managerId: 'm', addr: '', role: 'root', seenIndex: 1 },
    ],
    [
      'node.register',
      { nodeId: 'n', sessionId: 's', bootNonce: 'b', managerId: 'm', addr: '', role: 'worker', seenIndex: -1 },
    ],
    ['node.lost', { sessions: [1], message: '' }],
    ['node.statuses', { submissions: [{ nodeId: 'n', statuses: [{ taskId: 't' }] }] }],
    ['node.describe', { nodeId: 'n', description: { Platform: 1 } }],
  ];
  for (const [method, args] of wrong) {
    await t.rejects(handlers[method]!(args), { code: 'invalid-argument' }, `${method} ${JSON.stringify(args)}`);
  }
  t.equal(test.store.index, before);
});

t.test('managers › batches of statuses are cut into calls without losing any or their order', (t) => {
  const status = fc.record({ taskId: fc.constantFrom('a', 'b'), status: fc.uint8Array({ maxLength: 60 }) });
  const submission = fc.record({ nodeId: fc.constantFrom('n1', 'n2'), statuses: fc.array(status) });
  fc.assert(
    fc.property(fc.array(submission), (submissions) => {
      const calls = splitSubmissions(submissions, 300);
      const whole = submissions.map(({ nodeId }) => ({ nodeId, statuses: [] as object[] }));
      for (const call of calls) {
        if (call.length > 1 && JSON.stringify(call.flatMap(({ sent }) => sent.statuses)).length > 400) return false;
        for (const { of, sent } of call) {
          if (sent.nodeId !== whole[of]!.nodeId) return false;
          for (const { taskId, status } of sent.statuses) {
            whole[of]!.statuses.push({ taskId, status: new Uint8Array(Buffer.from(status, 'base64')) });
          }
        }
      }
      t.same(whole, submissions);
      return new Set(calls.flat().map(({ of }) => of)).size === submissions.length;
    }),
  );
  t.end();
});

t.test('managers › refusals of the leader reach the agent', async (t) => {
  const test = await cluster(t, 1);
  const other = test.managers[1]!;
  const identity = await test.join(other);
  const agent = startTestAgent(other.addr, identity, { seenIndex: Number.MAX_SAFE_INTEGER });
  t.teardown(() => agent.close());
  t.match(await agent.ended, { code: 'failed-precondition', message: /join again/ });
});
