import { isTerminal, type ReadView, type Task } from '@swarmd/model';
import { buildNode } from '@swarmd/testkit';
import fc from 'fast-check';
import t from 'tap';
import { AddressIndex } from '../src/allocator/address-index.js';
import { QUARANTINE_MS } from '../src/allocator/address-pool.js';
import { formatIp, lastOf, overlap, parseCidr } from '../src/allocator/ip.js';
import { subnetsOf } from '../src/allocator/network-allocation.js';
import { networkUse } from '../src/allocator/network-use.js';
import { type AllocatorWorld, allocatorWorld } from './support/allocator-world.js';

type Step =
  | { do: 'network'; attachable: boolean; bits: 0 | 28 | 29; six: 'none' | 'small' | 'large' }
  | { do: 'removeNetwork' | 'end' | 'deleteTask' | 'removeService' | 'removeNode'; pick: number }
  | { do: 'service'; pick: number; both: boolean; tasks: number; ports: boolean }
  | { do: 'update'; pick: number; network: number }
  | { do: 'node'; dataPath: boolean }
  | { do: 'down' | 'attach' | 'detach'; pick: number }
  | { do: 'wait'; ms: number }
  | { do: 'renew' };

const pick = fc.nat(50);
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constant('network' as const),
    attachable: fc.boolean(),
    bits: fc.constantFrom(0, 28, 29),
    six: fc.constantFrom('none', 'none', 'small', 'large'),
  }),
  fc.record({ do: fc.constantFrom('removeNetwork', 'removeService', 'removeNode'), pick }),
  fc.record({ do: fc.constantFrom('end', 'end', 'deleteTask'), pick }),
  fc.record({
    do: fc.constant('service' as const),
    pick,
    both: fc.boolean(),
    tasks: fc.integer({ min: 0, max: 6 }),
    ports: fc.boolean(),
  }),
  fc.record({ do: fc.constant('update' as const), pick, network: pick }),
  fc.record({ do: fc.constant('node' as const), dataPath: fc.boolean() }),
  fc.record({ do: fc.constantFrom('down', 'attach', 'attach', 'detach'), pick }),
  fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(1_000, 10_000, QUARANTINE_MS, 61_000) }),
  fc.constant({ do: 'renew' as const }),
);

/** Everything that somebody holds, read from the store without any of the allocator's own code. */
function holders(view: ReadView): { key: string; who: string; from: bigint; to: bigint }[] {
  const held: { key: string; who: string; from: bigint; to: bigint }[] = [];
  const add = (network: string, text: string, who: string): void => {
    const cidr = parseCidr(text.includes('/') ? text : `${text}/${text.includes(':') ? 128 : 32}`)!;
    held.push({ key: `${network} ${text}`, who, from: cidr.base, to: lastOf(cidr) });
  };
  const single = (addr: string): string => addr.replace(/\/.*/, '');
  for (const { ID, Endpoint } of view.all('service'))
    for (const { NetworkID, Addr } of Endpoint?.VirtualIPs ?? []) add(NetworkID, single(Addr), `service ${ID}`);
  for (const task of view.all('task'))
    if (!isTerminal(task.Status.State))
      for (const { Network, Addresses } of task.NetworksAttachments ?? [])
        for (const address of Addresses) add(Network.ID, single(address), `task ${task.ID}`);
  for (const { ID, AddressBlocks } of view.all('node'))
    for (const [network, blocks] of Object.entries(AddressBlocks ?? {}))
      for (const block of blocks) add(network, block, `node ${ID}`);
  for (const { ID, Allocation } of view.all('network'))
    for (const { Subnet, Gateway } of Allocation?.Subnets ?? []) {
      const cidr = parseCidr(Subnet)!;
      const own = cidr.family === 4 ? [cidr.base, lastOf(cidr)] : [cidr.base];
      for (const value of own) add(ID, formatIp({ family: cidr.family, value }), `network ${ID}`);
      add(ID, Gateway, `gateway of ${ID}`);
    }
  return held;
}

function duplicates(view: ReadView): string[] {
  const wrong: string[] = [];
  const byNetwork = new Map<string, ReturnType<typeof holders>>();
  for (const held of holders(view)) {
    const network = held.key.split(' ')[0]!;
    const others = byNetwork.get(network) ?? [];
    for (const other of others)
      if (other.from <= held.to && held.from <= other.to) wrong.push(`${held.key} of ${held.who} and ${other.who}`);
    byNetwork.set(network, [...others, held]);
  }
  const networks = [...view.all('network')];
  for (const [at, network] of networks.entries())
    for (const other of networks.slice(at + 1)) {
      if (network.Allocation && network.Allocation.VNI === other.Allocation?.VNI) wrong.push(`VNI of ${network.ID}`);
      if (subnetsOf(network).some((a) => subnetsOf(other).some((b) => overlap(a, b)))) wrong.push(`subnet ${other.ID}`);
    }
  return wrong;
}

