import type { NodeNetwork } from '@swarmd/model';
import fc from 'fast-check';
import t from 'tap';
import { overlap } from '../../src/audit/cidr.js';
import type { HostFacts } from '../../src/audit/host-facts.js';
import { below, type HostExpectation, hostFindings } from '../../src/audit/host-findings.js';

const network = (over: Partial<NodeNetwork> = {}): NodeNetwork => ({
  ...{ id: 'n1', name: 'front', vni: 2 ** 20, mtu: 1450, internal: false, ingress: false, attachable: false },
  addressBlocks: [],
  subnets: [{ subnet: '10.0.1.0/24', gateway: '10.0.1.1' }],
  ...over,
});

const healthy: HostFacts = {
  links: [
    { name: 'lo', mtu: 65_536, kind: '', addresses: ['127.0.0.1', '::1'] },
    { name: 'eth0', mtu: 1500, kind: '', addresses: ['192.0.2.1', '2001:db8::1'] },
  ],
  routes: [{ destination: '192.0.2.0/24', device: 'eth0' }],
  kernel: '6.1.0-18-amd64',
  nft: '1.0.6',
  missingTools: [],
  walls: [],
};

const found = (facts: Partial<HostFacts>, expected: Partial<HostExpectation> = {}): string[] =>
  hostFindings(
    { ...healthy, ...facts },
    {
      config: { nodeId: 'a', clusterId: 'c', addr: '192.0.2.1', port: 4789, peers: [] },
      networks: [network()],
      isOurs: (device) => device.startsWith('swarmd'),
      ...expected,
    },
  ).map(({ Level, Code, What }) => `${Level} ${Code}: ${What}`);

t.test('host findings › a host in order has none', async (t) => {
  t.same(found({}), []);
  t.same(found({ links: [], routes: [] }, { config: undefined, networks: [] }), [], 'nor one that takes no part');
});

t.test('host findings › routes of others that share addresses with a network', async (t) => {
  const by = (destination: string, device = 'eth1') => found({ routes: [{ destination, device }] });
  t.match(by('10.0.1.128/25'), [
    /^warning overlap: network front has the subnet 10\.0\.1\.0\/24.*10\.0\.1\.128\/25 by eth1/,
  ]);
  t.match(by('10.0.1.0/24'), [/^warning overlap: /], 'the same range');
  t.match(by('10.0.1.7/32'), [/^warning overlap: /], 'a single address');
  t.match(by('10.0.0.0/8'), [/^note overlap: /], 'a range around it');
  t.same(by('10.0.2.0/24'), []);
  t.same(by('10.0.1.0/24', 'swarmd0'), [], 'our own');
});

t.test('host findings › ranges lie to each other as their bits say', async (t) => {
  const range = fc.record({ address: fc.nat(0xffff_ffff), prefix: fc.integer({ min: 0, max: 32 }) });
  const text = ({ address, prefix }: { address: number; prefix: number }): string =>
    `${[24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.')}/${prefix}`;
  const bits = ({ address }: { address: number }): string => address.toString(2).padStart(32, '0');
  fc.assert(
    fc.property(range, range, fc.boolean(), (a, other, near) => {
      const b = near ? { ...other, address: (a.address ^ (other.address & 0xff)) >>> 0 } : other;
      const least = Math.min(a.prefix, b.prefix);
      const share = bits(a).slice(0, least) === bits(b).slice(0, least);
      const expected = share ? (a.prefix >= b.prefix ? 'within' : 'around') : 'none';
      return overlap(text(a), text(b)) === expected;
    }),
  );
  t.equal(overlap('fd00:1::/64', 'fd00::/16'), 'within');
  t.equal(overlap('10.0.0.0/8', '::/0'), 'none');
  for (const nonsense of ['', '10.0.0.0', '10.0.0.0/33', 'x/8'])
    t.equal(overlap(nonsense, '0.0.0.0/0'), 'none', nonsense);
});

t.test('host findings › a VXLAN device of others with a network’s VNI', async (t) => {
  const vxlan = { name: 'vxlan7', mtu: 1450, kind: 'vxlan', vni: 2 ** 20, addresses: [] };
  t.match(found({ links: [...healthy.links, vxlan] }), [/^error vni: .*vxlan7/]);
  t.same(found({ links: [...healthy.links, { ...vxlan, vni: 7 }] }), []);
  t.same(found({ links: [...healthy.links, { ...vxlan, name: 'swarmd-vx' }] }), []);
});

t.test('host findings › networks that are too large for the data path', async (t) => {
  const links = [{ ...healthy.links[1]!, mtu: 1499 }];
  t.match(found({ links }), [
    /^error mtu: network front has an MTU of 1450 bytes, 1500 between nodes, and eth0 takes 1499/,
  ]);
  const config = { nodeId: 'a', clusterId: 'c', addr: '2001:db8::1', port: 4789, peers: [] };
  t.match(found({}, { config }), [/1520 between nodes/], 'over IPv6 there is less room');
  t.match(found({ links: [] }), [/^error data-path: no interface of this host has 192\.0\.2\.1/]);
});

t.test('host findings › firewalls, with the command that opens them, where there is no doubt', async (t) => {
  const wall = { name: 'ufw', command: 'ufw allow 4789/udp' };
  t.match(found({ walls: [{ ...wall, certain: true }] }), [/^error firewall: ufw keeps UDP port 4789 shut/]);
  t.same(found({ walls: [{ ...wall, certain: false }] }), []);
});

t.test('host findings › versions and tools below the floor', async (t) => {
  t.match(found({ kernel: '5.4.0-1' }), [/^error version: the kernel is 5\.4\.0-1/]);
  t.match(found({ kernel: '5.10.0-28' }), [/^note version: /]);
  t.match(found({ nft: '0.9.7' }), [/^error version: nft/]);
  t.same(found({ nft: '0.9.8' }), []);
  t.match(found({ missingTools: ['nft', 'ping'], nft: '' }), [/^error tools: nft/, /^note tools: there is no ping/]);
  t.equal(below('5.10', [5, 10]), false);
  t.equal(below('6', [5, 10]), false);
  t.equal(below('4.19.9', [5, 10]), true);
});
