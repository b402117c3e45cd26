import type { CheckFinding, ManagerCheck, NodeCheck } from '@swarmd/model';
import t from 'tap';
import { type Checked, findingsOf } from '../src/check/findings.js';

const NOW = Date.parse('2026-01-01T00:00:00Z');
const DAY_MS = 24 * 3_600_000;
const GIB = 1024 ** 3;
const NO_CERTIFICATES = new Map();

function manager(name: string, more: Partial<ManagerCheck> = {}): ManagerCheck {
  const about = { NodeID: name, Hostname: name, Addr: `${name}:2377`, Answers: true };
  return { ...about, SwarmdVersion: '0.1.0', Protocol: 1, ClockAheadMs: 0, RoundTripMs: 2, Etcd: etcd(), ...more };
}

function etcd(more: Partial<NonNullable<ManagerCheck['Etcd']>> = {}): NonNullable<ManagerCheck['Etcd']> {
  const sizes = { SizeBytes: GIB, UsedBytes: GIB / 2, QuotaBytes: 8 * GIB };
  return {
    Version: '3.4.23',
    ...sizes,
    FsyncP99Ms: 4,
    Alarms: [],
    CertificateNotAfter: '2035-01-01T00:00:00Z',
    ...more,
  };
}

function node(name: string, more: Partial<NodeCheck> = {}): NodeCheck {
  return { NodeID: name, Hostname: name, State: 'ready', EngineVersion: '29.0.0', SwarmdVersion: '0.1.0', ...more };
}

function checked(more: Partial<Checked> = {}): Checked {
  return {
    Quorum: { Voters: 3, Healthy: 3, Quorum: 2, Margin: 1 },
    RootCertificateNotAfter: '2045-01-01T00:00:00Z',
    Managers: ['a', 'b', 'c'].map((name) => manager(name)),
    Nodes: ['a', 'b', 'c', 'd'].map((name) => node(name)),
    ...more,
  };
}

const find = (more: Partial<Checked>): CheckFinding[] => findingsOf(checked(more), NO_CERTIFICATES, NOW);

t.test('cluster check › three managers that are well leave nothing to say', async (t) => {
  t.same(find({}), []);
});

t.test('cluster check › the quorum’s margin decides how bad it is', async (t) => {
  const level = (Voters: number, Healthy: number): string | undefined => {
    const Quorum = Math.floor(Voters / 2) + 1;
    return find({ Quorum: { Voters, Healthy, Quorum, Margin: Healthy - Quorum } })[0]?.Level;
  };
  t.equal(level(1, 1), 'note');
  t.equal(level(2, 2), 'warning');
  t.equal(level(2, 1), 'error');
  t.equal(level(3, 2), 'warning');
  t.equal(level(3, 1), 'error');
  t.equal(level(4, 4), 'note');
  t.equal(level(5, 4), undefined);
  t.match(find({ Quorum: { Voters: 3, Healthy: 1, Quorum: 2, Margin: -1 } })[0], { Do: /cluster recover --show/ });
});

t.test('cluster check › a manager’s trouble is named with its host, the worst first', async (t) => {
  const found = find({
    Managers: [
      manager('a', { ClockAheadMs: -3_000 }),
      manager('b', { Etcd: etcd({ UsedBytes: 7 * GIB, FsyncP99Ms: 256 }) }),
      manager('c', { Etcd: etcd({ Alarms: ['nospace'] }) }),
      { NodeID: 'd', Hostname: 'd', Addr: 'd:2377', Answers: false },
    ],
  });
  t.same(
    found.map(({ Level }) => Level),
    ['error', 'error', 'warning', 'warning', 'warning'],
  );
  const text = found.map(({ What }) => What).join('\n');
  t.match(text, /etcd on c is out of space/);
  t.match(text, /manager d \(d:2377\) does not answer/);
  t.match(text, /clock of manager a is 3\.0 s behind/);
  t.match(text, /etcd on b uses 88 % of its space/);
  t.match(text, /disk of b is slow.* 256 ms/);
});

t.test('cluster check › a slow line is no wrong clock', async (t) => {
  t.same(find({ Managers: [manager('a', { ClockAheadMs: 1_500, RoundTripMs: 3_000 })] }), []);
});

t.test('cluster check › nodes: silence, clocks, certificates, versions', async (t) => {
  const times = (from: number, until: number) => ({
    NotBefore: new Date(NOW + from * DAY_MS).toISOString(),
    NotAfter: new Date(NOW + until * DAY_MS).toISOString(),
  });
  const certificates = new Map([
    ['a', times(-10, 80)],
    ['b', times(-85, 5)],
    ['c', times(-91, -1)],
  ]);
  const Nodes = [
    node('a'),
    node('b', { SwarmdVersion: '0.2.0' }),
    node('c', { State: 'down' }),
    node('d', { ClockAheadMs: 7_000 }),
  ];
  const found = findingsOf(checked({ Nodes }), certificates, NOW);
  const of = (name: RegExp): string[] => found.filter(({ What }) => name.test(What)).map(({ Level }) => Level);
  t.same(of(/certificate of c has expired/), ['error']);
  t.same(of(/certificate of b runs out/), ['warning']);
  t.same(of(/node c is down/), ['warning']);
  t.same(of(/clock of node d is 7\.0 s ahead/), ['warning']);
  t.same(of(/different versions of swarmd: 0\.1\.0, 0\.2\.0/), ['note']);
  t.equal(found.length, 5);
  const root = find({ RootCertificateNotAfter: new Date(NOW + 100 * DAY_MS).toISOString() });
  t.match(root, [{ Level: 'warning', Do: /ca --rotate/ }]);
});
