import type { Task } from '@swarmd/model';
import { NetworkEndpoint_Phase } from '@swarmd/wire';
import t from 'tap';
import { buildNetwork, changeNode, createServiceOn, createTaskOn, type TaskOn } from './support/network-world.js';
import { keepBeating, startTestAgent, type TestAgent } from './support/test-agent.js';
import { type ClusterManager, startTestCluster, steppedClock, type TestCluster } from './support/test-cluster.js';
import { realClock, untilStore } from './support/test-manager.js';

type Teardown = Pick<typeof import('tap').default, 'teardown'>;
type Member = { nodeId: string; agent: TestAgent };
const { PHASE_RESERVED, PHASE_READY, PHASE_DRAINING } = NetworkEndpoint_Phase;
const path = (n: number) => ({ addr: `192.168.0.${n}`, mtu: 1500, encryption: false });

/** Managers with networks `net` and `other`, an attachable one, and one without addresses. */
async function cluster(t: Teardown, followers = 0, clock = realClock): Promise<TestCluster> {
  const test = await startTestCluster(followers, clock);
  t.teardown(() => test.stop());
  await test.store.update((tx) => {
    tx.create('network', buildNetwork('net', 1));
    tx.create('network', buildNetwork('other', 2));
    const { Allocation: _, ...without } = buildNetwork('pending', 4);
    tx.create('network', without);
    createServiceOn(tx, 'web', ['net']);
  });
  return test;
}

let count = 0;
async function member(t: Teardown, test: TestCluster, at: ClusterManager, over = {}): Promise<Member> {
  const identity = await test.join(test.managers[0]!);
  count += 1;
  const agent = startTestAgent(at.addr, identity, { dataPath: path(count), ...over });
  t.teardown(() => agent.close());
  await agent.next('assignments');
  return { nodeId: identity.nodeId, agent };
}

const assign = (test: TestCluster, about: TaskOn): Promise<Task> =>
  test.store.update((tx) => createTaskOn(tx, tx.get('service', 'web')!, about));
const change = (test: TestCluster, id: string, over: Partial<Task>): Promise<unknown> =>
  test.store.update((tx) => void tx.put('task', { ...tx.get('task', id)!, ...over }));
const phaseAt = ({ agent }: Member, id: string) => agent.networks.get('net')?.endpoints.get(id)?.phase;
const settledAt = ({ agent }: Member, taskId: string, phase: number) =>
  agent.next('endpointSettled', (settled) => settled.taskId === taskId && settled.phase === phase);
const hasSettled = ({ agent }: Member, taskId: string, phase: number = PHASE_RESERVED): boolean =>
  agent.received.some(
    (body) => body.$case === 'endpointSettled' && body.value.taskId === taskId && body.value.phase === phase,
  );

