import { closeSync } from 'node:fs';
import t from 'tap';
import { HOST_LINK, TABLE } from '../src/mesh/node-rules.js';
import { askUdp, dualIngress, ingress, makeMeshBed, membersOf, publishing, six, taskOf, unfit } from './mesh-bed.js';

t.setTimeout(120_000);

t.test('mesh of IPv6', { skip: unfit }, async (t) => {
  const bed = await makeMeshBed(3, dualIngress);
  t.teardown(() => bed.remove());
  const [h1, h2, h3] = bed.hosts as [(typeof bed.hosts)[0], (typeof bed.hosts)[0], (typeof bed.hosts)[0]];
  const far = await bed.container(h3, '10.0.0.7', 'far', 'fd00:ff::107');
  const web = publishing('web', [8080, 80], [5353, 53, 'udp']);
  const client = '2001:db8::100';
  const lacking =
    'published ports do not answer by IPv6 on this node, as this host does not forward it: run `sysctl -w net.ipv6.conf.all.forwarding=1`';

  t.test('a host that does not forward says so, and answers by IPv4', async (t) => {
    await bed.tell(membersOf(taskOf(far, 'web')), [web]);
    t.same(h1.mesh.problems(), [lacking]);
    t.equal(await bed.ask(bed.client, h1.addr, 8080), 'far 192.0.2.100');
    await t.rejects(bed.connect(bed.client, six(h1.addr), 8080), { code: 'ECONNREFUSED' });
    for (const host of bed.hosts) {
      await bed.commands.run(host.path, ['sysctl', '-qw', 'net.ipv6.conf.all.forwarding=1']);
      await host.mesh.check();
      t.same(host.mesh.problems(), []);
    }
  });

  t.test('every node leads to the only backend, which sees the client itself', async (t) => {
    await bed.tell(membersOf(taskOf(far, 'web')), [web]);
    const socket = bed.datagrams(bed.client, '::');
    const socket4 = bed.datagrams(bed.client);
    for (const host of bed.hosts) {
      t.equal(await bed.ask(bed.client, six(host.addr), 8080), `far ${client}`, `TCP by ${six(host.addr)}`);
      t.equal(await bed.ask(bed.client, host.addr, 8080), 'far 192.0.2.100', `TCP by ${host.addr}`);
      t.equal(await askUdp(socket, six(host.addr), 5353), `far ${client} ?`, `UDP by ${six(host.addr)}`);
      const long = 'x'.repeat(4000);
      t.equal(await askUdp(socket, six(host.addr), 5353, long), `far ${client} ${long}`, 'in fragments');
      t.equal(await askUdp(socket4, host.addr, 5353), 'far 192.0.2.100 ?', `UDP by ${host.addr}`);
    }
    t.same(
      bed.hosts.map((host) => host.mesh.problems()),
      [[], [], []],
    );
  });

  t.test('the same port of a client by three nodes at once gives three connections', async (t) => {
    const open = [];
    for (const host of bed.hosts) open.push(await bed.connect(bed.client, six(host.addr), 8080, 40_001));
    for (const connection of [...open, ...open]) await connection.echo('x'.repeat(100_000));
    for (const connection of open) t.equal(connection.greeting, `far ${client}`);
    for (const connection of open) connection.close();
  });

  t.test('a node reaches what is published at every address of its own, and is refused at ::1', async (t) => {
    for (const host of [h1, h3]) {
      await t.rejects(bed.connect(host.path, '::1', 8080), { code: 'ECONNREFUSED' });
      t.equal(await bed.ask(host.path, six(host.addr), 8080), `far ${six(host.addr)}`);
      t.equal(await bed.ask(host.path, six(h2.addr), 8080), `far ${six(host.addr)}`);
      t.equal(await askUdp(bed.datagrams(host.path, '::'), six(h2.addr), 5353), `far ${six(host.addr)} ?`);
    }
  });

  t.test('no backend: refused at once, by TCP and UDP', async (t) => {
    await bed.tell(membersOf(taskOf(far, 'web', 'reserved')), [web]);
    for (const [path, address] of [
      [bed.client, six(h1.addr)],
      [h1.path, '::1'],
    ] as const) {
      await t.rejects(bed.connect(path, address, 8080), { code: 'ECONNREFUSED' }, address);
      const socket = bed.datagrams(path, '::');
      const refused = new Promise((resolve) => socket.once('error', resolve));
      socket.connect(5353, address, () => socket.send('?'));
      t.match(await refused, { code: 'ECONNREFUSED' }, address);
    }
    await bed.tell(membersOf(taskOf(far, 'web')), [web]);
    t.equal(await bed.ask(bed.client, six(h1.addr), 8080), `far ${client}`, 'and led as soon as there is one');
  });

  t.test('a port with an address is published on that address only', async (t) => {
    const bound = publishing('web', [8082, 80, 'tcp', six(h1.addr)], [8083, 80, 'tcp', '::']);
    await bed.tell(membersOf(taskOf(far, 'web')), [bound]);
    t.equal(await bed.ask(bed.client, six(h1.addr), 8082), `far ${client}`);
    t.equal(await bed.ask(bed.client, six(h1.addr), 8083), `far ${client}`);
    await t.rejects(bed.connect(bed.client, six(h2.addr), 8082), { code: 'ECONNREFUSED' });
    await t.rejects(bed.connect(bed.client, h1.addr, 8083), { code: 'ECONNREFUSED' });
    await bed.tell(membersOf(taskOf(far, 'web')), [web]);
  });

  t.test('who has a port of IPv6 keeps it, and the mesh has that of IPv4', async (t) => {
    await bed.tell(membersOf(taskOf(far, 'web')), []);
    const program = bed.namespaces.listen(h1.path, 'tcp', '::', 8080);
    await bed.tell(membersOf(taskOf(far, 'web')), [web]);
    t.match(h1.mesh.problems(), [/^port \[::\]:8080\/tcp is not published on this node: .+ uses it$/]);
    t.equal(await bed.ask(bed.client, h1.addr, 8080), 'far 192.0.2.100');
    closeSync(program);
    await h1.mesh.check();
    t.same(h1.mesh.problems(), []);
    t.equal(await bed.ask(bed.client, six(h1.addr), 8080), `far ${client}`);
  });

  t.test('the ingress network cannot open anything on a host, nor show it a router', async (t) => {
    const heard: string[] = [];
    const local = bed.datagrams(h1.path, six(h1.addr), 7778);
    local.on('message', (message) => heard.push(message.toString()));
    await bed.commands.batch(far.path, 'ip', [
      `route add ${six(h1.addr)}/128 dev eth0`,
      `neigh replace ${six(h1.addr)} lladdr 0a:53:c0:00:02:01 dev eth0 nud permanent`,
    ]);
    const socket = bed.datagrams(far.path, '::');
    await new Promise((sent) => socket.send('by the mesh', 7778, six(h1.addr), sent));
    await bed.commands.batch(far.path, 'ip', [`route del ${six(h1.addr)}/128 dev eth0`]);
    await new Promise<void>((done) => {
      local.once('message', () => done());
      bed.datagrams(bed.client, '::').send('from outside', 7778, six(h1.addr));
    });
    t.same(heard, ['from outside']);
    t.equal((await bed.commands.run(h1.path, ['ip', '-6', '-o', 'addr', 'show', 'dev', HOST_LINK])).trim(), '');
  });

  t.test('a container whose default route of IPv6 leads elsewhere answers all the same', async (t) => {
    const other = await bed.container(h2, '10.0.0.8', 'other', 'fd00:ff::108');
    await bed.commands.batch(other.path, 'ip', [
      'addr add fd00:18::2/64 dev eth1 nodad',
      'route add default via fd00:18::1 dev eth1',
    ]);
    await h2.mesh.joined(other.path, dualIngress, other.port);
    await bed.tell(membersOf(taskOf(other, 'web')), [web]);
    const socket = bed.datagrams(bed.client, '::');
    for (const host of bed.hosts) {
      t.equal(await bed.ask(bed.client, six(host.addr), 8080), `other ${client}`);
      t.equal(await askUdp(socket, six(host.addr), 5353), `other ${client} ?`);
    }
  });

  t.test('a container can tell at once that there is no way out by IPv6', async (t) => {
    await t.rejects(bed.connect(far.path, '2001:db8:1::1', 80), { code: 'ENETUNREACH' });
  });

  t.test('rules that somebody flushed are made again; the plane finds nothing to mend', async (t) => {
    const members = membersOf(taskOf(far, 'web'));
    await bed.tell(members, [web]);
    await bed.commands.run(h1.path, ['nft', 'delete', 'table', 'ip6', TABLE]);
    await h1.mesh.check();
    t.equal(await bed.ask(bed.client, six(h1.addr), 8080), `far ${client}`);
    t.same(await h3.plane.audit(dualIngress, members, [far.port]), []);
  });

  t.test('nothing is left after a reset', async (t) => {
    for (const host of bed.hosts) {
      await host.mesh.reset();
      t.notMatch(await bed.commands.run(host.path, ['nft', 'list', 'tables']), TABLE);
      t.notMatch(await bed.commands.run(host.path, ['ip', '-6', 'route']), 'fd00:ff::');
    }
  });
});

