import { isErrorCode } from '@swarmd/model';
import fc from 'fast-check';
import t from 'tap';
import { toStack } from '../src/index.js';
import { composeFile } from '../src/schema/file.js';
import { serviceKeys } from '../src/schema/service.js';
import { checkShape, type Shape } from '../src/schema/shape.js';
import { parseYaml } from '../src/syntax/parse.js';
import { loadText } from './from-disk.js';

function check(content: string): string[] {
  const [tree] = parseYaml('f', content);
  return checkShape(tree!, composeFile).map(({ path, at, message }) => `${path} ${at?.line}:${at?.column} ${message}`);
}

const WRONG: [content: string, problem: string][] = [
  ['service: {}\n', 'service 1:1 unknown key; did you mean services?'],
  ['services:\n  web:\n    imagee: x\n', 'services.web.imagee 3:5 unknown key; did you mean image?'],
  ['services:\n  web:\n    cgroupns_mode: host\n', 'services.web.cgroupns_mode 3:5 unknown key'],
  [
    'services: { web: { deploy: { replica: 1 } } }\n',
    'services.web.deploy.replica 1:30 unknown key; did you mean replicas?',
  ],
  ['services: { web: }\n', 'services.web 1:18 expected a mapping, found nothing'],
  ['services: []\n', 'services 1:11 expected a mapping, found a list'],
  ['services: { "we b": { image: x } }\n', 'services.we b 1:13 the name does not match ^[a-zA-Z0-9._-]+$'],
  [
    'services: { web: { image: 5 } }\n',
    'services.web.image 1:27 expected a text, found the number 5 (put it in quotes to make it a text)',
  ],
  [
    'services: { web: { command: [sleep, 10] } }\n',
    'services.web.command[1] 1:37 expected a text, found the number 10 (put it in quotes to make it a text)',
  ],
  [
    'services: { web: { ports: 80 } }\n',
    'services.web.ports 1:27 expected a list, found the number 80 (put it in quotes to make it a text)',
  ],
  ['services: { web: { ports: [{ host: 1 }] } }\n', 'services.web.ports[0].host 1:30 unknown key'],
  [
    'services: { web: { tty: 1 } }\n',
    'services.web.tty 1:25 expected true or false or a text, found the number 1 (put it in quotes to make it a text)',
  ],
  ['services: { web: { depends_on: { db: {} } } }\n', 'services.web.depends_on.db 1:38 condition is required'],
  ['services: { web: { cgroup: both } }\n', 'services.web.cgroup 1:28 "both" is none of host, private'],
  ['services: { web: { pull_policy: often } }\n', 'services.web.pull_policy 1:33 "often" does not match'],
  ['networks: { n: { ipam: { config: [{ net: x }] } } }\n', 'networks.n.ipam.config[0].net 1:37 unknown key'],
  ['secrets: { s: }\n', 'secrets.s 1:15 expected a mapping, found nothing'],
  ['configs: { c: { driver: x } }\n', 'configs.c.driver 1:17 unknown key'],
  ['services: { web: { ports: [80, "81:80", 80] } }\n', 'services.web.ports[2] 1:41 the same as item 0'],
  ['services: { web: { cap_add: [A, A] } }\n', 'services.web.cap_add[1] 1:33 the same as item 0'],
  ['include: x\n', 'include 1:10 expected a list, found the text "x"'],
];

for (const [content, problem] of WRONG) {
  t.test(`schema › ${JSON.stringify(content)} is refused`, async (t) => {
    const found = check(content);
    t.equal(found.length, 1);
    t.ok(found[0]?.startsWith(problem), found[0] ?? 'nothing');
  });
}

t.test('schema › everything wrong is told at once, with file, line and column', async (t) => {
  t.throws(() => loadText('services:\n  web:\n    imagee: x\n    portz: []\n'), {
    code: 'invalid-argument',
    field: 'services.web.imagee',
    message:
      'services.web.imagee (compose.yaml:3:5): unknown key; did you mean image?\n' +
      'services.web.portz (compose.yaml:4:5): unknown key; did you mean ports?',
  });
});

