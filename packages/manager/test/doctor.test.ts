import { type DoctorOptions, NETWORK_INQUIRIES, type NetworkAudit, type Probe, type ProbeResult } from '@swarmd/model';
import { buildServiceSpec, buildTask, createService } from '@swarmd/testkit';
import type { Identity } from '@swarmd/wire';
import t from 'tap';
import { examine } from '../src/doctor/doctor.js';
import { expectedNetworks } from '../src/doctor/expected.js';
import { trace } from '../src/doctor/trace.js';
import { overlay, soundAudit } from './doctor-world.js';
import { keepBeating, startTestAgent, type TestAgent } from './support/test-agent.js';
import { type ClusterManager, startTestCluster } from './support/test-cluster.js';
import { realClock, realRandom } from './support/test-manager.js';

type Teardown = Pick<typeof import('tap').default, 'teardown'>;

/** A node that answers as one whose networks are in order, but for what a test changes. */
interface FakeNode {
  id: string;
  addr: string;
  agent: TestAgent;
  /** What it says of itself besides. */
  over: Partial<NetworkAudit>;
  /** What it knows of a network's members instead of what it was told. */
  lines?: string[];
  /** Whether datagrams to its VXLAN port are dropped. */
  deaf: boolean;
  /** Whether pings over the overlay are answered. */
  ping: boolean;
  repairs: boolean[];
  probes: Probe[];
}

/** Two managers, and nodes connected to either of them (themselves among them), each with a task of `web` on network `front`. */
async function world(t: Teardown, count: number) {
  const test = await startTestCluster(1);
  t.teardown(() => test.stop());
  const [mine, other] = test.managers as [ClusterManager, ClusterManager];
  const identities: Identity[] = test.managers.map(({ identity }) => identity.current);
  while (identities.length < count) identities.push(await test.join(mine));
  const nodes: FakeNode[] = [];
  for (const [i, identity] of identities.entries()) {
    nodes.push(startNode(t, i % 2 === 0 ? mine : other, identity, i + 1));
    await nodes[i]!.agent.next('assignments');
  }
  await test.store.update((tx) => {
    tx.create('network', overlay('front', 1));
    const service = createService(tx, 'web', buildServiceSpec('web', count));
    tx.put('service', {
      ...service,
      Endpoint: { Spec: { Mode: 'vip' }, VirtualIPs: [{ NetworkID: 'front', Addr: '10.1.0.200/24' }] },
    });
    for (const [i, { id }] of nodes.entries()) {
      const NetworksAttachments = [{ Network: { ID: 'front' }, Addresses: [`10.1.0.${i + 11}/24`] }];
      const Status = { Timestamp: tx.now, State: 'running', Message: '' } as const;
      tx.create('task', buildTask(service, `t${i + 1}`, { NodeID: id, Slot: i + 1, Status, NetworksAttachments }));
    }
  });
  for (const node of nodes) serve(node, nodes, () => soundAudit(test.store, node.id, { clockMs: Date.now() }));
  const deps = { store: test.store, ask: mine.dispatcher.ask, clock: realClock, random: realRandom };
  const signal = new AbortController().signal;
  const doctor = async (options: Partial<DoctorOptions> = {}) => {
    const report = await examine(deps, { repair: false, ...options }, signal);
    const index = (id: string): string => `n${nodes.findIndex((node) => node.id === id) + 1}`;
    return {
      ...report,
      found: report.Findings.map(({ Code, NodeID, What }) => `${index(NodeID)} ${Code}: ${What}`).sort(),
    };
  };
  return {
    test,
    nodes,
    doctor,
    trace: (from: string, to: string, port = 0) => trace(deps, { from, to, port }, signal),
  };
}

function startNode(t: Teardown, at: ClusterManager, identity: Identity, n: number): FakeNode {
  const addr = `192.0.2.${n}`;
  const agent = startTestAgent(at.addr, identity, { dataPath: { addr, mtu: 1500, encryption: false } });
  t.teardown(() => agent.close());
  keepBeating(agent);
  return { id: identity.nodeId, addr, agent, over: {}, deaf: false, ping: true, repairs: [], probes: [] };
}

/** Answers what is asked, until the session ends. */
function serve(node: FakeNode, all: readonly FakeNode[], sound: () => NetworkAudit): void {
  const { agent } = node;
  const answer = (kind: string, question: unknown): unknown => {
    if (kind === NETWORK_INQUIRIES.audit) {
      node.repairs.push((question as { repair: boolean }).repair);
      return { ...sound(), ...node.over };
    }
    if (kind === NETWORK_INQUIRIES.members) return { lines: node.lines };
    node.probes.push(question as Probe);
    return probed(node, all, question as Probe);
  };
  const run = async (): Promise<never> => {
    for (;;) {
      const { id, kind, question } = await agent.next('inquiry');
      const bytes = Buffer.from(JSON.stringify(answer(kind, JSON.parse(question.toString()))));
      agent.send({ $case: 'inquiryAnswer', value: { id, answer: bytes, errorCode: '', error: '' } });
    }
  };
  void run();
}