t.test('mesh between hosts that speak IPv6 to each other', { skip: unfit }, async (t) => {
  for (const network of [ingress, dualIngress]) {
    const bed = await makeMeshBed(2, { ...network, mtu: 1430 }, 6);
    t.teardown(() => bed.remove());
    const [h1, h2] = bed.hosts as [(typeof bed.hosts)[0], (typeof bed.hosts)[0]];
    const far = await bed.container(h2, '10.0.0.7', 'far', network === ingress ? undefined : 'fd00:ff::107');
    for (const host of bed.hosts)
      await bed.commands.run(host.path, ['sysctl', '-qw', 'net.ipv6.conf.all.forwarding=1']);
    await bed.tell(membersOf(taskOf(far, 'web')), [publishing('web', [8080, 80])]);
    t.equal(h1.addr, '2001:db8::1');
    const connection = await bed.connect(bed.client, '192.0.2.1', 8080);
    t.equal(connection.greeting, 'far 192.0.2.100');
    await connection.echo('x'.repeat(100_000));
    connection.close();
    t.equal(await bed.ask(h1.path, '127.0.0.1', 8080), 'far 192.0.2.1');
    if (network === ingress) continue;
    t.equal(await bed.ask(bed.client, h1.addr, 8080), 'far 2001:db8::100');
    t.equal(await bed.ask(h1.path, h1.addr, 8080), 'far 2001:db8::1');
  }
});
