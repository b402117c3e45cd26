import { chmod, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { DATA_KEY_BYTES, loadDataKey, loadOrCreateDataKey, saveDataKey } from '../src/index.js';
import { temporaryDirectory } from './builders.js';

t.test('data key › is made once, for its owner alone, and read ever after', async (t) => {
  const path = join(await temporaryDirectory(t), 'data.key');
  t.equal(await loadDataKey(path), undefined);
  const key = await loadOrCreateDataKey(path);
  t.equal(key.length, DATA_KEY_BYTES);
  t.equal((await stat(path)).mode & 0o777, 0o600);
  t.strictSame(Buffer.from(await loadOrCreateDataKey(path)), Buffer.from(key));
  t.strictSame(await readdir(join(path, '..')), ['data.key']);
});

t.test('data key › two processes that make one at once end with the same', async (t) => {
  const path = join(await temporaryDirectory(t), 'data.key');
  const keys = await Promise.all(Array.from({ length: 8 }, () => loadOrCreateDataKey(path)));
  t.equal(new Set(keys.map((key) => Buffer.from(key).toString('hex'))).size, 1);
});

t.test('data key › a received one is saved, and never over another', async (t) => {
  const path = join(await temporaryDirectory(t), 'data.key');
  await saveDataKey(path, Buffer.alloc(32, 5));
  t.strictSame(Buffer.from((await loadDataKey(path)) ?? []), Buffer.alloc(32, 5));
  await t.rejects(saveDataKey(path, Buffer.alloc(32, 6)), { code: 'already-exists' });
});

t.test('data key › a file that is altered anywhere, cut or readable by others is refused', async (t) => {
  const path = join(await temporaryDirectory(t), 'data.key');
  await loadOrCreateDataKey(path);
  const whole = await readFile(path);
  for (let offset = 0; offset < whole.length; offset++) {
    const altered = Buffer.from(whole);
    altered[offset]! ^= 1;
    await writeFile(path, altered);
    await t.rejects(loadOrCreateDataKey(path), { code: 'damaged' }, `altered at ${offset}`);
    await writeFile(path, whole.subarray(0, offset));
    await t.rejects(loadOrCreateDataKey(path), { code: 'damaged' }, `cut to ${offset}`);
  }
  await writeFile(path, whole);
  await chmod(path, 0o640);
  await t.rejects(loadOrCreateDataKey(path), { code: 'failed-precondition', message: /chmod 600/ });
});
