import type { NetworkAudit, Store } from '@swarmd/model';
import fc from 'fast-check';
import t from 'tap';
import { endpointsOf } from '../src/dispatcher/endpoints/endpoint-set.js';
import { clockAheadMs, compareNode, differenceFinding, differingLines } from '../src/doctor/compare.js';
import { expectedNetworks, expectedNodes } from '../src/doctor/expected.js';
import { MAX_PAIRS_PER_NODE, type ProbePlan, probePairs } from '../src/doctor/pairs.js';
import { type ProbeOutcome, probeFindings } from '../src/doctor/probe-findings.js';
import { dataPathNode, doctorStore, overlay, soundAudit } from './doctor-world.js';

const tasks = [
  { service: 'web', node: 'h1', address: '10.1.0.11' },
  { service: 'web', node: 'h2', address: '10.1.0.12' },
  { service: 'db', node: 'h2', address: '10.2.0.13', network: 'back' },
];

function compared(store: Store, nodeId: string, over: Partial<NetworkAudit> = {}) {
  const [expected] = expectedNodes(store.view, [store.view.get('node', nodeId)!]);
  const audit = soundAudit(store, nodeId, over);
  const { findings, differing } = compareNode(expected!, { audit, sentMs: 1_000, receivedMs: 1_010 });
  return { found: findings.map(({ Level, Code, What }) => `${Level} ${Code}: ${What}`), differing };
}

t.test('doctor › a node that has what the store says is in order', async (t) => {
  const store = await doctorStore(['h1', 'h2', 'h3'], tasks);
  for (const id of ['h1', 'h2', 'h3']) t.same(compared(store, id), { found: [], differing: [] });
  const [h1, h2, h3] = expectedNodes(store.view, [...store.view.all('node')]);
  t.same([...h1!.networks.keys()], ['front']);
  t.same([...h2!.networks.keys()].sort(), ['back', 'front']);
  t.same([...h3!.networks.keys()], [], 'networks are where their tasks are');
  t.same(h1!.peers(), ['192.0.2.2', '192.0.2.3']);
});

t.test('doctor › attachable networks and the ingress network are wanted everywhere', async (t) => {
  const store = await doctorStore(['h1'], []);
  await store.update((tx) => {
    tx.create('network', overlay('shared', 3, { Attachable: true }));
    tx.create('network', overlay('ingress', 4, { Ingress: true }));
    tx.create('network', { ID: 'new', Spec: { Name: 'new', Attachable: true } });
  });
  const [h1] = expectedNodes(store.view, [store.view.get('node', 'h1')!]);
  t.same([...h1!.networks.keys()].sort(), ['ingress', 'shared'], 'once they have addresses');
});

t.test('doctor › what a network’s members should be is what sessions are sent', async (t) => {
  const store = await doctorStore(
    ['h1', 'h2'],
    [
      ...tasks,
      { service: 'web', node: 'h1', address: '10.1.0.14', state: 'starting' },
      { service: 'web', node: 'h1', address: '10.1.0.15', over: { DesiredState: 'shutdown' } },
      { service: 'web', node: '', address: '10.1.0.16', state: 'pending' },
      { service: 'old', node: 'h1', address: '10.1.0.17', state: 'failed' },
    ],
  );
  await store.update((tx) => {
    const attachment = { NetworkID: 'front', ContainerID: 'c'.repeat(64), Addresses: ['10.1.0.99'], Names: ['plain'] };
    tx.put('node', { ...tx.get('node', 'h2')!, Attachments: [attachment] });
  });
  for (const [id, { lines }] of expectedNetworks(store.view)) {
    const { endpoints, services } = endpointsOf(store.view, id);
    const ids = lines.map((line) => JSON.parse(line)[1] as string);
    t.same(ids.sort(), [...endpoints.keys(), ...services.keys()].sort(), id);
  }
  const phases = expectedNetworks(store.view)
    .get('front')!
    .lines.flatMap((line) => {
      const [kind, name, , , , phase] = JSON.parse(line) as string[];
      return kind === 'endpoint' ? `${name} ${phase}` : [];
    });
  t.same(
    phases.sort(),
    [`${'c'.repeat(64)} ready`, 'web1 ready', 'web2 ready', 'web3 reserved', 'web4 draining'].sort(),
  );
});

