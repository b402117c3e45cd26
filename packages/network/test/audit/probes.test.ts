import { manualClock } from '@swarmd/testkit';
import t from 'tap';
import { type Run, runCommand } from '../../src/audit/command.js';
import { readHostFacts } from '../../src/audit/host-facts.js';
import { createProbeListeners } from '../../src/audit/listeners.js';
import { pingTargets, sendProbes } from '../../src/audit/send.js';
import { readWalls } from '../../src/audit/walls.js';
import { inOwnNamespace, noNamespaces, script } from './own-namespace.js';

const there = `swdprobe${process.pid}`;
const path = `/run/netns/${there}`;
/** As the other host runs commands. */
const runThere: Run = (argv, options) => runCommand(argv, { namespace: path, ...options });

/** This namespace is one host, 192.0.2.1; another is 192.0.2.2, and has nothing but the link between them. */
async function hosts(): Promise<void> {
  await script(`
    ip link set lo up
    ip netns add ${there}
    ip link add a0 type veth peer name b0 netns ${there}
    ip address add 192.0.2.1/24 dev a0
    ip link set a0 up
    ip -n ${there} address add 192.0.2.2/24 dev b0
    ip -n ${there} link set b0 up
    ip -n ${there} link set lo up`);
}

function tests(): void {
  t.before(hosts);
  t.teardown(() => script(`ip netns del ${there}`));

  t.test('probes › are heard when they get through, and only theirs', async (t) => {
    const listeners = createProbeListeners(runThere, manualClock());
    await listeners.listen('00000a', 4789, 60_000);
    await listeners.listen('00000b', 4789, 60_000);
    await sendProbes('192.0.2.1', '00000a', 4789, [{ addr: '192.0.2.2', packetBytes: 1500 }]);
    t.same(await listeners.heard('00000a'), { heard: ['192.0.2.1'], arrived: ['192.0.2.1'] });
    t.same(await listeners.heard('00000b'), { heard: [], arrived: [] }, 'another one heard nothing');
    await t.rejects(listeners.heard('00000a'), { code: 'not-found' });
    t.notMatch((await runThere(['nft', 'list', 'tables'])).stdout, /swarmd_probe/, 'nothing stays');
  });

  t.test('probes › what a firewall of the host drops is not heard', async (t) => {
    await runThere(['nft', '-f', '-'], {
      input:
        'add table inet fw; add chain inet fw in { type filter hook input priority 0; }; add rule inet fw in udp dport 4789 drop\n',
    });
    const listeners = createProbeListeners(runThere, manualClock());
    await listeners.listen('00000a', 4789, 60_000);
    await sendProbes('192.0.2.1', '00000a', 4789, [{ addr: '192.0.2.2', packetBytes: 1500 }]);
    t.same(await listeners.heard('00000a'), { heard: [], arrived: ['192.0.2.1'] });
    t.same(await readWalls(runThere, { port: 4789, addr: '192.0.2.2' }), [
      {
        name: 'nftables (chain inet fw in)',
        command: 'nft insert rule inet fw in udp dport 4789 accept',
        certain: false,
      },
    ]);
    await runThere(['nft', 'delete', 'table', 'inet', 'fw']);
  });

  t.test('probes › a VXLAN device takes no notice of them', async (t) => {
    await runThere(['ip', 'link', 'add', 'vx', 'type', 'vxlan', 'id', '7', 'local', '192.0.2.2', 'dstport', '4789']);
    await runThere(['ip', 'link', 'set', 'vx', 'up']);
    const listeners = createProbeListeners(runThere, manualClock());
    await listeners.listen('00000a', 4789, 60_000);
    await sendProbes('192.0.2.1', '00000a', 4789, [{ addr: '192.0.2.2', packetBytes: 1500 }]);
    t.match(await listeners.heard('00000a'), { heard: ['192.0.2.1'] });
    const [vx] = JSON.parse((await runThere(['ip', '-j', '-s', 'link', 'show', 'vx'])).stdout) as [
      { stats64: { rx: { packets: number } } },
    ];
    t.equal(vx.stats64.rx.packets, 0);
    const facts = await readHostFacts(runThere, undefined);
    t.match(
      facts.links.find(({ name }) => name === 'vx'),
      { kind: 'vxlan', vni: 7 },
    );
    await runThere(['ip', 'link', 'delete', 'vx']);
  });

  t.test('probes › listening ends by itself, and at the end', async (t) => {
    const clock = manualClock();
    const listeners = createProbeListeners(runThere, clock);
    await listeners.listen('00000a', 4789, 60_000);
    await listeners.listen('00000b', 4789, 120_000);
    clock.advance(60_000);
    await t.rejects(listeners.heard('00000a'), { code: 'not-found' });
    await listeners.close();
    await t.rejects(listeners.heard('00000b'), { code: 'not-found' });
    for (let i = 0; i < 4; i++) await listeners.listen(`00000${i}`, 4789, 1_000);
    await t.rejects(listeners.listen('00000f', 4789, 1_000), { code: 'unavailable' });
    await t.rejects(listeners.listen('; flush ruleset', 4789, 1_000), { code: 'invalid-argument' });
    await listeners.close();
    // The one whose time was up is removed in the background.
    while (/swarmd_probe/.test((await runThere(['nft', 'list', 'tables'])).stdout));
  });

  t.test('probes › pings tell a way that is too narrow from one that is silent', async (t) => {
    const target = { addr: '192.0.2.2', packetBytes: 1500 };
    const silent = { addr: '192.0.2.77', packetBytes: 1500 };
    t.same(await pingTargets(runCommand, '192.0.2.1', [target]), [{ addr: '192.0.2.2', small: true, full: true }]);
    // It takes no larger ones in, while this side believes that it does.
    await script(`ip -n ${there} link set b0 mtu 1400`);
    const found = await pingTargets(runCommand, '192.0.2.1', [target, silent]);
    t.same(
      found?.sort((a, b) => a.addr.localeCompare(b.addr)),
      [
        { addr: '192.0.2.2', small: true, full: false },
        { addr: '192.0.2.77', small: false, full: false },
      ],
    );
    await script(`ip -n ${there} link set b0 mtu 1500`);
    await t.rejects(pingTargets(runCommand, '192.0.2.1', [{ addr: '-f', packetBytes: 0 }]), {
      code: 'invalid-argument',
    });
  });

  t.test('host facts › links, addresses and routes are those of the host', async (t) => {
    const facts = await readHostFacts(runThere, undefined);
    t.match(
      facts.links.find(({ name }) => name === 'b0'),
      { mtu: 1500, kind: 'veth', addresses: ['192.0.2.2'] },
    );
    t.match(facts.routes, [{ destination: '192.0.2.0/24', device: 'b0' }]);
    t.match(facts.nft, /^\d+\.\d+/);
    t.same(facts.missingTools, []);
  });
}

if (inOwnNamespace(import.meta.url)) {
  if (noNamespaces === false) tests();
  else t.pass('skipped', { skip: noNamespaces });
}
