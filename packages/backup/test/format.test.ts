import type { AnyObject, SwarmdError } from '@swarmd/model';
import fc from 'fast-check';
import t from 'tap';
import { type BackupSummary, createRecoveryKey, readBackup } from '../src/index.js';
import { writeBackup } from '../src/write.js';
import { backupOf, buildSecret, cluster, piecesOf, snapshotOf } from './builders.js';

const RecoveryKey = createRecoveryKey();
/** Fills four chunks: enough for a first, some in the middle and a last one. */
const secrets = Array.from({ length: 8 }, (_, i) => buildSecret(`s${i}`, 90_000));

function read(backup: Uint8Array, size?: number, objects: AnyObject[] = []): Promise<BackupSummary> {
  const onObject = (_: unknown, object: AnyObject): void => void objects.push(object);
  return readBackup(piecesOf(backup, size), { secret: () => ({ RecoveryKey }), onObject });
}

/** Offsets at which the frames of a backup begin, and its length. */
function framesOf(backup: Buffer): number[] {
  const offsets: number[] = [];
  let at = backup.indexOf(10) + 1;
  for (; at < backup.length; at += 4 + (backup.readUInt32BE(at) & 0x7fff_ffff)) offsets.push(at);
  return [...offsets, at];
}

t.test('backup › what was written is read, in pieces of any size', async (t) => {
  const backup = await backupOf(snapshotOf(secrets), RecoveryKey);
  t.ok(framesOf(backup).length > 4, 'it has several chunks');
  for (const size of [backup.length, 65_536, 997]) {
    const objects: AnyObject[] = [];
    const summary = await read(backup, size, objects);
    t.same(objects, [cluster, ...secrets]);
    t.match(summary, { clusterId: 'c1', index: 41, bytes: backup.length, swarmdVersion: '0.1.0' });
    t.equal(summary.counts['secret'], secrets.length);
  }
  t.notOk(backup.includes(Buffer.from('"Spec"')), 'nothing of the content is readable');
});

t.test('backup › two of the same state share no key', async (t) => {
  const [one, two] = await Promise.all([1, 2].map(() => backupOf(snapshotOf([]), RecoveryKey)));
  t.not(one!.subarray(framesOf(one!)[0]).toString('hex'), two!.subarray(framesOf(two!)[0]).toString('hex'));
});

t.test('backup › any length of content survives, on and around the border of a chunk', async (t) => {
  const lengths = fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: -4, max: 4 }));
  const survives = fc.asyncProperty(lengths, async ([chunks, over]) => {
    const secret = buildSecret('s', Math.max(0, chunks * 196_608 + over));
    const objects: AnyObject[] = [];
    await read(await backupOf(snapshotOf([secret]), RecoveryKey), undefined, objects);
    return JSON.stringify(objects) === JSON.stringify([cluster, secret]);
  });
  await t.resolves(fc.assert(survives, { numRuns: 30 }));
});

t.test('backup › a file that was cut off anywhere is damaged', async (t) => {
  const backup = await backupOf(snapshotOf(secrets.slice(0, 4)), RecoveryKey);
  const borders = framesOf(backup).slice(0, -1);
  for (const end of [0, 1, borders[0]! - 1, ...borders, ...borders.map((at) => at + 3), backup.length - 1])
    await t.rejects(read(backup.subarray(0, end)), { code: 'damaged' }, `cut at ${end}`);
  const anywhere = fc.asyncProperty(fc.integer({ min: 0, max: backup.length - 1 }), async (end) =>
    isDamaged(backup.subarray(0, end)),
  );
  await t.resolves(fc.assert(anywhere, { numRuns: 60 }));
});

t.test('backup › every flipped bit is found', async (t) => {
  const backup = await backupOf(snapshotOf([buildSecret('s', 200)]), RecoveryKey);
  const start = framesOf(backup)[0]!;
  for (let bit = 0; bit < backup.length * 8; bit++) {
    const altered = Buffer.from(backup);
    altered[bit >> 3]! ^= 1 << (bit & 7);
    const error = await read(altered).then(
      () => undefined,
      (thrown: SwarmdError) => thrown,
    );
    // In the first line it may look like another key, or another format.
    const codes = bit >> 3 < start ? ['damaged', 'invalid-argument', 'failed-precondition'] : ['damaged'];
    if (error === undefined || !codes.includes(error.code)) return t.fail(`bit ${bit}: ${error?.code}`);
  }
  t.pass(`${backup.length * 8} bits`);
});