t.test('doctor › names what a node lacks, or has otherwise', async (t) => {
  const store = await doctorStore(['h1', 'h2'], tasks);
  const sound = soundAudit(store, 'h1');
  const [front] = sound.networks;
  const of = (over: Partial<NetworkAudit>) => compared(store, 'h1', over).found;
  t.match(of({ networks: [] }), [/^error network: it does not have network front/]);
  t.match(of({ networks: [{ ...front!, vni: 7 }] }), [/^error network: network front has VNI 7/]);
  t.match(of({ networks: [{ ...front!, mtu: 1400 }] }), [/MTU 1400/]);
  t.match(of({ locals: [] }), [
    /^error container: task web\.1 runs, and its container is not on network front with 10\.1\.0\.11/,
  ]);
  t.match(of({ dataPath: { ...sound.dataPath!, addr: '192.0.2.99' } }), [
    /^error data-path: it sends from 192\.0\.2\.99/,
  ]);
  t.match(of({ dataPath: { ...sound.dataPath!, peers: 0, peersDigest: '' } }), [/^error peers: it lets 0 peers in/]);
  const { dataPath: _, ...untold } = sound;
  const [expected] = expectedNodes(store.view, [store.view.get('node', 'h1')!]);
  const answer = { sentMs: 1_000, receivedMs: 1_010 };
  t.match(compareNode(expected!, { audit: untold, ...answer }).findings, [{ Code: 'data-path', What: /was not told/ }]);
  t.match(of({ protocol: 0, networks: [] }), [/^error swarmd-net: swarmd-net does not answer/], 'and nothing else');
  t.match(of({ protocol: 2 }), [/^warning swarmd-net: .*protocol 2/]);
  t.match(of({ findings: [{ Level: 'note', Code: 'x', What: 'w', Do: '' }] }), ['note x: w']);
  t.same(compared(store, 'h1', { networks: [{ ...front!, digest: 'other' }] }).differing, ['front']);
});

t.test('doctor › engines below the floor, and nodes that take no part', async (t) => {
  const store = await doctorStore(['h1'], []);
  await store.update((tx) => {
    const node = tx.get('node', 'h1')!;
    const Engine = { ...node.Description!.Engine, EngineVersion: '19.03.8' };
    tx.put('node', { ...node, Description: { ...node.Description!, Engine } });
    const { DataPath: _, ...apart } = dataPathNode('h2');
    tx.create('node', apart);
  });
  t.match(compared(store, 'h1').found, [/^error version: its engine is 19\.03\.8/]);
  t.match(compared(store, 'h2').found, [/^warning data-path: it takes no part/]);
});

t.test('doctor › a clock differs by what the way cannot explain', async (t) => {
  const store = await doctorStore(['h1'], []);
  const of = (clockMs: number): string[] => compared(store, 'h1', { clockMs }).found;
  t.same(of(1_510), []);
  t.match(of(1_511), [/^warning clock: its clock is 0\.5 s ahead/]);
  t.match(of(499), [/^warning clock: its clock is 0\.5 s behind/]);
  t.match(of(11_100), [/^error clock: its clock is 10\.1 s ahead/]);
  fc.assert(
    fc.property(fc.integer(), fc.nat(1_000), fc.nat(1_000), (offset, there, back) => {
      // Asked at 0 by the asker's clock, read `there` later, heard of `back` later than that.
      const ahead = clockAheadMs(there + offset, 0, there + back);
      return Math.abs(ahead) <= Math.abs(offset) && (ahead === 0 || Math.sign(ahead) === Math.sign(offset));
    }),
  );
});

t.test('doctor › lines that differ are named for people', async (t) => {
  const store = await doctorStore(['h1', 'h2'], tasks);
  const { lines } = expectedNetworks(store.view).get('front')!;
  t.same(differingLines(lines, lines), []);
  const lacking = differingLines(lines, lines.slice(1));
  t.same(lacking, [`-${lines[0]}`]);
  const extra = differingLines(lines, [...lines, '["service","ghost","ghost",[],[]]']);
  const finding = differenceFinding(store.view.get('node', 'h1')!, 'front', [...lacking, ...extra]);
  t.match(finding.What, /it lacks endpoint web1 \(10\.1\.0\.11 on 192\.0\.2\.1, ready\), has service ghost$/);
});

