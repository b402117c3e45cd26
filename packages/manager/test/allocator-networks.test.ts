import { FIRST_VNI, type NewObject, type Node, type Task } from '@swarmd/model';
import { buildNode } from '@swarmd/testkit';
import t, { type Test } from 'tap';
import { QUARANTINE_MS } from '../src/allocator/address-pool.js';
import { formatCidr, formatIp } from '../src/allocator/ip.js';
import { clusterPrefix } from '../src/allocator/network-allocation.js';
import { type AllocatorWorld, allocatorWorld } from './support/allocator-world.js';

async function world(t: Test, nodes: NewObject<Node>[] = []): Promise<AllocatorWorld> {
  const made = await allocatorWorld(nodes);
  t.teardown(() => made.stop());
  return made;
}

const addresses = (task: Task | undefined): string[] => (task?.NetworksAttachments ?? []).flatMap((a) => a.Addresses);

t.test('allocator › gives a cluster its ingress network, once', async (t) => {
  const { store, settle, renew } = await world(t);
  const ingress = [...store.view.all('network')];
  t.match(ingress, [{ Spec: { Name: 'ingress', Ingress: true } }]);
  t.same(ingress[0]?.Allocation, {
    VNI: FIRST_VNI,
    Subnets: [{ Subnet: '10.255.0.0/16', Gateway: '10.255.0.1' }],
    MTU: 1450,
  });
  await store.update((tx) => tx.delete('network', ingress[0]!.ID));
  await settle();
  await renew();
  t.same([...store.view.all('network')], [], 'whoever removes it does without');
});

t.test('allocator › gives networks identifiers and subnets that are nobody else’s', async (t) => {
  const { store, network } = await world(t);
  await network('a');
  await network('b', { IPAM: { Config: [{ Subnet: '10.0.1.0/24', Gateway: '10.0.1.9' }] } });
  await network('c');
  await network('d', { EnableIPv6: true, IPAM: { Config: [{ Subnet: 'fd00:1::/64' }] } });
  await network('e', { Driver: 'host' });
  const given = (id: string) => store.view.get('network', id)?.Allocation;
  t.same(given('a'), { VNI: FIRST_VNI + 1, Subnets: [{ Subnet: '10.0.0.0/24', Gateway: '10.0.0.1' }], MTU: 1450 });
  t.same(given('b')?.Subnets, [{ Subnet: '10.0.1.0/24', Gateway: '10.0.1.9' }]);
  t.same(given('c')?.Subnets, [{ Subnet: '10.0.2.0/24', Gateway: '10.0.2.1' }]);
  t.same(given('d')?.Subnets, [
    { Subnet: '10.0.3.0/24', Gateway: '10.0.3.1' },
    { Subnet: 'fd00:1::/64', Gateway: 'fd00:1::1' },
  ]);
  t.equal(given('e'), undefined);
});

t.test('allocator › a network’s MTU fits through the narrowest node, and stays while tasks use it', async (t) => {
  const node = (id: string, MTU: number, Addr = '192.168.0.1') => buildNode(id, { DataPath: { Addr, MTU } });
  const { store, network, service, settle } = await world(t, [node('n1', 9000)]);
  const mtu = (id: string) => store.view.get('network', id)?.Allocation?.MTU;
  await network('a');
  await network('b', { Options: { 'com.docker.network.driver.mtu': '1300' } });
  await service('s', ['a'], 1);
  t.same([mtu('a'), mtu('b')], [8950, 1300]);
  await store.update((tx) => void tx.create('node', node('n2', 1400, 'fd00::1')));
  await settle();
  await network('c');
  t.same([mtu('a'), mtu('b'), mtu('c')], [8950, 1300, 1330]);
});

t.test('allocator › no subnet of the pool has a host’s own address', async (t) => {
  const node = (id: string, Addr: string) => buildNode(id, { Status: { State: 'ready', Addr } });
  const { store, network } = await world(t, [node('n1', '10.0.0.7'), node('n2', '10.255.3.7')]);
  await network('a');
  t.same([...store.view.all('network')].map((one) => one.Allocation?.Subnets[0]?.Subnet).sort(), [
    '10.0.1.0/24',
    '10.254.0.0/16',
  ]);
});

