import { specKey } from '@swarmd/model';
import t from 'tap';
import { controlCluster, refusal, serviceBody } from './control-cluster.js';

const read = { insertDefaults: false };
const rpc = (name: string, text: string): string => `rpc error: code = ${name} desc = ${text}`;
const invalid = (text: string): string => `invalid-argument: ${rpc('InvalidArgument', text)}`;

t.test('control › a service is stored with the spec record that its tasks refer to', async (t) => {
  const { control, store } = await controlCluster();
  const { ID, Warnings } = await control.createService(serviceBody('web'), { registryAuth: 'creds' });
  t.same(Warnings, []);
  const service = store.view.get('service', ID)!;
  t.equal(service.SpecVersion, service.Version.Index);
  const record = store.view.get('spec', specKey(ID, service.SpecVersion))!;
  t.equal(record.Spec, service.Spec);
  t.equal(record.RegistryAuth, 'creds');
  t.notOk(JSON.stringify(await control.getService('web', read)).includes('creds'), 'credentials stay inside');
});

t.test('control › a spec has one canonical form, however it was written', async (t) => {
  const { control } = await controlCluster();
  const { ID } = await control.createService(
    {
      Name: 'web',
      Labels: null,
      TaskTemplate: {
        ContainerSpec: { Image: 'nginx:latest', Env: [], Hostname: '', TTY: false, Init: false, Healthcheck: null },
        RestartPolicy: { Condition: '', Delay: 1 },
        Placement: { MaxReplicas: 0, Constraints: null },
      },
      UpdateConfig: { Delay: 0 },
      EndpointSpec: { Ports: [{ TargetPort: 80 }] },
      Extension: { kept: true },
    },
    {},
  );
  const { Spec } = (await control.getService(ID, read)) as unknown as { Spec: unknown };
  t.same(Spec, {
    Name: 'web',
    Labels: {},
    TaskTemplate: {
      ContainerSpec: { Image: 'nginx:latest', Init: false, Isolation: 'default' },
      RestartPolicy: { Condition: 'any', Delay: 1, MaxAttempts: 0 },
      Placement: {},
      ForceUpdate: 0,
      Runtime: 'container',
    },
    Mode: { Replicated: { Replicas: 1 } },
    UpdateConfig: { Parallelism: 0, FailureAction: 'pause', MaxFailureRatio: 0, Order: 'stop-first' },
    EndpointSpec: { Mode: 'vip', Ports: [{ TargetPort: 80, Protocol: 'tcp', PublishMode: 'ingress' }] },
    Extension: { kept: true },
  });
});

t.test('control › sending back what was read leaves the service alone', async (t) => {
  const { control, store } = await controlCluster();
  const { ID } = await control.createService(serviceBody('web', { EndpointSpec: { Ports: [{ TargetPort: 80 }] } }), {});
  const before = store.view.get('service', ID)!;
  const shown = (await control.getService(ID, read)) as unknown as { Spec: unknown };
  const written = JSON.parse(JSON.stringify(shown.Spec)) as Record<string, unknown>;
  await control.updateService(ID, before.Version.Index, { ...written, Networks: null, RollbackConfig: null }, {});
  t.equal(store.view.get('service', ID), before);
});

