import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { worldAnswer, worldServer } from './support/dns-clients.js';
import { dnsLab } from './support/dns-lab.js';
import { real } from './support/netns.js';

const execute = promisify(execFile);

t.test('dns › resolvers as containers have them find names, through a port of the bridge', real, async (t) => {
  const lab = dnsLab(1);
  t.teardown(() => lab.close());
  const [network] = lab.networks;
  lab.namespaces.create('container');
  const container = lab.namespaces.pathOf('container');
  lab.namespaces.ip(lab.pathOf(0), [
    'addr del 10.1.0.2/24 dev br0',
    `link add port type veth peer name eth0 netns ${container}`,
    'link set port master br0 up',
  ]);
  lab.namespaces.ip(container, ['link set lo up', 'link set eth0 up', 'addr add 10.1.0.2/24 dev eth0']);
  const folder = t.testdir({ 'resolv.conf': '' });
  const resolvConf = join(folder, 'resolv.conf');
  writeFileSync(resolvConf, 'nameserver 10.1.0.1\noptions ndots:0\n');
  await lab.server.serve(network!);
  const world = await worldServer((asked) =>
    worldAnswer(asked, asked.questions![0]!.type === 'A' ? ['192.0.2.1'] : []),
  );
  t.teardown(() => world.close());
  lab.useServers(world.address);
  const run = async (...command: string[]): Promise<string> => {
    const script = `mount --bind ${resolvConf} /etc/resolv.conf && exec "$@"`;
    const args = ['-m', 'sh', '-c', script, 'sh', ...command];
    const { stdout } = await lab.namespaces.inside(container, () => execute('unshare', args, { timeout: 60_000 }));
    return stdout;
  };
  t.match(await run('getent', 'ahostsv4', 'web'), /^10\.1\.0\.100\s+STREAM web$/m);
  t.match(await run('getent', 'ahosts', 'WEB.net1'), /^fd00:1::100\s/m, 'glibc, both families');
  t.match(await run('getent', 'hosts', '10.1.0.100'), /^10\.1\.0\.100\s+web\.net1$/m, 'and back');
  t.match(await run('getent', 'ahostsv4', 'example.com'), /^192\.0\.2\.1\s/m, 'outside');
  const tasks = await run('getent', 'ahostsv4', 'tasks.big');
  t.equal(tasks.match(/STREAM/g)?.length, 100, 'a hundred tasks, over TCP after a cut answer');
  t.match(await run('busybox', 'nslookup', 'web'), /Address.*10\.1\.0\.100/, 'busybox');
});