t.test('allocator › gives services virtual IPs and tasks addresses', async (t) => {
  const { store, network, service, task, settle } = await world(t);
  const ingress = [...store.view.all('network')][0]!.ID;
  await network('a');
  await network('b');
  await service('s', ['a', 'b'], 2, { EndpointSpec: { Mode: 'vip', Ports: [{ TargetPort: 80, PublishedPort: 80 }] } });
  t.same(store.view.get('service', 's')?.Endpoint?.VirtualIPs, [
    { NetworkID: ingress, Addr: '10.255.0.2/16' },
    { NetworkID: 'a', Addr: '10.0.0.2/24' },
    { NetworkID: 'b', Addr: '10.0.1.2/24' },
  ]);
  t.same(task('s1')?.NetworksAttachments, [
    { Network: { ID: ingress }, Addresses: ['10.255.0.3/16'] },
    { Network: { ID: 'a' }, Addresses: ['10.0.0.3/24'] },
    { Network: { ID: 'b' }, Addresses: ['10.0.1.3/24'] },
  ]);
  t.same(addresses(task('s2')), ['10.255.0.4/16', '10.0.0.4/24', '10.0.1.4/24']);
  await store.update((tx) => {
    const s = tx.get('service', 's')!;
    const TaskTemplate = { ...s.Spec.TaskTemplate, Networks: [{ Target: 'b' }] };
    tx.put('service', { ...s, Spec: { ...s.Spec, TaskTemplate, EndpointSpec: { Mode: 'vip' } } });
  });
  await settle();
  t.same(store.view.get('service', 's')?.Endpoint?.VirtualIPs, [{ NetworkID: 'b', Addr: '10.0.1.2/24' }], 'kept');
  await service('r', ['a'], 1, { EndpointSpec: { Mode: 'dnsrr' } });
  t.equal(store.view.get('service', 'r')?.Endpoint?.VirtualIPs, undefined);
  t.equal(addresses(task('r1')).length, 1);
});

t.test('allocator › tasks on networks of their host get no addresses', async (t) => {
  const { network, service, task } = await world(t);
  await network('host', { Driver: 'host' });
  await network('bridge', { Driver: 'bridge' });
  await network('a');
  const Ports = [{ TargetPort: 80 }];
  await service('s', ['host'], 1, { EndpointSpec: { Ports } });
  await service('r', ['bridge'], 1);
  await service('q', ['bridge', 'a'], 1);
  t.match(task('s1'), { Status: { State: 'pending' }, NetworksAttachments: undefined });
  t.match(task('r1'), { Status: { State: 'pending' }, NetworksAttachments: undefined });
  t.same(
    task('q1')?.NetworksAttachments?.map((a) => [a.Network.ID, a.Addresses.length]),
    [
      ['bridge', 0],
      ['a', 1],
    ],
  );
});

t.test('allocator › a task without an address waits, and goes on with one that is freed, after a while', async (t) => {
  const { network, service, task, end, clock, settle } = await world(t);
  await network('a', { IPAM: { Config: [{ Subnet: '10.9.0.0/29' }] } });
  await service('s', ['a'], 5);
  const waiting = [1, 2, 3, 4, 5].map((slot) => task(`s${slot}`)!).filter((one) => one.Status.State === 'new');
  t.equal(waiting.length, 1, 'five addresses: a virtual IP and four tasks');
  t.equal(
    waiting[0]?.Status.Err,
    'network "a" has no free address: all 5 of its subnet are in use, or were until just now',
  );
  const first = [1, 2].map((slot) => task(`s${slot}`)!).find((one) => one.Status.State === 'pending')!;
  await end(first.ID);
  t.equal(task(waiting[0]!.ID)?.Status.State, 'new', 'not at once');
  clock.advance(QUARANTINE_MS - 1);
  await settle();
  t.equal(task(waiting[0]!.ID)?.Status.State, 'new');
  clock.advance(1);
  await settle();
  t.match(task(waiting[0]!.ID), { Status: { State: 'pending', Err: undefined } });
  t.same(addresses(task(waiting[0]!.ID)), addresses(first));
});

t.test('allocator › another leader knows what its predecessor has given', async (t) => {
  const { network, service, task, end, renew } = await world(t);
  await network('a');
  await service('s', ['a'], 3);
  await end('s3');
  await renew();
  await service('r', ['a'], 1);
  const all = ['s1', 's2', 's3', 'r1'].flatMap((id) => addresses(task(id)));
  t.equal(new Set(all).size, 4, 'not even what has only just ended is given again');
});

t.test('allocator › published ports wait for there to be an ingress network', async (t) => {
  const { store, service, task, settle, network } = await world(t);
  const [ingress] = [...store.view.all('network')];
  await store.update((tx) => tx.delete('network', ingress!.ID));
  await settle();
  await service('s', [], 1, { EndpointSpec: { Ports: [{ TargetPort: 80 }] } });
  t.match(task('s1'), { Status: { State: 'new', Err: /create one with "network create --ingress"/ } });
  await network('mine', { Ingress: true });
  t.match(task('s1'), { Status: { State: 'pending' } });
  t.equal(task('s1')?.NetworksAttachments?.[0]?.Network.ID, 'mine');
});

