import t from 'tap';
import { endpointOf, makeBed, membersOf, networkOf, serviceOf, unfit } from './kernel-bed.js';

const vip = '10.1.0.2';

t.test('kernel › two hosts', { skip: unfit }, async (t) => {
  const bed = await makeBed(2);
  t.teardown(() => bed.remove());
  const [h1, h2] = bed.hosts as [(typeof bed.hosts)[0], (typeof bed.hosts)[0]];
  const network = networkOf('one', 1_048_577);
  const a = await bed.join(h1, network, '10.1.0.3');
  const b = await bed.join(h2, network, '10.1.0.4');
  await bed.serve(a, 'a', 80);
  await bed.serve(b, 'b', 80);
  const both = [endpointOf(h1, a.address, 'web'), endpointOf(h2, b.address, 'web')];
  const web = serviceOf('web', vip);
  const apply = async (...members: Parameters<typeof membersOf>) => {
    for (const host of bed.hosts) await host.plane.apply(network, membersOf(...members));
  };
  await apply(both, [web]);

  await t.test('tasks reach each other by address over TCP and UDP', async (t) => {
    t.equal(await bed.ask(a, b.address, 80), `b ${a.address}`);
    t.equal(await bed.ask(b, a.address, 80), `a ${b.address}`);
    t.equal(await bed.askUdp(await bed.datagrams(a), b.address, 80), `b ${a.address}`);
  });

  await t.test('a virtual IP leads to tasks of both hosts and keeps the address of who calls', async (t) => {
    const client = await bed.join(h1, network, '10.1.0.5');
    await apply([...both, endpointOf(h1, client.address)], [web]);
    const seen = new Set<string>();
    for (let call = 0; call < 200 && seen.size < 2; call++) seen.add(await bed.ask(client, vip, 80));
    t.same([...seen].sort(), [`a ${client.address}`, `b ${client.address}`]);
    const overUdp = new Set<string>();
    for (let call = 0; call < 200 && overUdp.size < 2; call++) {
      overUdp.add(await bed.askUdp(await bed.datagrams(client), vip, 80));
    }
    t.same([...overUdp].sort(), [`a ${client.address}`, `b ${client.address}`]);
  });

  await t.test('a task reaches itself by its virtual IP', async (t) => {
    await apply([both[0]!], [web]);
    t.equal(await bed.ask(a, vip, 80), 'a 10.1.0.1');
  });
});
