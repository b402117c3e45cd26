import type { ReadView } from '@swarmd/model';
import { createMemoryLog, openStore } from '@swarmd/store';
import { createIdentityHolder } from '@swarmd/wire';
import t from 'tap';
import { digestOfToken, refuseNonManager, requestCertificate, rootDigest } from '../src/ca/index.js';
import { bootstrapCluster, createGrpcTransport, createManager } from '../src/cluster/index.js';
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

t.test('manager › serves no other manager that its store calls a worker, whatever its certificate says', async (t) => {
  const test = await startTestManager();
  t.teardown(() => test.stop());
  const token = test.cluster().JoinTokens.Manager;
  const signal = AbortSignal.timeout(10_000);
  const joined = await requestCertificate({ remoteAddrs: [test.addr], token, advertiseAddr: '127.0.0.1', signal });
  t.equal(joined.role, 'manager');
  const transport = createGrpcTransport(createIdentityHolder(joined));
  t.teardown(() => transport.close());
  const options = { timeoutMs: 10_000 };
  const call = () => transport.call(test.addr, 'none.such', {}, options);
  const relay = () => transport.relay(test.addr, 'none.such', {}, options);
  const answers = { code: 'unimplemented' };
  await t.rejects(call(), answers, 'one that is just joining is served');
  await t.rejects(relay(), answers);
  const become = (Role: 'worker' | 'manager') =>
    test.store.update((tx) => {
      const node = tx.get('node', joined.nodeId)!;
      tx.put('node', { ...node, Spec: { ...node.Spec, Role } });
    });
  await become('worker');
  const refusal = { code: 'permission-denied', message: /no manager of this cluster any more/ };
  await t.rejects(call(), refusal);
  await t.rejects(relay(), refusal);
  await t.rejects(transport.hears(test.addr, 1, options), refusal);
  const agent = startTestAgent(test.addr, joined);
  t.teardown(() => agent.close());
  await agent.next('assignments');
  await become('manager');
  await t.rejects(call(), answers);
});

t.test('manager › that does not lead says of an unknown manager that another may know it', (t) => {
  const view = { get: () => undefined } as unknown as ReadView;
  t.match(refuseNonManager({ view, leads: false }, 'n'), { code: 'unavailable' });
  t.match(refuseNonManager({ view, leads: true }, 'n'), { code: 'permission-denied' });
  t.end();
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

t.test('cluster service › the line of a manager that is demoted is cut', async (t) => {
  const test = await startTestManager();
  const { addr, store, cluster } = test;
  const token = cluster().JoinTokens.Manager;
  const signal = AbortSignal.timeout(10_000);
  const identity = await requestCertificate({ remoteAddrs: [addr], token, advertiseAddr: '127.0.0.1', signal });
  const transport = createGrpcTransport(createIdentityHolder(identity));
  t.teardown(async () => {
    transport.close();
    await test.stop();
  });
  let signed = (): void => {};
  const first = new Promise<void>((resolve) => {
    signed = resolve;
  });
  const ended = new Promise<unknown>((resolve) => {
    const about = { swarmdVersion: '', protocol: 1, stateFormat: 1, clockMs: Date.now(), addr: '127.0.0.1:1' };
    transport.attach(addr, about, { onSign: () => signed(), onEnd: resolve });
  });
  await first;
  await store.update((tx) => {
    const node = tx.get('node', identity.nodeId)!;
    tx.put('node', { ...node, Spec: { ...node.Spec, Labels: { still: 'a manager' } } });
  });
  await store.update((tx) => {
    const node = tx.get('node', identity.nodeId)!;
    t.equal(node.Spec.Role, 'manager');
    tx.put('node', { ...node, Spec: { ...node.Spec, Role: 'worker' } });
  });
  t.match(await ended, { code: 'permission-denied', message: /no manager of this cluster any more/ });
});
