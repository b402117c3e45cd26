import { chmod, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import {
  createUnlockKey,
  loadSecret,
  openSecret,
  parseUnlockKey,
  type SecretFile,
  saveSecret,
  sealedFor,
  sealSecret,
  secretFile,
  secretSealedFor,
  type UnlockKey,
  Vault,
} from '../src/index.js';
import { temporaryDirectory } from './builders.js';

const secret = Buffer.from('a private key\nof several lines\n');
const newKey = (): UnlockKey => parseUnlockKey(createUnlockKey());

t.test('unlock key › has the form of Docker Swarm’s, and only that form is one', (t) => {
  const text = createUnlockKey();
  t.match(text, /^SWMKEY-1-[A-Za-z0-9+/]{43}$/);
  t.not(createUnlockKey(), text);
  const known = parseUnlockKey('SWMKEY-1-c8wSzrxgT2TvhFZ/K7/FuySlJQwTbull0bP/jJHvS+A');
  t.match(known, { text: /^SWMKEY-1-c8w/, id: /^[0-9a-f]{8}$/ });
  t.equal(known.secret.export().toString('base64'), 'c8wSzrxgT2TvhFZ/K7/FuySlJQwTbull0bP/jJHvS+A=');
  const others = ['', 'nonsense', text.slice(0, -1), `${text}=`, ` ${text}`, `${text}A`, text.replace('1', '2')];
  for (const other of [...others, text.replace(/.$/, '*'), 'SWMKEY-1-'])
    t.throws(() => parseUnlockKey(other), { code: 'invalid-argument', message: 'invalid key string' }, other);
  t.end();
});

t.test('sealed secret › opens with each of its keys, and with nothing else', (t) => {
  const [one, two, other] = [newKey(), newKey(), newKey()];
  const sealed = sealSecret('node.pem', secret, [one, two]);
  t.same(sealedFor('node.pem', sealed), [one.id, two.id]);
  t.notMatch(sealed, /private/);
  for (const key of [one, two]) t.same(openSecret('node.pem', sealed, key), secret);
  t.throws(() => openSecret('node.pem', sealed, other), { code: 'locked', message: /another unlock key/ });
  t.throws(() => openSecret('node.pem', sealed, undefined), { code: 'locked', message: /takes the unlock key/ });
  t.throws(() => openSecret('data.key', sealed, one), { code: 'damaged' }, 'in the place of another secret');
  t.end();
});

t.test('sealed secret › altered or cut anywhere is damaged, which no wrong key is taken for', (t) => {
  const [one, two] = [newKey(), newKey()];
  const sealed = sealSecret('data.key', secret, [one, two]);
  for (let offset = 0; offset < sealed.length; offset++) {
    const altered = Buffer.from(sealed);
    altered[offset]! ^= 1;
    t.throws(
      () => openSecret('data.key', altered.toString('latin1'), two),
      { code: 'damaged' },
      `altered at ${offset}`,
    );
    if (offset < sealed.length - 1)
      t.throws(() => openSecret('data.key', sealed.slice(0, offset), two), { code: 'damaged' }, `cut to ${offset}`);
  }
  t.end();
});

t.test('secret file › sealed or in the clear, for its owner alone', async (t) => {
  const path = join(await temporaryDirectory(t), 'ca.key');
  const key = newKey();
  t.equal(await loadSecret(path, key), undefined);
  t.equal(await secretSealedFor(path), undefined);
  await saveSecret(path, secret, [key], 'create');
  await t.rejects(saveSecret(path, secret, [], 'create'), { code: 'already-exists' });
  t.equal((await stat(path)).mode & 0o777, 0o600);
  t.notMatch(await readFile(path, 'utf8'), /private/);
  await t.rejects(loadSecret(path), { code: 'locked' });
  t.same(await loadSecret(path, key), secret);
  await saveSecret(path, secret);
  t.same([await readFile(path), await loadSecret(path), await loadSecret(path, key)], [secret, secret, secret]);
  t.same(await secretSealedFor(path), []);
  t.same(await readdir(join(path, '..')), ['ca.key']);
  await chmod(path, 0o640);
  await t.rejects(loadSecret(path), { code: 'failed-precondition', message: /chmod 600/ });
});

/** Three secrets in a folder; after the writes that `allow` allows, the next ones fail, as on a full disk. */
async function threeFiles(
  folder: string,
): Promise<{ files: SecretFile[]; allow(writes: number): void; paths: string[] }> {
  const paths = ['a', 'b', 'c'].map((name) => join(folder, name));
  await Promise.all(paths.map((path) => saveSecret(path, Buffer.from(path))));
  let left = Number.POSITIVE_INFINITY;
  const files = paths.map((path): SecretFile => {
    const file = secretFile(path);
    return {
      ...file,
      reseal: async (from, to) => {
        if (left-- <= 0) throw new Error('no space left');
        await file.reseal(from, to);
      },
    };
  });
  const allow = (writes: number): void => {
    left = writes;
  };
  return { files, allow, paths };
}

const [first, second, third] = [newKey(), newKey(), newKey()];
const CHANGES: [string, UnlockKey | undefined, UnlockKey | undefined][] = [
  ['turning the lock on', undefined, first],
  ['a rotation', first, second],
  ['turning the lock off', first, undefined],
];

for (const [what, from, to] of CHANGES) {
  t.test(`vault › ${what}, cut off after any write, leaves one key that opens everything`, async (t) => {
    for (let writes = 0; writes <= 6; writes++) {
      const { files, allow, paths } = await threeFiles(await temporaryDirectory(t));
      const vault = await Vault.open(files);
      await vault.rekey(from);
      allow(writes);
      const done = await vault.rekey(to).then(
        () => true,
        () => false,
      );
      t.equal(done, writes >= (from && to ? 6 : 3), `${writes} writes`);
      allow(Number.POSITIVE_INFINITY);
      const opening: (UnlockKey | undefined)[] = [];
      for (const key of [from, to]) {
        if (
          await Vault.open(files, key).then(
            () => true,
            () => false,
          )
        )
          opening.push(key);
      }
      t.ok(opening.length > 0, `after ${writes} writes ${opening.map((key) => key?.id)}`);
      if (done && to !== undefined) t.same(opening, [to], 'the old key opens nothing any more');
      for (const path of paths) t.equal((await loadSecret(path, opening[0]))?.toString(), path);
      // What is saved meanwhile opens with the key that opens the rest, and so does what a later change leaves.
      await vault.write((keys) => saveSecret(paths[1]!, Buffer.from(paths[1]!), keys));
      const still = await Promise.all(
        [from, to].map((key) =>
          Vault.open(files, key).then(
            () => true,
            () => false,
          ),
        ),
      );
      t.ok(still.includes(true), 'a file written in between escapes nobody');
      for (const next of [third, to]) {
        t.ok(await vault.rekey(next));
        t.same(
          await Promise.all(paths.map(secretSealedFor)),
          paths.map(() => (next === undefined ? [] : [next.id])),
        );
        t.notOk(await vault.rekey(next), 'nothing is left to do');
      }
    }
  });
}

t.test('vault › opens with the one key for all its files', async (t) => {
  const { files, paths } = await threeFiles(await temporaryDirectory(t));
  const [one, two] = [newKey(), newKey()];
  await saveSecret(paths[0]!, secret, [one]);
  await saveSecret(paths[1]!, secret, [one, two]);
  await t.rejects(Vault.open(files), { code: 'locked' });
  await t.rejects(Vault.open(files, two), { code: 'locked' });
  t.equal((await Vault.open(files, one)).key, one);
  await writeFile(paths[1]!, (await readFile(paths[1]!, 'utf8')).slice(0, 100));
  await t.rejects(Vault.open(files, one), { code: 'damaged' });
});
