import { chmodSync, mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { swarmctlFor } from './support/swarmctl.js';
import { startWorld, type World } from './support/world.js';

interface Side {
  readonly world: World;
  readonly swarmctl: ReturnType<typeof swarmctlFor>;
}

async function side(t: Test, workers: readonly string[]): Promise<Side> {
  const world = await startWorld(workers);
  t.teardown(() => world.stop());
  return { world, swarmctl: swarmctlFor(world) };
}

/** A cluster with something of each kind, an empty one, and a folder with the value of its secret. */
async function pair(t: Test): Promise<{ source: Side; target: Side; from: string; directory: string }> {
  const source = await side(t, ['worker1', 'worker2']);
  const target = await side(t, ['worker1', 'worker3']);
  const directory = mkdtempSync(join(tmpdir(), 'cli-transfer-'));
  writeFileSync(join(directory, 'key'), 'a value');
  const does = async (...args: string[]): Promise<void> => {
    const outcome = await source.swarmctl(args, { stdin: 'content' });
    if (outcome.code !== 0) throw new Error(outcome.stderr);
  };
  await does('node', 'update', '--label-add', 'disk=ssd', '--availability', 'pause', 'worker1');
  await does('swarm', 'update', '--task-history-limit', '2');
  await does('network', 'create', '--subnet', '10.9.0.0/24', '--label', 'a=1', 'net');
  await does('secret', 'create', 'key', '-');
  await does('config', 'create', 'conf', '-');
  await does('service', 'create', '-d', '--no-resolve-image', '--name', 'plain', '--publish', '80', 'app:1');
  const uses = ['--network', 'net', '--secret', 'key', '--config', 'conf', '--constraint', 'node.id==worker2'];
  await does('service', 'create', '-d', '--no-resolve-image', '--name', 'web', ...uses, 'app:1');
  return { source, target, from: `unix://${source.world.socket}`, directory };
}

const signs = (text: string): string[] => text.split('\n').filter((line) => /^[+~!-] /.test(line));

t.test('import › shows a plan, does it, and has nothing to do the second time', async (t) => {
  const { target, from, directory } = await pair(t);
  const run = (...args: string[]) => target.swarmctl(['import', '--from', from, ...args], { directory });
  const nodes = ['--map-node', 'worker2=worker3', '--secrets-dir', '.'];
  const plan = await run('--plan', ...nodes);
  t.equal(plan.code, 2, plan.stderr);
  t.match(plan.stdout, /^\+ service web +create$/m);
  t.match(plan.stdout, /Credentials of registries cannot be read/);
  t.equal((await target.swarmctl(['service', 'ls', '-q'])).stdout, '', 'a plan changes nothing');
  const done = await run('--yes', ...nodes);
  t.equal(done.code, 0, done.stderr);
  t.match(
    done.stdout,
    /Creating network net\nCreating secret key\nCreating config conf\nCreating service plain\nCreating service web\n$/,
  );
  const get = async (kind: string, name: string) =>
    JSON.parse((await target.swarmctl([kind, 'inspect', name])).stdout)[0];
  t.match(await get('node', 'worker1'), { Spec: { Availability: 'pause', Labels: { disk: 'ssd' } } });
  t.match(await get('config', 'conf'), { Spec: { Data: Buffer.from('content').toString('base64') } });
  const [secret] = [...target.world.store.view.all('secret')];
  t.equal(secret?.Spec.Data, Buffer.from('a value').toString('base64'));
  const { Spec } = await get('service', 'web');
  t.same(Spec.TaskTemplate.ContainerSpec.Secrets[0].SecretID, secret?.ID);
  t.same(Spec.TaskTemplate.Placement.Constraints, ['node.id==worker3']);
  t.match((await get('service', 'plain')).Spec.EndpointSpec.Ports, [{ TargetPort: 80, PublishedPort: 30000 }]);
  for (const again of [await run('--plan', ...nodes), await run(...nodes)]) {
    t.equal(again.code, 0, again.stderr);
    t.same(signs(again.stdout), []);
    t.match(again.stdout, /^0 to create, 0 to update, 9 the same\.$/m);
  }
});

t.test('import › without a secret’s value the rest goes on, and a later run finishes it', async (t) => {
  const { target, from, directory } = await pair(t);
  const run = (...args: string[]) =>
    target.swarmctl(['import', '--from', from, '--skip', 'node', ...args], { directory });
  const partly = await run('-y');
  t.equal(partly.code, 1, 'not all of it is there');
  t.match(partly.stdout, /^! secret +key +cannot: its value is not given: .*--secret key=FILE/m);
  t.match(partly.stdout, /^! service web +cannot: held back: it needs secret key$/m);
  t.equal((await target.swarmctl(['service', 'ls', '--format', '{{.Name}}'])).stdout, 'plain\n');
  t.equal((await run('--plan')).code, 1, 'nothing can be done, and something is missing');
  const rest = await run('-y', '--secret', 'key=./key');
  t.equal(rest.code, 0, rest.stderr);
  t.same(signs(rest.stdout), ['+ secret  key       create', '+ service web       create']);
  t.match(await run('--secret', 'nope=./key'), { code: 1, stderr: /the source has no secret nope/ });
  t.match(await run('--secret', 'key=./gone'), { code: 1, stderr: /cannot read .*gone: ENOENT/ });
});

t.test('import › what the daemon refuses is said, the rest is done, and the next run goes on', async (t) => {
  const { source, target, from, directory } = await pair(t);
  await source.swarmctl(['service', 'update', '-d', '--publish-rm', '80', '--publish-add', '90:80', 'plain']);
  await target.swarmctl(['service', 'create', '-d', '--no-resolve-image', '--name', 'taker', '-p', '90:1', 'app:1']);
  const run = () =>
    target.swarmctl(['import', '-y', '--from', from, '--skip', 'node', '--secrets-dir', directory], { directory });
  const first = await run();
  t.match(first, {
    code: 1,
    stderr: /^Creating service plain failed: .*port '90' is already in use by service 'taker'/m,
  });
  t.match(first.stderr, /^1 of 6 failed; import again once the reasons are gone$/m);
  t.match(first.stdout, /^Creating service web$/m);
  await target.swarmctl(['service', 'rm', 'taker']);
  const second = await run();
  t.equal(second.code, 0, second.stderr);
  t.same(signs(second.stdout), ['+ service plain     create']);
});

t.test('import › a part of it: a service and what it uses', async (t) => {
  const { target, from, directory } = await pair(t);
  const run = (...args: string[]) =>
    target.swarmctl(['import', '--from', from, '--skip', 'node', ...args], { directory });
  const done = await run('-y', '--service', 'plain');
  t.same(signs(done.stdout), ['~ cluster settings  update', '+ service plain     create']);
  t.match(await run('--stack', 'nope'), { code: 1, stderr: 'the source has no stack nope\n' });
  t.match(await run('--service', 'plain', '--prune'), { code: 1, stderr: /cannot be told of a part of it/ });
});

t.test('import › asks before it does anything', async (t) => {
  const { target, from, directory } = await pair(t);
  const run = (stdin: string) => target.swarmctl(['import', '--from', from, '--skip', 'node'], { directory, stdin });
  for (const answer of ['n\n', '\n', '']) {
    t.match(await run(answer), { code: 1, stderr: 'nothing was done\n', stdout: /Do this\? \[y\/N\] $/ });
  }
  t.equal((await target.swarmctl(['network', 'ls', '-q', '--filter', 'name=net'])).stdout, '');
  t.match((await run('y\n')).stdout, /\nCreating network net\n/);
});

t.test('import › reads over TCP, and says when it cannot', async (t) => {
  const { source, target } = await pair(t);
  const relay = net.createServer((socket) => {
    const upstream = net.connect(source.world.socket);
    socket.pipe(upstream).pipe(socket);
    socket.on('error', () => upstream.destroy());
    upstream.on('error', () => socket.destroy());
  });
  await new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', resolve));
  t.teardown(() => relay.close());
  const { port } = relay.address() as AddressInfo;
  const run = (...args: string[]) => target.swarmctl(['import', '--plan', ...args]);
  t.equal((await run('--from', `tcp://127.0.0.1:${port}`)).code, 2);
  t.match(await run('--from', 'unix:///nowhere.sock'), { code: 1, stderr: /^cannot connect to the engine at unix:/ });
  t.match(await run('--from', 'ssh://host'), { code: 1, stderr: /ssh -L/ });
  t.match(await run(), { code: 1, stderr: /name one source/ });
  t.match(await run('--from', 'unix:///x', 'file'), { code: 1, stderr: /name one source/ });
  t.match(await run('--skip', 'task', '--from', `tcp://127.0.0.1:${port}`), { code: 1, stderr: /the kinds are/ });
  t.match(await run('--map-node', 'x'), { code: 125, stderr: /NAME=VALUE/ });
  source.world.info.ControlAvailable = false;
  t.match(await run('--from', `tcp://127.0.0.1:${port}`), { code: 1, stderr: /is not a manager of a swarm/ });
});

t.test(
  'export › the same cluster is the same text, its own import changes nothing, and another one becomes it',
  async (t) => {
    const { source, target, directory } = await pair(t);
    const file = join(directory, 'cluster.json');
    const written = await source.swarmctl(['export', '--output', 'cluster.json'], { directory });
    t.match(written, { code: 0, stdout: '', stderr: /^The values of 1 secrets are not in it/ });
    t.equal(statSync(file).mode & 0o777, 0o600);
    const text = readFileSync(file, 'utf8');
    t.equal((await source.swarmctl(['export'])).stdout, text);
    t.notMatch(text, /CreatedAt|"Version"|UpdatedAt|"Data": "YSB2YWx1ZQ=="/);
    t.match(await source.swarmctl(['import', '--plan', file]), { code: 0, stderr: '' });
    t.match(await source.swarmctl(['diff', file]), { code: 0, stdout: '', stderr: '' });

    const nodes = ['--map-node', 'worker2=worker3'];
    await target.swarmctl(['service', 'create', '-d', '--no-resolve-image', '--name', 'extra', 'app:1']);
    const differs = await target.swarmctl(['diff', ...nodes, file]);
    t.equal(differs.code, 2);
    t.match(differs.stdout, /^- service extra/m);
    const done = await target.swarmctl(['import', '-y', '--prune', '--secret', 'key=key', ...nodes, file], {
      directory,
    });
    t.equal(done.code, 0, done.stderr);
    t.equal((await target.swarmctl(['service', 'ls', '--format', '{{.Name}}'])).stdout, 'plain\nweb\n');
    t.match(await target.swarmctl(['diff', ...nodes, file]), { code: 0, stdout: '' });
    const again = (await target.swarmctl(['export'])).stdout;
    const {
      nodes: _1,
      services: [, web],
      ...rest
    } = JSON.parse(again);
    const {
      nodes: _2,
      services: [, wanted],
      ...wantedRest
    } = JSON.parse(text);
    t.same(rest, wantedRest);
    t.same(web.TaskTemplate.ContainerSpec, wanted.TaskTemplate.ContainerSpec);

    await source.swarmctl(['service', 'scale', '-d', 'web=3']);
    const scaled = await source.swarmctl(['diff', file]);
    t.match(scaled, { code: 2, stdout: '~ service web  update\n    Mode.Replicated.Replicas: 3 → 1\n' });
    t.match(await source.swarmctl(['import', '-'], { stdin: text }), { code: 1, stderr: /cannot answer questions/ });
    t.equal((await source.swarmctl(['import', '-y', '-'], { stdin: text })).code, 0);
    t.equal((await source.swarmctl(['diff', file])).code, 0, 'and it is as it was');
  },
);

t.test('export › a file that cannot be written or read is said', async (t) => {
  const { source } = await pair(t);
  const folder = mkdtempSync(join(tmpdir(), 'cli-export-'));
  chmodSync(folder, 0o500);
  t.match(await source.swarmctl(['export', '-o', join(folder, 'none', 'x')]), { code: 1, stderr: /^cannot write / });
  t.match(await source.swarmctl(['import', '/none/x.json']), { code: 1, stderr: /^cannot read \/none\/x\.json: / });
});
