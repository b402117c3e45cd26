import { type ClusterCheck, type RecoveryReport, type RecoveryRequest, SwarmdError } from '@swarmd/model';
import t from 'tap';
import { swarmctlFor } from './support/swarmctl.js';
import { startWorld } from './support/world.js';

const world = await startWorld();
const swarmctl = swarmctlFor(world);
t.teardown(() => world.stop());

const plan: RecoveryReport = {
  NodeID: 'n1',
  Managers: [
    {
      ...{ NodeID: 'n1', Hostname: 'one', Addr: '10.0.0.1:2377', Self: true, Answers: true, HasQuorum: false },
      ...{ Term: '7', Index: '1234', LastChange: '2026-01-01T00:00:00Z' },
    },
    {
      ...{ NodeID: '', Hostname: '', Addr: '10.0.0.2:2377', Self: false, Answers: false, HasQuorum: false },
      ...{ Term: '', Index: '', LastChange: '' },
    },
  ],
  Steps: ['one becomes the only manager'],
  Warnings: ['something may be lost'],
  Refusal: '',
};

/** Has recoveries answer with `report`, and resolves with what they were asked for. */
function recoveries(report: Partial<RecoveryReport> = {}): RecoveryRequest[] {
  const asked: RecoveryRequest[] = [];
  world.recover = async (request) => {
    asked.push(request);
    return { ...plan, ...report };
  };
  return asked;
}

t.test('swarmctl cluster recover › shows its plan first, and does nothing without consent', async (t) => {
  const asked = recoveries();
  const refused = await swarmctl(['cluster', 'recover'], { stdin: 'n\n' });
  t.match(refused, { code: 1, stderr: /Nothing was changed/ });
  t.match(refused.stdout, /one \*\s+10\.0\.0\.1:2377\s+no\s+7\s+1234/);
  t.match(refused.stdout, /\?\s+10\.0\.0\.2:2377\s+no answer/);
  t.match(refused.stdout, /- one becomes the only manager\nMind:\n {2}- something may be lost/);
  t.match(asked, [{ DryRun: true }]);
  t.equal(asked.length, 1);
  const agreed = await swarmctl(['cluster', 'recover', '--advertise-addr', '10.0.0.9'], { stdin: 'y\n' });
  t.match(agreed, { code: 0, stdout: /node n1 is the only manager/ });
  t.match(asked.slice(1), [{ DryRun: true }, { DryRun: false, AdvertiseAddr: '10.0.0.9', AllowOlder: false }]);
});

t.test('swarmctl cluster recover › a refusal ends it before anything is asked; --show only shows it', async (t) => {
  const asked = recoveries({ Refusal: 'the log of two is further' });
  const refused = await swarmctl(['cluster', 'recover', '--yes']);
  t.match(refused, { code: 1, stderr: /the log of two is further/ });
  const shown = await swarmctl(['cluster', 'recover', '--show']);
  t.match(shown, { code: 0, stdout: /the log of two is further/ });
  const json = await swarmctl(['cluster', 'recover', '--show', '--format', 'json']);
  t.equal((JSON.parse(json.stdout) as RecoveryReport).Managers[0]?.Index, '1234');
  t.ok(asked.every(({ DryRun }) => DryRun === true));
});

t.test('swarmctl cluster find › tells the daemon', async (t) => {
  t.equal((await swarmctl(['cluster', 'find', '10.0.0.9:2377'])).code, 0);
  t.match(world.asked.at(-1), { method: 'findManagers', request: ['10.0.0.9:2377'] });
});

t.test('swarmctl cluster check › its exit code says whether something is to be done', async (t) => {
  const check: ClusterCheck = {
    Healthy: true,
    Findings: [{ Level: 'note', What: 'there is one manager', Do: 'add two' }],
    Quorum: { Voters: 1, Healthy: 1, Quorum: 1, Margin: 0 },
    RootCertificateNotAfter: '2045-01-01T00:00:00Z',
    Managers: [{ NodeID: 'n1', Hostname: 'one', Addr: '10.0.0.1:2377', Answers: true, SwarmdVersion: '0.1.0' }],
    Nodes: [{ NodeID: 'n1', Hostname: 'one', State: 'ready', EngineVersion: '29.0.0', ClockAheadMs: -1_234 }],
  };
  world.check = async () => check;
  const well = await swarmctl(['cluster', 'check']);
  t.match(well, { code: 0, stdout: /NOTE: there is one manager\n {4}add two/ });
  t.match(well.stdout, /one\s+ready\s+29\.0\.0\s+-1\.23 s/);
  t.match(well.stdout, /1 of 1 are there, 0 more can be lost/);
  world.check = async () => ({ ...check, Healthy: false });
  t.equal((await swarmctl(['cluster', 'check'])).code, 1);
  const json = await swarmctl(['cluster', 'check', '--format', 'json']);
  t.equal(json.code, 1);
  t.equal((JSON.parse(json.stdout) as ClusterCheck).Quorum.Voters, 1);
  t.match(await swarmctl(['cluster', 'check', '--format', 'yaml']), { code: 1, stderr: /table or json/ });
  world.check = async () => {
    throw new SwarmdError('unavailable', 'This node is not participating as a Swarm manager');
  };
  t.match(await swarmctl(['cluster', 'check']), { code: 1, stderr: /not participating as a Swarm manager/ });
});
