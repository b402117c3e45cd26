import { type ExecFileException, execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadCompose, toStack } from '@swarmd/compose';
import { createLab, type Host, labsRoot, whyNoHosts } from '@swarmd/testkit';
import t from 'tap';
import { waitFor } from './support/wait.js';

const skip = whyNoHosts() ?? false;
const repository = fileURLToPath(new URL('../../../', import.meta.url));
const quickstart = join(repository, 'deploy', 'quickstart.sh');
const swarmctl = join(repository, 'packages', 'cli', 'bin', 'swarmctl');
const examples = join(repository, 'deploy', 'examples');
/** A bound on a hang on a busy machine, not a measure of speed. */
const timeoutMs = 300_000;

t.setTimeout(2 * timeoutMs);

interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs a program of this machine to its end, whatever it returns. */
function run(file: string, args: readonly string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    execFile(file, args, { timeout: timeoutMs }, (error: ExecFileException | null, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? 1), stdout, stderr });
    });
  });
}

/** The daemons that run on a host, by name. */
async function daemonsOf(host: Host): Promise<string[]> {
  const names = (await host.run(['ps', '-e', '-o', 'comm='])).split('\n').map((name) => name.trim());
  return names.filter((name) => /^(dockerd|containerd.*|node|docker-proxy)$/.test(name));
}

t.test('quickstart › every example is a stack that can be deployed as it is', async (t) => {
  const files = readdirSync(examples).filter((name) => name.endsWith('.yml'));
  t.ok(files.includes('quickstart.yml'));
  for (const name of files) {
    const content = readFileSync(join(examples, name), 'utf8');
    const { project, warnings } = loadCompose({
      files: [{ path: join(examples, name), content }],
      env: {},
      projectDirectory: examples,
      readFile: (path: string) => readFileSync(path),
    });
    const stack = toStack(project, { namespace: 'example' });
    t.same([...warnings, ...stack.warnings], [], `${name} leaves nothing to be warned of`);
    t.ok(stack.services.length > 0, `${name} has services`);
  }
});

t.test(
  'quickstart › one node: from a machine without an engine to a page that answers, again, and back',
  { skip },
  async (t) => {
    await using lab = await createLab({ hosts: [{ name: 'fresh', engine: false }] });
    const host = lab.hosts[0]!;
    const listenScript = 'for (const port of [8080, 2377]) require("net").createServer().listen(port, "0.0.0.0")';
    const occupier = host.spawn([process.execPath, '-e', listenScript], { stdio: 'ignore' });
    await waitFor('the ports are taken', async () => {
      return (await host.exec(['bash', '-c', '</dev/tcp/127.0.0.1/8080 && </dev/tcp/127.0.0.1/2377'])).code === 0;
    });
    const start = () => host.exec(['bash', quickstart, '--no-build'], { timeoutMs });
    const containers = async () => {
      const listed = await host.run(['curl', '-s', '--unix-socket', '/run/docker.sock', 'http://e/containers/json']);
      return (JSON.parse(listed) as { Id: string }[]).map(({ Id }) => Id).sort();
    };

    const first = await start();
    t.equal(first.code, 0, first.stderr);
    t.match(first.stdout, /port 8080 is held by node \(process \d+\).*taking 8081/, 'says who has the port');
    t.match(first.stdout, /port 2377 is held by node/);
    t.match(first.stdout, /reports waits, on purpose/);
    t.match(first.stdout, /no suitable node \(scheduling constraints not satisfied on 1 node\)/);
    const url = /Open +(http:\S+)/.exec(first.stdout)?.[1] ?? '';
    t.equal(url, 'http://127.0.0.1:8081');
    t.match(await host.run(['curl', '-sf', url]), /Hello from task quickstart_web\.\d\.\w+ on node fresh/);
    const services = await host.run([
      process.execPath,
      swarmctl,
      'service',
      'ls',
      '--format',
      '{{.Name}} {{.Replicas}}',
    ]);
    t.same(services.trim().split('\n').sort(), [
      'quickstart_agent 1/1',
      'quickstart_api 2/2',
      'quickstart_reports 0/1',
      'quickstart_web 2/2',
      'quickstart_worker 1/1',
    ]);

    const before = await containers();
    t.equal(before.length, 6);
    const second = await start();
    t.equal(second.code, 0, second.stderr);
    t.match(second.stdout, /runs already/);
    t.match(second.stdout, new RegExp(`Open +${url}`), 'the page keeps its port');
    t.same(await containers(), before, 'no container was touched');

    const stopped = await host.exec(['bash', quickstart, '--stop'], { timeoutMs });
    t.equal(stopped.code, 0, stopped.stderr);
    occupier.kill();
    await waitFor('nothing of it runs', async () => (await daemonsOf(host)).length === 0, {
      describe: async () => `still there: ${await daemonsOf(host)}`,
    });
    t.same(readdirSync(host.path('/var/lib/swarmd')), [], 'its data is gone');
    t.same(readdirSync(host.path('/var/lib/docker/containers')), [], 'its containers are gone');
    t.match(await host.run(['bash', quickstart, '--stop']), /Nothing to stop/);
  },
);