t.test('endpoints › nodes with a task on a network are told who is on it, others are not', async (t) => {
  const test = await cluster(t);
  const at = test.managers[0]!;
  const [a, b, c] = [await member(t, test, at), await member(t, test, at), await member(t, test, at)];
  const old = await member(t, test, at, { dataPath: undefined });
  t.match(test.node(a.nodeId), { DataPath: { Addr: '192.168.0.1', MTU: 1500 } });
  t.equal(test.node(old.nodeId)?.DataPath, undefined);
  await test.store.update((tx) => changeNode(tx, a.nodeId, { AddressBlocks: { net: ['10.1.8.0/28'] } }));
  await assign(test, { id: 't1', nodeId: a.nodeId, networkIds: ['net'], n: 2 });
  await assign(test, { id: 't2', nodeId: b.nodeId, networkIds: ['net'], n: 3 });
  await assign(test, { id: 't3', nodeId: old.nodeId, networkIds: ['net'], n: 4 });

  await a.agent.until(() => phaseAt(a, 't2') === PHASE_RESERVED);
  t.same([...a.agent.networks.keys()], ['net']);
  t.match(a.agent.networks.get('net')?.endpoints.get('t2'), { nodeAddr: '192.168.0.2', addresses: ['10.1.0.3'] });
  t.match(
    [...a.agent.networks.get('net')!.services.values()],
    [{ id: 'web', name: 'web', virtualIps: ['10.0.255.1'] }],
  );
  t.match(a.agent.networks.get('net')?.blocks.get(a.nodeId), { ranges: ['10.1.8.0/28'], nodeAddr: '192.168.0.1' });
  t.notOk(a.agent.networks.get('net')!.endpoints.has('t3'), 'nothing leads to a node without a data path');
  const network = a.agent.assigned.get('network/net')?.value as { allocation: Buffer; addressBlocks: string[] };
  t.match(JSON.parse(network.allocation.toString()), { VNI: 2 ** 20 + 1 });
  t.same(network.addressBlocks, ['10.1.8.0/28']);
  const order = a.agent.received.map((body) => body.$case);
  t.ok(order.lastIndexOf('assignments') > order.indexOf('assignments'));
  const brought = a.agent.received.findIndex(
    (body) => body.$case === 'assignments' && body.value.changes.some(({ item }) => item?.$case === 'network'),
  );
  t.ok(brought < order.indexOf('endpoints'), 'the network comes first');

  await b.agent.report('t2', 'running');
  await a.agent.until(() => phaseAt(a, 't2') === PHASE_READY);
  const updates = a.agent.received.flatMap((body) => (body.$case === 'endpoints' ? [body.value] : []));
  t.same(
    updates.map(({ complete }) => complete),
    [true, ...updates.slice(1).map(() => false)],
  );
  t.same(
    updates.at(-1)?.endpoints.map(({ id }) => id),
    ['t2'],
    'only what changed',
  );

  await change(test, 't1', { Status: { Timestamp: '', State: 'shutdown', Message: '' } });
  await a.agent.until(() => !a.agent.assigned.has('network/net'));
  await b.agent.until(() => phaseAt(b, 't1') === undefined);
  const before = a.agent.received.length;
  await b.agent.report('t2', 'failed');
  await b.agent.until(() => !b.agent.assigned.has('network/net'));
  a.agent.send({ $case: 'heartbeat', value: { clockMs: 0 } });
  await a.agent.next('heartbeat');
  t.same(
    a.agent.received.slice(before).map((body) => body.$case),
    ['heartbeat'],
    'who has left hears no more',
  );
  t.same([c.agent.networks.size, old.agent.networks.size], [0, 0]);
});

t.test(
  'endpoints › attachable networks, and the one that ports lead into, are on every node of the data path',
  async (t) => {
    const test = await cluster(t);
    const at = test.managers[0]!;
    const [a, b] = [await member(t, test, at), await member(t, test, at)];
    const old = await member(t, test, at, { dataPath: undefined });
    await test.store.update((tx) => {
      const { Allocation: _, ...open } = buildNetwork('open', 5, { Attachable: true });
      tx.create('network', open);
      tx.create('network', buildNetwork('ingress', 6, { Ingress: true }));
    });
    await a.agent.until(() => a.agent.networks.has('ingress'));
    t.notOk(a.agent.assigned.has('network/open'), 'not before it has addresses');
    await test.store.update((tx) => {
      tx.put('network', { ...tx.get('network', 'open')!, ...buildNetwork('open', 5, { Attachable: true }) });
    });
    await test.store.update((tx) => changeNode(tx, b.nodeId, { AddressBlocks: { open: ['10.5.1.0/28'] } }));
    await a.agent.until(() => a.agent.networks.get('open')?.blocks.size === 1);
    await b.agent.until(
      () => (b.agent.assigned.get('network/open')?.value as { addressBlocks?: string[] })?.addressBlocks?.length === 1,
    );

    const ContainerID = 'c'.repeat(64);
    const container = { NetworkID: 'open', ContainerID, Addresses: ['10.5.1.2'], Names: ['box'] };
    const foreign = [
      container,
      { ...container, NetworkID: 'net' },
      { ...container, ContainerID: 'd'.repeat(64), Addresses: ['10.6.0.1'] },
    ];
    b.agent.send({ $case: 'attachments', value: { attachments: Buffer.from(JSON.stringify(foreign)) } });
    await a.agent.until(() => a.agent.networks.get('open')?.endpoints.size === 1);
    t.match(a.agent.networks.get('open')?.endpoints.get(ContainerID), {
      ...{ serviceId: '', nodeId: b.nodeId, addresses: ['10.5.1.2'], phase: PHASE_READY, names: ['box'] },
    });
    t.same(test.node(b.nodeId)?.Attachments, [container], 'on attachable networks alone, with their addresses');
    const { Status } = test.node(b.nodeId)!;
    const phase = () => a.agent.networks.get('open')?.endpoints.get(ContainerID)?.phase;
    await test.store.update((tx) => changeNode(tx, b.nodeId, { Status: { State: 'down', Addr: '' } }));
    await a.agent.until(() => phase() === PHASE_DRAINING);
    t.equal(a.agent.networks.get('open')?.blocks.size, 1, 'what is on a node that is down stays reachable');
    await test.store.update((tx) => changeNode(tx, b.nodeId, { Status }));
    await a.agent.until(() => phase() === PHASE_READY);
    b.agent.send({ $case: 'attachments', value: { attachments: Buffer.from('[]') } });
    await a.agent.until(() => a.agent.networks.get('open')?.endpoints.size === 0);
    t.equal(test.node(b.nodeId)?.Attachments, undefined);
    t.same([old.agent.networks.size, old.agent.assigned.size], [0, 0]);
  },
);

