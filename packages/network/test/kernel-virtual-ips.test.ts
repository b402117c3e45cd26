import t from 'tap';
import {
  type Bed,
  type BedContainer,
  type BedHost,
  configOf,
  endpointOf,
  makeBed,
  membersOf,
  networkOf,
  serviceOf,
  unfit,
} from './kernel-bed.js';

const vip = '10.1.0.2';
const web = serviceOf('web', vip);
const network = networkOf('one', 1_048_577);

interface Teardown {
  teardown(remove: () => Promise<void>): void;
}

/** Two hosts with a task each, and a client on the first. */
async function twoTasks(test: Teardown): Promise<{
  bed: Bed;
  h1: BedHost;
  h2: BedHost;
  a: BedContainer;
  b: BedContainer;
  client: BedContainer;
  apply(...members: Parameters<typeof membersOf>): Promise<void>;
}> {
  const bed = await makeBed(2);
  test.teardown(() => bed.remove());
  const [h1, h2] = bed.hosts as [BedHost, BedHost];
  const a = await bed.join(h1, network, '10.1.0.3');
  const b = await bed.join(h2, network, '10.1.0.4');
  const client = await bed.join(h1, network, '10.1.0.5');
  await bed.serve(a, 'a', 80);
  await bed.serve(b, 'b', 80);
  const others = [endpointOf(h1, client.address)];
  const apply = async (endpoints: Parameters<typeof membersOf>[0], services = [web]) => {
    for (const host of bed.hosts) await host.plane.apply(network, membersOf([...endpoints, ...others], services));
  };
  return { bed, h1, h2, a, b, client, apply };
}

t.test('virtual IPs', { skip: unfit }, async (t) => {
  await t.test('lead to tasks of all hosts and keep the address of who calls', async (t) => {
    const { bed, h1, h2, a, b, client, apply } = await twoTasks(t);
    await apply([endpointOf(h1, a.address, 'web'), endpointOf(h2, b.address, 'web')]);
    const seen = new Set<string>();
    const overUdp = new Set<string>();
    for (let call = 0; call < 200 && (seen.size < 2 || overUdp.size < 2); call++) {
      seen.add(await bed.ask(client, vip, 80));
      overUdp.add(await bed.askUdp(await bed.datagrams(client), vip, 80));
    }
    t.same([...seen].sort(), [`a ${client.address}`, `b ${client.address}`]);
    t.same([...overUdp].sort(), [...seen].sort());
  });

  await t.test('lead a task to itself', async (t) => {
    const { bed, h1, a, apply } = await twoTasks(t);
    await apply([endpointOf(h1, a.address, 'web')]);
    t.equal(await bed.ask(a, vip, 80), 'a 10.1.0.1');
    t.equal(await bed.askUdp(await bed.datagrams(a), vip, 80), 'a 10.1.0.1');
  });

  await t.test('without backends refuse at once, and lead to the first that comes', async (t) => {
    const { bed, h1, a, client, apply } = await twoTasks(t);
    await apply([endpointOf(h1, a.address, 'web', 'reserved')]);
    const refused = (promise: Promise<unknown>) => promise.then(String, (error) => error.code);
    t.equal(await refused(bed.ask(client, vip, 80)), 'ECONNREFUSED');
    const socket = await bed.datagrams(client);
    await new Promise<void>((resolve) => socket.connect(80, vip, resolve));
    const failed = new Promise<NodeJS.ErrnoException>((resolve) => socket.once('error', resolve));
    socket.send('?');
    t.equal((await failed).code, 'ECONNREFUSED');
    await apply([endpointOf(h1, a.address, 'web')]);
    t.equal(await bed.ask(client, vip, 80), `a ${client.address}`);
    const answer = new Promise((resolve) => socket.once('message', (message) => resolve(message.toString())));
    socket.send('?');
    t.equal(await answer, `a ${client.address}`);
  });

  await t.test('do not refuse questions for names that nobody answers at the moment', async (t) => {
    const { bed, h1, a, client, apply } = await twoTasks(t);
    await apply([endpointOf(h1, a.address, 'web', 'reserved')]);
    const refused: string[] = [];
    const asking = async (address: string, port: number): Promise<void> => {
      const socket = await bed.datagrams(client);
      await new Promise<void>((resolve) => socket.connect(port, address, resolve));
      const failed = new Promise<void>((resolve) => {
        socket.on('error', () => {
          refused.push(`${address}:${port}`);
          resolve();
        });
      });
      socket.send('?');
      // What is refused comes later than a refusal of the first two would have.
      if (port === 54 || address === vip) await failed;
    };
    for (const port of [53, 5311, 54]) await asking('10.1.0.1', port);
    await asking(vip, 53);
    t.same(refused, ['10.1.0.1:54', `${vip}:53`], 'but a virtual IP without backends does');
  });

  await t.test('let go of attempts that hang at a backend that left', async (t) => {
    const { bed, h1, h2, a, client, apply } = await twoTasks(t);
    // On the other host, but nobody has its address there.
    const dead = '10.1.0.99';
    await apply([endpointOf(h2, dead, 'web')]);
    const call = bed.ask(client, vip, 80);
    const socket = await bed.datagrams(client);
    const answer = bed.askUdp(socket, vip, 80);
    const path = h1.namespaces.pathOf(network.id);
    const pinned = async () => {
      const listing = await bed.commands.run(path, ['conntrack', '-L', '--dst-nat', dead]);
      return listing.includes('SYN_SENT') && listing.includes('udp');
    };
    while (!(await pinned()));
    await apply([endpointOf(h2, dead, 'web', 'draining'), endpointOf(h1, a.address, 'web')]);
    t.equal(await call, `a ${client.address}`);
    t.equal(await answer, `a ${client.address}`);
  });

  await t.test('keep connections to tasks that are to stop', async (t) => {
    const { bed, h1, h2, a, b, client, apply } = await twoTasks(t);
    await apply([endpointOf(h2, b.address, 'web')]);
    const connection = await bed.connect(client, vip, 80);
    await apply([endpointOf(h2, b.address, 'web', 'draining'), endpointOf(h1, a.address, 'web')]);
    await connection.echo('still there');
    t.equal(connection.greeting, `b ${client.address}`);
    t.equal(await bed.ask(client, vip, 80), `a ${client.address}`);
    await apply([endpointOf(h2, b.address, 'web', 'draining')], []);
    await connection.echo('even without its service');
    connection.close();
  });

  await t.test(
    'lose nothing while the same is applied again, backends come and go, and the plane starts anew',
    async (t) => {
      const { bed, h1, h2, a, b, client, apply } = await twoTasks(t);
      const both = [endpointOf(h1, a.address, 'web'), endpointOf(h2, b.address, 'web')];
      await apply(both);
      const connection = await bed.connect(client, vip, 80);
      let going = true;
      let calls = 0;
      const traffic = (async () => {
        for (; going; calls++) {
          await bed.ask(client, vip, 80);
          await connection.echo(`line ${calls}`);
        }
      })();
      const members = membersOf([...both, endpointOf(h1, client.address)], [web]);
      for (let round = 0; round < 5; round++) {
        const plane = h1.restart();
        await plane.configure(configOf(h1, [h2.addr]));
        await plane.ensure(network);
        await plane.apply(network, members);
        t.same(await plane.audit(network, members, [a.port, client.port]), []);
        await plane.apply(network, membersOf([...members.endpoints.values()].slice(1), [web]));
        await plane.apply(network, members);
      }
      going = false;
      await traffic;
      connection.close();
      t.ok(calls > 0, `${calls} calls`);
    },
  );
});
