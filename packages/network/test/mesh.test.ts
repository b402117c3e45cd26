import t from 'tap';
import { askUdp, ingress, makeMeshBed, membersOf, publishing, taskOf, unfit } from './mesh-bed.js';

t.test('mesh', { skip: unfit }, async (t) => {
  const bed = await makeMeshBed(3);
  t.teardown(() => bed.remove());
  const [h1, h2, h3] = bed.hosts as [(typeof bed.hosts)[0], (typeof bed.hosts)[0], (typeof bed.hosts)[0]];
  const far = await bed.container(h3, '10.0.0.7', 'far');
  const web = publishing('web', [8080, 80], [5353, 53, 'udp']);
  const client = '192.0.2.100';

  t.test('every node leads to the only backend, which sees the client itself', async (t) => {
    await bed.tell(membersOf(taskOf(far, 'web')), [web]);
    const socket = bed.datagrams(bed.client);
    for (const { addr } of bed.hosts) {
      t.equal(await bed.ask(bed.client, addr, 8080), `far ${client}`, `TCP by ${addr}`);
      t.equal(await askUdp(socket, addr, 5353), `far ${client} ?`, `UDP by ${addr}`);
      t.equal(await askUdp(socket, addr, 5353, 'x'.repeat(4000)), `far ${client} ${'x'.repeat(4000)}`, 'in fragments');
    }
    t.same(
      bed.hosts.map((host) => host.mesh.problems()),
      [[], [], []],
    );
  });

  t.test('the same port of a client by three nodes at once gives three connections', async (t) => {
    await bed.tell(membersOf(taskOf(far, 'web')), [web]);
    const open = [];
    for (const { addr } of bed.hosts) open.push(await bed.connect(bed.client, addr, 8080, 40_001));
    for (const connection of [...open, ...open]) await connection.echo('x'.repeat(100_000));
    for (const connection of open) t.equal(connection.greeting, `far ${client}`);
    for (const connection of open) connection.close();
    const socket = bed.datagrams(bed.client);
    for (const { addr } of [...bed.hosts, ...bed.hosts])
      t.equal(await askUdp(socket, addr, 5353, addr), `far ${client} ${addr}`, `UDP by ${addr}`);
  });

  t.test('a node reaches what is published at 127.0.0.1 and at every address of its own', async (t) => {
    await bed.tell(membersOf(taskOf(far, 'web')), [web]);
    for (const host of [h1, h3]) {
      t.equal(await bed.ask(host.path, '127.0.0.1', 8080), `far ${host.addr}`);
      t.equal(await bed.ask(host.path, host.addr, 8080), `far ${host.addr}`);
      t.equal(await bed.ask(host.path, h2.addr, 8080), `far ${host.addr}`);
      t.equal(await askUdp(bed.datagrams(host.path), '127.0.0.1', 5353), `far ${host.addr} ?`);
    }
    t.equal(await bed.ask(far.path, h1.addr, 8080), `far ${h3.addr}`, 'a container, by another node to itself');
    t.equal(await bed.ask(far.path, '172.18.0.1', 8080), `far ${h3.addr}`, 'by the gateway of its host');
  });

  t.test('no backend: refused at once, by TCP and UDP', async (t) => {
    await bed.tell(membersOf(taskOf(far, 'web', 'reserved')), [web]);
    for (const [path, address] of [
      [bed.client, h1.addr],
      [h1.path, '127.0.0.1'],
    ] as const) {
      await t.rejects(bed.connect(path, address, 8080), { code: 'ECONNREFUSED' }, address);
      const socket = bed.datagrams(path);
      const refused = new Promise((resolve) => socket.once('error', resolve));
      socket.connect(5353, address, () => socket.send('?'));
      t.match(await refused, { code: 'ECONNREFUSED' }, address);
    }
    await bed.tell(membersOf(taskOf(far, 'web')), [web]);
    t.equal(await bed.ask(bed.client, h1.addr, 8080), `far ${client}`, 'and led as soon as there is one');
  });

  t.test('a port with an address is published on that address only', async (t) => {
    const here = publishing('web', [8081, 80, 'tcp', '127.0.0.1'], [8082, 80, 'tcp', h1.addr]);
    await bed.tell(membersOf(taskOf(far, 'web')), [here]);
    t.equal(await bed.ask(h1.path, '127.0.0.1', 8081), `far ${h1.addr}`);
    t.equal(await bed.ask(bed.client, h1.addr, 8082), `far ${client}`);
    await t.rejects(bed.connect(bed.client, h1.addr, 8081), { code: 'ECONNREFUSED' });
    await t.rejects(bed.connect(h1.path, '127.0.0.1', 8082), { code: 'ECONNREFUSED' });
    await t.rejects(bed.connect(bed.client, h2.addr, 8082), { code: 'ECONNREFUSED' });
    t.same(
      bed.hosts.map((host) => host.mesh.problems()),
      [[], [], []],
    );
  });

  t.test('nothing from outside comes in as 127.0.0.1', async (t) => {
    await bed.tell(membersOf(taskOf(far, 'web')), [web]);
    far.seen.length = 0;
    const heard: string[] = [];
    const local = bed.datagrams(h1.path, '127.0.0.1', 7777);
    local.on('message', (message) => heard.push(message.toString()));
    for (const [path, link, mac] of [
      [bed.client, 'eth0', undefined],
      [far.path, 'eth0', '0a:53:c0:00:02:01'],
    ] as const) {
      await bed.commands.run(path, ['sysctl', '-qw', `net.ipv4.conf.${link}.route_localnet=1`]);
      await bed.commands.batch(path, 'ip', [
        'addr del 127.0.0.1/8 dev lo',
        `route add 127.0.0.0/8 ${mac === undefined ? `via ${h1.addr} ` : ''}dev ${link} src ${path === far.path ? far.address : client}`,
        ...(mac === undefined ? [] : [`neigh replace 127.0.0.1 lladdr ${mac} dev ${link} nud permanent`]),
      ]);
      const socket = bed.datagrams(path);
      for (const port of [5353, 7777])
        await new Promise((sent) => socket.send('from outside', port, '127.0.0.1', sent));
    }
    t.equal(await askUdp(bed.datagrams(bed.client), h1.addr, 5353, 'last'), `far ${client} last`);
    const control = bed.datagrams(h1.path);
    await new Promise<void>((done) => {
      local.once('message', () => done());
      control.send('last', 7777, '127.0.0.1');
    });
    t.same(heard, ['last']);
    t.equal(new Set(far.seen).size, 1, 'what was sent to a published port at 127.0.0.1 has not come through');
  });

  t.test('the ingress network cannot open anything on a host', async (t) => {
    const heard: string[] = [];
    const local = bed.datagrams(h1.path, h1.addr, 7778);
    local.on('message', (message) => heard.push(message.toString()));
    await bed.commands.batch(far.path, 'ip', [
      'route add 192.0.2.1/32 dev eth0',
      'neigh replace 192.0.2.1 lladdr 0a:53:c0:00:02:01 dev eth0 nud permanent',
    ]);
    const socket = bed.datagrams(far.path);
    await new Promise((sent) => socket.send('by the mesh', 7778, h1.addr, sent));
    await bed.commands.batch(far.path, 'ip', ['route del 192.0.2.1/32 dev eth0']);
    await new Promise<void>((done) => {
      local.once('message', () => done());
      socket.send('by the way out', 7778, h1.addr);
    });
    t.same(heard, ['by the way out']);
  });

  t.test('a connection goes on while its backend drains, and new ones go to others: none of 500 is lost', async (t) => {
    const near = await bed.container(h1, '10.0.0.5', 'near');
    const both = (phase: 'ready' | 'draining') => membersOf(taskOf(near, 'web'), taskOf(far, 'web', phase));
    await bed.tell(membersOf(taskOf(far, 'web')), [web]);
    const kept = await bed.connect(bed.client, h2.addr, 8080);
    const socket = bed.datagrams(bed.client);
    t.match(await askUdp(socket, h2.addr, 5353), 'far ');
    await bed.tell(both('ready'), [web]);
    const names: string[] = [];
    let change: Promise<void> | undefined;
    let changed = -1;
    for (let count = 0; count < 500; count++) {
      if (count === 200)
        change = bed.tell(both('draining'), [web]).then(() => {
          changed = names.length;
        });
      names.push((await bed.ask(bed.client, bed.hosts[count % 3]!.addr, 8080)).split(' ')[0]!);
    }
    await change;
    t.same(new Set(names.slice(0, 200)), new Set(['near', 'far']));
    t.not(changed, -1);
    t.same(new Set(names.slice(changed + 1)), new Set(['near']));
    await kept.echo('still here');
    t.equal(await askUdp(socket, h2.addr, 5353, '1'), `near ${client} 1`, 'a UDP flow goes to another');
    kept.close();
  });

  t.test('who waits for a backend that is none any more is led to another', async (t) => {
    const ghost = { ...taskOf(far, 'web'), id: 'ghost', addresses: ['10.0.0.66'] };
    await bed.tell(membersOf(ghost), [web]);
    const waiting = bed.ask(bed.client, h1.addr, 8080);
    const socket = bed.datagrams(bed.client);
    await new Promise((sent) => socket.send('?', 5353, h1.addr, sent));
    await bed.tell(membersOf({ ...ghost, phase: 'draining' }, taskOf(far, 'web')), [web]);
    t.equal(await waiting, `far ${client}`);
    t.equal(await askUdp(socket, h1.addr, 5353), `far ${client} ?`);
  });

  t.test('a container that passes for a node is not heard', async (t) => {
    const liar = await bed.container(h2, '10.0.0.8', 'liar');
    await bed.tell(membersOf(taskOf(far, 'web'), { ...taskOf(liar, ''), id: 'liar' }), [web]);
    const said = (text: string) =>
      new Promise((sent) => bed.datagrams(liar.path, liar.address).send(text, 53, far.address, sent));
    far.seen.length = 0;
    await bed.commands.batch(liar.path, 'ip', [
      'link set eth0 address 0a:53:c0:00:02:01',
      // Nobody would answer it.
      `neigh replace ${far.address} lladdr ${far.port.macAddress} dev eth0 nud permanent`,
    ]);
    await said('a lie');
    await bed.commands.run(liar.path, ['ip', 'link', 'set', 'eth0', 'address', liar.port.macAddress]);
    t.match(await askUdp(bed.datagrams(liar.path, liar.address), far.address, 53, 'true'), 'far 10.0.0.8 true');
    t.equal(new Set(far.seen).size, 1);
  });

  t.test('the plane finds nothing to mend, and joining again changes nothing', async (t) => {
    const members = membersOf(taskOf(far, 'web'));
    await bed.tell(members, [web]);
    const rules = await bed.commands.run(far.path, ['ip', 'rule']);
    await h3.mesh.joined(far.path, ingress, far.port);
    t.equal(await bed.commands.run(far.path, ['ip', 'rule']), rules);
    for (const host of bed.hosts) t.same(await host.plane.audit(ingress, members, []), []);
    t.equal(await bed.ask(bed.client, h1.addr, 8080), `far ${client}`);
    await t.rejects(h1.mesh.joined(h1.path, ingress, far.port), { code: 'not-found' });
  });
});
