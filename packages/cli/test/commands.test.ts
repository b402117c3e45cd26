import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { swarmctlFor } from './support/swarmctl.js';
import { SELF, startWorld, type World } from './support/world.js';

async function withWorld(t: Test): Promise<{ world: World; swarmctl: ReturnType<typeof swarmctlFor> }> {
  const world = await startWorld();
  t.teardown(() => world.stop());
  return { world, swarmctl: swarmctlFor(world) };
}

t.test('swarmctl › joins, leaves and shows tokens, with and without the word swarm', async (t) => {
  const { world, swarmctl } = await withWorld(t);
  const token = await swarmctl(['join-token', 'worker']);
  t.match(token.stdout, 'swarmctl join --token SWMTKN-1-worker 10.0.0.1:2377');
  t.equal((await swarmctl(['swarm', 'join-token', '-q', 'manager'])).stdout, 'SWMTKN-1-manager\n');
  const rotated = await swarmctl(['join-token', '--rotate', 'worker']);
  t.match(rotated.stdout, /^Successfully rotated worker join token\.\n\nTo add a worker/);
  t.match(rotated.stdout, 'SWMTKN-1-fresh-worker');
  t.match(await swarmctl(['join-token', 'boss']), { code: 1, stderr: 'unknown role boss\n' });
  const again = await swarmctl(['init', '--advertise-addr', '10.0.0.1']);
  t.match(again, { code: 1, stderr: /^Error response from daemon: This node is already part of a swarm/ });
  t.match(await swarmctl(['leave', '--force']), { code: 0, stdout: 'Node left the swarm.\n' });
  t.match(await swarmctl(['swarm', 'leave']), { code: 0 });
  t.same(world.asked, [
    { method: 'leave', request: true },
    { method: 'leave', request: false },
  ]);
});

t.test('swarmctl › initialises and joins a node that is in no cluster', async (t) => {
  const { world, swarmctl } = await withWorld(t);
  world.info.LocalNodeState = 'inactive';
  const initialised = await swarmctl([
    'init',
    '--listen-addr',
    '10.0.0.9',
    '--task-history-limit',
    '3',
    '--availability',
    'drain',
  ]);
  t.match(initialised.stdout, `Swarm initialized: current node (${SELF}) is now a manager.\n`);
  t.match(world.asked[0]?.request, {
    ListenAddr: '10.0.0.9:2377',
    Availability: 'drain',
    Spec: { Orchestration: { TaskHistoryRetentionLimit: 3 } },
  });
  const joined = await swarmctl(['join', '--token', 'SWMTKN-1-x', '10.0.0.1:2377']);
  t.match(joined, { code: 0, stdout: 'This node joined a swarm as a manager.\n' });
  t.match(world.asked[1]?.request, { JoinToken: 'SWMTKN-1-x', RemoteAddrs: ['10.0.0.1:2377'] });
  t.notOk(Object.hasOwn(world.asked[1]!.request as object, 'ListenAddr'), 'the daemon knows its own address');
  t.match(await swarmctl(['init', '--availability', 'maybe']), { code: 1, stderr: /invalid availability "maybe"/ });
});

