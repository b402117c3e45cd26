import { isErrorCode, type NewObject, type Node } from '@swarmd/model';
import { buildNode } from '@swarmd/testkit';
import fc from 'fast-check';
import t from 'tap';
import { parseAddress, parseSubnet, subnetContains } from '../src/scheduler/address.js';
import { nodeMatches, parseConstraints } from '../src/scheduler/constraint.js';

const stamps = { Version: { Index: 1 }, CreatedAt: '', UpdatedAt: '' };
const node = (over: Partial<NewObject<Node>> = {}): Node => ({ ...buildNode('n1', over), ...stamps });
const described = buildNode('n1').Description!;
const matches = (expression: string, on: Node): boolean => nodeMatches(parseConstraints([expression]), on);

t.test('constraint › refuses what Docker Swarm refuses, in its words', async (t) => {
  const table: [string, string][] = [
    ['node.role', 'constraint expected one operator from ==, !='],
    ['node.role=manager', 'constraint expected one operator from ==, !='],
    ['', 'constraint expected one operator from ==, !='],
    ['a == b', "key 'a' is invalid"],
    ['1ab==b', "key '1ab' is invalid"],
    ['no de==b', "key 'no de' is invalid"],
    ['==b', "key '' is invalid"],
    ['node.role==', "value '' is invalid"],
    ['node.role== ', "value '' is invalid"],
    ['node.role==a>b', "value 'a>b' is invalid"],
    ['node.role==a,b', "value 'a,b' is invalid"],
    ['node.role===manager', "value '=manager' is invalid"],
    ['node.labels.x!=a==b', "key 'node.labels.x!=a' is invalid"],
  ];
  for (const [expression, message] of table) {
    try {
      parseConstraints([expression]);
      t.fail(`accepted ${expression}`);
    } catch (error) {
      t.ok(isErrorCode(error, 'invalid-argument'), expression);
      t.equal((error as Error).message, message, expression);
    }
  }
});

t.test('constraint › trims and keeps the parts of an expression', async (t) => {
  const [parsed] = parseConstraints(['  node.labels.Rack  !=  row 1/(a|b)*[c]+?\\^$  ']);
  t.match(parsed, { key: 'node.labels.Rack', operator: '!=', value: 'row 1/(a|b)*[c]+?\\^$' });
  t.same(parsed!.subject, { kind: 'node-label', label: 'Rack' });
});

t.test('constraint › matches nodes as Docker Swarm does', async (t) => {
  const plain = node();
  const bare = node({ Description: undefined as never, Spec: { Role: 'manager', Availability: 'active' } });
  const labelled = node({
    Spec: { Role: 'worker', Availability: 'active', Labels: { tier: 'Web', Tier: 'other' } },
    Description: { ...described, Hostname: 'Alpha', Engine: { EngineVersion: '28', Labels: { storage: 'ssd' } } },
  });
  const table: [string, Node, boolean][] = [
    ['node.id==n1', plain, true],
    ['node.id==N1', plain, true],
    ['node.id!=n1', plain, false],
    ['NODE.ID==n1', plain, true],
    ['node.hostname==alpha', labelled, true],
    ['node.hostname==alp*', labelled, false],
    ['node.hostname==alpha', bare, false],
    ['node.hostname!=alpha', bare, true],
    ['node.role==WORKER', plain, true],
    ['node.role==manager', bare, true],
    ['node.platform.os==linux', plain, true],
    ['node.platform.os==linux', bare, false],
    ['node.platform.os!=windows', bare, true],
    ['node.platform.arch==x86_64', plain, true],
    ['node.platform.arch==amd64', plain, false],
    ['node.labels.tier==web', labelled, true],
    ['Node.Labels.tier==web', labelled, true],
    ['node.labels.TIER==web', labelled, false],
    ['node.labels.Tier==other', labelled, true],
    ['node.labels.none==web', labelled, false],
    ['node.labels.none!=web', labelled, true],
    ['node.labels.none!=web', bare, true],
    ['engine.labels.storage==SSD', labelled, true],
    ['engine.labels.storage!=ssd', bare, true],
    ['engine.labels.storage==ssd', bare, false],
    ['node.unknown==x', plain, false],
    ['node.unknown!=x', plain, false],
    ['node.labels.==x', plain, false],
    ['node.labels.!=x', plain, false],
    ['constructor!=x', plain, false],
    ['node.labels.constructor==x', labelled, false],
    ['node.labels.constructor!=x', labelled, true],
    ['engine.labels.__proto__==x', labelled, false],
  ];
  for (const [expression, on, expected] of table) t.equal(matches(expression, on), expected, expression);
  t.equal(nodeMatches(parseConstraints(['node.role==worker', 'node.id==n2']), plain), false, 'all must hold');
});

t.test('constraint › compares addresses and networks', async (t) => {
  const at = (Addr: string): Node => node({ Status: { State: 'ready', Addr } });
  const table: [string, string, boolean][] = [
    ['node.ip==10.0.0.1', '10.0.0.1', true],
    ['node.ip==10.0.0.2', '10.0.0.1', false],
    ['node.ip!=10.0.0.2', '10.0.0.1', true],
    ['node.ip==10.0.0.0/8', '10.9.9.9', true],
    ['node.ip==10.0.0.0/8', '11.0.0.1', false],
    ['node.ip!=10.0.0.0/8', '11.0.0.1', true],
    ['node.ip==10.0.0.128/25', '10.0.0.127', false],
    ['node.ip==0.0.0.0/0', '8.8.8.8', true],
    ['node.ip==2001:db8::2', '2001:0db8:0::0002', true],
    ['node.ip==2001:db8::/32', '2001:db8:ffff::1', true],
    ['node.ip==2001:db8::/32', '2001:db9::1', false],
    ['node.ip==::ffff:10.0.0.1', '10.0.0.1', true],
    ['node.ip==10.0.0.1', '', false],
    ['node.ip!=10.0.0.1', '', true],
    ['node.ip!=10.0.0.0/8', '', true],
    ['node.ip==10.0.0.0/33', '10.0.0.1', false],
    ['node.ip!=10.0.0.0/33', '10.0.0.1', false],
    ['node.ip!=10.0.0', '10.0.0.1', false],
    ['node.ip!=nonsense', '10.0.0.1', false],
    ['node.ip!=10.0.0.01', '10.0.0.1', false],
  ];
  for (const [expression, address, expected] of table) {
    t.equal(matches(expression, at(address)), expected, `${expression} on '${address}'`);
  }
});

t.test('constraint › reads every address that the platform writes', async (t) => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
      const address = parseAddress(text);
      if (address?.length !== 16) return false;
      const all = parseSubnet(`${text}/${text.includes(':') ? 128 : 32}`);
      return all !== undefined && subnetContains(all, address);
    }),
  );
  for (const bad of [
    '1.2.3',
    '1.2.3.4.5',
    '1.2.3.256',
    ':',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    'g::1',
    '::1::',
  ])
    t.equal(parseAddress(bad), undefined, bad);
});
