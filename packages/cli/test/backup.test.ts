import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SwarmdError } from '@swarmd/model';
import t from 'tap';
import { swarmctlFor } from './support/swarmctl.js';
import { startWorld } from './support/world.js';

const world = await startWorld();
const swarmctl = swarmctlFor(world);
const directory = mkdtempSync(join(tmpdir(), 'cli-backup-'));
t.teardown(async () => {
  await world.stop();
  rmSync(directory, { recursive: true, force: true });
});
const files = (): string[] => readdirSync(directory).sort();
const KEY = /SWMBAK-1(-[0-9a-z]{4}){9}/;

t.test('swarmctl backup › without a key, one is made and shown once; it opens the backup', async (t) => {
  const created = await swarmctl(['backup', 'create'], { directory });
  t.equal(created.code, 0, created.stderr);
  t.match(created.stdout, /Backup written to swarmd-.*Z\.swmbak, read back and found whole/);
  const [file] = files();
  const key = KEY.exec(created.stdout)![0];
  t.equal(statSync(join(directory, file!)).mode & 0o777, 0o600);
  const verified = await swarmctl(['backup', 'verify', file!, '--key-file', '-'], { directory, stdin: `${key}\n` });
  t.match(verified, {
    code: 0,
    stdout: /The backup is whole\.\nCluster: .*\nMade: .*\nStore index: \d+\nObjects: .*3 node/,
  });
  t.notMatch(verified.stdout, KEY);
  const without = await swarmctl(['backup', 'verify', file!], { directory });
  t.match(without, { code: 1, stderr: /opens with recovery key [0-9a-f]{8}: give it with --key-file/ });
  const again = await swarmctl(['backup', 'create', '-o', file!], { directory });
  t.match(again, { code: 1, stderr: /there is a file .* already/ });
  t.same(files(), [file]);
});

t.test(
  'swarmctl backup › a key file is made when missing, used when there, and refused when others can read it',
  async (t) => {
    const first = await swarmctl(['backup', 'create', '-o', 'a', '--key-file', 'key'], { directory });
    t.match(first.stdout, /A new recovery key was written to key\. [\s\S]*SWMBAK-1-/);
    t.equal(readFileSync(join(directory, 'key'), 'utf8').trim(), KEY.exec(first.stdout)![0]);
    const second = await swarmctl(['backup', 'create', '-o', 'b', '--key-file', 'key'], { directory });
    t.equal(second.code, 0);
    t.notMatch(second.stdout, KEY, 'a key that is there is not shown');
    for (const name of ['a', 'b'])
      t.equal((await swarmctl(['backup', 'verify', name, '--key-file', 'key'], { directory })).code, 0);
    writeFileSync(join(directory, 'open'), 'x', { mode: 0o644 });
    const open = await swarmctl(['backup', 'create', '-o', 'c', '--key-file', 'open'], { directory });
    t.match(open, { code: 1, stderr: /chmod 600/ });
  },
);

t.test('swarmctl backup › a passphrase seals it too, and the file can go through a pipe', async (t) => {
  writeFileSync(join(directory, 'words'), 'correct horse battery\n');
  const piped = await swarmctl(['backup', 'create', '-o', '-', '--passphrase-file', 'words'], { directory });
  t.match(piped, { code: 0, stdout: '', stderr: /found whole/ });
  writeFileSync(join(directory, 'piped'), piped.bytes);
  t.match(await swarmctl(['backup', 'verify', 'piped', '--passphrase-file', 'words'], { directory }), { code: 0 });
  const wrong = await swarmctl(['backup', 'verify', 'piped', '--passphrase-file', '-'], { directory, stdin: 'wrong' });
  t.match(wrong, { code: 1, stderr: /the passphrase is wrong/ });
  writeFileSync(join(directory, 'short'), 'short\n');
  const short = await swarmctl(['backup', 'create', '-o', 'd', '--passphrase-file', 'short'], { directory });
  t.match(short, { code: 1, stderr: /at least 12 characters/ });
});

