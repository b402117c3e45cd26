import type { RecoveryManager } from '@swarmd/model';
import t from 'tap';
import type { DaemonConfig } from '../src/config.js';
import type { Member } from '../src/member-file.js';
import { dataPathAddress, type HostAddresses, presentMember, resolveAddresses } from '../src/own-address.js';
import { planRecovery } from '../src/recovery.js';

const kept: Member = {
  listenAddr: '0.0.0.0:2377',
  advertiseAddr: '10.0.0.1:2377',
  interface: 'eth0',
  managers: ['10.0.0.1:2377', '10.0.0.2:2377'],
};

function host(interfaces: Record<string, string>): HostAddresses {
  const entries = Object.entries(interfaces);
  return {
    interfaceOf: (address) => entries.find(([, own]) => own === address)?.[0],
    addressLike: (name) => interfaces[name],
    guess: () => {
      if (entries.length > 1) throw new Error('several');
      return entries[0]?.[1] ?? '127.0.0.1';
    },
  };
}

const config = (advertiseAddr?: string) => ({ advertiseAddr });

t.test('own address › it stays as long as the host has it, and its interface is remembered', (t) => {
  const { interface: _, ...older } = kept;
  t.equal(presentMember(config(), kept, host({ eth0: '10.0.0.1', eth1: '10.1.0.1' })), kept);
  t.equal(presentMember(config('10.9.9.9'), kept, host({ eth0: '10.0.0.1' })), kept);
  t.same(presentMember(config(), older, host({ eth1: '10.0.0.1' })), { ...older, interface: 'eth1' });
  t.end();
});

t.test('own address › one that is gone gives way to the one of its interface, or to the one that was told', (t) => {
  const moved = presentMember(config(), kept, host({ eth0: '10.0.0.7', eth1: '10.1.0.1' }));
  t.equal(moved.advertiseAddr, '10.0.0.7:2377');
  t.same(moved.managers, ['10.0.0.7:2377', '10.0.0.2:2377']);
  t.equal(moved.listenAddr, '0.0.0.0:2377');
  const told = presentMember(config('10.1.0.1'), kept, host({ eth0: '10.0.0.7', eth1: '10.1.0.1' }));
  t.equal(told.advertiseAddr, '10.1.0.1:2377');
  t.equal(told.interface, 'eth1');
  const renamed = presentMember(config(), kept, host({ eth5: '10.0.0.9' }));
  t.equal(renamed.advertiseAddr, '10.0.0.9:2377');
  const listening = presentMember(config(), { ...kept, listenAddr: '10.0.0.1:2377' }, host({ eth0: '10.0.0.7' }));
  t.equal(listening.listenAddr, '10.0.0.7:2377');
  t.end();
});

t.test('own address › nothing is guessed among several, without a network, or behind a NAT', (t) => {
  t.equal(presentMember(config(), kept, host({ eth5: '10.0.0.9', eth6: '10.0.0.10' })), kept);
  t.equal(presentMember(config(), kept, host({})), kept);
  const { interface: _, ...natted } = kept;
  t.equal(presentMember(config(), natted, host({ eth0: '192.168.0.2' })), natted);
  const told = presentMember(config('10.0.0.5'), natted, host({ eth0: '192.168.0.2' }));
  t.equal(told.advertiseAddr, '10.0.0.5:2377');
  t.equal(told.interface, undefined);
  t.end();
});

function manager(name: string, log: [term: number, index: number] | undefined, more: Partial<RecoveryManager> = {}) {
  const [Term, Index] = log === undefined ? ['', ''] : [String(log[0]), String(log[1])];
  const about = { NodeID: `id-${name}`, Hostname: name, Addr: `${name}:2377`, Self: false, LastChange: '' };
  return { ...about, Answers: log !== undefined, HasQuorum: false, Term, Index, ...more };
}

