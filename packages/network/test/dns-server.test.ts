import { once } from 'node:events';
import { closeSync, readdirSync } from 'node:fs';
import { encode } from 'dns-packet';
import t from 'tap';
import { dataOf, messages, question, readReplies, udpClient } from './support/dns-clients.js';
import { dnsLab } from './support/dns-lab.js';
import { know, members, service } from './support/names.js';
import { real } from './support/netns.js';

t.test('dns › fifty networks answer, each with its own names, over UDP and TCP', real, async (t) => {
  const lab = dnsLab(50);
  t.teardown(() => lab.close());
  await Promise.all(lab.networks.map((network) => lab.server.serve(network)));
  for (let at = 0; at < 50; at++) {
    const octet = at + 1;
    const [source, server] = [`10.${octet}.0.3`, `10.${octet}.0.1`];
    const client = await udpClient(lab.namespaces, lab.pathOf(at), source, server);
    const own = await client.ask(question('web'));
    const others = await client.ask(question(`only${(octet % 50) + 1}`));
    await client.close();
    const tcp = lab.namespaces.connect(lab.pathOf(at), source, server);
    tcp.write(messages(question('web', 'AAAA')));
    const [v6] = await readReplies(tcp, 1);
    tcp.destroy();
    t.same([own.rcode, ...dataOf(own)], ['NOERROR', `10.${octet}.0.100`]);
    t.same([others.rcode, others.answers], ['NXDOMAIN', []]);
    t.same(dataOf(v6!), [`fd00:${octet}::100`]);
  }
});

