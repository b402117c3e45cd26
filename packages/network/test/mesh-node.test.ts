import { closeSync } from 'node:fs';
import t from 'tap';
import { HOST_LINK, TABLE } from '../src/mesh/node-rules.js';
import {
  askUdp,
  ingress,
  type MeshHost,
  makeMeshBed,
  membersOf,
  patienceMs,
  publishing,
  taskOf,
  unfit,
} from './mesh-bed.js';

t.test('mesh on a node', { skip: unfit }, async (t) => {
  const bed = await makeMeshBed(2);
  t.teardown(() => bed.remove());
  const [h1, h2] = bed.hosts as [MeshHost, MeshHost];
  const far = await bed.container(h2, '10.0.0.7', 'far');
  const members = membersOf(taskOf(far, 'web'));
  const web = publishing('web', [8080, 80], [5353, 53, 'udp']);
  const client = '192.0.2.100';
  /** Asks until it is answered: for what heals by itself. */
  const eventually = async (address: string): Promise<string> => {
    const deadline = performance.now() + patienceMs;
    for (;;) {
      try {
        return await bed.ask(bed.client, address, 8080);
      } catch (error) {
        if (performance.now() > deadline) throw error;
      }
    }
  };

  t.test('a port that a program has is left to it, and taken when it is free', async (t) => {
    const program = bed.namespaces.listen(h1.path, 'tcp', '127.0.0.1', 8080);
    const udp = bed.namespaces.listen(h1.path, 'udp', h1.addr, 5353);
    await bed.tell(members, [web]);
    t.equal(h1.mesh.problems().length, 2);
    for (const problem of h1.mesh.problems())
      t.match(
        problem,
        new RegExp(`^port (8080/tcp|5353/udp) is not published on this node: .+ \\(pid ${process.pid}\\) uses it$`),
      );
    await t.rejects(bed.connect(bed.client, h1.addr, 8080), { code: 'ECONNREFUSED' });
    t.equal(await bed.ask(bed.client, h2.addr, 8080), `far ${client}`, 'other nodes publish it');
    closeSync(program);
    closeSync(udp);
    await h1.mesh.check();
    t.same(h1.mesh.problems(), []);
    t.equal(await bed.ask(bed.client, h1.addr, 8080), `far ${client}`);
    t.equal(await askUdp(bed.datagrams(bed.client), h1.addr, 5353), `far ${client} ?`);
  });

  t.test('a program notices that a port is published, until it is not', async (t) => {
    await bed.tell(members, [web]);
    t.throws(() => bed.namespaces.listen(h1.path, 'tcp', '0.0.0.0', 8080), { code: 'in-use' });
    t.throws(() => bed.namespaces.listen(h1.path, 'udp', '0.0.0.0', 5353), { code: 'in-use' });
    await bed.tell(members, []);
    closeSync(bed.namespaces.listen(h1.path, 'tcp', '0.0.0.0', 8080));
    closeSync(bed.namespaces.listen(h1.path, 'udp', '0.0.0.0', 5353));
    await t.rejects(bed.connect(bed.client, h1.addr, 8080), { code: 'ECONNREFUSED' });
  });

  t.test('a port of all addresses and the same one of one address do not go together', async (t) => {
    await bed.tell(members, [publishing('web', [8080, 80], [8080, 80, 'tcp', h1.addr])]);
    t.same(h1.mesh.problems(), ['port 192.0.2.1:8080/tcp is not published on this node: 8080/tcp is published, too']);
    t.same(h2.mesh.problems(), []);
    t.equal(await bed.ask(bed.client, h1.addr, 8080), `far ${client}`);
  });

  t.test('what cannot be done is a problem, and is done at the next look', async (t) => {
    await bed.tell(members, [web]);
    await h1.plane.remove(ingress.id);
    await t.rejects(h1.mesh.check());
    t.match(h1.mesh.problems(), [/^published ports may not work on this node: /]);
    await h1.plane.ensure(ingress);
    await h1.plane.apply(ingress, members);
    await h1.mesh.check();
    t.same(h1.mesh.problems(), []);
    t.equal(await bed.ask(bed.client, h1.addr, 8080), `far ${client}`);
  });

  t.test("the cluster's own ports and those of sshd are refused with a reason", async (t) => {
    await bed.tell(members, [
      publishing('web', [2377, 80], [7946, 80], [4789, 53, 'udp'], [22, 80], [2222, 80], [8080, 80]),
    ]);
    t.same(h1.mesh.problems(), [
      'port 2377/tcp is not published: managers and agents talk there',
      "port 7946/tcp is not published: it belongs to Docker's own cluster networks",
      'port 4789/udp is not published: networks between nodes run there',
      'port 22/tcp is not published: sshd listens there, and nobody could log in any more',
      'port 2222/tcp is not published: sshd listens there, and nobody could log in any more',
    ]);
    await t.rejects(bed.connect(bed.client, h1.addr, 22), { code: 'ECONNREFUSED' });
    t.equal(await bed.ask(bed.client, h1.addr, 8080), `far ${client}`);
  });

  t.test('rules that somebody flushed are made again at once', async (t) => {
    await bed.tell(members, [web]);
    await bed.commands.run(h1.path, ['nft', 'flush', 'ruleset']);
    t.equal(await eventually(h1.addr), `far ${client}`);
    await bed.commands.run(h2.path, ['nft', 'flush', 'table', 'ip', TABLE]);
    await h2.mesh.check();
    t.equal(await bed.ask(bed.client, h2.addr, 8080), `far ${client}`, 'an emptied table at the next look');
  });

  t.test('another process takes over without ending a connection', async (t) => {
    await bed.tell(members, [web]);
    const kept = await bed.connect(bed.client, h1.addr, 8080);
    for (const host of bed.hosts) {
      await host.mesh.close();
      host.mesh = host.another();
      const peers = bed.hosts.map(({ addr }) => addr).filter((addr) => addr !== host.addr);
      await host.mesh.configure({
        nodeId: 'n',
        clusterId: 'c',
        addr: host.addr,
        port: 4789,
        peers: ['192.0.2.50', ...peers],
      });
    }
    await bed.tell(members, [web]);
    await kept.echo('still here');
    kept.close();
    t.equal(await bed.ask(bed.client, h1.addr, 8080), `far ${client}`);
  });

  t.test("a port in mode host answers by the container's other interface", async (t) => {
    await bed.tell(members, [web]);
    await bed.commands.nft(h2.path, [
      'table ip engine {',
      'chain prerouting {',
      'type nat hook prerouting priority dstnat;',
      'fib daddr type local tcp dport 9000 dnat to 172.18.0.2:80',
      'fib daddr type local udp dport 9053 dnat to 172.18.0.2:53',
      '}',
      '}',
    ]);
    t.equal(await bed.ask(bed.client, h2.addr, 9000), `far ${client}`);
    t.equal(await askUdp(bed.datagrams(bed.client), h2.addr, 9053), `far ${client} ?`);
    t.equal(await bed.ask(bed.client, h2.addr, 8080), `far ${client}`, 'beside the published one');
  });

  t.test('five thousand nodes and a thousand published ports', async (t) => {
    const peers = Array.from({ length: 4999 }, (_, index) => `198.18.${index >> 8}.${index & 255}`);
    for (const host of bed.hosts) {
      const others = bed.hosts.map(({ addr }) => addr).filter((addr) => addr !== host.addr);
      await host.mesh.configure({
        nodeId: 'n',
        clusterId: 'c',
        addr: host.addr,
        port: 4789,
        peers: [...others, ...peers],
      });
    }
    const services = Array.from({ length: 1000 }, (_, index) => publishing('web', [20_000 + index, 80]));
    await bed.tell(members, [web, ...services]);
    t.equal(await bed.ask(bed.client, h1.addr, 8080), `far ${client}`);
    t.equal(await bed.ask(bed.client, h1.addr, 20_999), `far ${client}`);
    await bed.tell(members, [web, ...services.slice(1)]);
    await t.rejects(bed.connect(bed.client, h1.addr, 20_000), { code: 'ECONNREFUSED' });
    t.equal(await bed.ask(bed.client, h1.addr, 20_001), `far ${client}`);
    for (const host of bed.hosts) {
      const others = bed.hosts.map(({ addr }) => addr).filter((addr) => addr !== host.addr);
      const inside = host.pathOf(ingress.id);
      const nodes = async () => {
        const maps = ['ip zones', 'ip marks', 'bridge nodes'].map((name) => name.split(' ') as [string, string]);
        const listings = await Promise.all(
          maps.map(([family, map]) => bed.commands.run(inside, ['nft', 'list', 'map', family, TABLE, map])),
        );
        const ways = await bed.commands.run(inside, ['bridge', 'fdb', 'show', 'dev', 'vx0']);
        return [...listings, ways].map((text) => text.match(/0a:53:/g)?.length);
      };
      t.same(await nodes(), [5001, 5001, 5001, 10_000]);
      await host.mesh.configure({ nodeId: 'n', clusterId: 'c', addr: host.addr, port: 4789, peers: others });
      t.same(await nodes(), [2, 2, 2, 2]);
    }
    t.equal(await bed.ask(bed.client, h1.addr, 8080), `far ${client}`, 'after all others have gone');
    for (const peer of ['192.0.2.50', '192.0.2.51'])
      await h2.mesh.configure({ nodeId: 'n', clusterId: 'c', addr: h2.addr, port: 4789, peers: [h1.addr, peer] });
    const listing = await bed.commands.run(h2.pathOf(ingress.id), ['nft', 'list', 'map', 'bridge', TABLE, 'nodes']);
    t.match(listing, '0x00000003 : 0a:53:c0:00:02:33', 'one that comes when another goes has its number');
  });

  t.test('addresses of clients are replaced when the node is told to', async (t) => {
    await h1.mesh.close();
    const mesh = h1.another({ masquerade: true });
    await mesh.configure({ nodeId: 'n', clusterId: 'c', addr: h1.addr, port: 4789, peers: [h2.addr] });
    await mesh.apply(ingress, members, [web]);
    t.equal(await bed.ask(bed.client, h1.addr, 8080), `far ${h1.addr}`);
    t.same(mesh.problems(), [
      'published ports do not keep the addresses of clients: this node is set to replace them by its own',
    ]);
    await mesh.close();
    await h1.mesh.check();
    h1.mesh = mesh;
  });

  t.test('nothing is left after a reset, not even by a process that has made nothing', async (t) => {
    for (const host of bed.hosts) {
      await host.mesh.close();
      await host.another().reset();
      await host.plane.reset();
      t.notMatch(await bed.commands.run(host.path, ['nft', 'list', 'tables']), TABLE);
      t.notMatch(await bed.commands.run(host.path, ['ip', 'link']), HOST_LINK);
      t.notMatch(await bed.commands.run(host.path, ['ip', 'route']), '10.0.0.0/24');
      t.equal(await bed.commands.run(host.path, ['ss', '-Hlntu']), '');
    }
  });
});
