import { createMemoryLog, openStore } from '@swarmd/store';
import { createIdentityHolder } from '@swarmd/wire';
import t from 'tap';
import { digestOfToken, rootDigest } from '../src/ca/index.js';
import { bootstrapCluster, createManager } from '../src/cluster/index.js';
import { startTestAgent } from './support/test-agent.js';
import { realClock, realRandom, silent, startTestManager } from './support/test-manager.js';

const deps = { clock: realClock, random: realRandom };

t.test('cluster › is made with its root, its tokens and its first manager', async (t) => {
  const store = await openStore({ log: createMemoryLog(), clock: realClock });
  const spec = { Orchestration: { TaskHistoryRetentionLimit: 3 }, CAConfig: { NodeCertExpiry: 48 * 3_600e9 } };
  const identity = await bootstrapCluster(store, {
    ...deps,
    advertiseAddr: '10.0.0.1:2377',
    spec,
    availability: 'drain',
  });
  const cluster = store.view.get('cluster', 'cluster')!;
  t.match(identity, { role: 'manager', clusterId: cluster.ClusterID, rootPem: cluster.RootCA.Certificate });
  t.ok(Math.abs(identity.notAfter - Date.now() - 48 * 3_600_000) < 60_000, 'valid as long as the spec says');
  t.match(cluster.Spec, { Name: 'default', ...spec, Dispatcher: { HeartbeatPeriod: 5e9 }, Raft: { ElectionTick: 10 } });
  for (const token of Object.values(cluster.JoinTokens)) t.equal(digestOfToken(token), rootDigest(identity.rootPem));
  t.not(cluster.JoinTokens.Worker, cluster.JoinTokens.Manager);
  t.match(store.view.get('node', identity.nodeId), {
    Spec: { Role: 'manager', Availability: 'drain' },
    ManagerStatus: { Leader: true, Reachability: 'reachable', Addr: '10.0.0.1:2377' },
    Status: { Addr: '10.0.0.1' },
  });
  await t.rejects(bootstrapCluster(store, { ...deps, advertiseAddr: '10.0.0.1:2377' }), {
    code: 'failed-precondition',
  });
  t.equal(store.view.count('node'), 1);
});

t.test('cluster › is not made with a spec that no cluster can have', async (t) => {
  const store = await openStore({ log: createMemoryLog(), clock: realClock });
  const specs: [Record<string, unknown>, RegExp][] = [
    [{ CAConfig: { NodeCertExpiry: 60e9 } }, /minimum certificate expiry time/],
    [{ CAConfig: { NodeCertExpiry: 'soon' } }, /CAConfig.NodeCertExpiry/],
    [{ Dispatcher: { HeartbeatPeriod: -1 } }, /cannot be a negative duration/],
    [{ Labels: ['x'] }, /Labels/],
  ];
  for (const [spec, message] of specs) {
    await t.rejects(bootstrapCluster(store, { ...deps, advertiseAddr: '10.0.0.1:2377', spec }), {
      code: 'invalid-argument',
      message,
    });
  }
  t.equal(store.view.count('node'), 0);
});

t.test('manager › starts its loops once it serves, and stops them in the reverse order', async (t) => {
  const store = await openStore({ log: createMemoryLog(), clock: realClock });
  const identity = createIdentityHolder(await bootstrapCluster(store, { ...deps, advertiseAddr: '127.0.0.1:2377' }));
  const order: string[] = [];
  const loop = (name: string) => () => {
    order.push(`start ${name}`);
    return { stop: async () => void order.push(`stop ${name}`) };
  };
  const options = { store, identity, ...deps, logger: silent, listenAddr: '127.0.0.1:0', advertiseAddr: '127.0.0.1' };
  const manager = createManager({ ...options, loops: [loop('scheduler'), loop('orchestrator')] });
  await manager.start();
  t.teardown(() => manager.stop());
  t.same(order, ['start scheduler', 'start orchestrator']);
  t.equal(store.view.get('node', identity.current.nodeId)?.ManagerStatus?.Addr, `127.0.0.1:${manager.port}`);

  const second = createManager({ ...options, listenAddr: `127.0.0.1:${manager.port}`, loops: [loop('never')] });
  await t.rejects(second.start(), { code: 'unavailable' });
  await manager.stop();
  t.same(order.slice(2), ['stop orchestrator', 'stop scheduler']);
  await manager.stop();
  t.equal(order.length, 4, 'stopping twice is harmless');
});

t.test('manager › stops within its grace although agents are connected, and tells them', async (t) => {
  const test = await startTestManager();
  const identity = await test.join();
  const agent = startTestAgent(test.addr, identity);
  t.teardown(() => agent.close());
  await agent.next('assignments');
  t.same(test.manager.connectedNodes(), [identity.nodeId]);
  await test.stop();
  t.equal((await agent.ended)?.code, 'unavailable');
  t.same(test.manager.connectedNodes(), []);
});

t.test('manager › gives fresh join tokens for the root of its cluster', async (t) => {
  const test = await startTestManager();
  t.teardown(() => test.stop());
  const first = test.cluster().JoinTokens.Worker;
  const { Version, Spec } = test.cluster();
  const rotate = { workerToken: true, managerToken: false, managerUnlockKey: false };
  await test.manager.control.updateCluster(Version.Index, Spec, rotate);
  const second = test.cluster().JoinTokens.Worker;
  t.not(first, second);
  t.equal(digestOfToken(second), rootDigest(test.cluster().RootCA.Certificate));
});
