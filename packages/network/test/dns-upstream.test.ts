import { encode } from 'dns-packet';
import t, { type Test } from 'tap';
import { parseResolvConf } from '../src/dns/resolv-conf.js';
import {
  type Behaviour,
  dataOf,
  messages,
  question,
  readReplies,
  udpClient,
  worldAnswer,
  worldServer,
} from './support/dns-clients.js';
import { dnsLab } from './support/dns-lab.js';
import { real } from './support/netns.js';

const lab = real.skip === false ? dnsLab(2) : (undefined as never);
const [one, two] = lab?.networks ?? [];
const answering =
  (...addresses: string[]): Behaviour =>
  (asked) =>
    worldAnswer(asked, addresses);
const failing =
  (rcode: number): Behaviour =>
  (asked) =>
    worldAnswer(asked, [], 0x0180 | rcode);
const silent: Behaviour = () => undefined;

t.before(async () => {
  await lab?.server.serve(one!);
  await lab?.server.serve(two!);
});
t.teardown(() => lab?.close());

/** A container that may ask outside, on network `at`, with its own servers. */
async function container(t: Test, at = 0, dns: string[] = []) {
  const octet = at + 1;
  const id = lab.networks[at]!.id;
  lab.known.askers.set(`${id} 10.${octet}.0.2`, { networkIds: [id], dns, outside: true });
  const client = await udpClient(lab.namespaces, lab.pathOf(at), `10.${octet}.0.2`, `10.${octet}.0.1`);
  t.teardown(() => client.close());
  return client;
}

async function world(t: Test, behave: Behaviour, tcp = true) {
  const server = await worldServer(behave, tcp);
  t.teardown(() => server.close());
  return server;
}

t.test('dns › name servers are read as resolv.conf(5) says', async (t) => {
  const text =
    '# nameserver 9.9.9.9\nsearch x\n nameserver\t127.0.0.53 \nnameserver fe80::1%eth0\nnameserver x\nnameserver';
  t.same(parseResolvConf(text), ['127.0.0.53', 'fe80::1%eth0']);
  t.same(parseResolvConf('nameserver ::1\n'.repeat(5)), ['::1', '::1', '::1'], 'three at most');
});

t.test(
  'dns › other names are asked of the host’s servers as they are now, in the asker’s spelling',
  real,
  async (t) => {
    const first = await world(t, answering('192.0.2.1', '192.0.2.2'));
    const second = await world(t, failing(3));
    const client = await container(t);
    lab.useServers(first.address);
    const reply = await client.ask(question('Example.COM'));
    t.equal(reply.questions![0]!.name, 'Example.COM');
    t.same(dataOf(reply), ['192.0.2.1', '192.0.2.2']);
    lab.useServers(second.address);
    t.equal((await client.ask(question('example.com'))).rcode, 'NXDOMAIN', 'an answer like any other');
    t.same((await client.ask(question('1.1.168.192.in-addr.arpa', 'PTR'))).rcode, 'NXDOMAIN', 'also reverse names');
    t.same(
      [first.asked.length, second.asked.map(({ name }) => name)],
      [1, ['example.com', '1.1.168.192.in-addr.arpa']],
    );
  },
);

t.test('dns › an asker’s own servers are asked instead of the host’s', real, async (t) => {
  const host = await world(t, answering('192.0.2.1'));
  const own = await world(t, answering('192.0.2.2'));
  lab.useServers(host.address);
  const client = await container(t, 0, [own.address]);
  t.same(dataOf(await client.ask(question('example.com'))), ['192.0.2.2']);
  t.same(host.asked, []);
});

t.test('dns › nothing about networks, and nothing of who may not, goes outside', real, async (t) => {
  const host = await world(t, answering('192.0.2.1'));
  lab.useServers(host.address);
  const client = await container(t);
  for (const name of ['web', 'only1', 'tasks.only1', 'web.net1', '9.0.1.10.in-addr.arpa']) {
    for (const type of ['A', 'AAAA', 'MX', 'PTR'] as const) await client.ask(question(name, type));
  }
  const inner = await udpClient(lab.namespaces, lab.pathOf(0), '10.1.0.3', '10.1.0.1');
  for (const name of ['example.com', '1.1.168.192.in-addr.arpa']) {
    t.equal((await inner.ask(question(name))).rcode, 'NXDOMAIN');
  }
  await inner.close();
  t.same(host.asked, []);
});

t.test('dns › our own address is never asked, and without servers the answer is SERVFAIL', real, async (t) => {
  const client = await container(t, 0, ['10.1.0.1', 'fd00:1:0::1', 'nonsense']);
  t.equal((await client.ask(question('example.com', 'A', 1232))).rcode, 'SERVFAIL');
  lab.useServers();
  t.equal((await (await container(t, 1)).ask(question('example.com'))).rcode, 'SERVFAIL');
});

t.test('dns › the next server is asked when one refuses, fails or is not there', real, async (t) => {
  const good = await world(t, answering('192.0.2.1'));
  for (const rcode of [2, 4, 5]) {
    const bad = await world(t, failing(rcode));
    lab.useServers(bad.address, '127.254.253.252', good.address);
    t.same(dataOf(await (await container(t)).ask(question('example.com'))), ['192.0.2.1'], `rcode ${rcode}`);
  }
  const bad = await world(t, failing(2));
  lab.useServers(bad.address, '127.254.253.252');
  t.equal((await (await container(t)).ask(question('example.com'))).rcode, 'SERVFAIL', 'none is left');
});