t.test('recovery plan › whose log is further is decided by term, then index', (t) => {
  const self = manager('self', [5, 100], { Self: true });
  t.equal(planRecovery([self, manager('b', [5, 99]), manager('c', undefined)], 'self:2377', {}).Refusal, '');
  t.equal(planRecovery([self, manager('b', [4, 2_000])], 'self:2377', {}).Refusal, '');
  t.match(planRecovery([self, manager('b', [5, 101])], 'self:2377', {}).Refusal, /the log of b .* is further/);
  const several = [self, manager('b', [6, 1]), manager('c', [5, 900])];
  t.match(planRecovery(several, 'self:2377', {}).Refusal, /the log of b /);
  t.equal(planRecovery(several, 'self:2377', { AllowOlder: true }).Refusal, '');
  t.match(planRecovery(several, 'self:2377', { AllowOlder: true }).Warnings.join('\n'), /what b has beyond .* is lost/);
  t.end();
});

t.test('recovery plan › a manager with a quorum is left alone unless it is forced', (t) => {
  const self = manager('self', [5, 100], { Self: true });
  const managers = [self, manager('b', [5, 100], { HasQuorum: true })];
  t.match(planRecovery(managers, 'self:2377', {}).Refusal, /b has a quorum/);
  t.equal(planRecovery(managers, 'self:2377', { Force: true }).Refusal, '');
  t.end();
});

t.test('recovery plan › from a standby a single manager that is silent is one to keep off', (t) => {
  const warnings = (Standby: boolean): string => {
    const self = manager('self', [5, 100], { Self: true, Standby });
    return planRecovery([self, manager('b', undefined)], 'self:2377', {}).Warnings.join('\n');
  };
  t.match(warnings(true), /what b acknowledged in the last moments may not be here; make sure that it is off for good/);
  t.notMatch(warnings(false), /off for good/);
  t.end();
});

t.test('recovery plan › it says what may be lost, and what is to be done afterwards', (t) => {
  const self = manager('self', [5, 100], { Self: true });
  const managers = [self, manager('b', [5, 99]), manager('c', undefined), manager('d', undefined)];
  const { Steps, Warnings } = planRecovery(managers, 'new:2377', {});
  t.match(Steps[0], /only manager, at new:2377/);
  const text = Warnings.join('\n');
  t.match(text, /if the log of c, which does not answer, is further/);
  t.match(text, /c d must not be started where they reach each other/);
  t.match(text, /swarmctl cluster find new:2377/);
  t.match(text, /node promote b/);
  t.match(text, /node rm --force c d/);
  t.end();
});

t.test(
  'data path › is the advertised address unless one was named, and that of an interface as it is now',
  async (t) => {
    const member = { listenAddr: '0.0.0.0:2377', advertiseAddr: '10.0.0.1:2377', managers: [] };
    t.equal(dataPathAddress(member), '10.0.0.1');
    t.equal(dataPathAddress({ ...member, advertiseAddr: '[fd00::1]:2377' }), 'fd00::1');
    t.equal(dataPathAddress({ ...member, dataPathAddr: '10.9.0.1' }), '10.9.0.1');
    t.equal(dataPathAddress({ ...member, dataPathAddr: 'lo' }), '127.0.0.1');
    t.equal(dataPathAddress({ ...member, dataPathAddr: 'nosuch0' }), '10.0.0.1');
  },
);

t.test('data path › a wrong address is refused by its name', async (t) => {
  const config = { listenAddr: '10.0.0.1:2377', advertiseAddr: '10.0.0.1' } as DaemonConfig;
  t.match(resolveAddresses(config, { DataPathAddr: 'lo' }), { dataPathAddr: 'lo' });
  t.notOk('dataPathAddr' in resolveAddresses(config, { DataPathAddr: '' }));
  for (const DataPathAddr of ['10.0.0.1:4789', 'nosuch0', '10.0.0.300']) {
    t.throws(() => resolveAddresses(config, { DataPathAddr }), { code: 'invalid-argument', field: 'DataPathAddr' });
  }
});
