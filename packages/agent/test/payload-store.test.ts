import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statfsSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
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

  t.test('payloads › a task’s ID is not a path', async (t) => {
    const store = createPayloadStore(onDisk);
    await t.rejects(store.write('../x', [file('/a', 'x')]), { code: 'invalid-argument' });
  });
}
