import { cp, mkdir, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type AnyObject, isErrorCode, type Log } from '@swarmd/model';
import { Level } from 'level';
import t from 'tap';
import { ValueCipher } from '../src/cipher.js';
import { openLevelLog } from '../src/index.js';
import { writeFormatFile } from '../src/level/format-file.js';
import { HeadFile } from '../src/level/head-file.js';
import { RecordDigest } from '../src/records/digest.js';
import { anyObject, type Content, replayed, silent, temporaryDirectory } from './builders.js';
import { entry } from './conformance.js';

// Hundreds of copies and starts: on a loaded machine more than the usual half minute.
t.setTimeout(180_000);

const dataKey = Buffer.alloc(32, 7);
/** LevelDB writes its notes here and a lock there; nothing is read from either. */
const WITHOUT_CONTENT = new Set(['db/LOG', 'db/LOG.old', 'db/LOCK']);

interface Original {
  dir: string;
  files: string[];
  content: Content;
  index: number;
}

const open = (dir: string): Promise<Log> => openLevelLog({ dir, dataKey, logger: silent });

async function filesOf(dir: string): Promise<string[]> {
  const all = await readdir(dir, { recursive: true, withFileTypes: true });
  return all.filter((file) => file.isFile()).map((file) => join(file.parentPath, file.name).slice(dir.length + 1));
}

/** A store with tables from several memtables, a log with the newest writes, objects changed and deleted. */
async function makeOriginal(
  dir: string,
  { reopenings, padding }: { reopenings: number; padding: number },
): Promise<Original> {
  let index = 0;
  for (let round = 0; round <= reopenings; round++) {
    const log = await open(dir);
    await log.replay(() => {});
    for (let i = 0; i < 12; i++) {
      const id = `t${round}-${i}`;
      const value = anyObject(id, ++index, { padding: 'x'.repeat(padding) });
      await log.append([entry(index, ['task', id, value], ['task', `t${round - 1}-${i}`, i % 3 ? undefined : value])]);
    }
    await log.close();
  }
  // Taken before anything opens it: opening turns LevelDB's log into a table.
  const files = await filesOf(dir);
  const aside = `${dir}.read`;
  await cp(dir, aside, { recursive: true });
  const log = await open(aside);
  const { content } = await replayed(log);
  await log.close();
  return { dir, files, content, index };
}

/** How a start on `dir` ends: with everything there, or with what error. */
async function start(dir: string, original: Original): Promise<'whole' | { code: string; message: string }> {
  let log: Log | undefined;
  try {
    log = await open(dir);
    const { index, content } = await replayed(log);
    if (index !== original.index) return { code: 'silent loss', message: `index ${index}` };
    if (JSON.stringify(content) !== JSON.stringify(original.content))
      return { code: 'silent loss', message: 'content' };
    return 'whole';
  } catch (error) {
    if (!isErrorCode(error, 'damaged')) throw error;
    return { code: error.code, message: error.message };
  } finally {
    await log?.close();
  }
}

/** Damages a copy and starts on it; what is reported once must not be forgotten the second time. Returns how it ended. */
async function startDamaged(original: Original, damage: (copy: string) => Promise<unknown>): Promise<string> {
  const copy = `${original.dir}.copy`;
  await rm(copy, { recursive: true, force: true });
  await cp(original.dir, copy, { recursive: true });
  await damage(copy);
  const first = await start(copy, original);
  if (first === 'whole') return 'whole';
  if (first.code !== 'damaged') return `${first.code} (${first.message})`;
  if (!first.message.includes(copy) || !first.message.includes('backup copy')) return `no help: ${first.message}`;
  const second = await start(copy, original);
  return second !== 'whole' && second.code === 'damaged' ? 'damaged' : 'damaged, then forgotten';
}

/** Writes one more object through the log. */
async function append(dir: string, index: number, value: AnyObject): Promise<void> {
  const log = await open(dir);
  await log.replay(() => {});
  await log.append([entry(index, ['task', value.ID, value])]);
  await log.close();
}

/** Does something to LevelDB behind the log's back. */
async function tamper<R>(dir: string, change: (db: Level<string, Buffer>) => Promise<R>): Promise<R> {
  const db = new Level<string, Buffer>(join(dir, 'db'), { valueEncoding: 'buffer' });
  await db.open();
  try {
    return await change(db);
  } finally {
    await db.close();
  }
}

async function flip(path: string, offset: number): Promise<void> {
  const bytes = await readFile(path);
  bytes[offset]! ^= 0x41;
  await writeFile(path, bytes);
}

/** Offsets over a whole file: all of a small one, evenly spread with both ends in a large one. */
function spread(size: number, most: number): number[] {
  if (size <= most) return Array.from({ length: size }, (_, i) => i);
  return Array.from({ length: most }, (_, i) => Math.floor((i * (size - 1)) / (most - 1)));
}

