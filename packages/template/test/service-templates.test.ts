import * as fc from 'fast-check';
import t from 'tap';
import {
  expandPayload,
  expandServiceTemplates,
  expandTemplate,
  type TaskTemplateSource,
  TemplateError,
  taskTemplateContext,
} from '../src/index.js';

const source: TaskTemplateSource = {
  service: { id: 'sid', name: 'web', labels: { tier: 'front', 'com.example.a': 'b' } },
  node: { id: 'nid', hostname: 'host1', platform: { os: 'linux', architecture: 'x86_64' } },
  task: { id: 'tid', name: 'web.3.tid', slot: 3 },
};
const context = taskTemplateContext(source);

const CASES = [
  ['{{.Service.ID}} {{.Service.Name}} {{.Service.Labels.tier}}', 'sid web front'],
  ['{{index .Service.Labels "com.example.a"}}[{{index .Service.Labels "none"}}]', 'b[]'],
  ['{{.Service.Labels}}', 'map[com.example.a:b tier:front]'],
  ['{{.Node.ID}} {{.Node.Hostname}} {{.Node.Platform.OS}} {{.Node.Platform.Architecture}}', 'nid host1 linux x86_64'],
  ['{{.Node.Platform}}', '{x86_64 linux}'],
  ['{{.Task.ID}} {{.Task.Name}} {{.Task.Slot}}', 'tid web.3.tid 3'],
  ['{{if eq .Task.Slot "3"}}third{{end}}', 'third'],
  ['{{join "-" .Service.Name .Task.Slot}}', 'web-3'],
  ['plain }} text', 'plain }} text'],
] as const;

t.test('service templates › know service, node and task', async (t) => {
  for (const [template, expected] of CASES) t.equal(expandTemplate(template, context), expected, template);
});

t.test('service templates › the slot of a global service’s task is its node', async (t) => {
  for (const slot of [0, undefined, null]) {
    const global = taskTemplateContext({ ...source, task: { id: 'tid', name: 'web.nid.tid', slot } });
    t.equal(expandTemplate('{{.Task.Slot}}', global), 'nid');
  }
});

t.test('service templates › a node that says nothing of itself has an empty host name and platform', async (t) => {
  const bare = taskTemplateContext({ ...source, node: { id: 'nid', platform: null } });
  t.equal(expandTemplate('[{{.Node.Hostname}}{{.Node.Platform.OS}}]', bare), '[]');
});

t.test('service templates › unknown fields and labels and the CLI’s functions are refused', async (t) => {
  const message = (text: string) => {
    try {
      return expandTemplate(text, context);
    } catch (thrown) {
      return (thrown as Error).message;
    }
  };
  t.equal(
    message('{{.Node.Labels}}'),
    `template: expansion:1:7: executing "expansion" at <.Node.Labels>: can't evaluate field Labels in type struct { ID string; Hostname string; Platform template.Platform }`,
  );
  t.equal(
    message('{{.Service.Labels.x}}'),
    'template: expansion:1:10: executing "expansion" at <.Service.Labels.x>: map has no entry for key "x"',
  );
  t.equal(message('{{upper "a"}}'), 'template: expansion:1: function "upper" not defined');
});

const spec = {
  Image: 'nginx',
  Hostname: '{{.Node.Hostname}}-{{.Task.Slot}}',
  Env: ['A={{.Task.Slot}}=x', '{{.Task.Slot}}', '{{.Task.ID}}=1', 'B='],
  Labels: { untouched: '{{.Task.ID}}' },
  Mounts: [
    {
      Type: 'volume',
      Source: 'data-{{.Task.Slot}}',
      Target: '/srv/{{.Service.Name}}',
      ReadOnly: true,
      VolumeOptions: {
        NoCopy: true,
        Labels: { task: '{{.Task.Name}}' },
        DriverConfig: { Name: '{{.Task.ID}}', Options: { path: '/x/{{.Node.ID}}' } },
      },
    },
    { Type: 'tmpfs', Target: '/tmp' },
    { Type: 'volume', Target: '/v', VolumeOptions: { Labels: null, DriverConfig: null } },
  ],
};

