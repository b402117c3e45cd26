import { type ApiObject, FIRST_VNI, type NewObject, type Node, type Task } from '@swarmd/model';
import { buildNode, buildTask, createService, seededRandom } from '@swarmd/testkit';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { startAllocator } from '../src/allocator/index.js';
import { type ControlCluster, controlCluster, refusal, serviceBody } from './control-cluster.js';

const rpc = (name: string, text: string): string => `rpc error: code = ${name} desc = ${text}`;
const invalid = (text: string): string => `invalid-argument: ${rpc('InvalidArgument', text)}`;
const ipam = (...Config: Record<string, unknown>[]): object => ({ IPAM: { Config } });
const node = (id: string, Addr: string, Encryption?: boolean): NewObject<Node> =>
  buildNode(id, { DataPath: { Addr, MTU: 1500, ...(Encryption ? { Encryption } : {}) } });

/** A control whose networks get what they need from a real allocator. */
async function allocated(
  t: Test,
  nodes: NewObject<Node>[] = [],
): Promise<ControlCluster & { settle(): Promise<void> }> {
  const cluster = await controlCluster(nodes);
  const { store, clock } = cluster;
  const allocator = startAllocator({ store, clock, random: seededRandom(1), logger: pino({ level: 'silent' }) });
  t.teardown(() => allocator.stop());
  const settle = async (): Promise<void> => {
    for (let i = 0; i < 30; i++) await new Promise((resolve) => setImmediate(resolve));
  };
  await settle();
  return { ...cluster, settle };
}

const REFUSED: readonly (readonly [what: object, why: string])[] = [
  [{ Driver: 'bridge' }, 'networks of the cluster have the driver overlay, not bridge: it is the only one'],
  [{ Ingress: true, Attachable: true }, 'ingress network cannot be attachable'],
  [{ IPAM: { Driver: 'dhcp' } }, 'IPAM driver dhcp is not there: the only one is default'],
  [ipam({ Subnet: '10.9.0.0' }), 'ipam configuration: invalid subnet 10.9.0.0'],
  [ipam({ Gateway: '10.9.0.1' }), 'ipam configuration: invalid subnet '],
  [ipam({ Subnet: '10.9.0.7/24' }), 'ipam configuration: invalid subnet 10.9.0.7/24: it should be 10.9.0.0/24'],
  [ipam({ Subnet: '10.9.0.0/31' }), 'ipam configuration: subnet 10.9.0.0/31 is too small: at most /30'],
  [ipam({ Subnet: '10.9.0.0/24', Gateway: 'x' }), 'ipam configuration: invalid gateway x'],
  [
    ipam({ Subnet: '10.9.0.0/24', Gateway: '10.8.0.1' }),
    'ipam configuration: subnet 10.9.0.0/24 does not contain gateway 10.8.0.1',
  ],
  [
    ipam({ Subnet: '10.9.0.0/24', Gateway: '10.9.0.255' }),
    "ipam configuration: gateway 10.9.0.255 is the subnet's own address",
  ],
  [ipam({ Subnet: '10.9.0.0/24', IPRange: '10.9' }), 'ipam configuration: invalid range 10.9'],
  [
    ipam({ Subnet: '10.9.0.0/24', IPRange: '10.9.1.0/25' }),
    'ipam configuration: subnet 10.9.0.0/24 does not contain range 10.9.1.0/25',
  ],
  [
    ipam({ Subnet: '10.9.0.0/24' }, { Subnet: '10.9.0.0/16' }),
    'ipam configuration: subnets 10.9.0.0/24 and 10.9.0.0/16 overlap',
  ],
  [
    ipam({ Subnet: '10.1.2.0/23' }),
    'Pool overlaps with other one on this address space: subnet 10.1.2.0/23 of network x and 10.1.3.0/24 of network front',
  ],
  [
    { Options: { 'com.docker.network.driver.mtu': 'big' } },
    'com.docker.network.driver.mtu must be a whole number from 68 to 65535, not "big"',
  ],
];

t.test('control › a network that cannot be is refused, with what is wrong', async (t) => {
  const { control, store } = await controlCluster([node('n1', '192.168.0.1')]);
  await control.createNetwork({ Name: 'front', ...ipam({ Subnet: '10.1.3.0/24' }) });
  for (const [what, why] of REFUSED)
    t.equal(await refusal(control.createNetwork({ Name: 'x', ...what })), invalid(why));
  t.equal(
    await refusal(control.createNetwork({ Name: 'x', Options: { encrypted: '' } })),
    `failed-precondition: ${rpc('FailedPrecondition', 'encrypted networks need IPsec (ESP) in the kernel of every node: m1, n1 cannot')}`,
  );
  await control.createNetwork({ Name: 'y', Options: { encrypted: 'false' } });
  await store.update((tx) => {
    for (const one of [...tx.all('node')])
      tx.put('node', { ...one, DataPath: { Addr: '192.168.0.1', MTU: 1500, Encryption: true } });
  });
  await control.createNetwork({ Name: 'x', Options: { encrypted: '' } });
});

