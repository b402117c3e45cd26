import fc from 'fast-check';
import t from 'tap';
import { csvFields, csvPairs } from '../src/text/csv.js';
import { formatDurationNs, humanDuration, parseDurationNs, prettyTime } from '../src/text/durations.js';
import { imageForDisplay, parseImage, withDefaultTag } from '../src/text/image-reference.js';
import { naturalCompare } from '../src/text/natural-order.js';
import { formatBytes, parseBytes, parseNanoCpus } from '../src/text/quantities.js';
import { splitWords } from '../src/text/shell-words.js';

t.test('durations › are read as Go reads them', async (t) => {
  const cases: [string, number][] = [
    ['0', 0],
    ['5s', 5e9],
    ['1h2m3s', 3723e9],
    ['1.5h', 5400e9],
    ['.5s', 5e8],
    ['-1m', -60e9],
    ['10us', 10_000],
    ['10µs', 10_000],
  ];
  for (const [text, ns] of cases) t.equal(parseDurationNs(text), ns, text);
  for (const bad of ['', '5', 's', '1x', '1s2', '--1s'])
    t.throws(() => parseDurationNs(bad), { message: /^time: / }, bad);
});

t.test('durations › print so that they are read back the same', async () => {
  fc.assert(
    fc.property(
      fc.integer({ min: -1e12, max: 1e12 }),
      (micros) => parseDurationNs(formatDurationNs(micros * 1000)) === micros * 1000,
    ),
  );
});

t.test('durations › print as Go prints them', async (t) => {
  const cases: [number, string][] = [
    [0, '0s'],
    [1, '1ns'],
    [1500, '1.5µs'],
    [2e6, '2ms'],
    [5e9, '5s'],
    [90e9, '1m30s'],
    [3600e9, '1h0m0s'],
    [7776000e9, '2160h0m0s'],
  ];
  for (const [ns, text] of cases) t.equal(formatDurationNs(ns), text);
});

t.test('durations › are rounded for people as the docker CLI does', async (t) => {
  const minute = 60_000;
  const hour = 60 * minute;
  const day = 24 * hour;
  const cases: [number, string][] = [
    [999, 'Less than a second'],
    [1000, '1 second'],
    [59_999, '59 seconds'],
    [minute, 'About a minute'],
    [2 * minute, '2 minutes'],
    [59 * minute, '59 minutes'],
    [hour, 'About an hour'],
    [1.5 * hour, '2 hours'],
    [47 * hour, '47 hours'],
    [2 * day, '2 days'],
    [14 * day, '2 weeks'],
    [60 * day, '2 months'],
    [731 * day, '2 years'],
  ];
  for (const [ms, text] of cases) t.equal(humanDuration(ms), text);
});

t.test('times › are shown as the docker CLI shows them', async (t) => {
  t.equal(prettyTime('2026-11-23T03:08:34.918000000Z'), '2026-11-23 03:08:34.918 +0000 utc');
  t.equal(prettyTime('2026-11-23T03:08:34.000000000Z'), '2026-11-23 03:08:34 +0000 utc');
});

t.test('memory › is read with powers of 1024', async (t) => {
  const cases: [string, number][] = [
    ['512', 512],
    ['512b', 512],
    ['64m', 64 * 2 ** 20],
    ['64MB', 64 * 2 ** 20],
    ['64mib', 64 * 2 ** 20],
    ['1.5g', 1.5 * 2 ** 30],
    ['2 k', 2048],
  ];
  for (const [text, bytes] of cases) t.equal(parseBytes(text), bytes, text);
  t.throws(() => parseBytes('3x'), { message: "invalid suffix: 'x'" });
  t.throws(() => parseBytes('m'), { message: "invalid size: 'm'" });
  t.throws(() => parseBytes('1bb'), { message: "invalid suffix: 'bb'" });
});

t.test('memory › is shown with four digits', async (t) => {
  t.equal(formatBytes(25276514304), '23.54GiB');
  t.equal(formatBytes(64 * 2 ** 20), '64MiB');
  t.equal(formatBytes(0), '0B');
});