const REFUSED: [string, Record<string, unknown>, string][] = [
  ['a name that is no DNS name', { Name: 'bad name!' }, 'name must be valid as a DNS name component'],
  [
    'a name of 62 letters with one that may not end it',
    { Name: `${'x'.repeat(62)}-` },
    'name must be valid as a DNS name component',
  ],
  ['a name that is too long', { Name: 'x'.repeat(64) }, 'name must be 63 characters or fewer'],
  ['no image', container({ Image: '' }), 'ContainerSpec: image reference must be provided'],
  ['an image that is none', container({ Image: 'A b' }), 'ContainerSpec: "A b" is not a valid repository/tag'],
  ['no container', { TaskTemplate: {} }, 'TaskSpec: missing runtime'],
  ['too little CPU', resources({ NanoCPUs: 1 }), 'invalid cpu value 1e-9: Must be at least 0.001'],
  ['too little memory', resources({ MemoryBytes: 4_194_303 }), 'invalid memory value 4194303: Must be at least 4MiB'],
  [
    'named generic resources',
    resources({ GenericResources: [{ NamedResourceSpec: { Kind: 'gpu', Value: 'a' } }] }),
    'generic resource gpu=a: only a number of a kind can be reserved',
  ],
  [
    'a health interval below a millisecond',
    container({ Image: 'x', Healthcheck: { Interval: 999_999 } }),
    'ContainerSpec: Interval in HealthConfig cannot be less than 1ms',
  ],
  [
    'two mounts on one target',
    container({ Image: 'x', Mounts: [{ Target: '/a' }, { Target: '/a' }] }),
    'ContainerSpec: duplicate mount point: /a',
  ],
  [
    'a template that does not expand',
    container({ Image: 'x', Env: ['A={{.Nope}}'] }),
    /expanding env failed: expanding env "A": .*Nope/,
  ],
  ['a constraint without operator', placement('node.role=manager'), 'constraint expected one operator from ==, !='],
  [
    'a negative restart delay',
    { TaskTemplate: { ContainerSpec: { Image: 'x' }, RestartPolicy: { Delay: -1 } } },
    'TaskSpec: restart-delay cannot be negative',
  ],
  [
    'more replicas than anything can run',
    { Mode: { Replicated: { Replicas: 1_000_001 } } },
    'Number of replicas must be a whole number from 0 to 1000000',
  ],
  ['a negative update delay', { UpdateConfig: { Delay: -1 } }, 'TaskSpec: update-delay cannot be negative'],
  ['a negative rollback delay', { RollbackConfig: { Delay: -1 } }, 'TaskSpec: rollback-delay cannot be negative'],
  [
    'a failure ratio above one',
    { RollbackConfig: { MaxFailureRatio: 7 } },
    'TaskSpec: rollback-maxfailureratio cannot be less than 0 or bigger than 1',
  ],
  [
    'ingress ports with dnsrr',
    { EndpointSpec: { Mode: 'dnsrr', Ports: [{ TargetPort: 80 }] } },
    "EndpointSpec: port published with ingress mode can't be used with dnsrr mode",
  ],
  [
    'a port published twice',
    {
      EndpointSpec: {
        Ports: [
          { TargetPort: 80, PublishedPort: 8 },
          { TargetPort: 81, PublishedPort: 8 },
        ],
      },
    },
    'EndpointSpec: duplicate published ports provided: 8/tcp',
  ],
  [
    'two modes',
    { Mode: { Global: {}, Replicated: {} } },
    'must specify only one service mode, not Replicated and Global',
  ],
  [
    'an unknown secret',
    container({ Image: 'x', Secrets: [{ SecretID: 'a', SecretName: 's', File: { Name: 's' } }] }),
    'secret not found: s',
  ],
  ['a job with an update policy', { Mode: { GlobalJob: {} }, UpdateConfig: {} }, 'Jobs may not have an update policy'],
] as unknown as [string, Record<string, unknown>, string][];

function container(ContainerSpec: Record<string, unknown>): Record<string, unknown> {
  return { TaskTemplate: { ContainerSpec } };
}

function resources(Reservations: Record<string, unknown>): Record<string, unknown> {
  return { TaskTemplate: { ContainerSpec: { Image: 'x' }, Resources: { Reservations } } };
}

function placement(...Constraints: string[]): Record<string, unknown> {
  return { TaskTemplate: { ContainerSpec: { Image: 'x' }, Placement: { Constraints } } };
}

for (const [what, body, words] of REFUSED) {
  t.test(`control › refuses ${what}`, async (t) => {
    const { control, store } = await controlCluster();
    const answer = await refusal(control.createService(serviceBody('web', body), {}));
    if ((words as unknown) instanceof RegExp) t.match(answer, words);
    else t.equal(answer, invalid(words));
    t.equal(store.view.count('service'), 0);
  });
}