t.test('service templates › expand in env values, host name and mounts of a copy only', async (t) => {
  const before = structuredClone(spec);
  t.strictSame(expandServiceTemplates(spec, context), {
    Image: 'nginx',
    Hostname: 'host1-3',
    Env: ['A=3=x', '{{.Task.Slot}}', '{{.Task.ID}}=1', 'B='],
    Labels: { untouched: '{{.Task.ID}}' },
    Mounts: [
      {
        Type: 'volume',
        Source: 'data-3',
        Target: '/srv/web',
        ReadOnly: true,
        VolumeOptions: {
          NoCopy: true,
          Labels: { task: 'web.3.tid' },
          DriverConfig: { Name: '{{.Task.ID}}', Options: { path: '/x/nid' } },
        },
      },
      { Type: 'tmpfs', Target: '/tmp' },
      { Type: 'volume', Target: '/v', VolumeOptions: { Labels: null, DriverConfig: null } },
    ],
  });
  t.strictSame(spec, before);
});

t.test('service templates › a spec without templates stays the same', async () => {
  const text = fc.string().filter((value) => !value.includes('{{'));
  const plain = fc.record(
    { Env: fc.array(text), Hostname: text, Mounts: fc.array(fc.record({ Source: text, Target: text })) },
    { requiredKeys: [] },
  );
  await fc.assert(
    fc.property(plain, (value) => JSON.stringify(expandServiceTemplates(value, context)) === JSON.stringify(value)),
  );
});

t.test('service templates › an error says which part of the spec it is in, without the values of env', async (t) => {
  const failing = [
    [{ Env: ['PASSWORD=hunter2{{.X}}'] }, 'expanding env failed: expanding env "PASSWORD": template: expansion:1:9: '],
    [{ Hostname: '{{' }, 'expanding hostname failed: template: expansion:1: unclosed action'],
    [{ Mounts: [{ Source: '{{.X}}' }] }, 'expanding mounts failed: expanding mount source "{{.X}}": template: '],
    [
      { Mounts: [{ VolumeOptions: { Labels: { a: '{{.X}}' } } }] },
      'expanding mounts failed: expanding volume labels: ',
    ],
  ] as const;
  for (const [part, expected] of failing) {
    try {
      expandServiceTemplates(part, context);
      t.fail(expected);
    } catch (thrown) {
      t.type(thrown, TemplateError);
      t.ok((thrown as Error).message.startsWith(expected), (thrown as Error).message);
      t.notMatch((thrown as Error).message, 'hunter2');
    }
  }
});

const sources = {
  secret: (target: string) => (target === 'key' ? 's3cret {{.Task.ID}}' : undefined),
  config: (target: string) => (target === 'site.conf' ? 'listen 80' : undefined),
  env: (name: string) => (name === 'MODE' ? 'prod' : undefined),
};

t.test('payload templates › use secrets, configs and env, and say when a secret was used', async (t) => {
  t.strictSame(
    expandPayload('{{.Service.Name}} {{config "site.conf"}} {{env "MODE"}}[{{env "NO"}}]', context, sources),
    {
      text: 'web listen 80 prod[]',
      usedSecret: false,
    },
  );
  t.strictSame(expandPayload('k={{secret "key"}}', context, sources), {
    text: 'k=s3cret {{.Task.ID}}',
    usedSecret: true,
  });
  t.strictSame(expandPayload('plain', context, sources), { text: 'plain', usedSecret: false });
});

t.test('payload templates › a target that the task does not have is an error', async (t) => {
  t.throws(() => expandPayload('{{secret "no"}}', context, sources), {
    message:
      'template: expansion:1:2: executing "expansion" at <secret "no">: error calling secret: secret target no not found',
  });
  t.throws(() => expandPayload('{{config "no"}}', context, sources), {
    message:
      'template: expansion:1:2: executing "expansion" at <config "no">: error calling config: config target no not found',
  });
});