t.test('control › whoever makes a network is told what may surprise', async (t) => {
  const { control } = await controlCluster([node('n1', '192.168.0.1')]);
  const warnings = async (Name: string, spec: object): Promise<string[]> =>
    (await control.createNetwork({ Name, ...spec })).Warnings;
  t.same(await warnings('a', {}), []);
  t.same(await warnings('b', { EnableIPv6: true }), [], 'the cluster has IPv6 subnets of its own');
  await t.rejects(control.createNetwork({ Name: 'x', EnableIPv4: false }), { message: /EnableIPv4|have IPv4/ });
  await t.rejects(control.createNetwork({ Name: 'x', ...ipam({ Subnet: 'fe80::/64' }) }), { message: /fe80::\/64/ });
  t.match(await warnings('c', ipam({ Subnet: 'fd00::/64' })), [
    'subnet fd00::/64 is not used: IPv6 is not enabled (--ipv6)',
  ]);
  t.match(await warnings('d', ipam({ Subnet: '192.168.0.0/24' })), [
    /nodes' own network: n1 has the address 192.168.0.1$/,
  ]);
});

t.test('control › a network shows what it was given', async (t) => {
  const { control, settle } = await allocated(t);
  await control.createNetwork({
    Name: 'n',
    Driver: 'overlay',
    Options: { a: 'b' },
    ...ipam({ Subnet: '10.9.0.0/24' }),
  });
  await settle();
  const shown = await control.getNetwork('n');
  t.match(shown, {
    IPAM: { Driver: 'default', Options: null, Config: [{ Subnet: '10.9.0.0/24', Gateway: '10.9.0.1' }] },
    Options: { a: 'b', 'com.docker.network.driver.overlay.vxlanid_list': String(FIRST_VNI + 1) },
    Status: { IPAM: { Subnets: { '10.9.0.0/24': { IPsInUse: 3, DynamicIPsAvailable: 253 } } } },
  });
  t.notOk('Peers' in shown || 'Services' in shown);
  const listed = await control.listNetworks({ name: ['ing'] });
  t.match(listed, [{ Name: 'ingress', Ingress: true, Driver: 'overlay' }]);
  t.equal(listed.length, 1);
});

t.test('control › verbosely, a network shows who is on it', async (t) => {
  const { control, store, settle } = await allocated(t, [node('n1', '192.168.0.1'), node('n2', '192.168.0.2')]);
  const { ID } = await control.createNetwork({ Name: 'n', Attachable: false });
  await settle();
  const Networks = [{ Target: ID }];
  await store.update((tx) => {
    const spec = (Name: string, Mode: 'vip' | 'dnsrr') => ({
      Name,
      TaskTemplate: { ContainerSpec: { Image: 'x' }, Networks },
      EndpointSpec: { Mode, ...(Mode === 'vip' ? { Ports: [{ TargetPort: 80, PublishedPort: 8080 }] } : {}) },
    });
    const web = createService(tx, 'web', spec('web', 'vip'));
    createService(tx, 'raw', spec('raw', 'dnsrr'));
    tx.create('task', buildTask(web, 't1', { Status: { State: 'new', Message: '', Timestamp: tx.now } }));
  });
  await settle();
  await store.update((tx) => {
    const task = tx.get('task', 't1') as Task;
    tx.put('task', { ...task, NodeID: 'n2', Status: { ...task.Status, State: 'running' } });
  });
  const shown = await control.getNetwork('n', { verbose: true });
  t.same(shown['Peers'], [{ Name: 'n2', IP: '192.168.0.2' }]);
  t.same(shown['Services'], {
    raw: { VIP: '<nil>', Ports: [], LocalLBIndex: 0, Tasks: [] },
    web: {
      VIP: '10.0.1.2',
      Ports: [],
      LocalLBIndex: 0,
      Tasks: [{ Name: 'web.1.t1', EndpointID: 't1', EndpointIP: '10.0.1.3', Info: { 'Host IP': '192.168.0.2' } }],
    },
  });
  const ingress = await control.getNetwork('ingress', { verbose: true });
  t.match(ingress['Services'], { web: { Ports: ['Target: 80, Publish: 8080'] } });
  t.equal((ingress['Peers'] as object[]).length, 2);
  t.match(await control.getTask('t1'), {
    NetworksAttachments: [
      { Network: { Spec: { Name: 'ingress' } } },
      {
        Network: {
          ID,
          DriverState: { Name: 'overlay', Options: { 'com.docker.network.driver.overlay.vxlanid_list': /^\d+$/ } },
          IPAMOptions: { Driver: { Name: 'default' }, Configs: [{ Subnet: '10.0.1.0/24', Gateway: '10.0.1.1' }] },
        },
        Addresses: ['10.0.1.3/24'],
      },
    ],
  });
});

