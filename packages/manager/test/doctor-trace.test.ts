import type { Store, TraceEnd } from '@swarmd/model';
import t from 'tap';
import { serviceEndpoints } from '../src/doctor/service-endpoints.js';
import { findDestination, findSource } from '../src/doctor/trace-ends.js';
import { type TraceFacts, traceHops, type Way } from '../src/doctor/trace-hops.js';
import { doctorStore } from './doctor-world.js';

const worldTasks = [
  { service: 'web', node: 'h1', address: '10.1.0.11' },
  { service: 'web', node: 'h2', address: '10.1.0.12' },
  { service: 'db', node: 'h2', address: '10.2.0.13', network: 'back' },
];

async function endpointsOf(store: Store, service = 'web') {
  const { Tasks, ...rest } = serviceEndpoints(store.view, store.view.get('service', service)!);
  return { ...rest, found: Tasks.map(({ ID, Endpoint, Why }) => `${ID} ${Endpoint}${Why === '' ? '' : `: ${Why}`}`) };
}

t.test('service endpoints › every task with whether it is in, and why not', async (t) => {
  const ended = { Timestamp: '', State: 'failed', Message: '', Err: 'exit 1' } as const;
  const store = await doctorStore(
    ['h1', 'h2', 'h3'],
    [
      ...worldTasks,
      { service: 'web', node: 'h1', address: '10.1.0.14', state: 'starting' },
      { service: 'web', node: 'h1', address: '10.1.0.15', over: { DesiredState: 'shutdown' } },
      { service: 'web', node: '', address: '10.1.0.16', state: 'pending' },
      { service: 'web', node: 'h3', address: '10.1.0.17' },
      { service: 'web', node: 'h1', address: '10.1.0.18', over: { NetworksAttachments: [] } },
      { service: 'web', node: 'h1', address: '10.1.0.19', state: 'ready', over: { DesiredState: 'ready' } },
      { service: 'web', node: 'h1', address: '10.1.0.20', state: 'ready' },
      { service: 'web', node: 'h1', address: '10.1.0.21', state: 'preparing' },
      { service: 'web', node: 'h1', address: '10.1.0.22', over: { Status: ended } },
      { service: 'web', node: 'h1', address: '10.1.0.23', over: { Slot: 1, Status: ended } },
    ],
  );
  await store.update((tx) => {
    const node = tx.get('node', 'h3')!;
    tx.put('node', { ...node, Status: { ...node.Status, State: 'down', Message: 'heartbeat failure' } });
  });
  const { found, VirtualIPs, Mode } = await endpointsOf(store);
  t.same(VirtualIPs, [{ Network: 'front', NetworkID: 'front', Address: '10.1.0.200' }]);
  t.equal(Mode, 'vip');
  t.same(
    found,
    [
      'web1 in',
      'web2 in',
      'web4 draining: it is to stop (desired state shutdown)',
      'web10 out: it does not run yet (preparing)',
      'web11 out: it has ended (failed): exit 1',
      'web3 out: it starts, or its health check has not passed yet',
      'web5 out: it has no node yet: see "swarmctl why"',
      'web6 draining: its node is down: heartbeat failure',
      'web7 out: it has no address: it is on no overlay network',
      'web8 out: it is ready, and waits for its turn to start',
      'web9 out: it starts once all nodes know its address',
    ].sort(byEndpoint),
    'without the ended one of slot 1, which has another',
  );
  await store.update((tx) => tx.put('service', { ...tx.get('service', 'web')!, PendingDelete: true }));
  t.match((await endpointsOf(store)).found[0], 'web1 draining: the service is being removed');
});

/** Those that are in first, then by slot. */
function byEndpoint(a: string, b: string): number {
  const rank = (line: string): number => ['in', 'draining', 'out'].indexOf(/ (in|draining|out)/.exec(line)![1]!);
  const slot = (line: string): number => Number(/\d+/.exec(line)![0]);
  return rank(a) - rank(b) || slot(a) - slot(b);
}

