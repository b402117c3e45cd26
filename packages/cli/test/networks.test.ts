import t from 'tap';
import { swarmctlFor } from './support/swarmctl.js';
import { startWorld } from './support/world.js';

t.test('swarmctl › makes networks, shows how full they are, and removes them', async (t) => {
  const world = await startWorld();
  t.teardown(() => world.stop());
  const swarmctl = swarmctlFor(world);
  const subnet = ['--subnet', '10.9.0.0/28', '--subnet', 'fd00::/64'];
  t.match(await swarmctl(['network', 'create', ...subnet, '--attachable', 'front']), {
    code: 0,
    stdout: /^[a-z0-9]{25}\n$/,
    stderr: 'subnet fd00::/64 is not used: IPv6 is not enabled (--ipv6)\n',
  });
  t.match(await swarmctl(['network', 'create', '--subnet', '10.9.0.0/24', 'back']), {
    code: 1,
    stderr: /Pool overlaps .* subnet 10.9.0.0\/24 of network back and 10.9.0.0\/28 of network front/,
  });
  await swarmctl(['service', 'create', '--name', 'web', '--network', 'front', '--replicas', '2', 'busybox']);
  const list = (await swarmctl(['network', 'ls'])).stdout.split('\n');
  t.match(list[0], /^NETWORK ID +NAME +DRIVER +SCOPE +ADDRESSES$/);
  t.match(list[1], /^\w{12} +front +overlay +swarm +6\/16$/);
  t.match(list[2], /^\w{12} +ingress +overlay +swarm +3\/65536$/);
  t.match((await swarmctl(['network', 'rm', 'front'])).stderr, /is in use by service/);
  await swarmctl(['service', 'rm', 'web']);
  t.match(await swarmctl(['network', 'rm', 'front']), { code: 0, stdout: 'front\n' });
});
