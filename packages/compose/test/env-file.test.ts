import fc from 'fast-check';
import t from 'tap';
import { parseEnvFile } from '../src/project/env-file.js';
import { loadText } from './from-disk.js';

const ENV = { SET: 'value' };

function parse(content: string, raw = false): Record<string, string | null> {
  const { variables, fault } = parseEnvFile(content, ENV, raw);
  t.equal(fault, undefined, JSON.stringify(content));
  return Object.fromEntries(variables);
}

const TABLE: [content: string, variables: Record<string, string | null>][] = [
  ['A=1\nB=2', { A: '1', B: '2' }],
  ['\uFEFFA=1\r\n\r\n# note\r\n  # note\r\nB=2\r\n', { A: '1', B: '2' }],
  ['A=', { A: '' }],
  ['A\nSET', { A: null, SET: 'value' }],
  ['export A=1', { A: '1' }],
  ['A = spaced  ', { A: 'spaced' }],
  ['A: yaml', { A: 'yaml' }],
  ['A=one#two # note', { A: 'one#two' }],
  ['A=a=b', { A: 'a=b' }],
  ['A=\'$SET # "x" \\n\'', { A: '$SET # "x" \\n' }],
  ['A="x \\"y\\" \\n\\t\\\\ $SET # no note" # note', { A: 'x "y" \n\t\\ value # no note' }],
  ['A="\\$SET"', { A: '$SET' }],
  ['A="two\nlines"\nB=1', { A: 'two\nlines', B: '1' }],
  ['A=1\nB=${A}-$SET-${NONE:-d}', { A: '1', B: '1-value-d' }],
  ['A=$$x', { A: '$x' }],
  ['A=1\nA=2', { A: '2' }],
];

for (const [content, variables] of TABLE) {
  t.test(`env file › ${JSON.stringify(content)}`, async (t) => void t.same(parse(content), variables));
}

t.test('env file › raw takes everything after the equals sign', async (t) => {
  t.same(parse('A="x" # $SET\nB\nSET\n', true), { A: '"x" # $SET', B: null, SET: 'value' });
});

for (const [content, line] of [
  ['A=1\nB C=2', 2],
  ['=1', 1],
  ['A=1\nB="open\n\n', 2],
  ['A=${', 1],
] as const) {
  t.test(`env file › ${JSON.stringify(content)} is faulty in line ${line}`, async (t) => {
    t.equal(parseEnvFile(content, {}).fault?.line, line);
  });
}

t.test('env file › any value survives single quotes', async (t) => {
  const value = fc.string().filter((text) => !/['\r]/.test(text));
  fc.assert(fc.property(value, (text) => parseEnvFile(`A='${text}'`, {}).variables.get('A') === text));
  t.pass();
});

t.test('env file › later files win, the service itself wins over files', async (t) => {
  const { project, warnings } = loadText(
    'services: { web: { image: x, env_file: [a, { path: b, required: false }, { path: none, required: false }], environment: [C=3] } }',
    { a: 'A=1\nB=1\nC=1\n', b: 'B="2"\n' },
  );
  t.same(project.services['web']?.environment, { A: '1', B: '2', C: '3' });
  t.match(warnings, [{ path: 'services.web.env_file[1]', severity: 'info', message: /quotes/ }]);
});

t.test('env file › a missing or faulty file names path and line', async (t) => {
  const load = (files: Record<string, string>) => loadText('services: { web: { image: x, env_file: a } }', files);
  t.throws(() => load({}), {
    message: /services\.web\.env_file\[0\] \(compose\.yaml:1:\d+\): file \/project\/a cannot be read/,
  });
  t.throws(() => load({ a: 'A=1\nB C\n' }), { message: /\/project\/a:2: expected NAME=VALUE/ });
});
