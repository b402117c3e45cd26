import t from 'tap';
import { parseYaml } from '../src/syntax/parse.js';
import { scalarText } from '../src/syntax/scalar.js';
import { child, type Plain, toPlain } from '../src/syntax/tree.js';

function parse(content: string): Plain[] {
  return parseYaml('compose.yaml', content).map(toPlain);
}

const SCALARS: [source: string, value: Plain, text: string][] = [
  ['text', 'text', 'text'],
  ['"1"', '1', '1'],
  ["'true'", 'true', 'true'],
  ['', null, ''],
  ['~', null, ''],
  ['null', null, ''],
  ['true', true, 'true'],
  ['False', false, 'false'],
  ['yes', 'yes', 'yes'],
  ['off', 'off', 'off'],
  ['0', 0, '0'],
  ['-12', -12, '-12'],
  ['+12', 12, '12'],
  ['1_000', 1000, '1000'],
  ['0440', 0o440, '288'],
  ['0o440', 0o440, '288'],
  ['0x1F', 31, '31'],
  ['0b101', 5, '5'],
  ['08', 8, '8'],
  ['12345678901234567890', '12345678901234567890', '12345678901234567890'],
  ['1.10', 1.1, '1.1'],
  ['.5', 0.5, '0.5'],
  ['1e3', 1000, '1000'],
  ['18446744073709551615', '18446744073709551615', '18446744073709551615'],
  ['18446744073709551616', 2 ** 64, '1.8446744073709552e+19'],
  ['1000000', 1_000_000, '1000000'],
  ['1e6', 1_000_000, '1e+06'],
  ['1234567.5', 1234567.5, '1.2345675e+06'],
  ['123456.5', 123456.5, '123456.5'],
  ['1e30', 1e30, '1e+30'],
  ['0.00001', 0.00001, '1e-05'],
  ['.inf', Number.POSITIVE_INFINITY, '+Inf'],
  ['22:22', '22:22', '22:22'],
  ['3.9.1', '3.9.1', '3.9.1'],
  ['2026-01-02', '2026-01-02', '2026-01-02'],
  ['!!str 12', '12', '12'],
  ['!!int "12"', 12, '12'],
  ['|\n  two\n  lines\n', 'two\nlines\n', 'two\nlines\n'],
];

for (const [source, value, text] of SCALARS) {
  t.test(`parse › ${JSON.stringify(source)} is ${JSON.stringify(value)}`, async (t) => {
    const tree = child(parseYaml('f', `key: ${source}\n`)[0], 'key');
    t.same(toPlain(tree!), value);
    t.equal(tree?.kind === 'scalar' ? scalarText(tree.value) : undefined, text);
  });
}

t.test('parse › anchors, aliases and merge keys are resolved', async (t) => {
  const content = `
x-a: &a { one: 1, two: 2 }
x-b: &b { two: 22, three: 3 }
both: { <<: [*a, *b], three: 33 }
later: { two: 0, <<: *a }
alias: *b
quoted: { "<<": kept }
`;
  t.match(parse(content), [
    {
      both: { one: 1, two: 2, three: 33 },
      later: { one: 1, two: 0 },
      alias: { two: 22, three: 3 },
      quoted: { '<<': 'kept' },
    },
  ]);
});

t.test('parse › merge tags stay on their nodes', async (t) => {
  const [tree] = parseYaml('f', 'a: !reset null\nb: !override [1]\nc: !reset\nd: !other 1\n');
  t.same(
    ['a', 'b', 'c', 'd'].map((key) => child(tree, key)?.tag),
    ['reset', 'override', 'reset', undefined],
  );
});

t.test('parse › every document of a file is one tree, empty ones are left out', async (t) => {
  t.same(parse('a: 1\n---\n---\nb: 2\n'), [{ a: 1 }, { b: 2 }]);
  t.same(parse('# nothing\n'), []);
});

t.test('parse › positions count from 1 and belong to keys and values', async (t) => {
  const [tree] = parseYaml('f', 'services:\n  web:\n    image: nginx\n');
  const web = child(child(tree, 'services'), 'web');
  const image = web?.kind === 'mapping' ? web.entries.get('image') : undefined;
  t.same(image?.at, { file: 'f', line: 3, column: 5 });
  t.same(image?.node.at, { file: 'f', line: 3, column: 12 });
});

for (const [name, content, message] of [
  ['bad YAML', 'a: [1\n', /compose\.yaml:\d+:\d+\): invalid YAML/],
  ['a key given twice', 'a: 1\na: 2\n', /compose\.yaml:2:1\): invalid YAML: Map keys must be unique/],
  ['a list at the top', '- a\n', /compose\.yaml:1:1\): a Compose file is a mapping/],
  ['an alias without anchor', 'a: *b\n', /alias/],
  ['an alias of itself', 'a: &a { b: *a }\n', /alias \*a has no anchor before it/],
  ['a key that is a list', '? [a]\n: 1\n', /a key must be a non-empty text/],
  ['a merge key of a text', 'a: { <<: text }\n', /`<<` takes a mapping/],
] as const) {
  t.test(`parse › ${name} is refused with its place`, async (t) => {
    t.throws(() => parse(content), { code: 'invalid-argument', message });
  });
}

t.test('parse › a file that grows without end by its aliases is refused', async (t) => {
  const levels = Array.from({ length: 12 }, (_, i) => `l${i + 1}: &l${i + 1} [${Array(9).fill(`*l${i}`).join(', ')}]`);
  t.throws(() => parse(`l0: &l0 [a, b]\n${levels.join('\n')}\n`), { message: /more than 200000 values/ });
});