const WRONG_WORDS: [Record<string, unknown>, string][] = [
  [{ UpdateConfig: { Order: 'sideways' } }, 'unrecognized update order sideways: accepted are stop-first, start-first'],
  [
    { UpdateConfig: { FailureAction: 'cry' } },
    'unrecognized update failure action cry: accepted are pause, continue, rollback',
  ],
  [
    { TaskTemplate: { ContainerSpec: { Image: 'x' }, RestartPolicy: { Condition: 'maybe' } } },
    'invalid RestartCondition: "maybe": accepted are none, on-failure, any',
  ],
  [{ EndpointSpec: { Mode: 'magic' } }, 'invalid resolution mode: "magic": accepted are vip, dnsrr'],
  [container({ Image: 'x', Mounts: [{ Type: 'floppy', Target: '/a' }] }), 'invalid MountType: "floppy"'],
];

t.test('control › numbers that clients written in Go could not read back are refused', async (t) => {
  const { control } = await controlCluster();
  const secret = (Mode: number) => ({ SecretID: 'a', SecretName: 's', File: { Name: 's', Mode } });
  const bodies: [Record<string, unknown>, string][] = [
    [container({ Image: 'x', Secrets: [secret(-1)] }), 'Secrets.0.File.Mode'],
    [container({ Image: 'x', Secrets: [secret(2 ** 32)] }), 'Secrets.0.File.Mode'],
    [
      container({ Image: 'x', Mounts: [{ Type: 'tmpfs', Target: '/x', TmpfsOptions: { Mode: -1 } }] }),
      'TmpfsOptions.Mode',
    ],
    [container({ Image: 'x', Ulimits: [{ Name: 'nofile', Soft: 1.5, Hard: 2 }] }), 'Ulimits.0.Soft'],
    [resources({ MemoryBytes: 5_000_000.5 }), 'Reservations.MemoryBytes'],
  ];
  for (const [body, field] of bodies) {
    t.match(await refusal(control.createService({ ...serviceBody('web'), ...body }, {})), new RegExp(field));
  }
});

t.test('control › a word that is none of those allowed is refused with them, after the words of Docker', async (t) => {
  const { control } = await controlCluster();
  for (const [over, words] of WRONG_WORDS) {
    t.equal(await refusal(control.createService(serviceBody('web', over), {})), `invalid-argument: ${words}`);
  }
});

t.test('control › a drain grace is a time of at most an hour', async (t) => {
  const { control } = await controlCluster();
  for (const [value, allowed] of [
    ['10s', true],
    ['0', true],
    ['1m30s', true],
    ['1h', true],
    ['61m', false],
    ['-1s', false],
    ['10', false],
    ['soon', false],
    ['', false],
  ] as const) {
    const body = serviceBody(
      `web${value.length}-${value.charCodeAt(0) || 'x'}${value.at(-1) ?? ''}x`.replace(/-{2,}/g, '-'),
      {
        Labels: { 'swarmd.drain': value },
      },
    );
    if (allowed) await t.resolves(control.createService(body, {}), value);
    else
      await t.rejects(control.createService(body, {}), { field: 'Labels.swarmd.drain', message: /such as 10s/ }, value);
  }
});

t.test('control › names are unique whatever their case, and free again at once after removal', async (t) => {
  const { control } = await controlCluster();
  const { ID } = await control.createService(serviceBody('web'), {});
  t.equal(
    await refusal(control.createService(serviceBody('WEB'), {})),
    `already-exists: ${rpc('AlreadyExists', 'name conflicts with an existing object: service web already exists')}`,
  );
  await control.removeService('web');
  t.equal(await refusal(control.getService(ID, read)), `not-found: service ${ID} not found`);
  t.same(await control.listServices({}, { status: false }), []);
  t.equal(await refusal(control.removeService('web')), 'not-found: service web not found');
  await control.createService(serviceBody('web'), {});
});