t.test('swarmctl › locks managers, shows and rotates their key, and unlocks', async (t) => {
  const { world, swarmctl } = await withWorld(t);
  t.match(await swarmctl(['unlock-key']), { code: 1, stderr: 'no unlock key is set\n' });
  t.match(await swarmctl(['unlock-key', '--rotate']), {
    code: 1,
    stderr: 'cannot rotate because autolock is not turned on\n',
  });
  t.match(await swarmctl(['swarm', 'unlock'], { stdin: 'x\n' }), { code: 1, stderr: 'Error: swarm is not locked\n' });
  const on = await swarmctl(['update', '--autolock']);
  const key = (await swarmctl(['swarm', 'unlock-key', '-q'])).stdout.trim();
  t.match(key, /^SWMKEY-1-/);
  const advice =
    'To unlock a swarm manager after it restarts, run the `swarmctl unlock`\n' +
    `command and provide the following key:\n\n    ${key}\n\n` +
    'Remember to store this key in a password manager, since without it you\n' +
    'will not be able to restart the manager.\n';
  t.equal(on.stdout, `Swarm updated.\n${advice}`);
  t.equal((await swarmctl(['swarm', 'update', '--autolock'])).stdout, 'Swarm updated.\n', 'shown once');
  t.equal((await swarmctl(['unlock-key'])).stdout, advice);
  const rotated = await swarmctl(['unlock-key', '--rotate']);
  t.match(rotated.stdout, /^Successfully rotated manager unlock key\.\nTo unlock a swarm manager/);
  t.notMatch(rotated.stdout, key);
  t.match(await swarmctl(['update', '--autolock=false']), { code: 0, stdout: 'Swarm updated.\n' });

  Object.assign(world.info, { LocalNodeState: 'locked', ControlAvailable: false });
  t.match(await swarmctl(['unlock-key']), {
    code: 1,
    stderr: /^could not fetch unlock key: Error response from daemon: Swarm is encrypted and needs to be unlocked/,
  });
  t.match(await swarmctl(['unlock'], { stdin: `${key}\n and more` }), { code: 0, stdout: '', stderr: '' });
  t.same(world.asked, [{ method: 'unlock', request: key }]);
  world.info.LocalNodeState = 'inactive';
  t.match(await swarmctl(['unlock']), { code: 1, stderr: 'Error: This node is not part of a swarm\n' });
});

