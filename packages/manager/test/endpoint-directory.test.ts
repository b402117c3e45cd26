import { type Store, specKey, TASK_STATES, type TaskState, type WriteTx } from '@swarmd/model';
import { createMemoryLog, openStore } from '@swarmd/store';
import { buildNode } from '@swarmd/testkit';
import { EndpointUpdate, NetworkEndpoint_Phase } from '@swarmd/wire';
import fc from 'fast-check';
import t from 'tap';
import { EndpointDirectory } from '../src/dispatcher/endpoints/directory.js';
import { type EndpointSet, endpointsOf } from '../src/dispatcher/endpoints/endpoint-set.js';
import { endpointMessages } from '../src/dispatcher/endpoints/messages.js';
import { buildNetwork, changeNode, createServiceOn, createTaskOn, dataPathOf } from './support/network-world.js';
import { applyUpdates } from './support/test-agent.js';
import { realClock } from './support/test-manager.js';

const NETWORKS = ['net1', 'net2', 'net3'];
const NODES = ['n1', 'n2', 'n3'];
const SERVICES = ['s1', 's2'];
const KINDS = [
  ...(['task', 'task', 'observe', 'observe', 'desire', 'readdress', 'delete', 'move'] as const),
  ...(['state', 'path', 'attach', 'blocks', 'forget'] as const),
  ...(['service', 'doom', 'unservice', 'respec', 'rename', 'unspec'] as const),
] as const;

interface Step {
  kind: (typeof KINDS)[number];
  pick: number;
  other: number;
  state: TaskState;
}

const step = fc.record<Step>({
  kind: fc.constantFrom(...KINDS),
  pick: fc.nat(1_000),
  other: fc.nat(1_000),
  state: fc.constantFrom(...TASK_STATES),
});
/** Transactions of several steps each. */
const histories = fc.array(fc.array(step, { minLength: 1, maxLength: 4 }), {
  minLength: 1,
  maxLength: 40,
  size: 'max',
});

const subset = (of: readonly string[], bits: number): string[] => of.filter((_, i) => (bits >> i) % 2 === 1);

function createWorld(tx: WriteTx): void {
  for (const [i, id] of NETWORKS.entries()) tx.create('network', buildNetwork(id, i));
  for (const [i, id] of NODES.entries()) tx.create('node', buildNode(id, { DataPath: dataPathOf(i) }));
  for (const [i, id] of SERVICES.entries()) createServiceOn(tx, id, subset(NETWORKS, i + 1));
}

function take(tx: WriteTx, step: Step): void {
  if (['state', 'path', 'attach', 'blocks', 'forget'].includes(step.kind)) takeNode(tx, step);
  else if (['service', 'doom', 'unservice', 'respec', 'rename', 'unspec'].includes(step.kind)) takeService(tx, step);
  else takeTask(tx, step);
}

function takeTask(tx: WriteTx, { kind, pick, other, state }: Step): void {
  const tasks = [...tx.all('task')].sort((a, b) => (a.ID < b.ID ? -1 : 1));
  const task = tasks[pick % Math.max(1, tasks.length)];
  const service = tx.get('service', SERVICES[pick % 2]!);
  const [nodeId, networkIds] = [['', ...NODES][other % 4]!, subset(NETWORKS, other % 8)];
  const id = `t${pick % 50}`;
  if (kind === 'task') {
    if (service !== undefined && tx.get('task', id) === undefined)
      createTaskOn(tx, service, { id, nodeId, networkIds, n: pick % 200, state });
  } else if (task === undefined) return;
  else if (kind === 'observe') tx.put('task', { ...task, Status: { ...task.Status, State: state } });
  else if (kind === 'desire') tx.put('task', { ...task, DesiredState: state });
  else if (kind === 'move') tx.put('task', { ...task, NodeID: nodeId });
  else if (kind === 'delete') tx.delete('task', task.ID);
  else {
    const Addresses = [`10.9.0.${other % 200}/16`];
    tx.put('task', { ...task, NetworksAttachments: networkIds.map((ID) => ({ Network: { ID }, Addresses })) });
  }
}

