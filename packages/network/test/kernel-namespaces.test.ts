import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readlinkSync, rmSync } from 'node:fs';
import { createServer, isIPv6, SocketAddress } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { createCommands } from '../src/kernel/commands.js';
import { createNamespaces, type KernelNamespaces } from '../src/kernel/namespaces.js';
import { ipv6Groups, socketAddress } from '../src/kernel/sockets.js';
import { unfit } from './kernel-bed.js';

const here = () => readlinkSync('/proc/thread-self/ns/net');

t.test('namespaces', { skip: unfit }, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'swarmd-kernel-'));
  const namespaces: KernelNamespaces = createNamespaces(join(directory, 'netns'));
  const commands = createCommands(namespaces);
  t.teardown(() => {
    namespaces.removeAll();
    rmSync(directory, { recursive: true });
  });
  const outside = here();

  await t.test('are entered for a moment and always left', (t) => {
    t.ok(namespaces.create('aaaaaaaaaaaa1'));
    t.notOk(namespaces.create('aaaaaaaaaaaa1'), 'is there already');
    const path = namespaces.pathOf('aaaaaaaaaaaa1');
    t.not(namespaces.inside(path, here), outside);
    t.equal(here(), outside);
    const fails = () => {
      throw new Error('inside');
    };
    t.throws(() => namespaces.inside(path, fails), { message: 'inside' });
    t.equal(here(), outside);
    namespaces.create('b');
    const nested = namespaces.inside(path, () => {
      const first = here();
      return [first, namespaces.inside(namespaces.pathOf('b'), here), here()];
    });
    t.equal(nested[0], nested[2]);
    t.not(nested[0], nested[1]);
    t.throws(() => namespaces.inside(join(directory, 'netns'), here), { code: 'internal' });
    t.equal(here(), outside);
    t.throws(() => namespaces.pathOf('../x'), { code: 'invalid-argument' });
    t.end();
  });

  await t.test('keep what is started and opened inside', async (t) => {
    const path = namespaces.pathOf('b');
    const child = await commands.run(path, ['readlink', '/proc/self/ns/net']);
    t.equal(child.trim(), namespaces.inside(path, here));
    await commands.batch(path, 'ip', ['link set lo up']);
    // Addresses that are not there yet can be listened on.
    const server = createServer((socket) => socket.end('x'));
    server.listen({ fd: namespaces.listen(path, 'tcp', '10.9.0.1', 53) });
    await once(server, 'listening');
    t.throws(() => namespaces.listen(path, 'tcp', '10.9.0.1', 53), { code: 'in-use' });
    const udp = createSocket('udp6');
    udp.bind({ fd: namespaces.listen(path, 'udp', 'fd09::1', 53), exclusive: true });
    t.throws(() => namespaces.listen(path, 'udp', 'fd09::1', 53), { code: 'in-use' });
    t.throws(() => namespaces.listen(path, 'udp', 'nowhere', 53), { code: 'invalid-argument' });
    t.same(udp.address(), { address: 'fd09::1', family: 'IPv6', port: 53 });
    t.match(await commands.run(path, ['ss', '-Hlnt']), '10.9.0.1:53');
    await Promise.all([once(server.close(), 'close'), new Promise<void>((resolve) => udp.close(resolve))]);
  });

  await t.test('run commands, and say which line failed', async (t) => {
    const path = namespaces.pathOf('b');
    await commands.batch(path, 'ip', ['-link del none', 'link add d0 type bridge', '-link del none']);
    const failed = { code: 'unavailable', message: /^ip link set none up: / };
    await t.rejects(commands.batch(path, 'ip', ['-link del none', 'link set none up', 'link del d0']), failed);
    t.notMatch(await commands.run(path, ['ip', 'link']), 'd0');
    const lines = ['add table inet x', 'add rule inet x nowhere drop'];
    await t.rejects(commands.nft(path, lines), { code: 'unavailable', message: /^nft add rule inet x nowhere drop: / });
    t.equal(await commands.run(path, ['nft', 'list', 'ruleset']), '');
    await t.rejects(commands.run(path, ['no-such-tool']), { code: 'unavailable' });
  });

  await t.test('are gone once removed', (t) => {
    const path = namespaces.pathOf('b');
    namespaces.remove('b');
    namespaces.remove('b');
    t.notOk(existsSync(path));
    t.notOk(namespaces.exists('b'));
    namespaces.removeAll();
    t.same(namespaces.list(), []);
    t.notOk(existsSync(join(directory, 'netns')));
    t.end();
  });
});

t.test('socket addresses › hold every address as it is', (t) => {
  fc.assert(
    fc.property(fc.ipV6().filter(isIPv6), (address) => {
      const groups = ipv6Groups(address).map((group) => group.toString(16));
      const canonical = (text: string) => new SocketAddress({ address: text, family: 'ipv6' }).address;
      return groups.length === 8 && canonical(groups.join(':')) === canonical(address);
    }),
  );
  t.same([...socketAddress('10.1.2.3', 258)].slice(2, 8), [1, 2, 10, 1, 2, 3]);
  t.throws(() => socketAddress('10.1.2.3', 65_536), { code: 'invalid-argument' });
  t.end();
});