for (const [name, shape] of Object.entries({
  'only in the log of LevelDB': { reopenings: 0, padding: 10 },
  'in tables and log': { reopenings: 2, padding: 3000 },
})) {
  t.test(`level › content ${name}: a flipped byte anywhere is reported or does no harm`, async (t) => {
    const original = await makeOriginal(join(await temporaryDirectory(t), 'store'), shape);
    const outcomes: Record<string, number> = {};
    for (const file of original.files) {
      const { length } = await readFile(join(original.dir, file));
      for (const offset of spread(length, WITHOUT_CONTENT.has(file) ? 2 : 24)) {
        const outcome = await startDamaged(original, (copy) => flip(join(copy, file), offset));
        outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
        if (outcome !== 'damaged' && outcome !== 'whole') t.fail(`${file} at ${offset}: ${outcome}`);
        if (outcome === 'whole' && /\.(log|ldb)$/.test(file) && !harmless(file, offset, length))
          t.fail(`${file} at ${offset} went unnoticed`);
      }
    }
    t.ok((outcomes['damaged'] ?? 0) > 80, `reported ${outcomes['damaged']}, harmless ${outcomes['whole']}`);
  });

  t.test(`level › content ${name}: a file that is cut is reported or does no harm`, async (t) => {
    const original = await makeOriginal(join(await temporaryDirectory(t), 'store'), shape);
    for (const file of original.files) {
      const { length } = await readFile(join(original.dir, file));
      for (const size of new Set(
        [...spread(length, WITHOUT_CONTENT.has(file) ? 2 : 12), length - 1].filter(
          (size) => size >= 0 && size < length,
        ),
      )) {
        const outcome = await startDamaged(original, (copy) => truncate(join(copy, file), size));
        const accepted = WITHOUT_CONTENT.has(file) ? ['whole'] : ['damaged', ...(mayBeCut(file) ? ['whole'] : [])];
        if (!accepted.includes(outcome)) t.fail(`${file} cut to ${size}: ${outcome}`);
      }
    }
    t.ok(original.files.length >= 6, original.files.join());
  });

  t.test(`level › content ${name}: a missing file is reported or does no harm`, async (t) => {
    const original = await makeOriginal(join(await temporaryDirectory(t), 'store'), shape);
    for (const file of original.files) {
      const outcome = await startDamaged(original, (copy) => rm(join(copy, file)));
      const { length } = await readFile(join(original.dir, file));
      const noContent = WITHOUT_CONTENT.has(file) || length === 0;
      t.equal(outcome, noContent ? 'whole' : 'damaged', file);
    }
  });
}

/** Whether a file's end may be missing without harm: LevelDB's manifest can end in an entry that says nothing new. */
function mayBeCut(file: string): boolean {
  return file.startsWith('db/MANIFEST');
}

/** A table's last 48 bytes are its footer, and most of that is padding. */
function harmless(file: string, offset: number, length: number): boolean {
  return file.endsWith('.ldb') && offset >= length - 48;
}

t.test('level › several files missing at once are reported', async (t) => {
  const original = await makeOriginal(join(await temporaryDirectory(t), 'store'), { reopenings: 2, padding: 100 });
  for (const gone of [['db'], ['head', 'FORMAT'], ['db', 'FORMAT'], ['db', 'head'], ['db/CURRENT', 'FORMAT', 'head']])
    t.equal(
      await startDamaged(original, async (copy) => {
        for (const file of gone) await rm(join(copy, file), { recursive: true });
      }),
      'damaged',
      gone.join(' and '),
    );
});

t.test('level › an older db under a newer head is reported', async (t) => {
  const dir = join(await temporaryDirectory(t), 'store');
  await makeOriginal(dir, { reopenings: 0, padding: 10 });
  await cp(dir, `${dir}.older`, { recursive: true });
  await append(dir, 13, anyObject('t0-0', 13));
  await rm(join(dir, 'db'), { recursive: true });
  await cp(`${dir}.older/db`, join(dir, 'db'), { recursive: true });
  const reopened = await open(dir);
  await t.rejects(replayed(reopened), { code: 'damaged', message: /index 13 was acknowledged, and it ends at 12/ });
  await reopened.close();
});

t.test('level › records that LevelDB finds in order and that are not those written are reported', async (t) => {
  const dir = join(await temporaryDirectory(t), 'store');
  const original = await makeOriginal(dir, { reopenings: 0, padding: 10 });
  const earlier = (await tamper(dir, (db) => db.get('task/t0-1'))) as Buffer;
  const laggingHead = await readFile(join(dir, 'head'));
  await append(dir, 13, original.content['task/t0-1']!);
  const now: Original = { ...original, index: 13 };
  const tampering: Record<string, (db: Level<string, Buffer>) => Promise<unknown>> = {
    'a record deleted': (db) => db.del('task/t0-1'),
    'an older version put back': (db) => db.put('task/t0-1', earlier),
    'a value under another key': async (db) => db.put('task/t0-1', (await db.get('task/t0-2'))!),
    'a record copied to a new key': (db) => db.put('task/new', earlier),
    'the state of the log deleted': (db) => db.del('!state'),
    'one record deleted for another put back': (db) => db.batch().del('task/t0-2').put('task/old', earlier).write(),
  };
  for (const head of [await readFile(join(dir, 'head')), laggingHead]) {
    const tampered = (change: (db: Level<string, Buffer>) => Promise<unknown>) => async (copy: string) => {
      await tamper(copy, change);
      await writeFile(join(copy, 'head'), head);
    };
    for (const [what, change] of Object.entries(tampering))
      t.equal(await startDamaged(now, tampered(change)), 'damaged', what);
    t.equal(
      await startDamaged(
        now,
        tampered(async () => {}),
      ),
      'whole',
    );
  }
});

