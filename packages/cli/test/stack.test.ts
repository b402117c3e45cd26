import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type Outcome, swarmctlFor } from './support/swarmctl.js';
import { startWorld, type World } from './support/world.js';

interface Project {
  readonly world: World;
  readonly swarmctl: ReturnType<typeof swarmctlFor>;
  readonly directory: string;
  write(name: string, content: string): void;
  deploy(...args: string[]): Promise<Outcome>;
}

async function project(t: Test): Promise<Project> {
  const world = await startWorld();
  t.teardown(() => world.stop());
  const directory = mkdtempSync(join(tmpdir(), 'cli-stack-'));
  const swarmctl = swarmctlFor(world);
  return {
    world,
    swarmctl,
    directory,
    write: (name, content) => writeFileSync(join(directory, name), content),
    deploy: (...args) => swarmctl(['stack', 'deploy', ...args], { directory }),
  };
}

const STACK = `
services:
  web:
    image: nginx:\${TAG:-1}
    ports: ["8080:80"]
    secrets: [s]
    configs: [c]
    deploy: {replicas: 2}
  api:
    image: api
secrets:
  s: {file: ./s.txt}
configs:
  c: {file: ./c.txt}
`;

async function started(t: Test): Promise<Project> {
  const it = await project(t);
  it.write('compose.yaml', STACK);
  it.write('s.txt', 'secret');
  it.write('c.txt', 'config');
  return it;
}

const lines = (text: string): string[] => text.split('\n').filter((line) => line !== '');

t.test('stack deploy › back to what ran before waits for it, whatever ended in between', async (t) => {
  const { deploy, write } = await project(t);
  for (const tag of ['1', '2', '1']) {
    write(
      'compose.yaml',
      `services: {web: {image: "nginx:${tag}", deploy: {replicas: 3}}, all: {image: "nginx:${tag}", deploy: {mode: global}}}`,
    );
    const { code, stderr } = await deploy('-c', 'compose.yaml', 'app');
    t.equal(code, 0, stderr);
  }
});

t.test('stack deploy › creates networks, secrets, configs, then services, and waits for them', async (t) => {
  const { deploy, swarmctl } = await started(t);
  const outcome = await deploy('-c', 'compose.yaml', 'app');
  t.equal(outcome.code, 0, outcome.stderr);
  t.same(lines(outcome.stdout).slice(0, 5), [
    'Creating network app_default',
    'Creating secret app_s',
    'Creating config app_c',
    'Creating service app_web',
    'Creating service app_api',
  ]);
  t.match(outcome.stdout, /app_web: 2 out of 2 tasks, converged\n/);
  t.match((await swarmctl(['stack', 'ls'])).stdout, /app +2\n/);
  t.match(
    (await swarmctl(['stack', 'services', 'app', '--format', '{{.Name}} {{.Replicas}}'])).stdout,
    'app_api 1/1\napp_web 2/2\n',
  );
  const tasks = await swarmctl(['stack', 'ps', 'app', '--format', '{{.Name}}', '--filter', 'desired-state=running']);
  t.equal(tasks.stdout, 'app_api.1\napp_web.1\napp_web.2\n');
  t.match(await swarmctl(['stack', 'ps', 'nope']), { code: 1, stderr: 'nothing found in stack: nope\n' });
});

t.test('stack deploy › leaves alone what did not change', async (t) => {
  const { deploy, swarmctl } = await started(t);
  await deploy('-c', 'compose.yaml', 'app');
  const ids = async (): Promise<string> => (await swarmctl(['stack', 'ps', 'app', '-q'])).stdout;
  const before = await ids();
  const again = await deploy('-c', 'compose.yaml', 'app');
  t.match(again, { code: 0, stdout: /^Service app_web is unchanged\nService app_api is unchanged\n/ });
  t.equal(await ids(), before, 'not one task was replaced');
});

t.test('stack deploy › updates what changed, with variables of .env, --env-file and the environment', async (t) => {
  const { deploy, swarmctl, write, directory } = await started(t);
  await deploy('app');
  const image = async (): Promise<string> =>
    (
      await swarmctl(['service', 'inspect', 'app_web', '--format', '{{.Spec.TaskTemplate.ContainerSpec.Image}}'])
    ).stdout.trim();
  t.equal(await image(), 'nginx:1', 'compose.yaml is found by itself');
  write('.env', 'TAG=2\n');
  t.match(
    (await deploy('app')).stdout,
    /Updating service app_web \(id: [a-z0-9]{25}\)\nService app_api is unchanged\n/,
  );
  t.equal(await image(), 'nginx:2');
  write('other.env', 'TAG=3\n');
  await deploy('-d', '--env-file', 'other.env', 'app');
  t.equal(await image(), 'nginx:3');
  await swarmctl(['stack', 'deploy', '-d', 'app'], { directory, env: { TAG: '4' } });
  t.equal(await image(), 'nginx:4');
});

