import * as fc from 'fast-check';
import t from 'tap';
import { DOCKER_FUNCTIONS, parseTemplate, TemplateError, toGoJson } from '../src/index.js';

const pieces = fc.constantFrom(
  ...[
    '{{',
    '}}',
    '{{- ',
    ' -}}',
    ' ',
    '.',
    '.A',
    '$',
    '$x',
    ' := ',
    ' = ',
    '|',
    '(',
    ')',
    '"a"',
    '`b`',
    "'c'",
    '1',
    '-2',
  ],
  ...['1.5', 'nil', 'true', 'if ', 'else', 'else if ', 'end', 'range ', 'with ', 'define ', 'template ', 'block '],
  ...[
    'break',
    'continue',
    'len ',
    'index ',
    'print ',
    'printf ',
    'json ',
    'upper ',
    'and ',
    'call ',
    ',',
    '/*',
    '*/',
    'é',
  ],
  ...['\n', '{{end}}', '{{.A}}', '{{range .L}}', '{{if .A}}', '{{else}}', '{{$x := .A}}', '{{$x}}', '\\', '"'],
);
const templates = fc.array(pieces, { maxLength: 25 }).map((words) => words.join(''));

t.test('template › any text either executes or throws a TemplateError', async () => {
  await fc.assert(
    fc.property(templates, (text) => {
      try {
        parseTemplate(text, { functions: DOCKER_FUNCTIONS }).execute({ A: 'a', L: [1, 2], M: { k: 'v' } });
      } catch (thrown) {
        if (!(thrown instanceof TemplateError)) throw thrown;
      }
    }),
    { numRuns: 2000 },
  );
});

t.test('template › text without actions is its own output', async () => {
  await fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      fc.pre(!text.includes('{{'));
      return parseTemplate(text).execute({}) === text;
    }),
  );
});

t.test('template › a quoted string in a template prints as the string', async () => {
  await fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      const viaPrintf = parseTemplate('{{printf "%q" .}}').execute(text);
      return parseTemplate(`{{${viaPrintf}}}`).execute(undefined) === text;
    }),
  );
});

t.test('template › range visits the keys of a map in the order of their bytes', async () => {
  await fc.assert(
    fc.property(fc.uniqueArray(fc.string({ unit: 'grapheme', minLength: 1 })), (keys) => {
      const visited = parseTemplate('{{range $k, $v := .}}{{json $k}} {{end}}', { functions: DOCKER_FUNCTIONS });
      const sorted = [...keys].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      const map = new Map(keys.map((key) => [key, 1]));
      return visited.execute(map) === sorted.map((key) => `${toGoJson(key)} `).join('');
    }),
  );
});

t.test('template › json reads back as the value', async (t) => {
  await fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 3 }), (value) => {
      const text = parseTemplate('{{json .}}', { functions: DOCKER_FUNCTIONS }).execute(value);
      t.same(JSON.parse(text), JSON.parse(JSON.stringify(value)));
    }),
  );
});

t.test('template › json sorts maps and keeps the order of the API’s objects', async (t) => {
  const value = { Name: 'x', ID: 1, Labels: { b: '1', a: '2' }, Lazy: () => [true], Label: (key: string) => key };
  t.equal(toGoJson(value), '{"Name":"x","ID":1,"Labels":{"a":"2","b":"1"},"Lazy":[true]}');
});
