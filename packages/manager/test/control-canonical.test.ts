import { canonicalServiceSpec, type ServiceSpec, ServiceSpecSchema } from '@swarmd/model';
import fc from 'fast-check';
import t from 'tap';

/** `value`, or one of the ways in which clients say nothing. */
function maybe<T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | null | undefined> {
  return fc.option(fc.option(value, { nil: null }), { nil: undefined });
}

const strings = maybe(fc.array(fc.string({ maxLength: 3 }), { maxLength: 2 }));
const natural = fc.nat({ max: 9 });

const updateConfig = fc.record(
  {
    Parallelism: natural,
    Delay: natural,
    FailureAction: fc.constantFrom('', 'pause', 'rollback'),
    Order: fc.constant(''),
  },
  { requiredKeys: [] },
);

const port = fc.record(
  {
    TargetPort: natural,
    PublishedPort: natural,
    Protocol: fc.constantFrom('tcp', 'udp'),
    PublishMode: fc.constantFrom('', 'host'),
  },
  { requiredKeys: [] },
);

const container = fc.record(
  {
    Image: fc.string({ maxLength: 3 }),
    Env: strings,
    Labels: maybe(fc.dictionary(fc.string({ maxLength: 2 }), fc.string({ maxLength: 2 }), { maxKeys: 2 })),
    Hostname: fc.constantFrom('', 'h'),
    TTY: fc.boolean(),
    Init: maybe(fc.boolean()),
    Mounts: maybe(fc.array(fc.record({ Target: fc.string(), BindOptions: maybe(fc.constant({})) }), { maxLength: 2 })),
  },
  { requiredKeys: [] },
);

const spec = fc.record(
  {
    Name: fc.constantFrom('', 'web'),
    Labels: maybe(fc.constant({ a: '' })),
    TaskTemplate: fc.record(
      {
        ContainerSpec: container,
        RestartPolicy: maybe(fc.record({ Condition: fc.constantFrom('', 'none'), Delay: maybe(natural) })),
        Placement: maybe(fc.record({ Constraints: strings, MaxReplicas: natural }, { requiredKeys: [] })),
        Networks: maybe(fc.array(fc.record({ Target: fc.string(), Aliases: strings }), { maxLength: 2 })),
      },
      { requiredKeys: [] },
    ),
    Mode: fc.constantFrom(
      {},
      { Replicated: {} },
      { Replicated: null, Global: {} },
      { ReplicatedJob: { MaxConcurrent: 2 } },
    ),
    UpdateConfig: maybe(updateConfig),
    RollbackConfig: maybe(updateConfig),
    Networks: maybe(fc.array(fc.record({ Target: fc.string() }), { maxLength: 2 })),
    EndpointSpec: maybe(
      fc.record({ Mode: fc.constantFrom('', 'dnsrr'), Ports: maybe(fc.array(port, { maxLength: 2 })) }),
    ),
    Unknown: maybe(fc.constant({ deep: [null, { a: null, b: '' }] })),
  },
  { requiredKeys: [] },
);

const parsed = (value: unknown): ServiceSpec => ServiceSpecSchema.parse(value);
const throughJson = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

t.test('control › the canonical form of a canonical spec is itself, also after a trip over the wire', async (t) => {
  fc.assert(
    fc.property(spec, (given) => {
      const once = canonicalServiceSpec(parsed(given));
      t.same(canonicalServiceSpec(parsed(throughJson(once))), throughJson(once));
    }),
  );
});

t.test('control › leaving out what says nothing changes no canonical form', async (t) => {
  const withoutNothing = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(withoutNothing);
    if (value === null || typeof value !== 'object') return value;
    const said = Object.entries(value).filter(
      ([, v]) => v !== null && v !== undefined && !(Array.isArray(v) && v.length === 0),
    );
    return Object.fromEntries(said.map(([key, v]) => [key, withoutNothing(v)]));
  };
  fc.assert(
    fc.property(spec, (given) => {
      t.same(canonicalServiceSpec(parsed(withoutNothing(given))), canonicalServiceSpec(parsed(given)));
    }),
  );
});