t.test('control › an ingress port is taken once, host ports may repeat', async (t) => {
  const { control } = await controlCluster();
  const port = (PublishMode: string) => ({
    EndpointSpec: { Ports: [{ TargetPort: 80, PublishedPort: 8080, PublishMode }] },
  });
  const { ID } = await control.createService(serviceBody('h1', port('host')), {});
  await control.createService(serviceBody('h2', port('host')), {});
  t.equal(
    await refusal(control.createService(serviceBody('i1', port('ingress')), {})),
    invalid(`port '8080' is already in use by service 'h1' (${ID}) as a host-published port`),
  );
  await control.removeService('h1');
  await control.removeService('h2');
  const first = await control.createService(serviceBody('i1', port('ingress')), {});
  for (const mode of ['ingress', 'host']) {
    t.equal(
      await refusal(control.createService(serviceBody('i2', port(mode)), {})),
      invalid(`port '8080' is already in use by service 'i1' (${first.ID}) as an ingress port`),
    );
  }
});

t.test('control › networks given by name or at the top level become IDs in the task template', async (t) => {
  const { control, store } = await controlCluster();
  const network = await control.createNetwork({ Name: 'front', Driver: 'overlay' });
  const { ID } = await control.createService(
    serviceBody('web', { Networks: [{ Target: 'front', Aliases: ['w'] }] }),
    {},
  );
  t.same(store.view.get('service', ID)?.Spec.TaskTemplate?.Networks, [{ Target: network.ID, Aliases: ['w'] }]);
  t.equal(
    await refusal(control.createService(serviceBody('b', { Networks: [{ Target: 'nope' }] }), {})),
    'not-found: network nope not found',
  );
  await control.createService(serviceBody('onhost', { Networks: [{ Target: 'host' }] }), {});
  t.same(
    (await control.listNetworks({})).map((n) => n['Name']),
    ['front'],
    'networks of the nodes are not listed',
  );
});

t.test('control › an update keeps the spec before it and starts without a status', async (t) => {
  const { control, store } = await controlCluster();
  const { ID } = await control.createService(serviceBody('web'), { registryAuth: 'old' });
  const first = store.view.get('service', ID)!;
  await store.update((tx) => tx.put('service', { ...first, UpdateStatus: { State: 'completed', Message: 'done' } }));
  const next = serviceBody('web', { TaskTemplate: { ContainerSpec: { Image: 'nginx:2' } } });
  await control.updateService('web', first.Version.Index, next, {});
  const second = store.view.get('service', ID)!;
  t.equal(second.PreviousSpec, first.Spec);
  t.equal(second.PreviousSpecVersion, first.SpecVersion);
  t.equal(second.UpdateStatus, undefined);
  t.equal(second.SpecVersion, second.Version.Index);
  t.equal(second.RegistryAuth, 'old', 'credentials carry over when none are sent');
  t.ok(store.view.get('spec', specKey(ID, second.SpecVersion)));
  t.equal(
    await refusal(control.updateService('web', first.Version.Index, next, {})),
    `out-of-sequence: ${rpc('Unknown', 'update out of sequence')}`,
  );
});

t.test('control › a rollback swaps the two specs, whatever the client sends along', async (t) => {
  const { control, store } = await controlCluster();
  const { ID } = await control.createService(serviceBody('web'), {});
  const first = store.view.get('service', ID)!;
  t.equal(
    await refusal(control.updateService(ID, first.Version.Index, {}, { rollback: 'previous' })),
    `failed-precondition: ${rpc('FailedPrecondition', `service ${ID} does not have a previous spec`)}`,
  );
  await control.updateService(ID, first.Version.Index, serviceBody('web', { Labels: { a: 'b' } }), {});
  const second = store.view.get('service', ID)!;
  await control.updateService(ID, second.Version.Index, { Name: '' }, { rollback: 'previous' });
  const third = store.view.get('service', ID)!;
  t.same([third.Spec, third.SpecVersion], [first.Spec, first.SpecVersion]);
  t.same([third.PreviousSpec, third.PreviousSpecVersion], [second.Spec, second.SpecVersion]);
  t.match(third.UpdateStatus, { State: 'rollback_started', Message: 'manually requested rollback' });
  t.ok(third.Version.Index > second.Version.Index);
});