t.test(
  'allocator › nodes get ranges of attachable networks, more when they use them up, and give them back',
  async (t) => {
    const node = (id: string) => buildNode(id, { DataPath: { Addr: '192.168.0.1', MTU: 1500 } });
    const { store, network, service, task, settle, clock } = await world(t, [node('n1'), node('n2'), buildNode('n3')]);
    await network('a', { Attachable: true, IPAM: { Config: [{ Subnet: '10.9.0.0/27' }] } });
    await network('b');
    const blocks = (id: string) => store.view.get('node', id)?.AddressBlocks?.['a'];
    t.same([blocks('n1'), blocks('n2'), blocks('n3')], [['10.9.0.24/30'], ['10.9.0.20/30'], undefined]);
    const attach = (count: number) =>
      store.update((tx) => {
        const one = (i: number) => ({
          NetworkID: 'a',
          ContainerID: `c${i}`,
          Addresses: [`10.9.0.${24 + i}`],
          Names: [],
        });
        tx.put('node', { ...tx.get('node', 'n1')!, Attachments: Array.from({ length: count }, (_, i) => one(i)) });
      });
    await attach(3);
    await settle();
    t.same(blocks('n1'), ['10.9.0.24/30', '10.9.0.16/30']);
    await service('s', ['a'], 25);
    const waiting = () =>
      Array.from({ length: 25 }, (_, i) => task(`s${i + 1}`)!).filter((x) => x.Status.State === 'new');
    t.ok(waiting().length > 0);
    t.same([blocks('n1'), blocks('n2')], [['10.9.0.24/30'], undefined], 'what is not used is given back');
    clock.advance(QUARANTINE_MS);
    await settle();
    t.equal(waiting().length, 25 - (29 - 1 - 4), 'tasks have all but the virtual IP and the range that is used');
  },
);

t.test('allocator › tasks have an address of each family, from the range that the network’s owner named', async (t) => {
  const { store, network, service, task } = await world(t, [
    buildNode('n1', { DataPath: { Addr: '192.168.0.1', MTU: 1500 } }),
  ]);
  const Config = [{ Subnet: '10.9.0.0/24', IPRange: '10.9.0.128/26' }, { Subnet: 'fd00::/64' }];
  await network('a', { EnableIPv6: true, Attachable: true, IPAM: { Config } });
  await service('s', ['a'], 2);
  t.same(store.view.get('service', 's')?.Endpoint?.VirtualIPs, [
    { NetworkID: 'a', Addr: '10.9.0.128/24' },
    { NetworkID: 'a', Addr: 'fd00::2/64' },
  ]);
  t.same(addresses(task('s1')), ['10.9.0.129/24', 'fd00::3/64']);
  t.same(addresses(task('s2')), ['10.9.0.130/24', 'fd00::4/64']);
  t.same(store.view.get('node', 'n1')?.AddressBlocks, { a: ['10.9.0.184/29', 'fd00::ff:ffc0/122'] });
});

t.test('allocator › IPv6 subnets that nobody names are the cluster’s own, a network each', async (t) => {
  const prefix = clusterPrefix('c');
  const at = (number: bigint): string => formatCidr({ family: 6, base: prefix.base + (number << 64n), bits: 64 });
  const host = formatIp({ family: 6, value: prefix.base + 5n });
  const { store, network } = await world(t, [buildNode('n1', { DataPath: { Addr: host, MTU: 1320 } })]);
  const given = (id: string) => store.view.get('network', id)?.Allocation;
  t.match(formatCidr(prefix), /^fd[0-9a-f:]+::\/48$/);
  await network('a', { EnableIPv6: true });
  await network('b', { EnableIPv6: true, IPAM: { Config: [{ Subnet: at(2n) }] } });
  await network('c', { EnableIPv6: true });
  await network('d', { IPAM: { Config: [{ Subnet: 'fd00:1::/64' }] } });
  const six = (id: string) =>
    given(id)
      ?.Subnets.slice(1)
      .map(({ Subnet }) => Subnet);
  t.same(six('a'), [at(1n)], 'not where a host has its address');
  t.same([six('b'), six('c'), six('d')], [[at(2n)], [at(3n)], []]);
  t.equal(given('a')?.Subnets[1]?.Gateway, formatIp({ family: 6, value: prefix.base + (1n << 64n) + 1n }));
  t.same([given('a')?.MTU, given('d')?.MTU], [1280, 1250], 'IPv6 has no smaller packets');
});

t.test('allocator › a service keeps its virtual IP of each family, and gets one that it lacks', async (t) => {
  const { store, network, service, settle } = await world(t);
  await network('a', { EnableIPv6: true, IPAM: { Config: [{ Subnet: 'fd00::/125' }] } });
  await service('s', ['a'], 0);
  const vips = (id: string) => store.view.get('service', id)?.Endpoint?.VirtualIPs?.map(({ Addr }) => Addr);
  t.same(vips('s'), ['10.0.0.2/24', 'fd00::2/125']);
  await store.update((tx) => {
    const s = tx.get('service', 's')!;
    const VirtualIPs = s.Endpoint!.VirtualIPs!.slice(0, 1);
    tx.put('service', { ...s, Endpoint: { ...s.Endpoint!, VirtualIPs }, Spec: { ...s.Spec, Labels: { a: 'b' } } });
  });
  await settle();
  t.same(vips('s'), ['10.0.0.2/24', 'fd00::3/125'], 'as one from before there were any');
  await service('r', ['a'], 9);
  t.same(vips('r'), ['10.0.0.3/24', 'fd00::4/125']);
  const waiting = [...store.view.find('task', 'service', 'r')].filter(({ Status }) => Status.State === 'new');
  t.equal(waiting.length, 9 - 3, 'an address of IPv4 alone is none');
  t.match(waiting[0]?.Status.Err, /network "a" has no free address: all 6 of its subnet are in use/);
});
