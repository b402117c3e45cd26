import type { CleanupReport, DoctorOptions, DoctorReport, TraceOptions, TraceReport } from '@swarmd/model';
import t from 'tap';
import { splitDestination } from '../src/commands/net/trace.js';
import { commandTree } from '../src/commands/tree.js';
import { complete } from '../src/completion/complete.js';
import { swarmctlFor } from './support/swarmctl.js';
import { startWorld } from './support/world.js';

const world = await startWorld();
const swarmctl = swarmctlFor(world);
t.teardown(() => world.stop());

const healthy: DoctorReport = {
  Healthy: true,
  Findings: [],
  Nodes: [{ NodeID: 'n1', Hostname: 'one', Answers: true, Version: '0.1.0', Networks: 2, Containers: 3 }],
  Probes: { Sent: 6, Heard: 6 },
};

/** Has the doctor answer with `report`, and resolves with what it was asked. */
function doctors(report: Partial<DoctorReport> = {}): DoctorOptions[] {
  const asked: DoctorOptions[] = [];
  world.answers.doctor = async (options) => {
    asked.push(options);
    return { ...healthy, ...report };
  };
  return asked;
}

t.test('swarmctl doctor › its exit code says whether something is to be done', async (t) => {
  const asked = doctors();
  const well = await swarmctl(['doctor']);
  t.match(well, { code: 0, stdout: /one\s+yes\s+0\.1\.0\s+2\s+3/ });
  t.match(well.stdout, /6 of 6 that were tried are open\nNothing is to be done/);
  t.same(asked, [{ repair: false }]);
  const findings = doctors({
    Healthy: false,
    Findings: [
      { Level: 'error', Code: 'mtu', What: 'it is too large', Do: 'make it smaller', NodeID: 'n1', Hostname: 'one' },
      { Level: 'note', Code: 'x', What: 'all the same', Do: '', NodeID: '', Hostname: '' },
    ],
  });
  const ill = await swarmctl(['doctor', '--node', 'one', '--repair']);
  t.match(ill, { code: 1, stdout: /ERROR: one: it is too large\n {4}make it smaller\nNOTE: all the same\n/ });
  t.same(findings, [{ repair: true, node: 'one' }]);
  const json = await swarmctl(['doctor', '--format', 'json']);
  t.equal(json.code, 1);
  t.equal((JSON.parse(json.stdout) as DoctorReport).Findings[0]?.Code, 'mtu');
  t.match(await swarmctl(['doctor', '--format', 'xml']), { code: 1, stderr: /--format is table or json, not xml/ });
});

const way: TraceReport = {
  Source: { Kind: 'task', ID: 't1', Name: 'web.1.t1', NodeID: 'n1', Hostname: 'one', Addresses: [] },
  Destination: { Kind: 'service', ID: 's1', Name: 'db', NodeID: '', Hostname: '', Addresses: [] },
  Hops: [
    { Hop: 'source', Result: 'ok', What: 'it runs', Do: '' },
    { Hop: 'forwarding', Result: 'broken', What: 'nobody knows', Do: 'ask the doctor' },
    { Hop: 'reach', Result: 'skipped', What: 'not tried', Do: '' },
  ],
  Backends: [],
  Ok: false,
};

t.test('swarmctl net trace › shows the hops, and where the way breaks', async (t) => {
  const asked: TraceOptions[] = [];
  world.answers.trace = async (options) => {
    asked.push(options);
    return way;
  };
  const broken = await swarmctl(['net', 'trace', 'web.1', 'db:5432']);
  t.match(broken, { code: 1, stdout: /From task web\.1\.t1 on one\nTo {3}service db\n/ });
  t.match(broken.stdout, /BROKEN {2}forwarding {2}nobody knows\n/);
  t.match(broken.stdout, /The way breaks here: nobody knows\n {4}ask the doctor\n/);
  t.same(asked, [{ from: 'web.1', to: 'db', port: 5432 }]);
  world.answers.trace = async () => ({ ...way, Hops: way.Hops.slice(0, 1), Ok: true });
  t.match(await swarmctl(['net', 'trace', 'web.1', 'db']), { code: 0, stdout: /Nothing is broken/ });
  t.match(await swarmctl(['net', 'trace', 'web.1', 'db:x']), { code: 1, stderr: /invalid port "x"/ });
});