t.test('control › the same spec again lets a paused update go on', async (t) => {
  const { control, store } = await controlCluster();
  const { ID } = await control.createService(serviceBody('web'), {});
  const service = store.view.get('service', ID)!;
  await store.update((tx) => tx.put('service', { ...service, UpdateStatus: { State: 'paused', Message: 'stop' } }));
  await control.updateService(ID, service.Version.Index, serviceBody('web'), {});
  const after = store.view.get('service', ID)!;
  t.equal(after.UpdateStatus, undefined);
  t.equal(after.Version.Index, service.Version.Index);
});

t.test('control › mode and name of a service cannot change', async (t) => {
  const { control, store } = await controlCluster();
  const { ID } = await control.createService(serviceBody('web'), {});
  const version = store.view.get('service', ID)!.Version.Index;
  t.equal(
    await refusal(control.updateService(ID, version, serviceBody('web', { Mode: { Global: {} } }), {})),
    `unimplemented: ${rpc('Unimplemented', 'service mode change is not allowed')}`,
  );
  t.equal(
    await refusal(control.updateService(ID, version, serviceBody('web2'), {})),
    `unimplemented: ${rpc('Unimplemented', 'renaming services is not supported')}`,
  );
});

t.test('control › each update of a job starts a new iteration', async (t) => {
  const { control, store } = await controlCluster();
  const body = (ForceUpdate: number) =>
    serviceBody('job', {
      TaskTemplate: { ContainerSpec: { Image: 'x' }, ForceUpdate },
      Mode: { ReplicatedJob: { MaxConcurrent: 2 } },
    });
  const { ID } = await control.createService(body(0), {});
  const first = store.view.get('service', ID)!;
  t.same(first.Spec.Mode, { ReplicatedJob: { MaxConcurrent: 2, TotalCompletions: 2 } });
  t.equal(first.JobStatus?.JobIteration.Index, 0);
  await control.updateService(ID, first.Version.Index, body(1), {});
  t.equal(store.view.get('service', ID)?.JobStatus?.JobIteration.Index, 1);
});

t.test('control › defaults are inserted into what is shown, never into what is stored', async (t) => {
  const { control, store } = await controlCluster();
  const { ID } = await control.createService(serviceBody('web'), {});
  const { Spec } = (await control.getService(ID, { insertDefaults: true })) as unknown as { Spec: object };
  t.match(Spec, {
    TaskTemplate: {
      ContainerSpec: { StopGracePeriod: 10_000_000_000, DNSConfig: {} },
      RestartPolicy: { Condition: 'any', Delay: 5_000_000_000, MaxAttempts: 0 },
    },
    UpdateConfig: { Parallelism: 1, FailureAction: 'pause', Monitor: 5_000_000_000, Order: 'stop-first' },
  });
  t.equal(store.view.get('service', ID)?.Spec.UpdateConfig, undefined);
});

t.test('control › services are found by ID, name and unambiguous prefix, and filtered', async (t) => {
  const { control } = await controlCluster();
  const { ID } = await control.createService(serviceBody('web', { Labels: { tier: 'front' } }), {});
  await control.createService(serviceBody('worker', { Mode: { Global: {} } }), {});
  t.equal((await control.getService(ID.slice(0, 12), read)).ID, ID);
  const names = async (filters: Record<string, string[]>) =>
    (await control.listServices(filters, { status: false })).map((s) => (s['Spec'] as { Name: string }).Name).sort();
  t.same(await names({ name: ['w'] }), ['web', 'worker'], 'the name filter is a prefix');
  t.same(await names({ label: ['tier'] }), ['web']);
  t.same(await names({ label: ['tier=back'] }), []);
  t.same(await names({ mode: ['global'] }), ['worker']);
  t.match(await refusal(control.listServices({ colour: ['red'] }, { status: false })), /invalid filter 'colour'/);
});