t.test('control › a network that is nearly full says so', async (t) => {
  const { control, store, settle } = await allocated(t);
  await control.createNetwork({ Name: 'n', ...ipam({ Subnet: '10.9.0.0/28' }) });
  await settle();
  const fill = async (id: string, tasks: number): Promise<void> => {
    await store.update((tx) => {
      const TaskTemplate = { ContainerSpec: { Image: 'x' }, Networks: [{ Target: networkId(tx.all('network')) }] };
      const service = createService(tx, id, { Name: id, TaskTemplate, EndpointSpec: { Mode: 'dnsrr' } });
      for (let i = 0; i < tasks; i++)
        tx.create(
          'task',
          buildTask(service, `${id}${i}`, { Status: { State: 'new', Message: '', Timestamp: tx.now } }),
        );
    });
    await settle();
  };
  const networkId = (all: Iterable<{ ID: string; Spec: { Name: string } }>): string =>
    [...all].find(({ Spec }) => Spec.Name === 'n')!.ID;
  const warning = async (): Promise<unknown> =>
    ((await control.getNetwork('n'))['Status'] as { Warnings?: string[] }).Warnings;
  await fill('a', 9);
  t.equal(await warning(), undefined);
  await fill('b', 1);
  t.same(await warning(), [
    'network n has 3 of 16 addresses left (10.9.0.0/28): move services to a larger one in time',
  ]);
  await fill('c', 4);
  t.same(await warning(), ['network n has no address left (10.9.0.0/28): new tasks wait']);
  t.match(
    await control.listTasks({ service: ['c'] }).then((tasks: ApiObject[]) =>
      tasks
        .map(({ Status }) => (Status as Task['Status']).Err ?? '')
        .sort()
        .at(-1),
    ),
    /no free address/,
  );
});

t.test('control › the ingress network is there once, and removed when nothing needs it', async (t) => {
  const { control, settle } = await allocated(t);
  const { ID } = await control.getNetwork('ingress');
  const again = { Name: 'mine', Driver: 'overlay', Ingress: true };
  t.equal(
    await refusal(control.createNetwork(again)),
    `already-exists: ${rpc('AlreadyExists', `ingress network (${ID}) is already present`)}`,
  );
  const ports = { EndpointSpec: { Ports: [{ TargetPort: 80 }] } };
  const service = await control.createService(serviceBody('web', ports), {});
  t.equal(
    await refusal(control.removeNetwork('ingress')),
    `failed-precondition: ${rpc('FailedPrecondition', `ingress network cannot be removed because service ${service.ID} depends on it`)}`,
  );
  await control.removeService('web');
  await control.removeNetwork('ingress');
  await settle();
  await control.createNetwork(again);
  await settle();
  t.match(await control.getNetwork('mine'), { Ingress: true, Status: {} });
});

t.test('control › a network that a container is on is not removed', async (t) => {
  const { control, store } = await controlCluster([node('n1', '192.168.0.1')]);
  const { ID } = await control.createNetwork({ Name: 'n', Attachable: true });
  await store.update((tx) => {
    const Attachments = [{ NetworkID: ID, ContainerID: 'c1', Addresses: ['10.0.0.250'], Names: ['shell'] }];
    tx.put('node', { ...tx.get('node', 'n1')!, Attachments });
  });
  t.equal(
    await refusal(control.removeNetwork('n')),
    `failed-precondition: ${rpc('FailedPrecondition', `network ${ID} is in use by container c1 on node n1`)}`,
  );
  t.match((await control.getNetwork('n', { verbose: true }))['Services'], {
    '': { Tasks: [{ Name: 'shell', EndpointID: 'c1', EndpointIP: '10.0.0.250' }] },
  });
});

t.test('control › aliases are names, and a service that leaves a network gives up its virtual IP there', async (t) => {
  const { control, store, settle } = await allocated(t);
  for (const Name of ['a', 'b']) await control.createNetwork({ Name });
  await settle();
  const on = (...Networks: object[]) =>
    serviceBody('web', { TaskTemplate: { ContainerSpec: { Image: 'x' }, Networks } });
  t.match(
    await refusal(control.createService(on({ Target: 'a', Aliases: ['no spaces'] }), {})),
    /invalid network alias "no spaces": allowed are letters, digits/,
  );
  const { ID } = await control.createService(on({ Target: 'a', Aliases: ['db', 'db.local'] }), {});
  await settle();
  const vips = (): unknown[] => store.view.get('service', ID)?.Endpoint?.VirtualIPs?.map(({ Addr }) => Addr) ?? [];
  const update = async (...Networks: object[]): Promise<void> => {
    await control.updateService(ID, store.view.get('service', ID)!.Version.Index, on(...Networks), {});
    await settle();
  };
  t.same(vips(), ['10.0.1.2/24']);
  await update({ Target: 'a' }, { Target: 'b' });
  t.same(vips(), ['10.0.1.2/24', '10.0.2.2/24']);
  await update({ Target: 'b' });
  t.same(vips(), ['10.0.2.2/24']);
});
