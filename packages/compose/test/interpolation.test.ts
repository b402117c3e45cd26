import { isErrorCode } from '@swarmd/model';
import fc from 'fast-check';
import t from 'tap';
import { type Env, interpolateText } from '../src/syntax/interpolate.js';
import { loadText } from './from-disk.js';

const ENV = { SET: 'value', EMPTY: '', _x1: 'under', lower: 'low' };

function interpolate(text: string, env: Env = ENV): { text: string; unset: string[] } {
  const unset: string[] = [];
  const fail = (message: string): never => {
    throw new Error(message);
  };
  return { text: interpolateText(text, env, { unset: (name) => void unset.push(name), fail }), unset };
}

const TABLE: [template: string, text: string, unset?: string[]][] = [
  ['plain', 'plain'],
  ['$SET', 'value'],
  ['${SET}', 'value'],
  ['a${SET}b$SET.c', 'avaluebvalue.c'],
  ['$_x1 ${lower}', 'under low'],
  ['$NONE', '', ['NONE']],
  ['${NONE}', '', ['NONE']],
  ['${EMPTY}', ''],
  ['${SET:-d}', 'value'],
  ['${EMPTY:-d}', 'd'],
  ['${NONE:-d}', 'd'],
  ['${SET-d}', 'value'],
  ['${EMPTY-d}', ''],
  ['${NONE-d}', 'd'],
  ['${NONE-}', ''],
  ['${SET:+r}', 'r'],
  ['${EMPTY:+r}', ''],
  ['${NONE:+r}', ''],
  ['${SET+r}', 'r'],
  ['${EMPTY+r}', 'r'],
  ['${NONE+r}', ''],
  ['${SET:?no}', 'value'],
  ['${SET?no}', 'value'],
  ['${EMPTY?no}', ''],
  ['$$SET', '$SET'],
  ['$$$SET', '$value'],
  ['${NONE:-$$x}', '$x'],
  ['100$', '100$'],
  ['a $ b $1 $-', 'a $ b $1 $-'],
  ['${NONE:-${OTHER:-z}}', 'z'],
  ['${NONE:-${SET}}/x', 'value/x'],
  ['${NONE:-${OTHER:-${EMPTY:-deep}}}}', 'deep}'],
  ['${NONE:-a${SET}b$lower}', 'avalueblow'],
  ['${SET:+${SET}-${NONE:-n}}', 'value-n'],
  ['${SET:-${NONE}}', 'value', []],
  ['${NONE:+${OTHER}}', '', []],
  ['${SET:-${NONE:?never}}', 'value', []],
  ['${NONE:-$OTHER}', '', ['OTHER']],
  ['${NONE:-a:b?c-d+e}', 'a:b?c-d+e'],
  ['${NONE:-{}}', '{}'],
  ['{"json": "${SET}"}', '{"json": "value"}'],
  ['${NONE-multi\nline}', 'multi\nline'],
];

for (const [template, expected, unset] of TABLE) {
  t.test(`interpolation › ${JSON.stringify(template)} becomes ${JSON.stringify(expected)}`, async (t) => {
    const result = interpolate(template);
    t.equal(result.text, expected);
    if (unset !== undefined) t.same(result.unset, unset);
  });
}

for (const [template, message] of [
  ['${NONE:?it is needed}', /required variable NONE is missing a value: it is needed/],
  ['${EMPTY:?}', /required variable EMPTY is missing a value$/],
  ['${NONE?say $SET}', /say value/],
  ['${}', /cannot interpolate/],
  ['${1}', /cannot interpolate/],
  ['${SET/a/b}', /cannot interpolate/],
  ['${SET', /cannot interpolate/],
  ['${NONE:-open', /closing brace/],
  ['${SET:-${1}}', /cannot interpolate/],
] as const) {
  t.test(`interpolation › ${template} is refused`, async (t) => {
    t.throws(() => interpolate(template), { message });
  });
}

t.test('interpolation › a template nested without end is refused, not followed', async (t) => {
  t.throws(() => interpolate('${A:-'.repeat(100) + '}'.repeat(100)), { message: /nest deeper/ });
});

t.test('interpolation › names of objects are not variables', async (t) => {
  t.same(interpolate('$constructor${__proto__}${toString:-d}').text, 'd');
});

type Part = { text: string } | { name: string; operator: string; word: Part[] };

const names = fc.constantFrom('SET', 'EMPTY', 'NONE');
const { parts } = fc.letrec<{ parts: Part[]; part: Part }>((tie) => ({
  parts: fc.array(tie('part'), { maxLength: 3 }),
  part: fc.oneof(
    { depthSize: 'small' },
    fc.string({ unit: fc.constantFrom('a', ':', '-', '?', '+', '{', '$', ' ') }).map((text) => ({ text })),
    fc.record({
      name: names,
      operator: fc.constantFrom('', ':-', '-', ':+', '+'),
      word: tie('parts'),
    }),
  ),
}));

function write(list: readonly Part[]): string {
  return list
    .map((part) => {
      if ('text' in part) return part.text.replaceAll('$', '$$$$');
      return `\${${part.name}${part.operator}${part.operator === '' ? '' : write(part.word)}}`;
    })
    .join('');
}

/** The oracle: the meaning of the parts, without any parsing. */
function meaning(list: readonly Part[], env: Env): string {
  return list
    .map((part) => {
      if ('text' in part) return part.text;
      const value = env[part.name];
      const isSet = part.operator.startsWith(':') ? (value ?? '') !== '' : value !== undefined;
      if (part.operator === '') return value ?? '';
      if (part.operator.endsWith('-')) return isSet ? value : meaning(part.word, env);
      return isSet ? meaning(part.word, env) : '';
    })
    .join('');
}

t.test('interpolation › what is written from parts means what the parts mean', async (t) => {
  fc.assert(fc.property(parts, (list) => interpolate(write(list)).text === meaning(list, ENV)));
  t.pass();
});

t.test('interpolation › a text with its dollar signs doubled comes back', async (t) => {
  fc.assert(fc.property(fc.string(), (text) => interpolate(text.replaceAll('$', '$$$$')).text === text));
  t.pass();
});

t.test('interpolation › values are replaced, keys are not, and numbers are cast afterwards', async (t) => {
  const { project, warnings } = loadText(
    'services: { web: { image: "$IMAGE", labels: { $KEY: $KEY }, deploy: { replicas: "${N}" }, tty: "${TTY}" } }',
    {},
    { IMAGE: 'nginx', N: '3', TTY: 'yes' },
  );
  const web = project.services['web'];
  t.match(web, { image: 'nginx', tty: true, deploy: { replicas: 3 } });
  t.same(web?.labels, { $KEY: '' });
  t.match(warnings, [{ path: 'services.web.labels.$KEY', severity: 'warning', at: { file: 'compose.yaml', line: 1 } }]);
});

t.test('interpolation › a missing required variable names path and line', async (t) => {
  const load = () => loadText('services:\n  web:\n    image: ${IMAGE:?set it}\n');
  t.throws(load, {
    message: 'services.web.image (compose.yaml:3:12): required variable IMAGE is missing a value: set it',
  });
  try {
    load();
  } catch (error) {
    t.ok(isErrorCode(error, 'invalid-argument'));
  }
});

t.test('interpolation › the name of the project is a variable', async (t) => {
  const { project } = loadText(
    'name: shop-$STAGE\nservices: { web: { image: "x:${COMPOSE_PROJECT_NAME}" } }',
    {},
    { STAGE: 'live' },
  );
  t.equal(project.name, 'shop-live');
  t.equal(project.services['web']?.image, 'x:shop-live');
});