function probed(node: FakeNode, all: readonly FakeNode[], probe: Probe): ProbeResult {
  const sentHere = ({ probes }: FakeNode): boolean =>
    probes.some((sent) => sent.do === 'send' && sent.targets.some(({ addr }) => addr === node.addr));
  if (probe.do === 'heard') return { heard: node.deaf ? [] : all.filter(sentHere).map(({ addr }) => addr) };
  if (probe.do === 'send') return { pings: probe.targets.map(({ addr }) => ({ addr, small: true, full: true })) };
  const owner = (address: string): FakeNode | undefined => all[Number(address.split('.')[3]) - 11];
  const forwarding = (to: string) => {
    const local = owner(to) === node;
    return { network: true, local, mac: local ? '' : 'x', nodeAddr: local ? '' : (owner(to)?.addr ?? '') };
  };
  if (probe.do === 'forwarding') return { forwarding: forwarding(probe.to) };
  if (probe.do === 'resolve') return { names: [{ server: 'network', rcode: 'NOERROR', addresses: ['10.1.0.200'] }] };
  if (probe.do !== 'reach') return {};
  return { ping: node.ping, forwarding: forwarding(probe.to), ...(probe.port > 0 ? { connect: 'open' } : {}) };
}

t.test('doctor › asks nodes at every manager, and has nothing to say of a cluster in order', async (t) => {
  const { doctor, nodes } = await world(t, 3);
  const report = await doctor();
  t.same(report.found, []);
  t.match(report, { Healthy: true, Probes: { Sent: 6, Heard: 6 } });
  t.match(report.Nodes, Array(3).fill({ Answers: true, Version: '0.1.0', Networks: 1, Containers: 1 }));
  for (const { probes, repairs } of nodes) {
    t.same(new Set(probes.map((probe) => probe.do)), new Set(['listen', 'send', 'heard', 'reach']));
    t.same(repairs, [false]);
  }
});

t.test('doctor › of one node, the ways to and from it are tried and others are not spoken of', async (t) => {
  const { doctor, nodes } = await world(t, 3);
  for (const node of nodes) node.over = { findings: [{ Level: 'note', Code: 'x', What: 'hm', Do: '' }] };
  const report = await doctor({ node: nodes[1]!.id, repair: true });
  t.same(report.found, ['n2 x: hm']);
  t.match(report, { Healthy: true, Nodes: [{ NodeID: nodes[1]!.id }], Probes: { Sent: 4, Heard: 4 } });
  t.equal(report.Nodes.length, 1);
  t.same(
    nodes.map(({ repairs }) => repairs),
    [[false], [true], [false]],
    'and not mended',
  );
  await t.rejects(doctor({ node: 'nobody' }), { code: 'not-found' });
});

t.test('doctor › nodes that are away, deaf or behind are named', async (t) => {
  const { doctor, nodes, test } = await world(t, 4);
  nodes[0]!.deaf = true;
  nodes[1]!.ping = false;
  nodes[2]!.over = { clockMs: 0 };
  nodes[3]!.agent.close();
  const connected = () => test.managers.flatMap(({ dispatcher }) => dispatcher.connectedNodes());
  while (connected().length > 3) await new Promise((resolve) => setImmediate(resolve));
  const { found, Healthy } = await doctor();
  t.equal(Healthy, false);
  t.match(found, [
    /^n1 vxlan: nothing that other nodes send/,
    /^n2 overlay: its container 10\.1\.0\.12 does not reach/,
    /^n2 overlay: its container 10\.1\.0\.12 does not reach/,
    /^n3 clock: .* behind/,
    /^n4 node: it cannot be asked: node .* is not connected/,
  ]);
});

t.test('doctor › what a node was told otherwise is a fault when it stays so', async (t) => {
  const { doctor, nodes, test } = await world(t, 2);
  const [front] = soundAudit(test.store, nodes[0]!.id).networks;
  for (const node of nodes) node.over = { networks: [{ ...front!, digest: 'another' }] };
  const { lines } = expectedNetworks(test.store.view).get('front')!;
  // The first has caught up by the time that it is asked again; the second never does.
  nodes[0]!.lines = lines;
  nodes[1]!.lines = lines.slice(1);
  const { found } = await doctor();
  t.equal(found.length, 1);
  t.match(found[0], /^n2 members: what it knows of network front is not what all nodes were told: it lacks endpoint/);
});

t.test('trace › goes through the managers to both nodes', async (t) => {
  const { trace, nodes } = await world(t, 2);
  const report = await trace('web.1', 'web', 80);
  t.match(report, { Ok: true, Source: { ID: 't1' }, Destination: { Kind: 'service', Name: 'web' } });
  t.equal(report.Backends.length, 2);
  const kinds = report.Hops.map(({ Hop, Result }) => `${Hop} ${Result}`);
  const local = ['forwarding ok', 'reach ok'];
  const far = ['forwarding ok', 'reply ok', 'reach ok'];
  t.same(kinds, ['source ok', 'network ok', 'name ok', 'backend ok', ...local, ...far, 'virtual-ip ok']);
  t.ok(
    nodes[1]!.probes.some((probe) => probe.do === 'forwarding' && probe.to === '10.1.0.11'),
    'the way back is looked at there',
  );
  nodes[0]!.ping = false;
  t.match(await trace('web.1', 'web.2'), { Ok: false, Hops: [{}, {}, {}, {}, {}, { Hop: 'reach', Result: 'broken' }] });
  await t.rejects(trace('web.1', 'web', 70_000), { code: 'invalid-argument', field: 'port' });
});