function takeNode(tx: WriteTx, { kind, pick, other }: Step): void {
  const id = NODES[pick % 3]!;
  const node = tx.get('node', id);
  if (node === undefined) {
    tx.create('node', buildNode(id, { DataPath: dataPathOf(other % 200) }));
    return;
  }
  const networkIds = subset(NETWORKS, other % 8);
  if (kind === 'forget') tx.delete('node', id);
  else if (kind === 'state')
    changeNode(tx, id, { Status: { ...node.Status, State: (['ready', 'down', 'unknown'] as const)[other % 3]! } });
  else if (kind === 'path') {
    const { DataPath: _, ...rest } = node;
    tx.put('node', other % 3 === 0 ? rest : { ...rest, DataPath: dataPathOf(other % 200) });
  } else if (kind === 'blocks')
    changeNode(tx, id, { AddressBlocks: Object.fromEntries(networkIds.map((n) => [n, [`10.0.${other % 9}.0/24`]])) });
  else {
    const Attachments = networkIds.map((NetworkID) => {
      return { NetworkID, ContainerID: `${id}-c${other % 2}`, Addresses: [`10.0.7.${other % 200}`], Names: ['c'] };
    });
    changeNode(tx, id, { Attachments });
  }
}

function takeService(tx: WriteTx, { kind, pick, other }: Step): void {
  const id = SERVICES[pick % 2]!;
  const service = tx.get('service', id);
  const Networks = subset(NETWORKS, other % 8).map((Target) => ({ Target, Aliases: [`a${other % 3}`] }));
  if (service === undefined) {
    const key = specKey(id, tx.index);
    if (tx.get('spec', key) === undefined) createServiceOn(tx, id, subset(NETWORKS, other % 8));
  } else if (kind === 'doom') tx.put('service', { ...service, PendingDelete: true });
  else if (kind === 'unservice') tx.delete('service', id);
  else if (kind === 'unspec') tx.delete('spec', specKey(id, service.SpecVersion));
  else if (kind === 'rename') tx.put('service', { ...service, Spec: { ...service.Spec, Name: `name${other % 3}` } });
  else if (kind === 'respec') {
    const spec = tx.get('spec', specKey(id, service.SpecVersion));
    const ContainerSpec = { Image: 'i', Hostname: ['', 'host', '{{.Task.Name}}'][other % 3]! };
    const Spec = { ...service.Spec, TaskTemplate: { ...service.Spec.TaskTemplate, ContainerSpec, Networks } };
    if (spec !== undefined) tx.put('spec', { ...spec, Spec });
    tx.put('service', { ...service, Spec });
  } else {
    const VirtualIPs = Networks.map(({ Target }) => ({ NetworkID: Target, Addr: `10.0.255.${other % 200}/16` }));
    tx.put('service', { ...service, Endpoint: { Spec: {}, VirtualIPs } });
  }
}

