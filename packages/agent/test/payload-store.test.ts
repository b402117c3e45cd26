import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statfsSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { PayloadFile } from '../src/convert/payload-files.js';
import { createPayloadStore } from '../src/engine/payload-store.js';

const TMPFS_MAGIC = 0x01021994;
const file = (target: string, text: string, over: Partial<PayloadFile> = {}): PayloadFile => ({
  kind: 'secret',
  target,
  data: Buffer.from(text),
  uid: 0,
  gid: 0,
  mode: 0o444,
  ...over,
});

const NOBODY = 65534;

/** Runs `body` as a user without rights, with a directory of its own on a tmpfs; files of its making go with the test. */
async function asNobody(t: Pick<Test, 'teardown'>, body: (directory: string) => Promise<void>): Promise<void> {
  process.setegid!(NOBODY);
  process.seteuid!(NOBODY);
  try {
    const directory = mkdtempSync('/dev/shm/swarmd-payloads-');
    t.teardown(() => rmSync(directory, { recursive: true, force: true }));
    await body(directory);
  } finally {
    process.seteuid!(0);
    process.setegid!(0);
  }
}

if (process.getuid?.() !== 0) {
  t.pass('skipped: files of other users need root', { skip: 'files of other users need root' });
} else {
  const onDisk = mkdtempSync(join(tmpdir(), 'swarmd-payloads-'));
  t.teardown(() => {
    if (statfsSync(join(onDisk, 'tasks')).type === TMPFS_MAGIC) execFileSync('umount', [join(onDisk, 'tasks')]);
    rmSync(onDisk, { recursive: true, force: true });
  });

  t.test('payloads › never touch a disk: a directory that is on one gets a tmpfs', async (t) => {
    const store = createPayloadStore(onDisk, { ownerOffset: () => 100_000 });
    const files = [file('/run/secrets/a', 'hunter2', { uid: 7, gid: 8, mode: 0o400 }), file('/b', 'x')];
    await store.write('t1', files);
    t.equal(statfsSync(join(onDisk, 'tasks')).type, TMPFS_MAGIC);
    const [mounted, other] = store.paths('t1', files);
    t.match(mounted, { target: '/run/secrets/a' });
    const { uid, gid, mode } = statSync(mounted!.hostPath);
    t.strictSame([uid, gid, mode & 0o7777], [100_007, 100_008, 0o400]);
    t.equal(readFileSync(other!.hostPath, 'utf8'), 'x');
    t.ok(await store.has('t1', 2));
    t.notOk(await store.has('t1', 3));
    t.notOk(await store.has('t2', 1));
  });

  t.test('payloads › go with their tasks', async (t) => {
    const store = createPayloadStore(onDisk);
    for (const id of ['t1', 't2', 't3']) await store.write(id, [file('/a', id)]);
    await store.remove('t1');
    await store.sweep((id) => id === 't2');
    t.strictSame(
      ['t1', 't2', 't3'].map((id) => existsSync(join(onDisk, 'tasks', id))),
      [false, true, false],
    );
    await store.remove('t1');
  });

  t.test('payloads › without root: files for root stay our own, with the mode asked for', async (t) => {
    await asNobody(t, async (directory) => {
      const store = createPayloadStore(directory);
      const files = [file('/a', 'x'), file('/b', 'y', { mode: 0o400 }), file('/c', 'z', { uid: NOBODY, gid: NOBODY })];
      await store.write('t1', files);
      const found = store.paths('t1', files).map(({ hostPath }) => statSync(hostPath));
      t.strictSame(
        found.map(({ uid, gid, mode }) => [uid, gid, mode & 0o7777]),
        [0o444, 0o400, 0o444].map((mode) => [NOBODY, NOBODY, mode]),
      );
      t.equal(readFileSync(store.paths('t1', files)[1]!.hostPath, 'utf8'), 'y');
    });
  });

  t.test('payloads › without root: files for others are refused, in words', async (t) => {
    await asNobody(t, async (directory) => {
      const store = createPayloadStore(directory);
      const message = /^secret \/a for user 7 and group 0 needs swarmd to run as root on this node$/;
      await t.rejects(store.write('t1', [file('/a', 'x', { uid: 7 })]), { code: 'failed-precondition', message });
      await t.rejects(store.write('t1', [file('/a', 'x', { gid: 8 })]), { code: 'failed-precondition' });
      t.notOk(await store.has('t1', 1));
      const remapped = createPayloadStore(directory, { ownerOffset: () => 100_000 });
      await remapped.write('t2', [file('/a', 'x')]);
      await t.rejects(remapped.write('t3', [file('/a', 'x', { mode: 0o400 })]), {
        message: /of remapped users needs swarmd to run as root/,
      });
    });
  });

  t.test('payloads › a task’s ID is not a path', async (t) => {
    const store = createPayloadStore(onDisk);
    await t.rejects(store.write('../x', [file('/a', 'x')]), { code: 'invalid-argument' });
  });
}