t.test('endpoints › what an agent may not say of itself ends its session', async (t) => {
  const test = await cluster(t);
  const at = test.managers[0]!;
  for (const dataPath of [
    { ...path(1), addr: 'host' },
    { ...path(1), mtu: 575 },
    { ...path(1), mtu: 65_536 },
  ]) {
    const agent = startTestAgent(at.addr, await test.join(at), { dataPath });
    t.match(await agent.ended, { code: 'invalid-argument', message: /576 to 65535/ });
    agent.close();
  }
  const one = { NetworkID: 'net', ContainerID: 'c'.repeat(64), Addresses: ['10.5.1.2'], Names: [] };
  for (const wrong of [
    '{',
    '{}',
    JSON.stringify([{ ...one, ContainerID: 't1' }]),
    JSON.stringify(Array(1_001).fill(one)),
  ]) {
    const { agent } = await member(t, test, at);
    agent.send({ $case: 'attachments', value: { attachments: Buffer.from(wrong) } });
    t.match(await agent.ended, { code: 'invalid-argument', message: /report of containers/ });
  }
});

t.test('endpoints › a task’s phase settles when all who share a network with it have acknowledged it', async (t) => {
  const { clock } = steppedClock();
  const test = await cluster(t, 1, clock);
  const [leading, follower] = test.managers as [ClusterManager, ClusterManager];
  const a = await member(t, test, follower);
  const b = await member(t, test, leading);
  const c = await member(t, test, leading);
  await assign(test, { id: 'tb', nodeId: b.nodeId, networkIds: ['net'], n: 3 });
  await assign(test, { id: 'tc', nodeId: c.nodeId, networkIds: ['other'], n: 4 });
  await settledAt(b, 'tb', PHASE_RESERVED);
  b.agent.acknowledges = false;
  c.agent.acknowledges = false;
  await assign(test, { id: 'ta', nodeId: a.nodeId, networkIds: ['net'], n: 2 });
  const told = await b.agent.next('endpoints', (update) => update.endpoints.some(({ id }) => id === 'ta'));
  await a.agent.until(() => phaseAt(a, 'ta') === PHASE_RESERVED);
  a.agent.send({ $case: 'heartbeat', value: { clockMs: 0 } });
  await a.agent.next('heartbeat');
  t.notOk(hasSettled(a, 'ta'), 'one of them has not, at another manager');
  b.agent.send({ $case: 'endpointsApplied', value: { index: told.index - 1 } });
  b.agent.send({ $case: 'heartbeat', value: { clockMs: 0 } });
  await b.agent.next('heartbeat');
  t.notOk(hasSettled(a, 'ta'), 'nor with what it knew before');
  b.agent.send({ $case: 'endpointsApplied', value: { index: told.index } });
  await settledAt(a, 'ta', PHASE_RESERVED);

  await a.agent.report('ta', 'running');
  await change(test, 'ta', { DesiredState: 'shutdown' });
  const draining = await b.agent.next('endpoints', (update) => update.endpoints[0]?.phase === PHASE_DRAINING);
  t.notOk(hasSettled(a, 'ta', PHASE_DRAINING));
  b.agent.send({ $case: 'endpointsApplied', value: { index: draining.index } });
  await settledAt(a, 'ta', PHASE_DRAINING);
});

