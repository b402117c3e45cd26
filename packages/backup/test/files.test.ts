import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { createKeyFile, createRecoveryKey, loadKeyFile, parseRecoveryKey, saveBackup } from '../src/index.js';
import { backupOf, buildSecret, piecesOf, snapshotOf } from './builders.js';

function folder(t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), 'swarmd-backup-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

t.test('recovery key › reads as it is written by people, and a slip of the pen is found', async (t) => {
  for (let i = 0; i < 50; i++) {
    const key = createRecoveryKey();
    t.match(key, /^SWMBAK-1(-[0-9a-z]{4}){9}$/);
    const bytes = parseRecoveryKey(key);
    t.equal(bytes.length, 20);
    for (const written of [
      key.toUpperCase(),
      ` ${key}\n`,
      key.replace('SWMBAK-1-', ''),
      key.replaceAll('-', ' '),
      key.replaceAll('0', 'O'),
    ])
      t.same(parseRecoveryKey(written), bytes, written);
  }
  const digits = [...'0123456789abcdefghjkmnpqrstvwxyz'];
  const key = createRecoveryKey();
  const place = fc.integer({ min: 9, max: key.length - 6 }).filter((at) => key[at] !== '-');
  let found = 0;
  fc.assert(
    fc.property(place, fc.constantFrom(...digits), (at, digit) => {
      if (key[at] === digit) return;
      t.throws(() => parseRecoveryKey(key.slice(0, at) + digit + key.slice(at + 1)), { message: /copied wrongly/ });
      found++;
    }),
    { numRuns: 200 },
  );
  t.ok(found > 100);
  for (const wrong of ['', 'SWMBAK-1-', `${key}0`, key.slice(0, -1), key.replace(/.$/, 'u')])
    t.throws(() => parseRecoveryKey(wrong), { code: 'invalid-argument' } as unknown as Error);
});

t.test('key file › is for its owner alone, and never replaced', async (t) => {
  const file = join(folder(t), 'backup.key');
  t.equal(await loadKeyFile(file), undefined);
  const key = await createKeyFile(file);
  t.equal(await loadKeyFile(file), key);
  t.equal(statSync(file).mode & 0o777, 0o600);
  await t.rejects(createKeyFile(file), { code: 'EEXIST' });
  chmodSync(file, 0o640);
  await t.rejects(loadKeyFile(file), { code: 'failed-precondition', message: /chmod 600/ });
  writeFileSync(file, 'no key\n');
  chmodSync(file, 0o600);
  await t.rejects(loadKeyFile(file), { code: 'invalid-argument' });
});

t.test('saving › a file appears once it is whole; what fails leaves nothing, and nothing is replaced', async (t) => {
  const dir = folder(t);
  const file = join(dir, 'a.swmbak');
  const RecoveryKey = createRecoveryKey();
  const backup = await backupOf(snapshotOf([buildSecret('s', 400_000)]), RecoveryKey);
  async function* watched(): AsyncGenerator<Uint8Array> {
    for await (const piece of piecesOf(backup)) {
      t.notOk(existsSync(file), 'not there yet');
      yield piece;
    }
  }
  t.match(await saveBackup(file, watched(), { RecoveryKey }), { index: 41 });
  t.same(readFileSync(file), backup);
  t.equal(statSync(file).mode & 0o777, 0o600);
  await t.rejects(saveBackup(file, piecesOf(backup), { RecoveryKey }), { code: 'already-exists' });
  const other = join(dir, 'b.swmbak');
  await t.rejects(saveBackup(other, piecesOf(backup.subarray(0, -1)), { RecoveryKey }), { code: 'damaged' });
  async function* broken(): AsyncGenerator<Uint8Array> {
    yield backup.subarray(0, 1000);
    throw new Error('the line broke');
  }
  await t.rejects(saveBackup(other, broken(), { RecoveryKey }), { message: 'the line broke' });
  t.same(readdirSync(dir), ['a.swmbak']);
});