t.test('doctor › probes go in a ring and to some others, whatever the number of nodes', async (t) => {
  const ids = fc.uniqueArray(fc.string({ minLength: 1 }), { maxLength: 60 });
  fc.assert(
    fc.property(ids, fc.infiniteStream(fc.double({ min: 0, max: 0.999, noNaN: true })), (nodes, stream) => {
      const random = (): number => stream.next().value;
      const plan = probePairs(nodes, random);
      if (nodes.length < 2) return plan.length === 0;
      const heardBy = new Set(plan.flatMap(({ to }) => to));
      return (
        plan.length === nodes.length &&
        heardBy.size === nodes.length &&
        plan.every(
          ({ from, to }) =>
            to.length === Math.min(MAX_PAIRS_PER_NODE, nodes.length - 1) &&
            new Set(to).size === to.length &&
            !to.includes(from),
        )
      );
    }),
  );
  const about = probePairs(['a', 'b', 'c'], () => 0, 'b');
  t.same(about.map(({ from, to }) => `${from}>${[...to].sort().join()}`).sort(), ['a>b', 'b>a,c', 'c>b']);
  t.same(
    probePairs(['a', 'b'], () => 0, 'z'),
    [],
  );
});

t.test('doctor › ways that are not open are told once, at the end where the fault is', async (t) => {
  const store = await doctorStore(['h1', 'h2', 'h3'], []);
  const nodes = new Map([...store.view.all('node')].map((node) => [node.ID, node]));
  const plan: ProbePlan[] = ['h1', 'h2', 'h3'].map((from) => ({
    from,
    to: ['h1', 'h2', 'h3'].filter((id) => id !== from),
  }));
  const outcome = (heard: Record<string, string[]>, over: Partial<ProbeOutcome> = {}) => {
    const all = new Map(Object.entries(heard).map(([id, from]) => [id, new Set(from)]));
    const { findings, tried, ...counts } = probeFindings({
      plan,
      nodes,
      heard: all,
      pings: new Map(),
      port: 4789,
      packetBytes: new Map(),
      ...over,
    });
    const found = findings.map(({ Hostname, Code, What }) => `${Hostname} ${Code}: ${What}`);
    return { ...counts, tried: [...tried].sort(), found, advice: findings.map(({ Do }) => Do) };
  };
  const open = { h1: ['h2', 'h3'], h2: ['h1', 'h3'], h3: ['h1', 'h2'] };
  t.match(outcome(open), { sent: 6, heard: 6, tried: ['h1', 'h2', 'h3'] });
  t.same(outcome(open).found, []);
  t.match(outcome({ h1: [], h2: ['h1', 'h3'], h3: ['h1', 'h2'] }), {
    ...{ sent: 6, heard: 4 },
    found: [/^h1 vxlan: nothing that other nodes send to its UDP port 4789 arrives/],
  });
  t.match(outcome({ h1: ['h2', 'h3'], h2: ['h3'], h3: ['h2'] }).found, [/^h1 vxlan: nothing that it sends/]);
  t.match(outcome({ h1: ['h2', 'h3'], h2: ['h1'], h3: ['h1', 'h2'] }).found, [/^h2 vxlan: nothing that node h3 sends/]);
  t.match(
    outcome({ h1: [], h2: [], h3: [] }).found.sort(),
    [/^h1 /, /^h2 /, /^h3 /],
    'everybody is deaf, nobody mute besides',
  );
  t.same(outcome({ h1: ['h2', 'h3'] }).sent, 2, 'who could not be listened at says nothing');
  const deaf = { ...open, h1: [] };
  const arrived = new Map([['h1', new Set(['h2', 'h3'])]]);
  const walls = new Map([['h1', [{ name: 'ufw', command: 'ufw allow 4789/udp' }]]]);
  t.match(outcome(deaf, { arrived, walls }), {
    tried: ['h1', 'h2', 'h3'],
    found: [/^h1 vxlan: what other nodes send to its UDP port 4789 gets to that host, and ufw drops it there, and so/],
    advice: ['on that host: ufw allow 4789/udp'],
  });
  t.match(outcome(deaf, { arrived }), { tried: ['h2', 'h3'], advice: [/nft list ruleset/] }, 'by what is not known');
  t.match(outcome(deaf, { arrived: new Map([['h1', new Set()]]), walls }), {
    found: [/^h1 vxlan: nothing that other nodes send/],
    advice: [/it does not get as far as that host's own firewall/],
  });
  const pings = new Map([
    [
      'h1',
      new Map([
        ['h2', { small: true, full: false }],
        ['h3', { small: false, full: false }],
      ]),
    ],
  ]);
  const sizes = { pings, packetBytes: new Map([['h1', 1500]]) };
  t.match(outcome({ h1: ['h2', 'h3'], h2: ['h1', 'h3'], h3: ['h1', 'h2'] }, sizes).found, [
    /^h1 mtu: packets of 1500 bytes do not get whole from it to h2:/,
  ]);
});
