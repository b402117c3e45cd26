import { execFileSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdtempSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { type Journal, openJournal } from '../src/worker/journal.js';
import { createAgentState } from '../src/worker/state.js';
import { logger } from './support/system.js';

const fresh = () => join(mkdtempSync(join(tmpdir(), 'swarmd-journal-')), 'agent.log');
const all = (journal: Journal) => Object.fromEntries(journal.entries(''));

t.test('journal › keeps what was put across a restart', async (t) => {
  const path = fresh();
  const journal = await openJournal(path, logger);
  journal.put('a', { x: 1 });
  journal.put('b', [2]);
  journal.put('a', { x: 3 });
  journal.delete('b');
  await journal.close();
  t.strictSame(all(await openJournal(path, logger)), { a: { x: 3 } });
});

t.test('journal › any course of changes survives', async () => {
  const change = fc.tuple(fc.constantFrom('a', 'b', 'c', 'd'), fc.option(fc.jsonValue(), { nil: undefined }));
  await fc.assert(
    fc.asyncProperty(fc.array(change, { maxLength: 30 }), async (changes) => {
      const path = fresh();
      const journal = await openJournal(path, logger);
      const expected = new Map<string, unknown>();
      for (const [key, value] of changes) {
        if (value === undefined) {
          journal.delete(key);
          expected.delete(key);
        } else {
          journal.put(key, value);
          expected.set(key, value);
        }
        if (key === 'd') await journal.flush();
      }
      await journal.close();
      const again = await openJournal(path, logger);
      const byKey = ([a]: [string, unknown], [b]: [string, unknown]): number => (a < b ? -1 : 1);
      const found = JSON.stringify([...again.entries('')].sort(byKey));
      await again.close();
      return found === JSON.stringify([...expected].sort(byKey));
    }),
    { numRuns: 50 },
  );
});

t.test('journal › stays small when one key changes over and over', async (t) => {
  const path = fresh();
  const journal = await openJournal(path, logger);
  for (let i = 0; i < 5_000; i++) {
    journal.put('a', i);
    if (i % 50 === 0) await journal.flush();
  }
  for (let i = 0; i < 1_200; i++) {
    journal.put('a', i);
    await journal.flush();
  }
  await journal.close();
  t.ok(readFileSync(path, 'utf8').split('\n').length < 1_100);
});

t.test('journal › drops a line that a crash cut off', async (t) => {
  const path = fresh();
  const journal = await openJournal(path, logger);
  journal.put('a', 1);
  await journal.close();
  appendFileSync(path, '0123abcd ["b"');
  t.strictSame(all(await openJournal(path, logger)), { a: 1 });
  t.notOk(existsSync(`${path}.damaged`));
});

t.test('journal › sets a damaged file aside and starts empty', async (t) => {
  const path = fresh();
  const journal = await openJournal(path, logger);
  journal.put('a', 'hello');
  journal.put('b', 2);
  await journal.close();
  writeFileSync(path, readFileSync(path, 'utf8').replace('hello', 'jello'));
  t.strictSame(all(await openJournal(path, logger)), {});
  t.ok(existsSync(`${path}.damaged`));
});

const noRoot = process.getuid?.() === 0 ? false : 'a small file system of its own needs root';

t.test('journal › is whole again once a full disk has room', { skip: noRoot }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'swarmd-journal-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', folder]);
  t.teardown(() => execFileSync('umount', ['-l', folder]));
  const path = join(folder, 'agent.log');
  const journal = await openJournal(path, logger);
  journal.put('a', 1);
  await journal.flush();
  for (const value of ['x'.repeat(100_000), 'y'.repeat(90_000)]) {
    journal.put('large', value);
    await t.rejects(journal.flush(), { code: 'ENOSPC' });
  }
  journal.delete('large');
  journal.put('b', 2);
  await journal.close();
  t.strictSame(all(await openJournal(path, logger)), { a: 1, b: 2 });
  t.notOk(existsSync(`${path}.damaged`));
});

t.test('journal › an empty file is an empty journal', async (t) => {
  const path = fresh();
  await (await openJournal(path, logger)).close();
  truncateSync(path, 0);
  t.strictSame(all(await openJournal(path, logger)), {});
});

t.test('state › forgets what belongs to another node or cluster', async (t) => {
  const path = fresh();
  const journal = await openJournal(path, logger);
  const state = createAgentState(journal, 'node1', 'cluster1');
  state.sawIndex(7);
  state.sawIndex(5);
  t.equal(state.seenIndex(), 7);
  t.equal(createAgentState(journal, 'node1', 'cluster1').seenIndex(), 7);
  t.equal(createAgentState(journal, 'node2', 'cluster1').seenIndex(), 0);
  await journal.close();
});

t.test('state › keeps no registry credentials, secrets or configs', async (t) => {
  const path = fresh();
  const journal = await openJournal(path, logger);
  const state = createAgentState(journal, 'node1', 'cluster1');
  const spec = { serviceId: 's', specVersion: 1, spec: { Name: 'web' }, registryAuth: 'cGFzc3dvcmQ=' };
  const payload = { id: 'x', name: 'x', data: Buffer.from('hunter2'), templating: '' };
  const set = {
    sequence: 1,
    tasks: new Map(),
    specs: new Map([['s/1', spec]]),
    secrets: new Map([['x', payload]]),
    configs: new Map([['x', payload]]),
    networks: new Map(),
  };
  state.setShared(set, new Set());
  await journal.close();
  const text = readFileSync(path, 'utf8');
  t.match(text, 'web');
  t.notMatch(text, 'cGFzc3dvcmQ=');
  t.notMatch(text, 'hunter2');
  t.notMatch(text, Buffer.from('hunter2').toString('base64'));
});
