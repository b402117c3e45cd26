import { execFileSync, spawnSync } from 'node:child_process';
import t from 'tap';
import { swarmctlFor } from './support/swarmctl.js';

/** The release whose words these are. */
const RELEASE = '28.2';

function dockerRelease(): string | undefined {
  try {
    return execFileSync('docker', ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  } catch {
    return undefined;
  }
}

const release = dockerRelease();
const skip = release?.includes(` ${RELEASE}.`) ? false : `needs the docker CLI ${RELEASE}, found ${release ?? 'none'}`;
const swarmctl = swarmctlFor({
  socket: '/nowhere',
  clock: { now: () => 0, monotonic: () => 0, after: () => () => {} },
});

function docker(args: readonly string[]): { code: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync('docker', args, { encoding: 'utf8' });
  return { code: status, output: stdout + stderr };
}

async function ours(args: readonly string[]): Promise<{ code: number; output: string }> {
  const { code, stdout, stderr } = await swarmctl(args);
  return { code, output: (stdout + stderr).replaceAll('swarmctl', 'docker') };
}

const SAME_HELP = [
  ['service', 'create'],
  ['service', 'inspect'],
  ['service', 'logs'],
  ['service', 'ls'],
  ['service', 'ps'],
  ['service', 'rm'],
  ['service', 'rollback'],
  ['service', 'update'],
  ['node', 'demote'],
  ['node', 'inspect'],
  ['node', 'ls'],
  ['node', 'ps'],
  ['node', 'rm'],
  ['node', 'update'],
  ['secret', 'create'],
  ['secret', 'inspect'],
  ['secret', 'ls'],
  ['secret', 'rm'],
  ['config', 'create'],
  ['config', 'inspect'],
  ['config', 'ls'],
  ['config', 'rm'],
  ['stack', 'ls'],
  ['stack', 'ps'],
  ['stack', 'rm'],
  ['stack', 'services'],
  ['swarm', 'join'],
  ['swarm', 'join-token'],
  ['swarm', 'leave'],
  ['network', 'ls'],
  ['network', 'inspect'],
];

for (const path of SAME_HELP) {
  t.test(`help › ${path.join(' ')} has the docker CLI's flags and words`, { skip }, async (t) => {
    t.equal((await ours([...path, '--help'])).output, docker([...path, '--help']).output);
  });
}

const SAME_ERRORS = [
  ['service', 'ls', '--bogus'],
  ['service', 'ls', 'x'],
  ['service', 'ls', '--filter', 'foo'],
  ['service', 'ls', '--format'],
  ['secret', 'create'],
  ['stack', 'deploy'],
  ['service', 'create', '--replicas', 'abc', 'nginx'],
  ['service', 'create', '--mount', 'foo', 'nginx'],
  ['service', 'create', '--publish', 'abc:def:1', 'nginx'],
  ['service', 'create', '--limit-memory', '3x', 'nginx'],
  ['service', 'create', '--limit-cpu', '3x', 'nginx'],
  ['service', 'create', '--update-delay', '3x', 'nginx'],
  ['service', 'create', '--host', 'abc', 'nginx'],
  ['service', 'create', '--tty=maybe', 'nginx'],
  ['bogus'],
];

for (const args of SAME_ERRORS) {
  t.test(
    `errors › ${args.join(' ')} is refused in the docker CLI's words and with its exit code`,
    { skip },
    async (t) => {
      const theirs = docker(args);
      const mine = await ours(args);
      t.same(mine, theirs);
    },
  );
}
