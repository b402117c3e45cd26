import { MAX_INDEX_JUMP, rfc3339, specKey, type Task, type WriteTx } from '@swarmd/model';
import { buildServiceSpec, buildTask, createService } from '@swarmd/testkit';
import type { Identity } from '@swarmd/wire';
import {
  clientArguments,
  createAnonymousChannel,
  createChannel,
  createIdentityHolder,
  DispatcherClient,
  fromGrpcError,
} from '@swarmd/wire';
import t from 'tap';
import { keepBeating, startTestAgent, type TestAgent } from './support/test-agent.js';
import { startTestManager, type TestManager, untilStore } from './support/test-manager.js';

async function worker(
  t: Pick<typeof import('tap').default, 'teardown'>,
  test: TestManager,
  over = {},
): Promise<{ agent: TestAgent; identity: Identity }> {
  const identity = await test.join();
  const agent = startTestAgent(test.addr, identity, over);
  t.teardown(() => agent.close());
  keepBeating(agent);
  await agent.next('assignments');
  return { agent, identity };
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');

/** A service whose tasks need the secret `pw` and the config `conf`, with one task per node given. */
function createNeedyTasks(tx: WriteTx, nodeIds: readonly string[]): Task[] {
  if (tx.get('secret', 'pw') === undefined) {
    tx.create('secret', { ID: 'pw', Spec: { Name: 'password', Data: base64('hunter2') } });
    tx.create('config', { ID: 'conf', Spec: { Name: 'settings', Data: base64('a=1') } });
  }
  const spec = buildServiceSpec('web', nodeIds.length);
  const container = spec.TaskTemplate!.ContainerSpec!;
  container.Secrets = [
    { SecretID: 'pw', SecretName: 'password', File: { Name: 'pw', UID: '0', GID: '0', Mode: 0o400 } },
  ];
  container.Configs = [
    { ConfigID: 'conf', ConfigName: 'settings', File: { Name: '/c', UID: '0', GID: '0', Mode: 0o400 } },
  ];
  const service = createService(tx, `web${tx.index}`, spec);
  const Status = { Timestamp: tx.now, State: 'assigned', Message: '' } as const;
  return nodeIds.map((NodeID, i) =>
    tx.create('task', buildTask(service, `task${tx.index}-${i}`, { NodeID, Slot: i + 1, Status })),
  );
}

t.test('dispatcher › a session', async (t) => {
  const test = await startTestManager();
  t.teardown(() => test.stop());

  t.test('makes the node ready, with its description, address and session', async (t) => {
    const { agent, identity } = await worker(t, test);
    const welcome = await agent.next('welcome');
    t.equal(welcome.nodeId, identity.nodeId);
    t.equal(welcome.clusterId, test.cluster().ClusterID);
    t.ok(welcome.heartbeatPeriodMs >= 900 && welcome.heartbeatPeriodMs <= 1100, 'a second, more or less');
    const node = test.node(identity.nodeId)!;
    t.match(node, { Status: { State: 'ready', Addr: '10.1.2.3' }, Session: { ID: welcome.sessionId } });
    t.equal(node.Description?.Hostname, `host-${identity.nodeId.slice(0, 4)}`);
    t.equal(node.Description?.TLSInfo?.TrustRoot, test.cluster().RootCA.Certificate);
  });

  t.test('that gives no address is known by the one it comes from', async (t) => {
    const { identity } = await worker(t, test, { advertiseAddr: '' });
    t.equal(test.node(identity.nodeId)?.Status.Addr, '127.0.0.1');
  });

  t.test('says who the managers are, which root to trust, and nothing of a renewal', async (t) => {
    const { agent } = await worker(t, test);
    const update = await agent.next('cluster');
    t.same(update.managers, [{ nodeId: test.identity.current.nodeId, addr: test.addr }]);
    t.equal(update.rootCertificatePem.toString(), test.cluster().RootCA.Certificate);
    t.equal(update.renewCertificate, false);
  });

  t.test('asks for a renewal when the node’s role changes', async (t) => {
    const { agent, identity } = await worker(t, test);
    await test.store.update((tx) => {
      const node = tx.get('node', identity.nodeId)!;
      tx.put('node', { ...node, Spec: { ...node.Spec, Role: 'manager' } });
    });
    const update = await agent.next('cluster', ({ renewCertificate }) => renewCertificate);
    t.equal(JSON.parse(update.node.toString()).Spec.Role, 'manager');
  });

  t.test('tells the cluster’s default log driver when it has one, and when that changes', async (t) => {
    const { agent } = await worker(t, test);
    t.equal((await agent.next('cluster')).taskLogDriver, undefined);
    const setDriver = (LogDriver: { Name: string } | null) =>
      test.store.update((tx) => {
        const cluster = tx.get('cluster', 'cluster')!;
        tx.put('cluster', { ...cluster, Spec: { ...cluster.Spec, TaskDefaults: { LogDriver } } });
      });
    await setDriver({ Name: 'journald' });
    t.equal((await agent.next('cluster')).taskLogDriver?.toString(), '{"Name":"journald"}');
    await setDriver(null);
    t.equal((await agent.next('cluster')).taskLogDriver?.toString(), '');
  });

  t.test('tells where the other nodes’ ends of the overlays are, all of them whenever one changes', async (t) => {
    const { agent, identity } = await worker(t, test);
    const first = await agent.next('cluster');
    t.match(first, { dataPathPort: 4789, dataPathPeers: [] });
    const setAddr = (id: string, Addr: string) =>
      test.store.update((tx) => tx.put('node', { ...tx.get('node', id)!, DataPath: { Addr, MTU: 1500 } }));
    const other = test.identity.current.nodeId;
    await setAddr(other, '10.0.0.9');
    t.match(await agent.next('cluster'), { dataPathPort: 4789, dataPathPeers: ['10.0.0.9'] });
    await setAddr(identity.nodeId, '10.0.0.8');
    await setAddr(other, '10.0.0.7');
    t.match(await agent.next('cluster'), { dataPathPort: 4789, dataPathPeers: ['10.0.0.7'] });
  });

  t.test('answers heartbeats', async (t) => {
    const { agent } = await worker(t, test);
    agent.send({ $case: 'heartbeat', value: { clockMs: 0 } });
    t.ok((await agent.next('heartbeat')).heartbeatPeriodMs > 0);
  });

  t.test('writes a changed description', async (t) => {
    const { agent, identity } = await worker(t, test);
    const description = { Hostname: 'renamed', Platform: { OS: 'linux' }, Resources: { NanoCPUs: 2e9 }, Engine: {} };
    agent.send({ $case: 'description', value: { description: Buffer.from(JSON.stringify(description)) } });
    await untilStore(test.store, () => test.node(identity.nodeId)?.Description?.Hostname === 'renamed');
    t.equal(test.node(identity.nodeId)?.Description?.Resources.NanoCPUs, 2e9);
  });

  t.test('gives way to a newer session of the same start of swarmd', async (t) => {
    const { agent, identity } = await worker(t, test);
    const newer = startTestAgent(test.addr, identity);
    t.teardown(() => newer.close());
    t.equal((await agent.ended)?.code, 'aborted');
    const { sessionId } = await newer.next('welcome');
    t.equal(test.node(identity.nodeId)?.Session?.ID, sessionId);
  });

  t.test('gives way to another start of swarmd once it gives no sign any more', async (t) => {
    const identity = await test.join();
    const agent = startTestAgent(test.addr, identity);
    t.teardown(() => agent.close());
    await agent.next('assignments');
    const restarted = startTestAgent(test.addr, identity, { bootNonce: 'second' });
    t.teardown(() => restarted.close());
    await restarted.next('welcome');
    t.equal((await agent.ended)?.code, 'aborted');
  });

  t.test('keeps out another start of swarmd while it lives: the disk was copied', async (t) => {
    const { agent, identity } = await worker(t, test);
    const beating = setInterval(() => agent.send({ $case: 'heartbeat', value: { clockMs: 0 } }), 50);
    t.teardown(() => clearInterval(beating));
    const copy = startTestAgent(test.addr, identity, { bootNonce: 'copy', advertiseAddr: '10.9.9.9' });
    t.teardown(() => copy.close());
    t.equal((await copy.ended)?.code, 'already-exists');
    t.match(test.node(identity.nodeId)?.Status.Message, /another machine at 10.9.9.9/);
    agent.send({ $case: 'heartbeat', value: { clockMs: 0 } });
    t.ok(await agent.next('heartbeat'));
  });

  t.test('of an agent that has seen later states raises the index above them before the full set', async (t) => {
    const identity = await test.join();
    const service = await test.store.update((tx) => createService(tx, 'restored', buildServiceSpec('restored', 1)));
    const ahead = test.store.index + 1_000_000;
    const agent = startTestAgent(test.addr, identity, { seenIndex: ahead });
    t.teardown(() => agent.close());
    t.ok((await agent.next('assignments')).storeIndex >= ahead);
    t.ok(test.store.index >= ahead);
    const Status = { Timestamp: rfc3339(Date.now()), State: 'assigned', Message: '' } as const;
    const task = await test.store.update((tx) =>
      tx.create('task', buildTask(service, 'restored1', { NodeID: identity.nodeId, Slot: 1, Status })),
    );
    t.ok(task.Version.Index > ahead);
    await agent.until(() => agent.assigned.has('task/restored1'));
  });

  t.test('is refused to an agent that claims to have seen what no history can have reached', async (t) => {
    const identity = await test.join();
    const before = test.store.index;
    for (const seenIndex of [before + MAX_INDEX_JUMP * 2, Number.MAX_SAFE_INTEGER]) {
      const agent = startTestAgent(test.addr, identity, { seenIndex });
      t.teardown(() => agent.close());
      t.match(await agent.ended, { code: 'failed-precondition', message: /claims to have seen index \d+.*join again/ });
    }
    t.ok(test.store.index < before + 100);
    t.not(test.node(identity.nodeId)?.Status.State, 'ready');
  });

  t.test('of a node that was removed raises nothing', async (t) => {
    const identity = await test.join();
    await test.store.update((tx) => tx.delete('node', identity.nodeId));
    const ahead = test.store.index + 1_000_000;
    const agent = startTestAgent(test.addr, identity, { seenIndex: ahead });
    t.teardown(() => agent.close());
    t.equal((await agent.ended)?.code, 'permission-denied');
    t.ok(test.store.index < ahead);
  });

  t.test('is refused to a node that registers again and again', async (t) => {
    const identity = await test.join();
    for (let i = 0; i < 10; i++) {
      const agent = startTestAgent(test.addr, identity);
      await agent.next('welcome');
      agent.close();
    }
    const agent = startTestAgent(test.addr, identity);
    t.teardown(() => agent.close());
    t.equal((await agent.ended)?.code, 'unavailable');
  });

  t.test('must begin with a Register that tells its start apart', async (t) => {
    const identity = await test.join();
    const agent = startTestAgent(test.addr, identity, { bootNonce: '' });
    t.teardown(() => agent.close());
    t.equal((await agent.ended)?.code, 'invalid-argument');
  });

  t.test('ends at once when the node is removed, and none begins again', async (t) => {
    const { agent, identity } = await worker(t, test);
    await test.store.update((tx) => {
      const cluster = tx.get('cluster', 'cluster')!;
      const RemovedNodes = { ...cluster.RemovedNodes, [identity.nodeId]: { Expiry: rfc3339(identity.notAfter) } };
      tx.put('cluster', { ...cluster, RemovedNodes });
      tx.delete('node', identity.nodeId);
    });
    t.equal((await agent.ended)?.code, 'permission-denied');
    const again = startTestAgent(test.addr, identity);
    t.teardown(() => again.close());
    t.equal((await again.ended)?.code, 'permission-denied');
  });

  t.test('a node that says it will not come back is down at once', async (t) => {
    const { agent, identity } = await worker(t, test);
    agent.send({ $case: 'goodbye', value: { backWithinMs: 0 } });
    await untilStore(test.store, () => test.node(identity.nodeId)?.Status.State === 'down');
    t.equal(await agent.ended, undefined);
  });
});

t.test('dispatcher › who may not open a session', async (t) => {
  const test = await startTestManager();
  t.teardown(() => test.stop());
  const open = async (channel: ReturnType<typeof createChannel>): Promise<string> => {
    t.teardown(() => channel.close());
    const stream = new DispatcherClient(...clientArguments(channel)).session();
    stream.write({ body: { $case: 'heartbeat', value: { clockMs: 0 } } });
    return new Promise((resolve) => stream.on('error', (error) => resolve(fromGrpcError(error).code)));
  };
  t.test('a client without a certificate', async (t) => {
    const channel = createAnonymousChannel(test.addr, { verify: true, rootPem: test.cluster().RootCA.Certificate });
    t.equal(await open(channel), 'unauthenticated');
  });
  t.test('a client with a certificate of another cluster', async (t) => {
    const other = await startTestManager();
    t.teardown(() => other.stop());
    const stranger = { ...(await other.join()), rootPem: test.cluster().RootCA.Certificate };
    t.equal(await open(createChannel(test.addr, createIdentityHolder(stranger))), 'unauthenticated');
  });
});

t.test('dispatcher › assignments', async (t) => {
  const test = await startTestManager();
  t.teardown(() => test.stop());

  t.test('a task comes with its spec, secret and config, which go when it has ended', async (t) => {
    const { agent, identity } = await worker(t, test);
    const [task] = await test.store.update((tx) => createNeedyTasks(tx, [identity.nodeId]));
    await agent.until(() => agent.assigned.has(`task/${task!.ID}`));
    const spec = `spec/${specKey(task!.ServiceID, task!.SpecVersion)}`;
    t.same([...agent.assigned.keys()], [spec, 'secret/pw', 'config/conf', `task/${task!.ID}`]);
    t.match(agent.assigned.get('secret/pw'), { value: { name: 'password', data: Buffer.from('hunter2') } });
    t.match(agent.assigned.get(`task/${task!.ID}`), { value: { desiredState: 'running', slot: 1, ended: false } });

    await agent.report(task!.ID, 'running');
    await agent.report(task!.ID, 'failed');
    await agent.until(() => !agent.assigned.has('secret/pw'));
    t.same([...agent.assigned.keys()].sort(), [spec, `task/${task!.ID}`]);
    t.match(agent.assigned.get(`task/${task!.ID}`), { value: { ended: true } });
  });

  t.test('a node gets nothing of another node', async (t) => {
    const { agent, identity } = await worker(t, test);
    const other = await worker(t, test);
    const [task] = await test.store.update((tx) => createNeedyTasks(tx, [identity.nodeId]));
    await agent.until(() => agent.assigned.has(`task/${task!.ID}`));
    t.equal(other.agent.assigned.size, 0);
    t.equal(other.agent.sequence, 1, 'no difference was sent');
  });

  t.test('a commit reaches every node it concerns in one difference each', async (t) => {
    const workers = await Promise.all(Array.from({ length: 4 }, () => worker(t, test)));
    const nodeIds = workers.flatMap(({ identity }) => Array.from({ length: 5 }, () => identity.nodeId));
    await test.store.update((tx) => createNeedyTasks(tx, nodeIds));
    for (const { agent } of workers) {
      await agent.until(() => agent.sequence >= 2);
      t.equal([...agent.assigned.keys()].filter((key) => key.startsWith('task/')).length, 5);
      t.equal(agent.sequence, 2);
    }
  });

  t.test('a task that is deleted or reassigned goes', async (t) => {
    const { agent, identity } = await worker(t, test);
    const [first, second] = await test.store.update((tx) => createNeedyTasks(tx, [identity.nodeId, identity.nodeId]));
    await agent.until(() => agent.assigned.has(`task/${second!.ID}`));
    await test.store.update((tx) => tx.delete('task', first!.ID));
    await agent.until(() => !agent.assigned.has(`task/${first!.ID}`));
    t.ok(agent.assigned.has('secret/pw'), 'still needed by the other');
    await test.store.update((tx) => tx.put('task', { ...tx.get('task', second!.ID)!, NodeID: 'elsewhere' }));
    await agent.until(() => agent.assigned.size === 0);
  });

  t.test('a set larger than a message comes in parts of at most a megabyte', async (t) => {
    const identity = await test.join();
    await test.store.update((tx) => {
      const spec = buildServiceSpec('big', 1);
      spec.TaskTemplate!.ContainerSpec!.Configs = Array.from({ length: 6 }, (_, i) => {
        const Spec = { Name: `big${i}`, Data: Buffer.alloc(700_000, i).toString('base64') };
        tx.create('config', { ID: `big${i}`, Spec });
        return {
          ConfigID: `big${i}`,
          ConfigName: `big${i}`,
          File: { Name: `/c${i}`, UID: '0', GID: '0', Mode: 0o400 },
        };
      });
      const service = createService(tx, 'big', spec);
      const Status = { Timestamp: tx.now, State: 'assigned', Message: '' } as const;
      tx.create('task', buildTask(service, 'big-task', { NodeID: identity.nodeId, Status }));
    });
    const agent = startTestAgent(test.addr, identity);
    t.teardown(() => agent.close());
    await agent.until(() => agent.sequence === 1);
    const parts = agent.received.filter((body) => body.$case === 'assignments');
    t.equal(parts.length, 6);
    t.same([...agent.assigned.keys()].at(-1), 'task/big-task', 'after all that it needs');
  });

  t.test('an agent that does not read gets one difference to the latest state once it does', async (t) => {
    const { agent, identity } = await worker(t, test);
    agent.pause();
    const spec = buildServiceSpec('flood', 1, { Labels: { padding: 'x'.repeat(100_000) } });
    const service = await test.store.update((tx) => createService(tx, 'flood', spec));
    for (let i = 0; i < 300; i++) {
      await test.store.update((tx) => {
        const Status = { Timestamp: tx.now, State: 'assigned', Message: '' } as const;
        const changed = createService(tx, `flood${i}`, spec);
        if (i > 0) tx.delete('task', `flood${i - 1}`);
        tx.create('task', buildTask(i === 299 ? service : changed, `flood${i}`, { NodeID: identity.nodeId, Status }));
      });
    }
    agent.resume();
    await agent.until(() => agent.assigned.has('task/flood299'));
    t.same([...agent.assigned.keys()].sort(), [`spec/${specKey('flood', service.SpecVersion)}`, 'task/flood299']);
    t.ok(agent.sequence < 300, `${agent.sequence} sets for 300 commits`);
  });
});

t.test('dispatcher › statuses', async (t) => {
  const test = await startTestManager();
  t.teardown(() => test.stop());
  const { agent, identity } = await worker(t, test);
  const newTask = async (nodeId = identity.nodeId): Promise<string> =>
    (await test.store.update((tx) => createNeedyTasks(tx, [nodeId])))[0]!.ID;
  const status = (id: string): Task['Status'] => test.store.view.get('task', id)!.Status;

  t.test('are written with the leader’s time and acknowledged with their index', async (t) => {
    const id = await newTask();
    const ack = await agent.report(id, 'running', { ContainerStatus: { ContainerID: 'c', PID: 7 } });
    t.same(ack.rejected, []);
    t.ok(ack.storeIndex <= test.store.index && ack.storeIndex > 0);
    t.match(status(id), { State: 'running', ContainerStatus: { PID: 7 } });
    t.ok(Number.isFinite(Date.parse(status(id).AppliedAt!)));
  });

  t.test('never go down the ladder', async (t) => {
    const id = await newTask();
    await agent.report(id, 'running');
    const { index } = test.store;
    t.same((await agent.report(id, 'starting')).rejected, []);
    t.equal(status(id).State, 'running');
    await agent.report(id, 'running');
    t.equal(test.store.index, index, 'what says nothing new is not written');
  });

  t.test(
    'of other nodes’ tasks, unknown tasks and states that are not the agent’s are refused one by one',
    async (t) => {
      const mine = await newTask();
      const theirs = await newTask(test.identity.current.nodeId);
      const json = (State: string) => Buffer.from(JSON.stringify({ Timestamp: rfc3339(0), State, Message: '' }));
      const statuses = [
        { taskId: theirs, status: json('failed') },
        { taskId: 'nothing', status: json('failed') },
        { taskId: mine, status: json('orphaned') },
        { taskId: mine, status: Buffer.from('{') },
        { taskId: mine, status: json('accepted') },
      ];
      agent.send({ $case: 'statuses', value: { sequence: 99, statuses } });
      const { rejected } = await agent.next('statusAck', (ack) => ack.sequence === 99);
      t.same(rejected, [
        { taskId: theirs, code: 'permission-denied' },
        { taskId: 'nothing', code: 'not-found' },
        { taskId: mine, code: 'invalid-argument' },
        { taskId: mine, code: 'invalid-argument' },
      ]);
      t.equal(status(theirs).State, 'assigned');
      t.equal(status(mine).State, 'accepted');
    },
  );
});