t.test('trace › its ends are found as people name them', async (t) => {
  const store = await doctorStore(['h1', 'h2'], worldTasks);
  const ContainerID = 'c'.repeat(64);
  await store.update((tx) => {
    const Attachments = [{ NetworkID: 'front', ContainerID, Addresses: ['10.1.0.99'], Names: ['plain', 'box'] }];
    tx.put('node', { ...tx.get('node', 'h2')!, Attachments });
  });
  const { view } = store;
  const source = (ref: string): string => {
    const { shown } = findSource(view, ref);
    return `${shown.Kind} ${shown.Kind === 'container' ? shown.Name : shown.ID}`;
  };
  for (const ref of ['web2', 'web.2', 'web.2.web2', '10.1.0.12']) t.equal(source(ref), 'task web2', ref);
  t.equal(source('web'), 'task web1', 'of a service one that runs');
  for (const ref of ['plain', 'box', 'cccccccc', '10.1.0.99']) t.equal(source(ref), 'container plain', ref);
  for (const ref of ['nothing', '10.1.0.77', '10.1.0.200', 'web.9', ''])
    t.throws(() => source(ref), { code: 'not-found', field: 'from' }, ref);

  const from = findSource(view, 'web.1');
  const destination = (ref: string): string => {
    const { shown } = findDestination(view, ref, from);
    return `${shown.Kind} ${shown.Name}`;
  };
  for (const ref of ['web', 'tasks.web', 'web-alias', '10.1.0.200']) t.equal(destination(ref), 'service web', ref);
  t.equal(destination('db'), 'service db', 'networks are another question');
  t.throws(() => destination('db-alias'), { code: 'not-found', field: 'to' }, 'aliases are of a network');
  t.equal(destination('web.2'), 'task web.2');
  t.equal(destination('198.51.100.7'), 'address 198.51.100.7');
});

const end = (over: Partial<TraceEnd> = {}): TraceEnd => ({
  ...{ Kind: 'task', ID: 'a', Name: 'web.1', NodeID: 'h1', Hostname: 'h1' },
  Addresses: [{ Network: 'front', NetworkID: 'front', Address: '10.1.0.11' }],
  ...over,
});

const forwarding = (over: object = {}) => ({
  network: true,
  local: false,
  mac: '02:42:0a:01:00:0c',
  nodeAddr: '192.0.2.2',
  ...over,
});

const way = (over: Partial<Way> = {}): Way => ({
  ...{ name: 'web.2', address: '10.1.0.12', hostname: 'h2', nodeAddr: '192.0.2.2', sameNode: false },
  reach: { found: { ping: true, connect: 'open', forwarding: forwarding() } },
  reply: { found: forwarding({ nodeAddr: '192.0.2.1' }) },
  ...over,
});

const sound: TraceFacts = {
  source: end(),
  sourceProblem: '',
  sourceAddr: '192.0.2.1',
  destination: end({ Kind: 'service', Name: 'web', NodeID: '', Hostname: '' }),
  shared: { name: 'front' },
  name: {
    name: 'web',
    expected: ['10.1.0.200'],
    answers: { found: [{ server: 'network', rcode: 'NOERROR', addresses: ['10.1.0.200'] }] },
  },
  virtualIp: { address: '10.1.0.200', reach: { found: { ping: true, connect: 'open' } } },
  ways: [way()],
  port: 80,
};

/** The hops that are broken, in order. */
const broken = (over: Partial<TraceFacts>): string[] =>
  traceHops({ ...sound, ...over }).flatMap(({ Hop, Result, What, Do }) => {
    if (Result !== 'broken') return [];
    return `${Hop}: ${What}${Do === '' ? ' NO ADVICE' : ''}`;
  });

t.test('trace › a way that is open has no broken hop', async (t) => {
  const hops = traceHops(sound);
  t.same(
    hops.filter(({ Result }) => Result !== 'ok'),
    [],
  );
  t.same(
    hops.map(({ Hop }) => Hop),
    ['source', 'network', 'name', 'forwarding', 'reply', 'reach', 'virtual-ip'],
  );
});