const plain = ({ endpoints, services, blocks }: Readonly<EndpointSet>): string => {
  const sorted = (map: ReadonlyMap<string, unknown>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([endpoints, services, blocks].map(sorted));
};

/** What a node knows after messages, which travel as bytes. */
function applyAll(known: EndpointSet, messages: readonly EndpointUpdate[]): void {
  applyUpdates(
    known,
    messages.map((message) => EndpointUpdate.decode(EndpointUpdate.encode(message).finish())),
  );
}

async function world(): Promise<Store> {
  const store = await openStore({ log: createMemoryLog(), clock: realClock });
  await store.update(createWorld);
  return store;
}

type Known = { networkId: string; every: number; known: EndpointSet; index: number | undefined };

/** Lives through a history; what went wrong, as a store goes on when a watcher throws. */
async function live(history: readonly (readonly Step[])[], lag: number): Promise<string[]> {
  const store = await world();
  const directory = new EndpointDirectory(store);
  const nodes = NETWORKS.flatMap((networkId) =>
    [1, 2 + lag].map((every): Known => {
      const known: EndpointSet = { endpoints: new Map(), services: new Map(), blocks: new Map() };
      return { networkId, every, known, index: undefined };
    }),
  );
  const problems: string[] = [];
  const check = (networkId: string, what: Readonly<EndpointSet>): void => {
    const [kept, expected] = [plain(what), plain(endpointsOf(store.view, networkId))];
    if (kept !== expected) problems.push(`${networkId}: ${kept} in place of ${expected}`);
  };
  let commits = 0;
  store.watch((commit) => {
    const before = new Map(NETWORKS.map((id) => [id, directory.get(id) && plain(directory.get(id)!.members)]));
    const changed = directory.onCommit(commit);
    commits += 1;
    for (const networkId of NETWORKS) {
      const set = directory.get(networkId);
      if (set === undefined) continue;
      check(networkId, set.members);
      if (changed.includes(networkId) === (plain(set.members) === before.get(networkId)))
        problems.push(`${networkId} changed without a word, or the other way round`);
    }
    for (const node of nodes) {
      if (commits % node.every !== 0) continue;
      applyAll(node.known, directory.open(node.networkId).since(node.index));
      node.index = store.index;
      check(node.networkId, node.known);
    }
  });
  for (const steps of history) {
    await store.update((tx) => {
      for (const one of steps) take(tx, one);
    });
  }
  if (commits === 0 && history.length > 20) problems.push('nothing happened');
  return problems;
}

t.test('endpoints › after any history, what is kept follows from the store, and nodes know it', async (t) => {
  await fc.assert(
    fc.asyncProperty(histories, fc.nat(5), async (history, lag) => {
      const [problem] = await live(history, lag);
      if (problem !== undefined) throw new Error(problem);
    }),
    { numRuns: 150 },
  );
  t.pass('in every run');
});

t.test('endpoints › a task is on its networks from assigned until it has ended', async (t) => {
  const store = await world();
  await store.update((tx) => {
    const service = tx.get('service', 's1')!;
    createTaskOn(tx, service, { id: 't1', nodeId: 'n1', networkIds: ['net1', 'net2'], n: 7 });
  });
  const { PHASE_RESERVED, PHASE_READY, PHASE_DRAINING } = NetworkEndpoint_Phase;
  const endpoint = () => endpointsOf(store.view, 'net2').endpoints.get('t1');
  t.match(endpoint(), {
    ...{ id: 't1', serviceId: 's1', nodeId: 'n1', nodeAddr: '192.168.0.0', addresses: ['10.1.0.7'] },
    ...{ phase: PHASE_RESERVED, names: ['s1.7.t1'] },
  });
  const observe = (State: TaskState) =>
    store.update(
      (tx) => void tx.put('task', { ...tx.get('task', 't1')!, Status: { ...tx.get('task', 't1')!.Status, State } }),
    );
  for (const state of TASK_STATES) {
    await observe(state);
    const expected = { new: undefined, pending: undefined, running: PHASE_READY }[state as string] ?? undefined;
    const alive = ['assigned', 'accepted', 'preparing', 'ready', 'starting'].includes(state);
    t.equal(endpoint()?.phase, alive ? PHASE_RESERVED : expected, state);
  }
  await observe('running');
  const { Status } = store.view.get('node', 'n1')!;
  await store.update((tx) => changeNode(tx, 'n1', { Status: { State: 'down', Addr: '' } }));
  t.equal(endpoint()?.phase, PHASE_DRAINING, 'reachable, but not sent to, on a node that is down');
  await store.update((tx) => changeNode(tx, 'n1', { Status }));
  t.equal(endpoint()?.phase, PHASE_READY);
  await store.update((tx) => void tx.put('task', { ...tx.get('task', 't1')!, DesiredState: 'shutdown' }));
  t.equal(endpoint()?.phase, PHASE_DRAINING);
  await store.update((tx) => void tx.delete('node', 'n1'));
  t.equal(endpoint(), undefined, 'not on a node that is gone');
});

t.test(
  'endpoints › a service that is being removed loses its name, and its virtual IP with its last task',
  async (t) => {
    const store = await world();
    await store.update((tx) => {
      const service = tx.get('service', 's1')!;
      createTaskOn(tx, service, { id: 't1', nodeId: 'n1', networkIds: ['net1'], state: 'running' });
    });
    const service = () => {
      // What it publishes is the ingress network's alone.
      const { ports, ...found } = endpointsOf(store.view, 'net1').services.get('s1') ?? { ports: Buffer.alloc(0) };
      t.equal(ports.length, 0);
      return found;
    };
    t.same(service(), { id: 's1', name: 's1', aliases: ['s1-alias'], virtualIps: ['10.0.255.1'] });
    await store.update((tx) => void tx.put('service', { ...tx.get('service', 's1')!, PendingDelete: true }));
    t.same(service(), { id: 's1', name: '', aliases: [], virtualIps: ['10.0.255.1'] });
    await store.update((tx) => void tx.delete('task', 't1'));
    t.same(service(), {});
  },
);

t.test('endpoints › differences that are not kept any more give way to all of it', async (t) => {
  const store = await world();
  const directory = new EndpointDirectory(store);
  const set = directory.open('net1');
  store.watch((commit) => void directory.onCommit(commit));
  const start = store.index;
  const toggle = (state: TaskState) =>
    store.update((tx) => {
      const service = tx.get('service', 's1')!;
      for (let i = 0; i < 400; i++) {
        const task = tx.get('task', `t${i}`);
        if (task !== undefined) tx.put('task', { ...task, Status: { ...task.Status, State: state } });
        else createTaskOn(tx, service, { id: `t${i}`, nodeId: 'n1', networkIds: ['net1'], n: i % 200 });
      }
    });
  await toggle('assigned');
  t.equal(set.since(start)[0]?.complete, false);
  t.equal(set.since(start), set.since(start), 'made once for all who know the same');
  const first = store.index;
  await toggle('running');
  t.same(
    [set.since(start)[0]!.endpoints.length, set.since(first)[0]!.complete],
    [400, false],
    'of each the latest alone',
  );
  await toggle('starting');
  await toggle('running');
  t.equal(set.since(start)[0]?.complete, true);
  t.same(set.since(store.index), [{ ...set.since(store.index)[0]!, complete: false, endpoints: [], lastPart: true }]);
});

t.test('endpoints › messages keep to the limit, and only the last is marked', (t) => {
  const size = fc.integer({ min: 1, max: 900 });
  fc.assert(
    fc.property(fc.array(size, { maxLength: 60 }), (sizes) => {
      const endpoints = sizes.map((length, i) => {
        const texts = { serviceId: '', nodeId: 'n', nodeAddr: '1.2.3.4', names: ['x'.repeat(length)] };
        const endpoint = { id: `e${i}`, ...texts, addresses: [], phase: NetworkEndpoint_Phase.PHASE_READY };
        return [`e${i}`, i % 5 === 0 ? undefined : endpoint] as const;
      });
      const diff = { endpoints: new Map(endpoints), services: new Map(), blocks: new Map() };
      const parts = endpointMessages('net', true, diff, 2_000);
      const count = parts.reduce((sum, part) => sum + part.endpoints.length + part.removedEndpoints.length, 0);
      return (
        count === sizes.length &&
        parts.every((part) => EndpointUpdate.encode(part).finish().length <= 2_000) &&
        parts.every((part, i) => part.complete && part.lastPart === (i === parts.length - 1))
      );
    }),
  );
  t.pass('in every run');
  t.end();
});