t.test('swarmctl › lists, labels, drains, promotes and removes nodes', async (t) => {
  const { swarmctl } = await withWorld(t);
  t.equal(
    (await swarmctl(['node', 'ls'])).stdout,
    `ID                            HOSTNAME   STATUS    AVAILABILITY   MANAGER STATUS   ENGINE VERSION
${SELF} *   boss       Ready     Active         Leader           20.10.24
worker1                       worker1    Ready     Active                          20.10.24
worker2                       worker2    Ready     Active                          20.10.24
`,
  );
  const labels = ['--label-add', 'zone=a', '--label-add', 'x=1'];
  t.match(await swarmctl(['node', 'update', '--availability', 'drain', ...labels, 'worker1']), {
    code: 0,
    stdout: 'worker1\n',
  });
  await swarmctl(['node', 'update', '--label-rm', 'x', 'worker1']);
  const shown = await swarmctl(['node', 'inspect', '--format', '{{.Spec.Availability}} {{.Spec.Labels}}', 'worker1']);
  t.equal(shown.stdout, 'drain map[zone:a]\n');
  t.match(await swarmctl(['node', 'update', '--label-rm', 'nope', 'worker1']), {
    code: 1,
    stderr: /key nope doesn't exist/,
  });
  t.match((await swarmctl(['node', 'inspect', '--pretty', 'self'])).stdout, /Leader:\t\tYes/);
  t.match(await swarmctl(['node', 'promote', 'boss']), { code: 0, stderr: `Node ${SELF} is already a manager.\n` });
  t.match(await swarmctl(['node', 'promote', '--standby', 'worker2']), {
    code: 0,
    stdout: 'Node worker2 promoted to a standby in the swarm.\n',
  });
  const roleOf = async (): Promise<string> =>
    (await swarmctl(['node', 'inspect', '--format', '{{.Spec.Role}} {{.Spec.Labels}}', 'worker2'])).stdout;
  t.equal(await roleOf(), 'manager map[swarmd.standby:true]\n');
  t.match(await swarmctl(['node', 'promote', 'worker2']), { code: 0, stdout: /promoted to a manager/ });
  t.equal(await roleOf(), 'manager map[]\n');
  await swarmctl(['node', 'demote', 'worker2']);
  t.match(await swarmctl(['node', 'rm', 'worker2']), { code: 1, stderr: /is not down and can't be removed/ });
  t.match(await swarmctl(['node', 'rm', '--force', 'worker2', 'nope']), {
    code: 1,
    stdout: 'worker2\n',
    stderr: /nope not found/,
  });
});

t.test('swarmctl › keeps secrets and configs', async (t) => {
  const { swarmctl } = await withWorld(t);
  const directory = mkdtempSync(join(tmpdir(), 'cli-files-'));
  writeFileSync(join(directory, 'c.conf'), 'a=1\n');
  t.match(await swarmctl(['secret', 'create', '-l', 'k=v', 's', '-'], { stdin: 'hunter2' }), { code: 0 });
  t.match(await swarmctl(['config', 'create', 'c', 'c.conf'], { directory }), { code: 0 });
  t.match((await swarmctl(['config', 'inspect', '--pretty', 'c'])).stdout, /Data:\na=1\n/);
  t.notMatch((await swarmctl(['secret', 'inspect', 's'])).stdout, /hunter2|aHVudGVyMg/);
  t.equal((await swarmctl(['secret', 'ls', '--format', '{{.Name}} {{.Labels}} {{.Label "k"}}'])).stdout, 's k=v v\n');
  t.match(await swarmctl(['secret', 'create', 's', '-'], { stdin: 'x' }), {
    code: 1,
    stderr: /rpc error: code = AlreadyExists/,
  });
  t.match(await swarmctl(['config', 'create', 'd', 'nope.conf'], { directory }), {
    code: 1,
    stderr: /error reading content/,
  });
  await swarmctl([
    'service',
    'create',
    '-d',
    '--name',
    'web',
    '--secret',
    's',
    '--config',
    'source=c,target=/c',
    'nginx',
  ]);
  t.match(await swarmctl(['secret', 'rm', 's']), { code: 1, stderr: /in use/ });
  t.match(await swarmctl(['service', 'create', '--secret', 'nope', 'nginx']), {
    code: 1,
    stderr: 'secret not found: nope\n',
  });
});

t.test('swarmctl › completes commands, flags, values and names', async (t) => {
  const { swarmctl } = await withWorld(t);
  await swarmctl(['service', 'create', '-d', '--name', 'web', 'nginx']);
  const offered = async (...words: string[]): Promise<string[]> =>
    (await swarmctl(['__complete', ...words])).stdout
      .split('\n')
      .map((line) => line.split('\t')[0]!)
      .filter((word) => word !== '');
  t.same(await offered('se'), ['secret', 'service']);
  t.same(await offered('service', 'ro'), ['rollback']);
  t.same(await offered('service', 'update', '--env-'), ['--env-add', '--env-rm']);
  t.same(await offered('service', 'update', '--update-order', ''), ['start-first', 'stop-first']);
  t.same(await offered('service', 'update', ''), ['web']);
  t.same((await offered('node', 'inspect', '')).sort(), ['boss', 'worker1', 'worker2']);
  t.same(await offered('secret', 'create', 's', ''), [':files']);
  t.same(await offered('nope', ''), []);
  for (const shell of ['bash', 'zsh', 'fish'])
    t.match((await swarmctl(['completion', shell])).stdout, /swarmctl __complete/);
});

t.test('swarmctl › says how to start swarmd when nobody listens', async (t) => {
  const swarmctl = swarmctlFor({
    socket: '/nonexistent/swarmd.sock',
    clock: { now: () => 0, monotonic: () => 0, after: () => () => {} },
  });
  const outcome = await swarmctl(['node', 'ls']);
  t.equal(outcome.code, 1);
  t.match(
    outcome.stderr,
    /^Cannot connect to swarmd at unix:\/\/\/nonexistent\/swarmd\.sock\. Is swarmd running\?\nStart it /,
  );
  t.match(await swarmctl(['-H', 'tcp://1.2.3.4:1', 'node', 'ls']), {
    code: 1,
    stderr: /only unix:\/\/PATH is supported/,
  });
  const version = await swarmctl(['version']);
  t.match(version, { code: 1, stdout: /^Client:\n Version: / });
});

t.test('swarmctl › explains templates that do not work', async (t) => {
  const { swarmctl } = await withWorld(t);
  t.match(await swarmctl(['node', 'ls', '--format', '{{.Nope}}']), {
    code: 1,
    stderr: /^template parsing error: template: :1:2: /,
  });
  t.match(await swarmctl(['node', 'inspect', 'self', '--format', '{{.ID']), {
    code: 1,
    stderr: /^template parsing error: /,
  });
});