t.test('level › a batch that a power cut tears is no damage: the store is as before it, or as after it', async (t) => {
  const dir = join(await temporaryDirectory(t), 'store');
  await makeOriginal(dir, { reopenings: 0, padding: 10 });
  const big = anyObject('big', 13, { padding: 'y'.repeat(100_000) });
  const log = await open(dir);
  await log.replay(() => {});
  await log.append([entry(13, ['task', 'first', anyObject('first', 13)])]);
  const head = await readFile(join(dir, 'head'));
  const written = (await filesOf(dir)).find((file) => file.endsWith('.log')) as string;
  const { length: from } = await readFile(join(dir, written));
  await log.append([entry(14, ['task', 'big', big])]);
  await cp(dir, `${dir}.after`, { recursive: true });
  await log.close();

  const after = await readFile(join(`${dir}.after`, written));
  const endings = spread(after.length - from, 24).map((offset) => from + offset);
  for (const end of endings) {
    for (const rest of ['cut', 'zeros', 'out of order']) {
      await rm(dir, { recursive: true });
      await cp(`${dir}.after`, dir, { recursive: true });
      await writeFile(join(dir, 'head'), head);
      const torn = Buffer.from(rest === 'cut' ? after.subarray(0, end) : after);
      if (rest === 'zeros') torn.fill(0, end);
      if (rest === 'out of order') torn.fill(0, end, Math.min(end + 4096, torn.length));
      await writeFile(join(dir, written), torn);
      const reopened = await open(dir);
      const { index, content } = await replayed(reopened).catch((error: unknown) => ({
        index: String(error),
        content: {},
      }));
      await reopened.close();
      const whole = index === 13 ? !('task/big' in content) : index === 14 && 'task/big' in content;
      if (!whole || !('task/first' in content)) t.fail(`${rest} at ${end} of ${after.length}: index ${index}`);
    }
  }
});

t.test('level › an interrupted set-up is gone over', async (t) => {
  const dir = join(await temporaryDirectory(t), 'store');
  const make = async () => {
    const log = await open(dir);
    t.strictSame(await replayed(log), { index: 0, content: {} });
    await log.close();
  };
  await mkdir(join(dir, 'db'), { recursive: true });
  await make();
  await rm(join(dir, 'FORMAT'));
  await make();
  await rm(join(dir, 'FORMAT'));
  await rm(join(dir, 'head'));
  await make();
});

t.test('level › a second opener, another data key and a newer format are refused with a reason', async (t) => {
  const dir = join(await temporaryDirectory(t), 'store');
  const log = await open(dir);
  await t.rejects(open(dir), { code: 'failed-precondition', message: /in use by another process/ });
  await rm(join(dir, 'head'));
  await t.rejects(open(dir), { code: 'failed-precondition' }, 'half-written files of a running store are not damage');
  await HeadFile.create(dir, new ValueCipher(dataKey), { index: 0, digest: new RecordDigest() });
  await log.close();
  await t.rejects(openLevelLog({ dir, dataKey: Buffer.alloc(32, 8), logger: silent }), {
    code: 'failed-precondition',
    message: /made with data key [0-9a-f]{8}, and the data key given is [0-9a-f]{8}/,
  });
  await writeFormatFile(dir, '00000000', 2);
  await t.rejects(open(dir), {
    code: 'failed-precondition',
    message: /has format 2 and this swarmd knows formats up to 1/,
  });
});

t.test('level › nothing of a value can be read in the files', async (t) => {
  const dir = join(await temporaryDirectory(t), 'store');
  for (let i = 1; i <= 2; i++) {
    const log = await open(dir);
    await log.replay(() => {});
    await log.append([
      entry(i, ['secret', `s${i}`, anyObject(`s${i}`, i, { Spec: { Name: 'db', Data: 'aHVudGVyMg==' } })]),
    ]);
    await log.close();
  }
  const files = await filesOf(dir);
  t.ok(files.some((file) => file.endsWith('.ldb')) && files.some((file) => file.endsWith('.log')));
  for (const file of files) {
    const text = (await readFile(join(dir, file))).toString('latin1');
    for (const plain of ['aHVudGVyMg', 'Spec', 'Version']) t.notOk(text.includes(plain), `${plain} in ${file}`);
  }
});
