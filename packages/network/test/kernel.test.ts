import { once } from 'node:events';
import t from 'tap';
import { type BedHost, configOf, endpointOf, makeBed, membersOf, networkOf, serviceOf, unfit } from './kernel-bed.js';

const vip = '10.1.0.2';
const web = serviceOf('web', vip);

type Hosts = [BedHost, BedHost, BedHost];

t.test('network plane', { skip: unfit }, async (t) => {
  await t.test('tasks reach each other across hosts over TCP and UDP', async (t) => {
    const bed = await makeBed(2);
    t.teardown(() => bed.remove());
    const [h1, h2] = bed.hosts as Hosts;
    const network = networkOf('one', 1_048_577);
    const a = await bed.join(h1, network, '10.1.0.3');
    const b = await bed.join(h2, network, '10.1.0.4');
    await bed.serve(a, 'a', 80);
    await bed.serve(b, 'b', 80);
    for (const host of bed.hosts) {
      await host.plane.apply(network, membersOf([endpointOf(h1, a.address), endpointOf(h2, b.address)]));
    }
    t.equal(await bed.ask(a, b.address, 80), `b ${a.address}`);
    t.equal(await bed.ask(b, a.address, 80), `a ${b.address}`);
    t.equal(await bed.askUdp(await bed.datagrams(a), b.address, 80), `b ${a.address}`);
  });

  await t.test('two networks with the same subnet and the same addresses stay apart', async (t) => {
    const bed = await makeBed(2);
    t.teardown(() => bed.remove());
    const [h1, h2] = bed.hosts as Hosts;
    for (const [index, id] of ['one', 'two'].entries()) {
      const network = networkOf(id, 1_048_577 + index);
      const a = await bed.join(h1, network, '10.1.0.3');
      const b = await bed.join(h2, network, '10.1.0.4');
      await bed.serve(b, id, 80);
      await h1.plane.apply(network, membersOf([endpointOf(h2, b.address, 'web')], [web]));
      await h2.plane.apply(network, membersOf([endpointOf(h1, a.address)]));
      t.equal(await bed.ask(a, b.address, 80), `${id} ${a.address}`);
      t.equal(await bed.ask(a, vip, 80), `${id} ${a.address}`);
    }
  });

  await t.test('only peers are let in by the VXLAN port', async (t) => {
    const bed = await makeBed(3, 1);
    t.teardown(() => bed.remove());
    const [h1, h2, h3] = bed.hosts as Hosts;
    const network = networkOf('one', 1_048_577);
    const a = await bed.join(h1, network, '10.1.0.3');
    const stranger = await bed.join(h3, network, '10.1.0.5');
    const members = membersOf([endpointOf(h1, a.address), endpointOf(h3, stranger.address)]);
    for (const host of [h1, h3]) await host.plane.apply(network, members);
    const receiver = await bed.datagrams(a);
    const heard: string[] = [];
    receiver.on('message', (message) => heard.push(message.toString()));
    const sender = await bed.datagrams(stranger);
    const send = (text: string) =>
      new Promise((resolve) => sender.send(text, receiver.address().port, a.address, resolve));
    await send('as a stranger');
    await h1.plane.configure(configOf(h1, [h2.addr, h3.addr]));
    const message = once(receiver, 'message');
    await send('as a peer');
    await message;
    t.same(heard, ['as a peer']);
  });

  await t.test('a node with another data path address is reached there', async (t) => {
    const bed = await makeBed(2);
    t.teardown(() => bed.remove());
    const [h1, h2] = bed.hosts as Hosts;
    const network = networkOf('one', 1_048_577);
    const a = await bed.join(h1, network, '10.1.0.3');
    const b = await bed.join(h2, network, '10.1.0.4');
    await bed.serve(b, 'b', 80);
    await h1.plane.apply(network, membersOf([endpointOf(h1, a.address), endpointOf(h2, b.address)]));
    await h2.plane.apply(network, membersOf([endpointOf(h1, a.address), endpointOf(h2, b.address)]));
    const moved = { ...h2, addr: '192.0.2.77' };
    await bed.commands.batch(h2.path, 'ip', [`addr del ${h2.addr}/24 dev eth0`, `addr add ${moved.addr}/24 dev eth0`]);
    await h1.plane.configure(configOf(h1, [moved.addr]));
    await h1.plane.apply(network, membersOf([endpointOf(h1, a.address), endpointOf(moved, b.address)]));
    await h2.plane.configure(configOf(moved, [h1.addr]));
    await h2.plane.apply(network, membersOf([endpointOf(h1, a.address), endpointOf(moved, b.address)]));
    t.equal(await bed.ask(a, b.address, 80), `b ${a.address}`);
  });

  await t.test('what others have removed is there again with the next thing that is applied', async (t) => {
    const bed = await makeBed(2);
    t.teardown(() => bed.remove());
    const [h1, h2] = bed.hosts as Hosts;
    const network = networkOf('one', 1_048_577);
    const b = await bed.join(h2, network, '10.1.0.4');
    await bed.serve(b, 'b', 80);
    const members = membersOf([endpointOf(h1, '10.1.0.3'), endpointOf(h2, b.address, 'web')], [web]);
    await h2.plane.apply(network, members);
    await h1.plane.apply(network, membersOf([]));
    const path = h1.namespaces.pathOf(network.id);
    await bed.commands.run(path, ['ip', 'link', 'del', 'vx0']);
    await t.rejects(h1.plane.apply(network, members), { code: 'unavailable', message: /^bridge fdb replace / });
    await h1.plane.apply(network, members);
    const a = await bed.join(h1, network, '10.1.0.3');
    t.equal(await bed.ask(a, vip, 80), `b ${a.address}`);
    await bed.commands.batch(path, 'ip', ['link del vx0']);
    h1.namespaces.remove(network.id);
    await h1.plane.apply(network, members);
    const again = await bed.join(h1, network, '10.1.0.3');
    t.equal(await bed.ask(again, vip, 80), `b ${a.address}`);
  });

  await t.test('a port that is made again replaces what was left of it', async (t) => {
    const bed = await makeBed(1);
    t.teardown(() => bed.remove());
    const [h1] = bed.hosts as Hosts;
    const network = networkOf('one', 1_048_577);
    const port = { endpointId: 'f'.repeat(64), addresses: ['10.1.0.3'], macAddress: '02:42:0a:01:00:03' };
    const first = await h1.plane.plug(network, port);
    t.same(
      await h1
        .restart()
        .plug(network, port)
        .catch((error) => error.code),
      'failed-precondition',
      'not configured',
    );
    t.same(await h1.plane.plug(network, port), first);
    t.ok(first.interfaceName.length <= 15);
    await h1.plane.unplug(network.id, port.endpointId);
    await h1.plane.unplug(network.id, port.endpointId);
    t.notMatch(await bed.commands.run(h1.path, ['ip', 'link']), first.interfaceName);
  });

  await t.test('addresses of IPv6 subnets are reached, and virtual ones lead to tasks', async (t) => {
    const bed = await makeBed(2);
    t.teardown(() => bed.remove());
    const [h1, h2] = bed.hosts as Hosts;
    const plain = networkOf('one', 1_048_577);
    const network = { ...plain, subnets: [...plain.subnets, { subnet: 'fd01::/64', gateway: 'fd01::1' }] };
    const a = await bed.join(h1, network, '10.1.0.3', 'fd01::3');
    const b = await bed.join(h2, network, '10.1.0.4', 'fd01::4');
    const [a6, b6] = [a, b].map((container) => ({ ...container, address: container.port.addresses[1]! })) as [
      typeof a,
      typeof b,
    ];
    await bed.serve(b6, 'b', 80);
    const endpoint = (host: BedHost, { port }: typeof a, service: string) => ({
      ...endpointOf(host, port.addresses[0]!, service),
      addresses: [...port.addresses],
    });
    const service = serviceOf('web', vip, 'FD01:0::2');
    for (const host of bed.hosts) {
      await host.plane.apply(network, membersOf([endpoint(h1, a, ''), endpoint(h2, b, 'web')], [service]));
    }
    t.equal(await bed.ask(a6, b6.address, 80), `b ${a6.address}`);
    t.equal(await bed.ask(a6, 'fd01::2', 80), `b ${a6.address}`);
    t.same(
      await h1.plane.audit(network, membersOf([endpoint(h1, a, ''), endpoint(h2, b, 'web')], [service]), [a.port]),
      [],
    );
  });
});
