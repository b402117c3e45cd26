import { execFile } from 'node:child_process';
import { accessSync, constants, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildNode, buildTask } from '@swarmd/testkit';
import t, { type Test } from 'tap';
import { socketFolder, startTestApi, type TestApi } from './support/test-api.js';

/** What a command printed and how it ended. */
interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
}

type Docker = (...args: string[]) => Promise<Outcome>;

function onPath(command: string): boolean {
  return (process.env['PATH'] ?? '').split(':').some((folder) => {
    try {
      accessSync(join(folder, command), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

const skip = onPath('docker') ? false : 'the docker CLI is not installed';

async function withDocker(t: Test): Promise<{ docker: Docker; world: TestApi; folder: string }> {
  const world = await startTestApi(t);
  const folder = socketFolder(t);
  const env = { ...process.env, DOCKER_HOST: `unix://${world.socket}`, DOCKER_CONFIG: folder, DOCKER_API_VERSION: '' };
  const docker: Docker = (...args) =>
    new Promise((resolve) => {
      execFile('docker', args, { env }, (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : Number(error.code ?? 1), stdout: stdout.trim(), stderr: stderr.trim() });
      });
    });
  await world.store.update((tx) => {
    const manager = { Spec: { Role: 'manager', Availability: 'active', Labels: {} } } as const;
    tx.create('node', buildNode(world.info.NodeID, manager));
    tx.create('node', buildNode('worker1'));
  });
  return { docker, world, folder };
}

t.test('docker CLI › works with nodes', { skip }, async (t) => {
  const { docker, world } = await withDocker(t);
  const names = await docker('node', 'ls', '--format', '{{.Hostname}} {{.Status}} {{.Availability}} {{.Self}}');
  t.same(names.stdout.split('\n').sort(), [`${world.info.NodeID} Ready Active true`, 'worker1 Ready Active false']);
  t.equal((await docker('node', 'update', '--availability', 'drain', '--label-add', 'zone=a', 'worker1')).code, 0);
  const inspected = await docker(
    'node',
    'inspect',
    'worker1',
    '--format',
    '{{.Spec.Availability}} {{.Spec.Labels.zone}}',
  );
  t.equal(inspected.stdout, 'drain a');
  t.match((await docker('node', 'inspect', '--pretty', 'self')).stdout, /Hostname:\s+fvu6tjq1sk2ythsw45g99uaq1/);
  const demoted = await docker('node', 'demote', world.info.NodeID);
  t.match(demoted.stderr, 'attempting to demote the last manager of the swarm');
  t.match((await docker('node', 'rm', 'worker1')).stderr, "node worker1 is not down and can't be removed");
  t.equal((await docker('node', 'rm', '--force', 'worker1')).stdout, 'worker1');
});

t.test('docker CLI › works with services', { skip }, async (t) => {
  const { docker, world } = await withDocker(t);
  const created = await docker(
    'service',
    'create',
    '-d',
    '--name',
    'web',
    '--replicas',
    '2',
    '-p',
    '8080:80',
    'nginx:1',
  );
  t.equal(created.code, 0, created.stderr);
  await world.store.update((tx) => {
    const [service] = [...tx.find('service', 'name', 'web')];
    const Status = { State: 'running', Timestamp: tx.now, Message: 'started' } as const;
    for (const Slot of [1, 2])
      tx.create('task', buildTask(service!, `task${Slot}`, { Slot, NodeID: 'worker1', Status }));
  });
  const list = await docker('service', 'ls', '--format', '{{.Name}} {{.Mode}} {{.Replicas}} {{.Image}}');
  t.equal(list.stdout, 'web replicated 2/2 nginx:1');
  const tasks = await docker('service', 'ps', 'web', '--format', '{{.Name}} {{.Node}} {{.DesiredState}}');
  t.equal(tasks.stdout, 'web.1 worker1 Running\nweb.2 worker1 Running');
  t.equal((await docker('service', 'update', '-d', '--image', 'nginx:2', 'web')).code, 0);
  const image = async () =>
    (await docker('service', 'inspect', 'web', '--format', '{{.Spec.TaskTemplate.ContainerSpec.Image}}')).stdout;
  t.equal(await image(), 'nginx:2');
  t.equal((await docker('service', 'rollback', '-d', 'web')).code, 0);
  t.equal(await image(), 'nginx:1');
  t.equal((await docker('service', 'scale', '-d', 'web=5')).code, 0);
  t.match((await docker('service', 'inspect', '--pretty', 'web')).stdout, /Replicas:\s+5/);
  t.match(
    (await docker('service', 'create', '-d', '--name', 'web', 'x')).stderr,
    'name conflicts with an existing object',
  );
  t.equal((await docker('service', 'rm', 'web')).stdout, 'web');
  t.equal((await docker('service', 'ls', '-q')).stdout, '');
});

t.test('docker CLI › works with secrets, configs and stacks', { skip }, async (t) => {
  const { docker, folder } = await withDocker(t);
  const data = join(folder, 'data.txt');
  const file = join(folder, 'stack.yml');
  writeFileSync(data, 'data');
  writeFileSync(
    file,
    `services: {web: {image: nginx, secrets: [s], configs: [c], networks: [front], ports: ["8082:80"]}}
networks: {front: {}}
secrets: {s: {file: ${data}}}
configs: {c: {file: ${data}}}
version: "3.8"
`,
  );
  t.match((await docker('secret', 'create', 'alone', data)).stdout, /^[0-9a-z]{25}$/);
  t.equal((await docker('config', 'create', 'seen', data)).code, 0);
  t.match((await docker('config', 'inspect', '--pretty', 'seen')).stdout, /Data:\ndata$/);
  for (const attempt of ['first', 'again']) {
    const deployed = await docker('stack', 'deploy', '-c', file, '--detach=true', 'app');
    t.equal(deployed.code, 0, `${attempt}: ${deployed.stderr}`);
  }
  t.equal((await docker('stack', 'ls', '--format', '{{.Name}} {{.Services}}')).stdout, 'app 1');
  t.equal((await docker('stack', 'services', 'app', '--format', '{{.Name}} {{.Replicas}}')).stdout, 'app_web 0/1');
  t.match((await docker('secret', 'rm', 'app_s')).stderr, "secret 'app_s' is in use by the following service: app_web");
  t.equal((await docker('secret', 'ls', '--format', '{{.Name}}', '--filter', 'name=app')).stdout, 'app_s');
  t.equal((await docker('stack', 'rm', 'app')).code, 0);
  t.equal((await docker('network', 'ls', '-q', '--filter', 'scope=swarm')).stdout, '');
});