t.test('swarmctl net trace › reads destinations', async (t) => {
  t.same(splitDestination('db'), { to: 'db', port: 0 });
  t.same(splitDestination('db:80'), { to: 'db', port: 80 });
  t.same(splitDestination('10.0.0.1:80'), { to: '10.0.0.1', port: 80 });
  t.same(splitDestination('fd00::1'), { to: 'fd00::1', port: 0 });
  t.same(splitDestination('[fd00::1]:80'), { to: 'fd00::1', port: 80 });
  for (const text of ['db:', 'db:0', 'db:65536', '[fd00::1]:x'])
    t.throws(() => splitDestination(text), /invalid port/, text);
});

t.test('swarmctl service endpoints › lists every task with why it is not in', async (t) => {
  t.equal((await swarmctl(['service', 'create', '--detach', '--name', 'api', '--replicas', '2', 'busybox'])).code, 0);
  const { stdout, code } = await swarmctl(['service', 'endpoints', 'api']);
  t.equal(code, 0);
  t.match(stdout, /^api is found by no virtual IP\n/);
  t.match(stdout, /TASK\s+NODE\s+ADDRESSES\s+STATE\s+ENDPOINT\s+WHY\n/);
  t.equal(stdout.match(/^api\.\d .* out /gm)?.length, 2);
  const json = await swarmctl(['service', 'endpoints', 'api', '--format', 'json']);
  t.equal((JSON.parse(json.stdout) as { ServiceName: string }).ServiceName, 'api');
  t.match(await swarmctl(['service', 'endpoints', 'nobody']), { code: 1, stderr: /nobody/ });
});

t.test('swarmctl node cleanup › lists, and removes only with --yes', async (t) => {
  const item = { Kind: 'namespace', Name: '/run/swarmd/netns/x', Removed: false, Error: '' };
  const report: CleanupReport = { Items: [item], Removed: false };
  world.cleanup = async ({ remove }) =>
    remove
      ? {
          Items: [
            { ...item, Removed: true },
            { ...item, Kind: 'network', Error: 'it has containers' },
          ],
          Removed: true,
        }
      : report;
  const listed = await swarmctl(['node', 'cleanup']);
  t.match(listed, { code: 0, stdout: /namespace\s+\/run\/swarmd\/netns\/x\s+there\n/ });
  t.match(listed.stdout, /Nothing was removed/);
  t.match(world.asked.at(-1), { method: 'cleanup', request: { remove: false, force: false } });
  const removed = await swarmctl(['node', 'cleanup', '--yes', '--force']);
  t.match(removed, { code: 1, stdout: /removed\n.*it has containers/ });
  t.match(world.asked.at(-1), { request: { remove: true, force: true } });
  world.cleanup = async () => ({ Items: [], Removed: true });
  t.match(await swarmctl(['node', 'cleanup', '--yes']), { code: 0, stdout: /Nothing of swarmd’s networks/ });
});

t.test('completion › offers these commands, and names of services', async (t) => {
  const offer = async (...words: string[]): Promise<string[]> => {
    const offered = await complete(commandTree(), words, async (kind) => [`a-${kind}`]);
    return typeof offered === 'symbol' || typeof offered === 'string' ? [] : offered.map(({ word }) => word);
  };
  t.match(await offer('doct'), ['doctor']);
  t.match(await offer('net', ''), ['trace']);
  t.same(await offer('net', 'trace', ''), ['a-service']);
  t.same(await offer('service', 'endpoints', ''), ['a-service']);
  t.match(await offer('node', 'cle'), ['cleanup']);
});