/** Services and tasks that have an address of one family where their network has two. */
function halves(view: ReadView): string[] {
  const families = (addresses: readonly string[]): number => new Set(addresses.map((one) => one.includes(':'))).size;
  const wrong: string[] = [];
  for (const task of view.all('task'))
    for (const { Network, Addresses } of task.NetworksAttachments ?? []) {
      const subnets = view.get('network', Network.ID)?.Allocation?.Subnets.map(({ Subnet }) => Subnet);
      if (subnets !== undefined && families(subnets) !== families(Addresses))
        wrong.push(`task ${task.ID}: ${Addresses}`);
    }
  return wrong;
}

const nth = <T>(all: Iterable<T>, at: number): T | undefined => {
  const list = [...all];
  return list[at % Math.max(1, list.length)];
};

let made = 0;

async function act(world: AllocatorWorld, step: Step): Promise<void> {
  const { store } = world;
  const id = (kind: string): string => `${kind}${++made}`;
  const overlays = (): { ID: string; Spec: { Attachable?: boolean | undefined } }[] =>
    [...store.view.all('network')].filter(({ Spec }) => !Spec.Ingress);
  if (step.do === 'network') {
    const Config = step.bits === 0 ? [] : [{ Subnet: `192.168.${made % 250}.0/${step.bits}` }];
    if (step.six === 'small') Config.push({ Subnet: `fd00:${made.toString(16)}::/124` });
    await world.network(id('net'), { Attachable: step.attachable, EnableIPv6: step.six !== 'none', IPAM: { Config } });
  } else if (step.do === 'service') {
    const first = nth(overlays(), step.pick)?.ID;
    const second = nth(overlays(), step.pick + 1)?.ID;
    const networks = [...new Set([first, ...(step.both ? [second] : [])])].flatMap((one) => one ?? []);
    const EndpointSpec = step.ports ? { Ports: [{ TargetPort: 80 }] } : { Mode: 'vip' as const };
    await world.service(id('svc'), networks, step.tasks, { EndpointSpec });
  } else if (step.do === 'wait') world.clock.advance(step.ms);
  else if (step.do === 'renew') await world.renew();
  else await write(world, step);
  await world.settle();
}

async function write({ store }: AllocatorWorld, step: Step): Promise<void> {
  const at = 'pick' in step ? step.pick : 0;
  const view = store.view;
  await store.update((tx) => {
    const task = nth(view.all('task'), at);
    const service = nth(view.all('service'), at);
    const node = nth(view.all('node'), at);
    const network = nth(
      [...view.all('network')].filter(({ Spec }) => !Spec.Ingress),
      at,
    );
    if (step.do === 'node') {
      const DataPath = step.dataPath ? { DataPath: { Addr: '172.16.0.1', MTU: 1500 } } : {};
      tx.create('node', buildNode(`node${++made}`, DataPath));
    } else if (step.do === 'removeNode' && node) tx.delete('node', node.ID);
    else if (step.do === 'down' && node) tx.put('node', { ...node, Status: { ...node.Status, State: 'down' } });
    else if (step.do === 'end' && task && !isTerminal(task.Status.State)) {
      const Status = { ...task.Status, State: 'failed' as const, Timestamp: tx.now, AppliedAt: tx.now };
      tx.put('task', { ...task, Status });
    } else if (step.do === 'deleteTask' && task) tx.delete('task', task.ID);
    else if (step.do === 'removeService' && service) {
      for (const one of [...tx.find('task', 'service', service.ID)]) tx.delete('task', one.ID);
      tx.delete('service', service.ID);
    } else if (step.do === 'update' && service) {
      const target = nth(
        [...view.all('network')].filter(({ Spec }) => !Spec.Ingress),
        step.network,
      )?.ID;
      const TaskTemplate = { ...service.Spec.TaskTemplate, Networks: target ? [{ Target: target }] : [] };
      tx.put('service', { ...service, Spec: { ...service.Spec, TaskTemplate } });
    } else if (step.do === 'removeNetwork' && network && !isUsed(view, network.ID)) tx.delete('network', network.ID);
    else if (step.do === 'attach' && node) {
      const [networkId, blocks] = nth(Object.entries(node.AddressBlocks ?? {}), at) ?? ['', []];
      const range = blocks.length === 0 ? undefined : parseCidr(nth(blocks, at)!);
      if (range === undefined) return;
      const address = formatIp({ family: range.family, value: range.base + BigInt(at % 4) });
      const had = (node.Attachments ?? []).filter(({ Addresses }) => Addresses[0] !== address);
      const attachment = { NetworkID: networkId, ContainerID: address, Addresses: [address], Names: [] };
      tx.put('node', { ...node, Attachments: [...had, attachment] });
    } else if (step.do === 'detach' && node) tx.put('node', { ...node, Attachments: [] });
  });
}