t.test('dns › one network', real, async (t) => {
  const lab = dnsLab(1);
  t.teardown(() => lab.close());
  const [network] = lab.networks;
  await lab.server.serve(network!);
  const path = lab.pathOf(0);
  const client = await udpClient(lab.namespaces, path, '10.1.0.3', '10.1.0.1');
  t.teardown(() => client.close());
  const ask = (...args: Parameters<typeof question>) => client.ask(question(...args));

  t.test('dns › the question comes back as it was written, the answer is the last word', async (t) => {
    const reply = await ask('wEb');
    t.equal(reply.questions![0]!.name, 'wEb');
    t.same(reply.answers, [{ name: 'wEb', type: 'A', class: 'IN', ttl: 2, flush: false, data: '10.1.0.100' }]);
    t.same([reply.flag_aa, reply.flag_ra, reply.flag_rd, reply.flag_tc], [true, true, true, false]);
    t.same(reply.additionals, [], 'no OPT unless asked with one');
  });

  t.test('dns › types that a known name has not are answered empty', async (t) => {
    for (const type of ['MX', 'TXT', 'SRV', 'SOA'] as const) {
      const reply = await ask('web', type);
      t.same([reply.rcode, reply.answers], ['NOERROR', []], type);
    }
    t.same(dataOf(await ask('only1', 'AAAA')), []);
    t.equal((await ask('only1')).rcode, 'NOERROR', 'also one without ready tasks');
    t.same(dataOf(await ask('web', 'ANY' as never)), ['10.1.0.100', 'fd00:1::100']);
    t.same(dataOf(await ask('100.0.1.10.in-addr.arpa', 'PTR')), ['web.net1']);
    t.same(dataOf(await ask('web.net1')), ['10.1.0.100'], 'and the other way round');
    t.equal((await ask('1.1.168.192.in-addr.arpa', 'PTR')).rcode, 'NXDOMAIN', 'others ask nobody outside');
  });

  t.test('dns › EDNS is answered with EDNS', async (t) => {
    const reply = await ask('web', 'A', 1232);
    t.equal(reply.additionals![0]!.type, 'OPT');
    const newer = question('web', 'A', 1232);
    Object.assign(newer.additionals![0]!, { ednsVersion: 1 });
    const refused = await client.ask(newer);
    t.match(refused.additionals![0], { extendedRcode: 1, ednsVersion: 0 }, 'BADVERS');
  });

  t.test('dns › what does not fit UDP is cut, and complete over TCP', async (t) => {
    const plain = await ask('tasks.big');
    t.ok(plain.bytes.length <= 512 && plain.flag_tc, `${plain.bytes.length} octets`);
    t.equal(plain.answers!.length, 30, 'what fits is there');
    const larger = await ask('tasks.big', 'A', 1232);
    t.ok(larger.bytes.length <= 1232 && larger.flag_tc && larger.answers!.length > 60);
    t.equal(larger.additionals!.length, 1, 'OPT is not cut off');
    t.equal((await ask('tasks.big', 'A', 4096)).answers!.length, 100);
    const tcp = lab.namespaces.connect(path, '10.1.0.3', '10.1.0.1');
    tcp.write(messages(question('tasks.big')));
    const [whole] = await readReplies(tcp, 1);
    tcp.destroy();
    t.equal(whole!.flag_tc, false);
    t.equal(new Set(dataOf(whole!)).size, 100);
    t.not(dataOf(whole!).join(), dataOf(await ask('tasks.big', 'A', 4096)).join(), 'in another order each time');
  });

  t.test('dns › what is no question gets no answer, what is none for us a refusal', async (t) => {
    const good = encode(question('web'));
    const response = Buffer.from(good);
    response[2]! |= 0x80;
    const answers = Buffer.from(good);
    answers.writeUInt16BE(1, 6);
    const loop = Buffer.concat([good.subarray(0, 12), Buffer.from([0xc0, 12, 0, 1, 0, 1])]);
    const dropped = [Buffer.alloc(0), good.subarray(0, 11), good.subarray(0, 15), response, answers, loop];
    for (const bytes of dropped) client.send(bytes);
    const update = question('web');
    update.flags = 5 << 11;
    t.equal((await client.ask(update)).rcode, 'NOTIMP');
    t.equal((await client.ask({ ...question('web'), questions: [] })).rcode, 'FORMERR');
    t.equal(
      (await client.ask({ ...question('web'), questions: [{ name: 'web', type: 'A', class: 'CH' }] })).rcode,
      'REFUSED',
    );
    t.equal((await ask('web', 'AXFR')).rcode, 'REFUSED');
    const stranger = await udpClient(lab.namespaces, path, '10.1.0.4', '10.1.0.1');
    t.equal((await stranger.ask(question('web'))).rcode, 'REFUSED', 'no container of ours');
    await stranger.close();
    const v6 = await udpClient(lab.namespaces, path, 'fd00:1::2', 'fd00:1::1');
    t.same(dataOf(await v6.ask(question('web'))), ['10.1.0.100'], 'asked over IPv6');
    await v6.close();
  });

  t.test('dns › two questions in one write, and one in pieces, are answered over one connection', async (t) => {
    const tcp = lab.namespaces.connect(path, '10.1.0.3', '10.1.0.1');
    const three = [question('web'), question('web', 'AAAA'), question('nothing')];
    const replies = readReplies(tcp, 3);
    const bytes = messages(...three);
    const first = messages(three[0]!, three[1]!).length;
    tcp.write(bytes.subarray(0, first + 1));
    for (const byte of bytes.subarray(first + 1)) {
      await new Promise<void>((resolve) => tcp.write(Buffer.from([byte]), () => resolve()));
    }
    t.same(
      (await replies).map(({ id, rcode }) => [id, rcode]),
      [
        [three[0]!.id, 'NOERROR'],
        [three[1]!.id, 'NOERROR'],
        [three[2]!.id, 'NXDOMAIN'],
      ],
    );
    tcp.destroy();
  });

  t.test('dns › a client that shuts its side down still gets its answers', async (t) => {
    const tcp = lab.namespaces.connect(path, '10.1.0.3', '10.1.0.1');
    const replies = readReplies(tcp, 200);
    tcp.end(messages(...Array.from({ length: 200 }, () => question('web'))));
    t.equal((await replies).length, 200);
    await once(tcp, 'close');
  });

  t.test('dns › connections end when idle, and one container has only so many', async (t) => {
    const open = () => lab.namespaces.connect(path, '10.1.0.3', '10.1.0.1').on('error', () => {});
    const connections = Array.from({ length: 16 }, open);
    for (const each of connections) {
      each.write(messages(question('web')));
      await readReplies(each, 1);
    }
    const tooMany = open();
    tooMany.resume();
    await once(tooMany, 'close');
    const other = lab.namespaces.connect(path, '10.1.0.2', '10.1.0.1');
    other.write(messages(question('web')));
    t.equal((await readReplies(other, 1)).length, 1, 'others are not kept out');
    const closed = Promise.all([...connections, other].map((each) => once(each, 'close')));
    lab.clock.advance(10_000);
    await closed;
  });

  t.test('dns › new members are answered at once', async (t) => {
    know(lab.known, network!, members([service('fresh', { virtualIps: ['10.1.0.9'] })], []));
    t.same(dataOf(await ask('fresh')), ['10.1.0.9']);
    t.equal((await ask('web')).rcode, 'NXDOMAIN');
  });
});