t.test('endpoints › nobody waits longer than two seconds, nor for sessions that have ended', async (t) => {
  const { clock, advanceUntil } = steppedClock();
  const test = await cluster(t, 1, clock);
  const [leading, follower] = test.managers as [ClusterManager, ClusterManager];
  const a = await member(t, test, leading);
  const b = await member(t, test, leading);
  const c = await member(t, test, follower);
  for (const [id, { nodeId }] of [
    ['tb', b],
    ['tc', c],
  ] as const)
    await assign(test, { id, nodeId, networkIds: ['net'] });
  await Promise.all([settledAt(b, 'tb', PHASE_RESERVED), settledAt(c, 'tc', PHASE_RESERVED)]);
  b.agent.acknowledges = false;
  await assign(test, { id: 't1', nodeId: a.nodeId, networkIds: ['net'] });
  await b.agent.until(() => phaseAt(b, 't1') === PHASE_RESERVED);
  t.notOk(hasSettled(a, 't1'));
  b.agent.close();
  await settledAt(a, 't1', PHASE_RESERVED);

  c.agent.acknowledges = false;
  await assign(test, { id: 't2', nodeId: a.nodeId, networkIds: ['net'] });
  await c.agent.until(() => phaseAt(c, 't2') === PHASE_RESERVED);
  t.notOk(hasSettled(a, 't2'));
  const passedMs = await advanceUntil(() => hasSettled(a, 't2'), 4_000, [a.agent, c.agent]);
  t.ok(passedMs <= 2_500, `settled after ${passedMs} ms`);

  c.agent.acknowledges = true;
  await follower.kill();
  await assign(test, { id: 't3', nodeId: a.nodeId, networkIds: ['net'] });
  await a.agent.until(() => phaseAt(a, 't3') === PHASE_RESERVED);
  t.notOk(hasSettled(a, 't3'), 'its nodes may be there, whether it answers or not');
  const lostMs = await advanceUntil(() => hasSettled(a, 't3'), 4_000, [a.agent]);
  t.ok(lostMs >= 1_500 && lostMs <= 2_500, `settled after ${lostMs} ms`);
  await test.store.update((tx) => {
    const ManagerStatus = { ...tx.get('node', follower.id)!.ManagerStatus!, Reachability: 'unreachable' as const };
    changeNode(tx, follower.id, { ManagerStatus });
  });
  await assign(test, { id: 't4', nodeId: a.nodeId, networkIds: ['net'] });
  await settledAt(a, 't4', PHASE_RESERVED);
});

t.test(
  'endpoints › a new session is told all of it anew, and a manager that knows no such thing is passed over',
  async (t) => {
    const test = await cluster(t);
    const older = await test.addManager({ older: true });
    const a = await member(t, test, test.managers[0]!);
    keepBeating(a.agent);
    const identity = await test.join(test.managers[0]!);
    const first = startTestAgent(test.managers[0]!.addr, identity, { dataPath: path(99) });
    t.teardown(() => first.close());
    await first.next('assignments');
    await assign(test, { id: 't1', nodeId: identity.nodeId, networkIds: ['net', 'other'] });
    await assign(test, { id: 't2', nodeId: identity.nodeId, networkIds: ['net'], state: 'running', n: 3 });
    await settledAt({ nodeId: identity.nodeId, agent: first }, 't1', PHASE_RESERVED);
    const again = startTestAgent(test.managers[0]!.addr, identity, { dataPath: path(100) });
    t.teardown(() => again.close());
    await settledAt({ nodeId: identity.nodeId, agent: again }, 't1', PHASE_RESERVED);
    t.match(again.networks.get('other')?.endpoints.get('t1'), { nodeAddr: '192.168.0.100' });
    t.notOk(hasSettled({ nodeId: '', agent: again }, 't2', PHASE_READY), 'nobody waits for what runs');
    t.ok(older.dispatcher.connectedNodes().length === 0);

    const without = startTestAgent(test.managers[0]!.addr, identity);
    t.teardown(() => without.close());
    await without.next('assignments');
    t.equal(test.node(identity.nodeId)?.DataPath, undefined, 'one that takes part no more');
  },
);

t.test(
  'endpoints › reports of containers come through managers that do not lead, and only for the session',
  async (t) => {
    const test = await cluster(t, 1);
    await test.store.update((tx) => void tx.create('network', buildNetwork('open', 5, { Attachable: true })));
    const a = await member(t, test, test.managers[1]!);
    const attachments = [{ NetworkID: 'open', ContainerID: 'a'.repeat(64), Addresses: ['10.5.0.9'], Names: ['x'] }];
    a.agent.send({ $case: 'attachments', value: { attachments: Buffer.from(JSON.stringify(attachments)) } });
    await untilStore(test.store, () => test.node(a.nodeId)?.Attachments?.length === 1);
    t.ok(test.leader.calls.includes('node.attach'));
    await test.leader.call('node.attach', { nodeId: a.nodeId, session: 'another', attachments: [] });
    t.same(test.node(a.nodeId)?.Attachments, attachments);
  },
);