t.test('swarmctl backup › a damaged file ends with what was found and a code that is not 0', async (t) => {
  const whole = readFileSync(join(directory, 'a'));
  for (const [name, bytes, finding] of [
    ['cut', whole.subarray(0, -5), /damaged: it was cut off in part 1/],
    ['longer', Buffer.concat([whole, Buffer.from('x')]), /damaged: there is more after its end/],
    ['other', Buffer.from('hello\n'), /no backup of swarmd/],
  ] as const) {
    writeFileSync(join(directory, name), bytes);
    const verified = await swarmctl(['backup', 'verify', name, '--key-file', 'key'], { directory });
    t.match(verified, { code: 1, stdout: '', stderr: finding }, name);
  }
  t.match(await swarmctl(['backup', 'verify', 'nowhere', '--key-file', 'key'], { directory }), {
    code: 1,
    stderr: /ENOENT/,
  });
});

t.test(
  'swarmctl backup › restores only on a host that is in no cluster, and shows what it will do first',
  async (t) => {
    const restore = ['backup', 'restore', 'a', '--key-file', 'key'];
    t.match(await swarmctl(restore, { directory }), { code: 1, stderr: /This node is in a cluster/ });
    const report = {
      ...{ ClusterID: 'c', NodeID: 'n', Index: 1, CreatedAt: '', Counts: { node: 3 } },
      ...{ Steps: ['All goes on.'], Warnings: ['Call home.'] },
    };
    world.restore = async ({ Secret, ...request }, file) => {
      world.asked.push({ method: 'restore', request });
      t.match(Secret, { RecoveryKey: KEY });
      const pieces: Uint8Array[] = [];
      for await (const piece of file) pieces.push(piece);
      t.same(Buffer.concat(pieces), readFileSync(join(directory, 'a')), 'the file arrives as it is');
      return report;
    };
    world.info.LocalNodeState = 'inactive';
    t.teardown(() => {
      world.info.LocalNodeState = 'active';
    });
    const kinds = (): unknown[] => world.asked.map(({ request }) => (request as { DryRun: boolean }).DryRun);
    world.asked.length = 0;
    const no = await swarmctl(restore, { directory, stdin: 'n\n' });
    t.match(no, {
      code: 1,
      stdout: /will happen:\n {2}- All goes on\.\nAfterwards:\n {2}- Call home\.\nObjects: 3 node\nGo on\?/,
    });
    t.match(no.stderr, /Nothing was changed/);
    t.same(kinds(), [true]);
    t.match(await swarmctl([...restore, '--dry-run'], { directory }), { code: 0, stdout: /would happen/ });
    t.same(kinds(), [true, true]);
    const yes = await swarmctl([...restore, '--as-new', '--node', 'boss', '--advertise-addr', '10.0.0.9'], {
      directory,
      stdin: 'y\n',
    });
    t.match(yes, { code: 0, stdout: /Restored: node n is the manager of cluster c/ }, yes.stderr);
    t.match(world.asked.at(-1), { request: { AsNew: true, Node: 'boss', AdvertiseAddr: '10.0.0.9', DryRun: false } });
  },
);

t.test('swarmctl backup › a refusal is heard, however much of the file is still to come', async (t) => {
  writeFileSync(join(directory, 'large'), Buffer.alloc(20_000_000));
  world.info.LocalNodeState = 'inactive';
  t.teardown(() => {
    world.info.LocalNodeState = 'active';
  });
  world.restore = async (_request, file) => {
    for await (const _ of file) break;
    throw new SwarmdError('damaged', 'this is no backup');
  };
  const refused = await swarmctl(['backup', 'restore', 'large', '--key-file', 'key', '--yes'], { directory });
  t.match(refused, { code: 1, stderr: /Error response from daemon: this is no backup/ });
});