t.test('dns › a namespace made anew under the same path is answered in as well', real, async (t) => {
  const lab = dnsLab(1);
  t.teardown(() => lab.close());
  const { id } = lab.networks[0]!;
  await lab.server.serve(lab.networks[0]!);
  lab.namespaces.remove(id);
  lab.namespaces.create(id);
  await lab.server.serve(lab.networks[0]!);
  // The address may come later than the server.
  lab.namespaces.ip(lab.pathOf(0), ['link set lo up', 'addr add 10.1.0.1/24 dev lo', 'addr add 10.1.0.3/24 dev lo']);
  const client = await udpClient(lab.namespaces, lab.pathOf(0), '10.1.0.3', '10.1.0.1');
  t.same(dataOf(await client.ask(question('web'))), ['10.1.0.100']);
  await client.close();
});

t.test('dns › tells where nobody answers, and mends it', real, async (t) => {
  const lab = dnsLab(1);
  t.teardown(() => lab.close());
  const [network] = lab.networks;
  await lab.server.serve(network!);
  t.same(await lab.server.audit(network!, false), []);
  const { id } = network!;
  lab.namespaces.remove(id);
  lab.namespaces.create(id);
  const addresses = ['10.1.0.1/24', 'fd00:1::1/64 nodad'].map((address) => `addr add ${address} dev lo`);
  lab.namespaces.ip(lab.pathOf(0), ['link set lo up', ...addresses]);
  const silent = ['10.1.0.1', 'fd00:1::1'].map((gateway) => `nobody answers questions for names at ${gateway}`);
  for (const repair of [false, true]) {
    const auditing = lab.server.audit(network!, repair);
    lab.clock.advance(2_000);
    t.same(await auditing, silent);
  }
  t.same(await lab.server.audit(network!, false), [], 'it was mended');
  await lab.server.stop(id);
  const late = lab.server.audit(network!, true);
  lab.clock.advance(2_000);
  t.same(await late, silent);
  const still = lab.server.audit(network!, false);
  lab.clock.advance(2_000);
  t.same(await still, silent, 'but not what is served no more');
});

t.test('dns › serving, stopping and serving again leaves no socket behind', real, async (t) => {
  const lab = dnsLab(2);
  t.teardown(() => lab.close());
  const [one, two] = lab.networks;
  const descriptors = () => readdirSync('/proc/self/fd').length;
  const before = descriptors();
  await Promise.all([lab.server.serve(one!), lab.server.serve(one!), lab.server.serve(two!)]);
  t.equal(descriptors() - before, 12, 'UDP and TCP, IPv4 on two ports and IPv6, once a network');
  await lab.server.serve(one!);
  t.equal(descriptors() - before, 12);
  const open = lab.namespaces.connect(lab.pathOf(0), '10.1.0.3', '10.1.0.1');
  open.write(messages(question('web')));
  await readReplies(open, 1);
  const ended = once(open, 'close');
  await lab.server.stop(one!.id);
  await ended;
  t.equal(descriptors() - before, 6);
  const taken = lab.namespaces.listen(lab.pathOf(0), 'udp', 'fd00:1::1', 53);
  await t.rejects(lab.server.serve(one!), { code: 'unavailable', message: /net1/ });
  t.equal(descriptors() - before, 7, 'what was opened before it failed is closed');
  closeSync(taken);
  await lab.server.serve(one!);
  await lab.server.close();
  t.equal(descriptors(), before);
  await t.rejects(lab.server.serve(one!), { code: 'failed-precondition' });
});
