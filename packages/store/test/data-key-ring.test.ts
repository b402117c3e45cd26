import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { dataKeyId, ValueCipher } from '../src/cipher.js';
import { createDataKey, loadDataKeys, saveDataKeys } from '../src/data-key.js';
import { openLevelLog, openStore } from '../src/index.js';
import { newTask, silent, steppingClock, temporaryDirectory } from './builders.js';

const [one, two, three] = [1, 2, 3].map((byte) => Buffer.alloc(32, byte)) as [Buffer, Buffer, Buffer];
const never = new AbortController().signal;
const OLD_FILE = `swarmd data key ${'07'.repeat(32)} 73b361c6\n`;

t.test('data keys › the whole ring is kept, with its counts, and one key of earlier versions is read', async (t) => {
  const path = join(await temporaryDirectory(t), 'data.key');
  const ring = [
    { bytes: two, uses: 70_000, madeUnder: 'deadbeef' },
    { bytes: one, uses: 0, madeUnder: '' },
  ] as const;
  await saveDataKeys(path, ring, []);
  t.same(await loadDataKeys(path), ring);
  const whole = await readFile(path);
  for (let offset = 0; offset < whole.length; offset++) {
    const altered = Buffer.from(whole);
    altered[offset]! ^= 1;
    await writeFile(path, altered);
    await t.rejects(loadDataKeys(path), { code: 'damaged' }, `altered at ${offset}`);
    await writeFile(path, whole.subarray(0, offset));
    await t.rejects(loadDataKeys(path), { code: 'damaged' }, `cut to ${offset}`);
  }
  await writeFile(path, `swarmd data key ${'07'.repeat(32)} c5d6c5e2\n`);
  await t.rejects(loadDataKeys(path), { code: 'damaged' });
  await writeFile(path, OLD_FILE);
  t.same(await loadDataKeys(path), [{ bytes: Buffer.alloc(32, 7), uses: 0, madeUnder: '' }]);
  t.match(createDataKey('x'), { uses: 0, madeUnder: 'x' });
});

t.test('cipher › seals with the first of its keys and opens with any, chosen by the ID in the value', (t) => {
  const cipher = new ValueCipher(one);
  const old = cipher.seal('task/a', 1, 'before');
  t.same([cipher.keyId, cipher.seals, cipher.isCurrent(old)], [dataKeyId(one), 1, true]);
  cipher.use([two, one]);
  t.same([cipher.keyId, cipher.keyIds.sort(), cipher.seals], [dataKeyId(two), [one, two].map(dataKeyId).sort(), 0]);
  const now = cipher.seal('task/a', 2, 'after');
  t.same([cipher.isCurrent(old), cipher.isCurrent(now)], [false, true]);
  t.match(cipher.open('task/a', old), { version: 1, plaintext: Buffer.from('before') });
  t.match(cipher.open('task/a', now), { version: 2, plaintext: Buffer.from('after') });
  t.same(cipher.open('task/b', old), { problem: 'altered' });
  cipher.use([two]);
  t.same(cipher.open('task/a', old), { problem: 'other-key' });
  t.equal(cipher.seals, 1, 'the same key goes on being counted');
  t.throws(() => new ValueCipher([one, Buffer.alloc(3)]), { code: 'invalid-argument' });
  t.end();
});

t.test('level › sealed anew while it is written to, it needs the new key alone', async (t) => {
  const dir = join(await temporaryDirectory(t), 'store');
  const cipher = new ValueCipher(one);
  const log = await openLevelLog({ dir, dataKey: cipher, logger: silent });
  const store = await openStore({ log, clock: steppingClock() });
  const write = (id: string) => store.update((tx) => void tx.create('task', newTask(id)));
  for (let i = 0; i < 30; i++) {
    await store.update((tx) => {
      for (let j = 0; j < 30; j++) tx.create('task', newTask(`${i}-${j}`));
    });
  }
  await store.update((tx) => void tx.delete('task', '3-3'));
  const meanwhile: Promise<unknown>[] = [];
  const early = write('early');
  cipher.use([two, one]);
  const resealed = log.reseal(never);
  for (let i = 0; i < 50; i++) meanwhile.push(write(`meanwhile-${i}`));
  meanwhile.push(store.update((tx) => void tx.delete('task', '29-29')));
  await Promise.all([early, resealed, ...meanwhile]);
  cipher.use([two]);
  await write('late');
  await store.close();
  const idBytes = Buffer.from(dataKeyId(one), 'hex');
  for (const name of await readdir(join(dir, 'db'))) {
    const sealedWithOld = Buffer.concat([Buffer.of(1), idBytes]);
    t.notOk(
      (await readFile(join(dir, 'db', name))).includes(sealedWithOld),
      `nothing of the old key is left in ${name}`,
    );
  }
  await t.rejects(openLevelLog({ dir, dataKey: one, logger: silent }), { code: 'failed-precondition' });
  const again = await openStore({
    log: await openLevelLog({ dir, dataKey: two, logger: silent }),
    clock: steppingClock(),
  });
  t.equal(again.view.count('task'), 30 * 30 - 2 + 52);
  await again.close();
});

t.test('level › cut off while it is sealed anew, it opens with both keys, and is then finished', async (t) => {
  const dir = join(await temporaryDirectory(t), 'store');
  const cipher = new ValueCipher(one);
  const log = await openLevelLog({ dir, dataKey: cipher, logger: silent });
  const store = await openStore({ log, clock: steppingClock() });
  await store.update((tx) => {
    for (let i = 0; i < 900; i++) tx.create('task', newTask(`t${i}`));
  });
  cipher.use([two, one]);
  const abort = new AbortController();
  const resealed = log.reseal(abort.signal);
  await store.update((tx) => void tx.create('task', newTask('last')));
  abort.abort(new Error('swarmd stops'));
  await t.rejects(resealed, { message: 'swarmd stops' });
  await store.close();
  for (const key of [one, two]) {
    const opened = openLevelLog({ dir, dataKey: key, logger: silent });
    await t.rejects(
      opened.then((log) => openStore({ log, clock: steppingClock() })),
      'neither key is enough',
    );
    await opened.then((log) => log.close()).catch(() => {});
  }
  const both = new ValueCipher([three, two, one]);
  const next = await openLevelLog({ dir, dataKey: both, logger: silent });
  const again = await openStore({ log: next, clock: steppingClock() });
  t.equal(again.view.count('task'), 901);
  await next.reseal(never);
  await again.close();
  const last = await openStore({
    log: await openLevelLog({ dir, dataKey: three, logger: silent }),
    clock: steppingClock(),
  });
  t.equal(last.view.count('task'), 901);
  await last.close();
});
