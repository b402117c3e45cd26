import fc from 'fast-check';
import t from 'tap';
import { splitCommand } from '../src/canonical/shell.js';
import { loadText } from './from-disk.js';

const TABLE: [line: string, words: string[]][] = [
  ['', []],
  ['   ', []],
  ['a b  c\td\n e', ['a', 'b', 'c', 'd', 'e']],
  ['sh -c \'echo  "hi" \\n\'', ['sh', '-c', 'echo  "hi" \\n']],
  ['a "b c" d', ['a', 'b c', 'd']],
  ['"a\\"b" "a\\nb" c\\nd', ['a"b', 'anb', 'cnd']],
  ['e"f"\'g\'', ['efg']],
  ['"" \'\'', ['', '']],
  ['a\\ b a\\\\b', ['a b', 'a\\b']],
  ['a #b c\nd', ['a', 'd']],
  ['a#b', ['a#b']],
  ['a ; b | c && d > e', ['a', ';', 'b', '|', 'c', '&&', 'd', '>', 'e']],
  ['$HOME *', ['$HOME', '*']],
];

for (const [line, words] of TABLE) {
  t.test(`shell › ${JSON.stringify(line)} is ${JSON.stringify(words)}`, async (t) => {
    t.same(splitCommand(line), words);
  });
}

t.test('shell › quotes and escapes left open are told apart', async (t) => {
  t.equal(splitCommand("a 'b"), 'quote');
  t.equal(splitCommand('a "b'), 'quote');
  t.equal(splitCommand('a "b\\"'), 'quote');
  t.equal(splitCommand('a\\'), 'escape');
});

t.test('shell › an open quote in a file names path and line', async (t) => {
  t.throws(() => loadText('services:\n  web:\n    image: x\n    command: a "b\n'), {
    message: 'services.web.command (compose.yaml:4:14): a quote is not closed',
  });
});

const single = (word: string) => `'${word.replaceAll("'", "'\\''")}'`;
const double = (word: string) => `"${word.replace(/["\\]/g, '\\$&')}"`;
const escaped = (word: string) => (word === '' ? "''" : word.replace(/./gsu, '\\$&'));

t.test('shell › words quoted in any of the three ways come back', async (t) => {
  const quoted = fc.tuple(fc.string(), fc.constantFrom(single, double, escaped));
  const blank = fc.constantFrom(' ', '\t', '\n', '  ');
  fc.assert(
    fc.property(fc.array(quoted), blank, (words, separator) => {
      const line = words.map(([word, quote]) => quote(word)).join(separator);
      t.same(
        splitCommand(line),
        words.map(([word]) => word),
      );
    }),
  );
});

t.test('shell › any text is either split or refused', async (t) => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom('a', ' ', '"', "'", '\\', '#', '\n') }), (line) => {
      const words = splitCommand(line);
      return typeof words === 'string' || words.every((word) => typeof word === 'string');
    }),
  );
  t.pass();
});
