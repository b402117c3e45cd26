import { isErrorCode, type NodeDescription } from '@swarmd/model';
import { buildNode } from '@swarmd/testkit';
import t from 'tap';
import { parseDescription } from '../src/dispatcher/description.js';

const parse = (value: unknown): NodeDescription | undefined => parseDescription(Buffer.from(JSON.stringify(value)));

t.test('description › a whole one is kept as it is, with fields not known here', async (t) => {
  const whole = {
    ...buildNode('n1').Description!,
    Resources: {
      NanoCPUs: 4e9,
      MemoryBytes: 1 << 30,
      GenericResources: [
        { DiscreteResourceSpec: { Kind: 'SSD', Value: 3 } },
        { NamedResourceSpec: { Kind: 'GPU', Value: 'u1' } },
      ],
    },
    Engine: { EngineVersion: '28', Labels: { storage: 'ssd' }, Plugins: [{ Type: 'Volume', Name: 'local' }] },
    Later: { than: 'us' },
  };
  t.same(parse(whole), whole);
  t.equal(parseDescription(Buffer.alloc(0)), undefined);
});

t.test('description › what has not the type that others count on is left out', async (t) => {
  const bare = {
    Hostname: 'n1',
    Platform: { Architecture: '', OS: '' },
    Resources: { NanoCPUs: 0, MemoryBytes: 0 },
    Engine: { EngineVersion: '' },
  };
  t.same(parse({ Hostname: 'n1' }), bare);
  t.same(parse({ Hostname: 'n1', Platform: 5, Resources: 'x', Engine: [] }), bare);
  const odd = {
    Hostname: 'n1',
    Platform: { Architecture: { toString: 1 }, OS: null },
    Resources: { NanoCPUs: -1, MemoryBytes: '1', GenericResources: [null] },
    Engine: { EngineVersion: 28, Labels: { storage: 5 }, Plugins: [null] },
  };
  t.same(parse(odd), bare);
});

t.test('description › what is none is refused', async (t) => {
  const none: unknown[] = [null, 5, 'x', [], {}, { Hostname: 5 }, { Hostname: '' }, { Hostname: 'x'.repeat(256) }];
  const texts = [
    ...none.map((value) => JSON.stringify(value)),
    '{',
    JSON.stringify({ Hostname: 'n', x: ' '.repeat(1 << 18) }),
  ];
  for (const text of texts) {
    try {
      parseDescription(Buffer.from(text));
      t.fail(`accepted ${text.slice(0, 40)}`);
    } catch (error) {
      t.ok(isErrorCode(error, 'invalid-argument'), text.slice(0, 40));
    }
  }
});