t.test('trace › the first broken hop is the fault', async (t) => {
  const { shared: _, ...apart } = sound;
  t.same(broken({ sourceProblem: 'it does not run (failed)' }).length, 1, 'nothing is said of what follows');
  const unshared = traceHops({ ...apart, ways: [] }).at(-1);
  t.match(unshared, { Hop: 'network', Result: 'broken', Do: /--network-add/ });
  const answer = (answers: object[]) => ({ name: { ...sound.name!, answers: { found: answers as never } } });
  t.match(broken(answer([{ server: 'network', rcode: 'NXDOMAIN', addresses: [] }])), [
    /^name: the network’s name server says web is NXDOMAIN, and it should be 10\.1\.0\.200$/,
  ]);
  t.match(broken(answer([{ server: 'network', rcode: 'NOERROR', addresses: ['10.1.0.201'] }])), [
    /says web is 10\.1\.0\.201/,
  ]);
  const engineOnly = [
    { server: 'network', rcode: 'NOERROR', addresses: ['10.1.0.200'] },
    { server: 'engine', rcode: 'SERVFAIL', addresses: [] },
  ];
  t.match(broken(answer(engineOnly)), [/^name: the container’s own resolver/]);
  const reach = (found: object) => ({ ways: [way({ reach: { found: found as never } })] });
  t.match(broken(reach({ forwarding: forwarding({ mac: '' }) })), [
    /^forwarding: h1 does not know who has 10\.1\.0\.12/,
  ]);
  t.match(broken(reach({ forwarding: forwarding({ nodeAddr: '' }) })), [/^forwarding: h1 has no forwarding entry/]);
  t.match(broken(reach({ forwarding: forwarding({ nodeAddr: '192.0.2.9' }) })), [
    /^forwarding: h1 sends packets for 10\.1\.0\.12 to 192\.0\.2\.9, and its node is 192\.0\.2\.2/,
  ]);
  t.match(broken(reach({ forwarding: forwarding({ network: false }) })), [/^forwarding: h1 does not have the network/]);
  t.match(broken(reach({ ping: false, connect: 'timeout', forwarding: forwarding() })), [
    /^reach: nothing that web\.1 sends .* is answered/,
  ]);
  t.match(broken(reach({ ping: true, connect: 'timeout', forwarding: forwarding() })), [
    /^reach: .*answers pings and no connection on port 80/,
  ]);
  t.match(broken(reach({ ping: true, connect: 'refused', forwarding: forwarding() })), [/^reach: .*nothing listens/]);
  t.match(broken({ ways: [way({ reply: { found: forwarding({ nodeAddr: '' }) } })] }), [
    /^reply: h2 sends replies for 10\.1\.0\.11 to nobody/,
  ]);
  t.match(broken({ ways: [way({ reply: { found: forwarding({ nodeAddr: '192.0.2.9' }) } })] }), [
    /^reply: h2 sends replies .* to 192\.0\.2\.9/,
  ]);
  const refused = { address: '10.1.0.200', reach: { found: { connect: 'refused' } } } as const;
  t.match(broken({ virtualIp: refused }), [/^virtual-ip: the virtual IP 10\.1\.0\.200 does not take connections/]);
});

t.test('trace › on one node there is nothing between', async (t) => {
  const { reply: _, ...here } = way({ sameNode: true, nodeAddr: '192.0.2.1', hostname: 'h1' });
  const local = (found: object): Partial<TraceFacts> => ({ ways: [{ ...here, reach: { found: found as never } }] });
  t.same(
    broken(local({ ping: true, connect: 'open', forwarding: forwarding({ local: true, mac: '', nodeAddr: '' }) })),
    [],
  );
  t.match(broken(local({ forwarding: forwarding({ mac: '', nodeAddr: '' }) })), [
    /^forwarding: .* its container is not there/,
  ]);
});

t.test('trace › what could not be tried is skipped, and no fault', async (t) => {
  const failed = { failed: 'node h1 is not connected to a manager' };
  const facts = {
    ways: [way({ reach: failed })],
    name: { ...sound.name!, answers: failed },
    virtualIp: { address: '10.1.0.200', reach: failed },
  };
  t.same(broken(facts), []);
  t.equal(traceHops({ ...sound, ...facts }).filter(({ Result }) => Result === 'skipped').length, 3);
  t.same(broken({ ways: [way({ reply: failed })] }), []);
  t.same(broken({ ways: [way({ reach: { found: { forwarding: forwarding() } } })] }), [], 'no ping, no port');
});

t.test('trace › a service without serving tasks, and a published port that is busy', async (t) => {
  const store = await doctorStore(['h1'], [{ service: 'web', node: 'h1', address: '10.1.0.11', state: 'starting' }]);
  await store.update((tx) => {
    const web = tx.get('service', 'web')!;
    const Ports = [{ Protocol: 'tcp' as const, TargetPort: 80, PublishedPort: 8080, PublishMode: 'ingress' as const }];
    tx.put('service', { ...web, Endpoint: { ...web.Endpoint!, Ports } });
  });
  const endpoints = serviceEndpoints(store.view, store.view.get('service', 'web')!);
  t.match(broken({ endpoints, ways: [] }), [/^backend: no task of web serves \(web\.1: it starts/]);
  const busy = { found: ['port 8080/tcp is taken by another program: it is not published here'] };
  t.match(broken({ endpoints, ways: [], problems: busy }), [/^backend/, /^published: port 8080\/tcp is taken/]);
  t.equal(broken({ endpoints, ways: [], problems: { found: ['port 80800 is taken'] } }).length, 1);
});
