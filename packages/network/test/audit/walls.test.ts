import t from 'tap';
import { acceptsUdp, dropsUnlessAccepted, hasUncertainAccepts } from '../../src/audit/wall-rules.js';
import { ufwWalls } from '../../src/audit/walls.js';

t.test('walls › what ufw says', async (t) => {
  const shut = (rules: string, policy = 'deny'): boolean | undefined =>
    ufwWalls(
      `Status: active\nLogging: on (low)\nDefault: ${policy} (incoming), allow (outgoing), deny (routed)\n\nTo     Action   From\n--     ------   ----\n${rules}\n`,
      4789,
    )[0]?.certain;
  t.same(ufwWalls('Status: inactive\n', 4789), []);
  t.same(ufwWalls('', 4789), []);
  t.same(shut('22/tcp   ALLOW IN   Anywhere'), true);
  t.same(shut('22/tcp   ALLOW IN   Anywhere', 'allow'), undefined);
  t.same(shut('4789/tcp   ALLOW IN   Anywhere'), true);
  t.same(shut('4789/udp   DENY IN   Anywhere'), true);
  t.same(shut('4789/udp   ALLOW OUT   Anywhere'), true);
  t.same(shut('Anywhere on swarmd-mesh    ALLOW FWD   Anywhere'), true);
  t.same(shut('198.18.0.12 4000/udp   ALLOW IN   Anywhere'), true);
  for (const to of ['4789', '4789/udp', '4789/udp on eth0', '4789/udp (v6) on eth0', '4000:5000/udp', '53,4789/udp'])
    t.same(shut(`${to}      ALLOW IN    Anywhere`), undefined, to);
  t.same(shut('Anywhere    ALLOW IN   198.18.0.0/24'), undefined, 'peers by their addresses');
});

t.test('walls › rules of iptables', async (t) => {
  const rules = (...lines: string[]): string => ['-P INPUT DROP', '-P FORWARD ACCEPT', ...lines, ''].join('\n');
  const usual = ['-A INPUT -i lo -j ACCEPT', '-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT'];
  const ssh = '-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT';
  t.equal(dropsUnlessAccepted(rules(), 4789, 'iptables'), 'rest');
  t.equal(dropsUnlessAccepted('-P INPUT ACCEPT\n', 4789, 'iptables'), 'no');
  const rejecting = '-P INPUT ACCEPT\n-A INPUT -j REJECT --reject-with icmp-host-prohibited\n';
  t.equal(dropsUnlessAccepted(rejecting, 4789, 'iptables'), 'rest');
  const one = '-P INPUT ACCEPT\n-A INPUT -p udp -m udp --dport 4789 -j DROP\n';
  t.equal(dropsUnlessAccepted(one, 4789, 'iptables'), 'port');
  t.equal(acceptsUdp(rules(...usual, ssh), 4789, 'iptables'), false);
  t.equal(hasUncertainAccepts(rules(...usual, ssh), 'iptables', 'swarmd-mesh'), false);
  for (const ports of ['--dport 4789', '--dports 53,4789', '--dport 4000:5000'])
    t.ok(acceptsUdp(rules(`-A INPUT -s 192.0.2.0/24 -p udp -m udp ${ports} -j ACCEPT`), 4789, 'iptables'), ports);
  t.ok(hasUncertainAccepts(rules('-A INPUT -s 192.0.2.0/24 -j ACCEPT'), 'iptables', 'swarmd-mesh'));
  t.ok(hasUncertainAccepts(rules('-A INPUT -i eth1 -j ACCEPT'), 'iptables', 'swarmd-mesh'));
});

t.test('walls › rules of nft', async (t) => {
  const rules = (policy: string, ...lines: string[]): string =>
    `table inet s {\n\tchain in {\n\t\ttype filter hook input priority filter; policy ${policy};\n${lines.map((line) => `\t\t${line}\n`).join('')}\t}\n}\n`;
  const usual = [
    'iif "lo" accept',
    'ct state established,related accept',
    'tcp dport 22 accept',
    'meta l4proto icmp accept',
  ];
  t.equal(dropsUnlessAccepted(rules('drop'), 4789, 'nft'), 'rest');
  t.equal(dropsUnlessAccepted(rules('accept', ...usual), 4789, 'nft'), 'no');
  t.equal(dropsUnlessAccepted(rules('accept', ...usual, 'counter packets 3 bytes 4 drop'), 4789, 'nft'), 'rest');
  t.equal(dropsUnlessAccepted(rules('accept', 'reject with icmpx admin-prohibited'), 4789, 'nft'), 'rest');
  t.equal(dropsUnlessAccepted(rules('accept', 'udp dport 4789 drop'), 4789, 'nft'), 'port');
  t.equal(acceptsUdp(rules('drop', ...usual), 4789, 'nft'), false);
  t.equal(hasUncertainAccepts(rules('drop', ...usual), 'nft', 'swarmd-mesh'), false);
  t.equal(hasUncertainAccepts(rules('accept', ...usual), 'nft', 'swarmd-mesh'), false);
  for (const ports of ['4789', '4000-5000', '{ 53, 4789 }', '{ 53, 4000-5000 }'])
    t.ok(acceptsUdp(rules('drop', `ip saddr 192.0.2.0/24 udp dport ${ports} accept`), 4789, 'nft'), ports);
  for (const line of ['ip saddr 192.0.2.0/24 accept', 'ip saddr @friends accept', 'iifname "eth1" accept'])
    t.ok(hasUncertainAccepts(rules('drop', line), 'nft', 'swarmd-mesh'), line);
});