t.test('stack deploy › merges several files and reads one from stdin', async (t) => {
  const { swarmctl, directory, write } = await started(t);
  write('prod.yaml', 'services: {api: {deploy: {replicas: 3}}}\n');
  const outcome = await swarmctl(['stack', 'deploy', '-d', '-c', 'compose.yaml', '-c', '-', 'app'], {
    directory,
    stdin: 'services: {api: {deploy: {replicas: 3}}}',
  });
  t.equal(outcome.code, 0, outcome.stderr);
  const replicas = await swarmctl(['service', 'inspect', 'app_api', '--format', '{{.Spec.Mode.Replicated.Replicas}}']);
  t.equal(replicas.stdout, '3\n');
});

t.test('stack deploy › refuses a changed secret or config before it changes anything', async (t) => {
  const { deploy, write, swarmctl } = await started(t);
  await deploy('-d', 'app');
  write('c.txt', 'other');
  write('.env', 'TAG=9');
  const config = await deploy('-d', 'app');
  t.match(config, { code: 1, stdout: '', stderr: /^failed to update config app_c: [\s\S]*name: app_c_2/ });
  write('c.txt', 'config');
  write('s.txt', 'other');
  t.match(await deploy('-d', 'app'), { code: 1, stderr: /^failed to update secret app_s: / });
  const image = await swarmctl([
    'service',
    'inspect',
    'app_web',
    '--format',
    '{{.Spec.TaskTemplate.ContainerSpec.Image}}',
  ]);
  t.equal(image.stdout, 'nginx:1\n');
});

t.test('stack deploy › with --prune removes what the files no longer name', async (t) => {
  const { deploy, write, swarmctl } = await started(t);
  await deploy('-d', 'app');
  write('compose.yaml', 'services: {api: {image: api, networks: [n]}}\nnetworks: {n: {}}\n');
  const kept = await deploy('-d', 'app');
  t.notMatch(kept.stdout, /Removing/);
  const pruned = await deploy('-d', '--prune', 'app');
  t.match(
    pruned.stdout,
    /Removing service app_web\nRemoving secret app_s\nRemoving config app_c\nRemoving network app_default\n/,
  );
  t.equal((await swarmctl(['service', 'ls', '--format', '{{.Name}}'])).stdout, 'app_api\n');
  t.equal((await swarmctl(['config', 'ls', '-q'])).stdout, '');
});

t.test('stack deploy › changes nothing when something external is missing', async (t) => {
  const { deploy, write, swarmctl } = await started(t);
  write('compose.yaml', `${STACK}  ext: {external: true}\nnetworks: {default: {}}\n`);
  t.match(await deploy('app'), { code: 1, stdout: '', stderr: /^config not found: ext is declared as external/ });
  write('compose.yaml', 'services: {a: {image: a, networks: [n]}}\nnetworks: {n: {external: true}}\n');
  t.match(await deploy('app'), { code: 1, stderr: /^network "n" is declared as external, but could not be found/ });
  t.equal((await swarmctl(['secret', 'ls', '-q'])).stdout, '');
});

t.test('stack deploy › says what a cluster cannot do, and refuses what it would do otherwise', async (t) => {
  const { deploy, write } = await started(t);
  write('compose.yaml', 'services: {a: {image: a, privileged: true, ports: ["127.0.0.1:80:80"]}}\n');
  const refused = await deploy('-d', 'app');
  t.equal(refused.code, 1);
  t.match(refused.stderr, /privileged[^\n]*\n[\s\S]*127\.0\.0\.1[\s\S]*--ignore-unsupported/);
  t.match(await deploy('-d', '--ignore-unsupported', 'app'), { code: 0, stderr: /127\.0\.0\.1/ });
  write('compose.yaml', 'services: {a: {image: [1]}}\n');
  t.match(await deploy('app'), { code: 1, stderr: /^services\.a\.image \(compose\.yaml:1:/ });
  t.match(await deploy('-c', 'nope.yaml', 'app'), { code: 1, stderr: /ENOENT/ });
});

t.test('stack deploy › fails with the error of a task when a service cannot converge', async (t) => {
  const { deploy, write, world } = await started(t);
  world.fate = (task) =>
    task.ServiceName === 'app_bad' ? { state: 'failed', error: 'task: non-zero exit (7)' } : undefined;
  write(
    'compose.yaml',
    'services:\n  good: {image: a}\n  bad: {image: a, deploy: {restart_policy: {condition: none}}}\n',
  );
  const outcome = await deploy('app');
  t.equal(outcome.code, 1);
  t.match(outcome.stdout, /app_good: 1 out of 1 tasks, converged\n/);
  t.match(outcome.stderr, /service cannot converge[\s\S]*non-zero exit \(7\)/);
});

t.test('stack rm › removes services, secrets, configs and networks, and can wait for the tasks', async (t) => {
  const { deploy, swarmctl, world } = await started(t);
  await deploy('app');
  const removed = await swarmctl(['stack', 'rm', '--detach=false', 'app', 'nope']);
  t.match(removed, { code: 0, stderr: 'Nothing found in stack: nope\n' });
  t.same(lines(removed.stdout), [
    'Removing service app_api',
    'Removing service app_web',
    'Removing secret app_s',
    'Removing config app_c',
    'Removing network app_default',
  ]);
  t.ok([...world.store.view.all('task')].every((task) => task.Status.State === 'shutdown'));
});