/** A value of `shape` and where objects of fixed keys stand in it, so that each can be given an `x-` key. */
function sample(shape: Shape): unknown {
  switch (shape.is) {
    case 'any':
      return 'x';
    case 'either':
      // The richest way of writing it.
      return sample([...shape.shapes].sort((a, b) => rank(b) - rank(a))[0]!);
    case 'list':
      return [sample(shape.of)];
    case 'map':
      return { name: sample(shape.of) };
    case 'object':
      return Object.fromEntries(Object.entries(shape.keys).map(([key, of]) => [key, sample(of)]));
    case 'leaf':
      if (shape.values !== undefined) return shape.values[0];
      if (shape.pattern !== undefined) return 'always';
      return { string: 'x', number: 1.5, integer: 1, boolean: true, null: null }[shape.types[0]!];
  }
}

function rank(shape: Shape): number {
  return ['leaf', 'any', 'list', 'map', 'either', 'object'].indexOf(shape.is);
}

t.test('schema › a file with every key of the specification fits', async (t) => {
  t.same(check(JSON.stringify(sample(composeFile))), []);
});

t.test('schema › x- keys fit wherever the specification fixes the keys, and unknown ones nowhere', async (t) => {
  const plant = (value: unknown, shape: Shape, key: string): number => {
    if (typeof value !== 'object' || value === null) return 0;
    const inside = shape.is === 'either' ? [...shape.shapes].sort((a, b) => rank(b) - rank(a))[0]! : shape;
    if (inside.is === 'list') return plant((value as unknown[])[0], inside.of, key);
    if (inside.is === 'map') return plant((value as { name: unknown }).name, inside.of, key);
    if (inside.is !== 'object') return 0;
    const object = value as Record<string, unknown>;
    const below = Object.entries(inside.keys).map(([name, of]) => plant(object[name], of, key));
    object[key] = { anything: ['at all'] };
    return below.reduce((sum, count) => sum + count, 1);
  };
  const extended = sample(composeFile);
  const places = plant(extended, composeFile, 'x-own');
  t.ok(places > 40, `${places} places`);
  t.same(check(JSON.stringify(extended)), []);
  const wrong = sample(composeFile);
  plant(wrong, composeFile, 'zzzzzzzz');
  t.equal(check(JSON.stringify(wrong)).length, places);
});

/** Whether the file loads and converts, or is refused the way a file is refused: anything else is our fault. */
function holds(content: string): boolean {
  try {
    toStack(loadText(content).project, { namespace: 'ns' });
    return true;
  } catch (error) {
    if (isErrorCode(error, 'invalid-argument')) return true;
    throw error;
  }
}

t.test('schema › any value of any top-level key loads or is refused', async (t) => {
  const key = fc.constantFrom(...Object.keys((composeFile as { keys: object }).keys), 'x-a');
  fc.assert(fc.property(key, fc.json({ maxDepth: 3 }), (key, json) => holds(`{ ${JSON.stringify(key)}: ${json} }`)));
  t.pass();
});

t.test('schema › any texts and numbers in any key of a service load or are refused', async (t) => {
  const text = fc.oneof(
    fc.string({ unit: fc.constantFrom('a', ':', '/', '.', '-', '1', '=', '$', '{', '}', '[', ']', ' ', '"', '~') }),
    fc.string(),
    fc.integer(),
    fc.constant(null),
    fc.boolean(),
  );
  const refill = (value: unknown, texts: readonly unknown[], next = { index: 0 }): unknown => {
    if (Array.isArray(value)) return value.map((item) => refill(item, texts, next));
    if (typeof value === 'object' && value !== null) {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, refill(item, texts, next)]));
    }
    return texts[next.index++ % texts.length];
  };
  const key = fc.constantFrom(...Object.entries(serviceKeys));
  fc.assert(
    fc.property(key, fc.array(text, { minLength: 1, maxLength: 5 }), fc.boolean(), ([key, shape], texts, short) => {
      const value = short ? (texts.length === 1 ? texts[0] : texts) : refill(sample(shape), texts);
      return holds(JSON.stringify({ services: { web: { [key]: value } } }));
    }),
    { numRuns: 2000 },
  );
  t.pass();
});