t.test('CPUs › are read to a billionth', async (t) => {
  t.equal(parseNanoCpus('0.5'), 5e8);
  t.equal(parseNanoCpus('.1'), 1e8);
  t.equal(parseNanoCpus('1/4'), 25e7);
  t.throws(() => parseNanoCpus('3x'), { message: 'failed to parse 3x as a rational number' });
  t.throws(() => parseNanoCpus('0.0000000001'), { message: 'value is too precise' });
});

t.test('words › are split as a shell splits them', async (t) => {
  const cases: [string, string[]][] = [
    ['a b  c', ['a', 'b', 'c']],
    [`sh -c 'echo "hi there"'`, ['sh', '-c', 'echo "hi there"']],
    [`a\\ b "c\\"d" e'f'g`, ['a b', 'c"d', 'efg']],
    [`x "" ''`, ['x', '', '']],
    ['a # no more', ['a']],
    ['', []],
  ];
  for (const [line, words] of cases) t.same(splitWords(line), words, line);
  t.throws(() => splitWords(`a 'b`));
});

t.test('words › survive quoting', async () => {
  const quote = (word: string): string => `'${word.replaceAll("'", `'"'"'`)}'`;
  fc.assert(
    fc.property(fc.array(fc.string()), (words) => {
      const split = splitWords(words.map(quote).join(' '));
      return split.length === words.length && split.every((word, index) => word === words[index]);
    }),
  );
});

t.test('CSV › fields may be quoted', async (t) => {
  t.same(csvFields('a,b,'), ['a', 'b', '']);
  t.same(csvFields('type=tmpfs,"volume-opt=o=a,b"'), ['type=tmpfs', 'volume-opt=o=a,b']);
  t.same(csvFields('"a""b"'), ['a"b']);
  t.throws(() => csvFields('"a'));
  t.same(csvPairs('Source=a,mode=0400'), [
    ['source', 'a'],
    ['mode', '0400'],
  ]);
  t.throws(() => csvPairs('a'), { message: "invalid field 'a' must be a key=value pair" });
});

t.test('names › are ordered by the numbers in them', async (t) => {
  const names = ['web.10', 'web.2', 'web.1', 'api.3', 'web', 'web.02'];
  t.same(names.toSorted(naturalCompare), ['api.3', 'web', 'web.1', 'web.2', 'web.02', 'web.10']);
});

t.test('names › have one order, whichever way they are compared', async () => {
  const name = fc.string({ unit: fc.constantFrom('a', 'b', '.', '0', '1', '2') });
  fc.assert(fc.property(name, name, (a, b) => Math.sign(naturalCompare(a, b)) === -Math.sign(naturalCompare(b, a))));
  fc.assert(
    fc.property(name, name, name, (a, b, c) => {
      return !(naturalCompare(a, b) <= 0 && naturalCompare(b, c) <= 0) || naturalCompare(a, c) <= 0;
    }),
  );
});

t.test('images › get the tag that docker means', async (t) => {
  const digest = `sha256:${'a'.repeat(64)}`;
  const cases: [string, string][] = [
    ['nginx', 'nginx:latest'],
    ['nginx:1.21', 'nginx:1.21'],
    ['docker.io/library/nginx', 'nginx:latest'],
    ['localhost:5000/app', 'localhost:5000/app:latest'],
    ['ghcr.io/a/b:c', 'ghcr.io/a/b:c'],
    [`nginx@${digest}`, `nginx@${digest}`],
    ['Not An Image', 'Not An Image'],
  ];
  for (const [text, image] of cases) t.equal(withDefaultTag(text), image, text);
  t.equal(parseImage('localhost:5000/app')?.domain, 'localhost:5000');
  t.equal(parseImage('nginx')?.domain, 'docker.io');
});

t.test('images › are listed without digest where they have a tag', async (t) => {
  const digest = `sha256:${'a'.repeat(64)}`;
  t.equal(imageForDisplay(`nginx:alpine@${digest}`), 'nginx:alpine');
  t.equal(imageForDisplay(`nginx@${digest}`), `nginx@${digest}`);
});