t.test(
  'backup › chunks that changed places, were left out, doubled or came from another backup are found',
  async (t) => {
    const backup = await backupOf(snapshotOf(secrets), RecoveryKey);
    const other = await backupOf(snapshotOf(secrets), RecoveryKey);
    const partsOf = (whole: Buffer): Buffer[] => {
      const borders = framesOf(whole);
      return borders.slice(0, -1).map((at, i) => whole.subarray(at, borders[i + 1]));
    };
    const header = backup.subarray(0, framesOf(backup)[0]);
    const [parts, foreign] = [partsOf(backup), partsOf(other)];
    const [first, second, third] = parts as [Buffer, Buffer, Buffer];
    const last = parts.at(-1)!;
    for (const [name, wrong] of [
      ['swapped', [second, first, ...parts.slice(2)]],
      ['left out', [first, ...parts.slice(2)]],
      ['doubled', [first, first, ...parts.slice(1)]],
      ['the last one early', [first, last]],
      ['more after the last', [...parts, third]],
      ['one from another backup', [foreign[0]!, ...parts.slice(1)]],
      ['no chunk at all', []],
    ] as const) {
      await t.rejects(read(Buffer.concat([header, ...wrong])), { code: 'damaged' }, name);
    }
    const notLast = Buffer.from(last);
    notLast[0]! &= 0x7f;
    await t.rejects(
      read(Buffer.concat([header, ...parts.slice(0, -1), notLast])),
      { code: 'damaged' },
      'the last not marked',
    );
    await t.resolves(read(Buffer.concat([header, ...parts])));
  },
);

t.test('backup › a wrong secret is told from damage, and which one is right is said', async (t) => {
  const backup = await backupOf(snapshotOf([]), RecoveryKey);
  const open = (secret: Parameters<typeof writeBackup>[0]['secret'], file = backup): Promise<BackupSummary> =>
    readBackup(piecesOf(file), { secret: () => secret });
  await t.rejects(open({ RecoveryKey: createRecoveryKey() }), {
    code: 'invalid-argument',
    message: /opens with recovery key [0-9a-f]{8}, not with [0-9a-f]{8}/,
  });
  await t.rejects(open({ Passphrase: 'correct horse battery' }), { code: 'invalid-argument', message: /recovery key/ });
  const pieces: Uint8Array[] = [];
  const secret = { Passphrase: 'correct horse battery' };
  const options = { secret, snapshot: () => snapshotOf([]), nowMs: 0, swarmdVersion: '1' };
  for await (const piece of await writeBackup(options)) pieces.push(piece);
  const withPassphrase = Buffer.concat(pieces);
  t.match(await open(secret, withPassphrase), { opensWith: 'passphrase' });
  await t.rejects(open({ Passphrase: 'correct horse batterz' }, withPassphrase), { message: /passphrase is wrong/ });
  await t.rejects(writeBackup({ ...options, secret: { Passphrase: 'short' } }), { message: /at least 12/ });
});

t.test('backup › an object that is not as the model wants it is named', async (t) => {
  const wrong = { ...buildSecret('bad', 3), Spec: { Name: 5 } } as unknown as AnyObject;
  await t.rejects(read(await backupOf(snapshotOf([wrong]), RecoveryKey)), {
    code: 'damaged',
    message: /secret bad: Spec\.Name/,
  });
});

t.test('backup › a file of another kind, or of a newer format, says so', async (t) => {
  await t.rejects(read(Buffer.from('PK\u0003\u0004')), { code: 'damaged', message: /no backup of swarmd/ });
  await t.rejects(read(Buffer.alloc(100_000)), { code: 'damaged', message: /no backup of swarmd/ });
  await t.rejects(read(Buffer.from('{"format":"swarmd backup","version":2}\n')), {
    code: 'failed-precondition',
    message: /newer swarmd/,
  });
});

async function isDamaged(backup: Uint8Array): Promise<boolean> {
  const error = await read(backup).then(
    () => undefined,
    (thrown: SwarmdError) => thrown,
  );
  return error?.code === 'damaged';
}