t.test(
  'dns › the next server is asked as well when one is slow, and the slow one may still answer',
  real,
  async (t) => {
    const late: Buffer[] = [];
    const slow = await world(t, (asked) => void late.push(encode(worldAnswer(asked, ['192.0.2.7']))));
    const other = await world(t, silent);
    lab.useServers(slow.address, other.address);
    const client = await container(t);
    const reply = client.ask(question('example.com'));
    await slow.until(1);
    lab.clock.advance(1000);
    await other.until(1);
    slow.behave = () => late[0];
    lab.clock.advance(1000);
    t.same(dataOf(await reply), ['192.0.2.7'], 'asked again, it answers');
    slow.behave = silent;
    const none = client.ask(question('example.org'));
    await slow.until(3);
    lab.clock.advance(3500);
    t.equal((await none).rcode, 'SERVFAIL', 'when nobody does');
  },
);

t.test('dns › answers to other questions are not taken', real, async (t) => {
  const answers: Behaviour = (asked) => {
    const forged = worldAnswer({ ...asked, questions: [{ name: 'example.net', type: 'A' }] }, ['192.0.2.66']);
    return asked.questions![0]!.name === 'a.example'
      ? forged
      : { ...worldAnswer(asked, ['192.0.2.66']), id: asked.id! ^ 1 };
  };
  const liar = await world(t, answers);
  const good = await world(t, answering('192.0.2.1'));
  lab.useServers(liar.address, good.address);
  const client = await container(t);
  for (const name of ['a.example', 'b.example']) {
    const reply = client.ask(question(name));
    await liar.until(name === 'a.example' ? 1 : 2);
    lab.clock.advance(1000);
    t.same(dataOf(await reply), ['192.0.2.1'], name);
  }
});

t.test('dns › a truncated answer is asked for again over TCP', real, async (t) => {
  const many = Array.from({ length: 40 }, (_, at) => `192.0.2.${at}`);
  const cutting: Behaviour = (asked, via) =>
    via === 'tcp' ? worldAnswer(asked, many) : worldAnswer(asked, many.slice(0, 2), 0x0380);
  const server = await world(t, cutting);
  lab.useServers(server.address);
  const client = await container(t);
  t.equal((await client.ask(question('example.com', 'A', 4096))).answers!.length, 40, 'complete where it fits');
  const small = await client.ask(question('example.com'));
  t.ok(small.flag_tc && small.bytes.length <= 512, 'cut where it does not');
  const tcp = lab.namespaces.connect(lab.pathOf(0), '10.1.0.2', '10.1.0.1');
  tcp.write(messages(question('example.com')));
  t.equal((await readReplies(tcp, 1))[0]!.answers!.length, 40, 'complete over TCP');
  tcp.destroy();
  const closed = await world(t, cutting, false);
  lab.useServers(closed.address);
  const left = await client.ask(question('example.com'));
  t.ok(left.flag_tc);
  t.equal(left.answers!.length, 2, 'without TCP, what there is');
});

t.test('dns › local names are answered while others wait, also on one connection', real, async (t) => {
  const slow = await world(t, silent);
  lab.useServers(slow.address);
  await container(t);
  const tcp = lab.namespaces.connect(lab.pathOf(0), '10.1.0.2', '10.1.0.1');
  const [outer, local] = [question('example.com'), question('web')];
  tcp.write(messages(outer, local));
  t.equal((await readReplies(tcp, 1))[0]!.id, local.id);
  lab.clock.advance(3500);
  const [last] = await readReplies(tcp, 1);
  t.same([last!.id, last!.rcode], [outer.id, 'SERVFAIL']);
  tcp.destroy();
});

t.test('dns › of a thousand questions only so many wait, and other networks keep their share', real, async (t) => {
  const slow = await world(t, silent);
  lab.useServers(slow.address);
  const [greedy, other] = [await container(t, 0), await container(t, 1)];
  const asked = Array.from({ length: 1000 }, (_, at) => ({ ...question(`n${at}.example`), id: at + 1 }));
  let refused = 0;
  const all: Promise<unknown>[] = [];
  for (const each of asked) {
    const reply = greedy.ask(each).then(({ rcode }) => {
      refused++;
      return rcode;
    });
    all.push(reply);
    // In steps, so that the kernel's buffers are no limit.
    if (all.length % 50 === 0) await greedy.ask(question('web'));
  }
  await slow.until(128);
  t.equal(refused, 872);
  t.equal(slow.asked.length, 128);
  t.same(dataOf(await greedy.ask(question('web'))), ['10.1.0.100']);
  const reply = other.ask(question('other.example'));
  await slow.until(129);
  slow.behave = answering('192.0.2.1');
  lab.clock.advance(1000);
  t.same(dataOf(await reply), ['192.0.2.1']);
  await Promise.all(all);
  t.same(dataOf(await greedy.ask(question('after.example'))), ['192.0.2.1'], 'and then there is room again');
});

t.test('dns › stopping drops what waits', real, async (t) => {
  const slow = await world(t, silent);
  lab.useServers(slow.address);
  const client = await container(t);
  client.send(encode(question('example.com')));
  await slow.until(1);
  await lab.server.stop(one!.id);
  slow.behave = answering('192.0.2.1');
  lab.clock.advance(5000);
  await lab.server.serve(one!);
  t.same(dataOf(await client.ask(question('example.com'))), ['192.0.2.1']);
  t.equal(slow.asked.length, 2, 'it was not asked again');
});