function isUsed(view: ReadView, id: string): boolean {
  const named = [...view.all('spec')].some(({ Spec }) =>
    Spec.TaskTemplate?.Networks?.some(({ Target }) => Target === id),
  );
  const attached = [...view.all('node')].some(({ Attachments }) => Attachments?.some((a) => a.NetworkID === id));
  return (
    named ||
    attached ||
    [...view.all('service')].some((s) => s.Spec.TaskTemplate?.Networks?.some((n) => n.Target === id))
  );
}

function hadByEnded(view: ReadView, key: string): boolean {
  return [...view.all('task')].some((task) =>
    (task.NetworksAttachments ?? []).some(({ Network, Addresses }) =>
      Addresses.some((address) => key === `${Network.ID} ${address.replace(/\/.*/, '')}`),
    ),
  );
}

const contents = (index: AddressIndex): string =>
  JSON.stringify(
    [...index.networkIds()]
      .sort()
      .map((id) => [id, index.users(id), index.network(id)!.pools.map((p) => p.contents())]),
  );

/** Whether one of the families that a task needs an address of has none left. */
function isFull(subnets: readonly { subnet: string; available: number }[]): boolean {
  const families = [true, false].map((six) => subnets.filter(({ subnet }) => subnet.includes(':') === six));
  return families.some((family) => family.length > 0 && family.every(({ available }) => available === 0));
}

/** New tasks of which every network has an address to give after the quarantine. */
function stuck(view: ReadView): string[] {
  const use = networkUse(view);
  return [...view.all('task')].flatMap((task: Task) => {
    if (task.Status.State !== 'new') return [];
    if (!task.Status.Err) return [`${task.ID} waits and does not say why`];
    const full = [...use].some(
      ([id, subnets]) => task.Status.Err?.includes(`"${view.get('network', id)?.Spec.Name}"`) && isFull(subnets),
    );
    const blocked = [...view.all('node')].some(({ AddressBlocks }) => Object.keys(AddressBlocks ?? {}).length > 0);
    return full || blocked ? [] : [`${task.ID} waits although there is room: ${task.Status.Err}`];
  });
}

t.setTimeout(280_000);

t.test('allocator › whatever comes and goes, no address is given twice or too soon, and none is lost', async () => {
  const property = fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
    const world = await allocatorWorld([buildNode('n1', { DataPath: { Addr: '172.16.0.1', MTU: 1500 } })], 28);
    const kept = new AddressIndex();
    kept.rebuild(world.store.view, 0);
    const released = new Map<string, number>();
    let last = new Map<string, string>();
    const problems: string[] = [];
    world.store.watch(({ events }) => {
      for (const event of events) kept.apply(event, world.clock.now());
      problems.push(...duplicates(world.store.view), ...halves(world.store.view));
      const now = new Map(
        holders(world.store.view)
          .filter(({ who }) => /^(task|service)/.test(who))
          .map((h) => [h.key, h.who]),
      );
      for (const key of last.keys()) if (!now.has(key)) released.set(key, world.clock.now());
      for (const [key, who] of now) {
        const at = released.get(key);
        if (last.get(key) !== who && at !== undefined && at + QUARANTINE_MS > world.clock.now())
          problems.push(`${key} was given again after ${world.clock.now() - at} ms`);
      }
      last = now;
    });
    for (const one of steps) {
      // Another leader knows of ended tasks, and of nothing that is gone.
      if (one.do === 'renew')
        for (const key of released.keys()) if (!hadByEnded(world.store.view, key)) released.delete(key);
      await act(world, one);
    }
    const fresh = new AddressIndex();
    fresh.rebuild(world.store.view, 0);
    if (contents(kept) !== contents(fresh))
      problems.push(`the index is not as the store: ${contents(kept)} / ${contents(fresh)}`);
    for (let i = 0; i < 3; i++) await act(world, { do: 'wait', ms: QUARANTINE_MS });
    problems.push(...stuck(world.store.view));
    await world.stop();
    if (problems.length > 0) throw new Error(problems.slice(0, 5).join('\n'));
  });
  await fc.assert(property, { numRuns: Number(process.env['RUNS'] ?? 120) });
});