t.test(
  'quickstart › three hosts: pages answer from outside, a lost host’s tasks move, and all goes away',
  { skip },
  async (t) => {
    const name = `q${process.pid}`;
    const run3 = (...args: string[]) => run('bash', [quickstart, '--no-build', '--name', name, ...args]);
    t.teardown(() => run3('--stop'));

    const started = await run3('--hosts', '3');
    t.equal(started.code, 0, started.stderr);
    const urls = [...started.stdout.matchAll(/^ +(http:\S+)$/gm)].map((match) => match[1]!);
    t.equal(urls.length, 2, 'two nodes run a task with the published port');
    for (const url of urls) t.match(await (await fetch(url)).text(), /Hello from task quickstart_web/);
    t.notMatch(started.stdout, /waits/, 'a worker is there for the task that wants one');

    const socket = /SWARMCTL_HOST=(unix:\S+)/.exec(started.stdout)?.[1] ?? '';
    const ctl = async (...args: string[]) => (await run(process.execPath, [swarmctl, '-H', socket, ...args])).stdout;
    const nodes = (await ctl('node', 'ls', '--format', '{{.Hostname}} {{.Status}} {{.ManagerStatus}}')).trim();
    t.same(
      nodes.split('\n').map((line) => line.trim()),
      ['host-1 Ready Leader', 'host-2 Ready', 'host-3 Ready'],
    );

    t.equal((await run3('--kill', 'host-3')).code, 0);
    await waitFor('all tasks of the web run on the two other hosts', async () => {
      const tasks = (
        await ctl('service', 'ps', 'quickstart_web', '--format', '{{.Node}} {{.DesiredState}} {{.CurrentState}}')
      )
        .split('\n')
        .filter((line) => / Running Running/.test(line));
      return tasks.length === 2 && tasks.every((line) => !line.startsWith('host-3'));
    });
    await waitFor('the lost host is down', async () => /host-3 +Down/.test(await ctl('node', 'ls')));
    t.equal((await run3('--start', 'host-3')).code, 0);
    await waitFor('the host is back', async () => /host-3 +Ready/.test(await ctl('node', 'ls')));

    const stopped = await run3('--stop');
    t.equal(stopped.code, 0, stopped.stderr);
    t.notOk(readdirSync(labsRoot()).includes(name), 'the hosts are gone');
    const left = await run('pgrep', ['-f', '-a', `${labsRoot()}/${name}/`]);
    t.equal(left.stdout, '', 'and every process of theirs');
  },
);

t.test('quickstart › a wrong flag is named before anything is done', async (t) => {
  const unknown = await run('bash', [quickstart, '--nodes', '3']);
  t.equal(unknown.code, 2);
  t.match(unknown.stderr, /no such flag: --nodes/);
  const tooMany = await run('bash', [quickstart, '--no-build', '--port', 'web']);
  t.equal(tooMany.code, 2);
  t.match(tooMany.stderr, /--port takes a number from 1 to 65535, not "web"/);
});
