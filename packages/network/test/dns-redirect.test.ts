import { execFileSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import type { Asker } from '../src/parts.js';
import { type Behaviour, dataOf, question, udpClient, worldAnswer, worldServer } from './support/dns-clients.js';
import { type DnsLab, dnsLab } from './support/dns-lab.js';
import { real } from './support/netns.js';

const address = '10.1.0.2';
const port = { endpointId: 'e', addresses: [address], macAddress: '02:42:0a:01:00:02' };

/** A container at `.2` of a network, and what the engine has in it: a server at 127.0.0.11, here without its NAT. */
async function makeLab(t: Test, engine: Behaviour) {
  const lab = dnsLab(1);
  t.teardown(() => lab.close());
  lab.namespaces.create('container');
  const sandbox = lab.namespaces.pathOf('container');
  lab.namespaces.ip(lab.pathOf(0), [
    `addr del ${address}/24 dev br0`,
    `link add port type veth peer name eth0 netns ${sandbox}`,
    'link set port master br0 up',
  ]);
  lab.namespaces.ip(sandbox, ['link set lo up', 'link set eth0 up', `addr add ${address}/24 dev eth0`]);
  const server = await worldServer(engine, true, { namespaces: lab.namespaces, path: sandbox, address: '127.0.0.11' });
  t.teardown(() => server.close());
  const network = lab.networks[0]!;
  await lab.server.serve(network);
  const client = await udpClient(lab.namespaces, sandbox, '127.0.0.1', '127.0.0.11');
  t.teardown(() => client.close());
  const is = (asker: Partial<Asker>) =>
    lab.known.askers.set(`${network.id} ${address}`, {
      ...{ networkIds: [network.id], dns: [], outside: true, sandbox, plain: true, ...asker },
    });
  is({});
  return { lab, sandbox, network, server, client, is };
}

function rulesIn(lab: DnsLab, sandbox: string): string {
  return lab.namespaces.inside(sandbox, () => execFileSync('nft', ['-a', 'list', 'ruleset'], { encoding: 'utf8' }));
}

t.test('dns › what a container asks the engine is answered here, and unknown names by the engine', real, async (t) => {
  const { lab, sandbox, network, server, client, is } = await makeLab(t, (asked, via) => {
    const { name } = asked.questions![0]!;
    if (name === 'long' && via === 'udp') return worldAnswer(asked, [], 0x0380);
    return ['db', 'long'].includes(name) ? worldAnswer(asked, ['10.1.0.7']) : worldAnswer(asked, [], 0x0183);
  });
  await t.rejects(lab.server.redirect('/nowhere', { network, port }), { code: 'not-found' });
  t.equal((await client.ask(question('web'))).rcode, 'NXDOMAIN', 'not yet');
  await lab.server.redirect(sandbox, { network, port });
  t.same(dataOf(await client.ask(question('web'))), ['10.1.0.100']);
  t.same(dataOf(await client.ask(question('db'))), ['10.1.0.7']);
  t.same(dataOf(await client.ask(question('long'))), ['10.1.0.7'], 'over TCP after a cut answer');
  t.equal((await client.ask(question('nobody'))).rcode, 'NXDOMAIN');
  t.same(
    server.asked.map(({ name }) => name),
    ['web', 'db', 'long', 'long', 'nobody'],
  );
  const direct = await udpClient(lab.namespaces, sandbox, address, '10.1.0.1');
  t.teardown(() => direct.close());
  lab.useServers();
  t.equal((await direct.ask(question('db'))).rcode, 'SERVFAIL', 'what came from the engine does not go back to it');
  is({ plain: false });
  t.equal((await client.ask(question('db'))).rcode, 'SERVFAIL', 'nor does a task\u2019s question');
  is({ outside: false });
  t.equal((await client.ask(question('nobody'))).rcode, 'NXDOMAIN');
  t.same(dataOf(await client.ask(question('db'))), ['10.1.0.7'], 'also when it may not ask outside');
  const rules = rulesIn(lab, sandbox);
  await lab.server.redirect(sandbox, { network, port });
  t.equal(rulesIn(lab, sandbox), rules, 'nothing is written twice');
  await lab.server.redirect(sandbox, undefined);
  t.equal(rulesIn(lab, sandbox), '');
  t.equal((await client.ask(question('web'))).rcode, 'NXDOMAIN', 'the engine answers alone again');
});

t.test('dns › servers on a network are asked from the container, others not for those who may not', real, async (t) => {
  const { lab, sandbox, network, client, is } = await makeLab(t, () => undefined);
  await lab.server.redirect(sandbox, { network, port });
  lab.namespaces.ip(sandbox, ['addr add 10.1.0.5/32 dev lo']);
  const place = { namespaces: lab.namespaces, path: sandbox, address: '10.1.0.5' };
  const inside = await worldServer((asked) => worldAnswer(asked, ['192.0.2.5']), true, place);
  const outside = await worldServer((asked) => worldAnswer(asked, ['192.0.2.1']));
  t.teardown(() => Promise.all([inside.close(), outside.close()]));
  lab.useServers(outside.address);
  is({ plain: false, outside: false, dns: [outside.address, '10.1.0.5'] });
  t.same(dataOf(await client.ask(question('example.com'))), ['192.0.2.5']);
  t.same(outside.asked, []);
  is({ plain: false, dns: ['10.1.0.9'], sandbox: '/gone' });
  t.equal((await client.ask(question('example.com'))).rcode, 'SERVFAIL', 'a container that has gone');
});

t.test('dns › nobody else reaches what a container has on 127.0.0.1', real, async (t) => {
  const { lab, sandbox, network } = await makeLab(t, () => undefined);
  await lab.server.redirect(sandbox, { network, port });
  t.equal(
    lab.namespaces.inside(sandbox, () => readFileSync('/proc/sys/net/ipv4/conf/all/route_localnet', 'utf8')),
    '1\n',
  );
  const receiver = createSocket('udp4');
  receiver.bind({ fd: lab.namespaces.listen(sandbox, 'udp', '0.0.0.0', 5000), exclusive: true });
  t.teardown(() => receiver.close());
  lab.namespaces.create('neighbour');
  const neighbour = lab.namespaces.pathOf('neighbour');
  lab.namespaces.ip(lab.pathOf(0), [
    `link add other type veth peer name eth0 netns ${neighbour}`,
    'link set other master br0 up',
  ]);
  // Without an own 127.0.0.1 it sends packets to that of others.
  lab.namespaces.ip(neighbour, [
    'link set eth0 up',
    'addr add 10.1.0.9/24 dev eth0',
    `route add 127.0.0.1 via ${address} dev eth0`,
  ]);
  const sender = createSocket('udp4');
  sender.bind({ fd: lab.namespaces.socket(neighbour, 'udp', '10.1.0.9', 0), exclusive: true });
  t.teardown(() => sender.close());
  const send = (text: string, to: string) => new Promise((resolve) => sender.send(text, 5000, to, resolve));
  const heard: string[] = [];
  receiver.on('message', (message) => heard.push(message.toString()));
  await send('to its address', address);
  await once(receiver, 'message');
  await send('to 127.0.0.1', '127.0.0.1');
  await send('the last', address);
  while (heard.at(-1) !== 'the last') await once(receiver, 'message');
  t.same(heard, ['to its address', 'the last']);
});
