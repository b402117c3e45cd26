import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type CommandResult, type Host, importBusyboxImage, whyNoHosts } from '@swarmd/testkit';
import t, { type Test } from 'tap';
import { createCluster, SWARMD_SOCKET } from './support/cluster.js';
import { shareCluster } from './support/shared-cluster.js';
import { waitFor } from './support/wait.js';

const skip = whyNoHosts() ?? false;
t.setTimeout(600_000);

const image = 'busybox:latest';
/** Ends at once when it is told to. */
const forever = [image, 'sh', '-c', 'trap "exit 0" TERM; echo started; while :; do sleep 0.1; done'];

const cluster = shareCluster(t, async () => {
  const made = await createCluster({ hosts: 1 });
  await importBusyboxImage(made.hosts[0]!);
  await made.form();
  return made;
});

/** The one host, and the docker CLI on it against swarmd. */
async function setUp(t: Test): Promise<{ host: Host; directory: string; docker: Docker }> {
  const { hosts, lab } = await cluster(t);
  const host = hosts[0]!;
  return { host, directory: lab.directory, docker: (args, options) => host.exec(cli(...args), options) };
}

type Docker = (args: readonly string[], options?: Parameters<Host['exec']>[1]) => Promise<CommandResult>;

function cli(...args: string[]): string[] {
  return ['docker', '-H', `unix://${SWARMD_SOCKET}`, ...args];
}

t.test('passthrough › run: output, errors, exit codes and standard input', { skip }, async (t) => {
  const { host, docker } = await setUp(t);
  t.same(await docker(['run', '--rm', image, 'sh', '-c', 'echo out; echo err >&2; exit 7']), {
    code: 7,
    stdout: 'out\n',
    stderr: 'err\n',
  });
  const piped = await docker(['run', '--rm', '-i', image, 'cat'], { input: 'a line\nanother' });
  t.same(piped, { code: 0, stdout: 'a line\nanother', stderr: '' });
  const large = Buffer.alloc(3_000_000, 'sixteen letters\n').toString();
  const counted = await docker(['run', '--rm', '-i', image, 'sh', '-c', 'cat | tee /dev/stderr'], { input: large });
  t.ok(counted.stdout === large && counted.stderr === large, 'megabytes both ways, nothing lost');
  t.match(await docker(['run', '--rm', image, 'no-such-program']), { code: 127, stderr: /executable file not found/ });
  t.match(await docker(['run', '--rm', '--pull', 'never', 'no-such:image']), { code: 125, stderr: /No such image/i });
  t.equal((await host.run(['docker', 'ps', '-aq'])).trim(), '', '--rm leaves nothing');
});

t.test('passthrough › run -it and exec -it have a terminal', { skip }, async (t) => {
  const { host, docker } = await setUp(t);
  const inTerminal = (...args: string[]): string[] => ['script', '-qec', cli(...args).join(' '), '/dev/null'];
  const ran = await host.exec(inTerminal('run', '--rm', '-it', image, 'sh'), {
    input: 'stty size >/dev/null && tty; exit 5\n',
  });
  t.match(ran.stdout, /\/dev\/pts\/0|\/dev\/console/, 'a terminal in the container');
  t.equal(ran.code, 5, 'the shell’s exit code');
  t.equal((await docker(['run', '-d', '--name', 'shell', ...forever])).code, 0);
  const executed = await host.exec(inTerminal('exec', '-it', 'shell', 'sh'), {
    input: 'tty; echo $((6 * 7)); exit 6\n',
  });
  t.match(executed.stdout, /\/dev\/pts\/\d/);
  t.match(executed.stdout, /^42\r$/m);
  t.equal(executed.code, 6);
  const plain = await docker(['exec', '-i', 'shell', 'sh', '-c', 'cat; tty; exit 4'], { input: 'in\n' });
  t.same(plain, { code: 4, stdout: 'in\nnot a tty\n', stderr: '' }, 'without -t there is none');
  t.equal((await docker(['rm', '-f', 'shell'])).code, 0);
});

t.test('passthrough › cp both ways', { skip }, async (t) => {
  const { host, directory, docker } = await setUp(t);
  const folder = join(directory, 'copied');
  mkdirSync(join(folder, 'deep'), { recursive: true });
  const bytes = Buffer.from(Array.from({ length: 200_000 }, (_, index) => (index * 7) % 251));
  writeFileSync(join(folder, 'deep', 'data'), bytes);
  t.equal((await docker(['create', '--name', 'box', image, 'true'])).code, 0);
  t.equal((await docker(['cp', folder, 'box:/tmp/'])).code, 0);
  const back = join(directory, 'back');
  t.equal((await docker(['cp', 'box:/tmp/copied', back])).code, 0);
  t.ok(readFileSync(join(back, 'deep', 'data')).equals(bytes), 'the same bytes');
  const streamed = await host.exec(['sh', '-c', `${cli('cp', 'box:/tmp/copied', '-').join(' ')} | tar -t`]);
  t.equal(streamed.stdout, 'copied/\ncopied/deep/\ncopied/deep/data\n', 'as a tar stream');
  t.match(await docker(['cp', 'box:/nowhere', back]), { code: 1, stderr: /nowhere/ });
  t.equal((await docker(['rm', 'box'])).code, 0);
});

t.test('passthrough › build, save and load', { skip }, async (t) => {
  const { directory, docker } = await setUp(t);
  const context = join(directory, 'context');
  mkdirSync(context);
  writeFileSync(join(context, 'greeting'), 'made here\n');
  const lines = [`FROM ${image}`, 'ARG WHO', 'COPY greeting /greeting', 'RUN echo "for $WHO" >> /greeting'];
  writeFileSync(join(context, 'Dockerfile'), [...lines, 'CMD ["cat", "/greeting"]', ''].join('\n'));
  const env = { DOCKER_BUILDKIT: '0' };
  const arguments_ = ['build', '--network', 'none', '--build-arg', 'WHO=you', '--tag', 'greeter:1', context];
  const built = await docker(arguments_, { env });
  t.match(built, { code: 0, stdout: /Successfully tagged greeter:1/ });
  t.equal((await docker(['run', '--rm', 'greeter:1'])).stdout, 'made here\nfor you\n');
  const archive = join(directory, 'greeter.tar');
  t.equal((await docker(['save', '-o', archive, 'greeter:1'])).code, 0);
  t.ok(existsSync(archive));
  t.equal((await docker(['rmi', 'greeter:1'])).code, 0);
  t.match(await docker(['load', '-i', archive]), { code: 0, stdout: /Loaded image: greeter:1/ });
  t.equal((await docker(['run', '--rm', 'greeter:1'])).stdout, 'made here\nfor you\n');

  writeFileSync(join(context, 'Dockerfile'), `FROM ${image}\nRUN exit 3\n`);
  t.match(await docker(['build', '--network', 'none', context], { env }), {
    code: 3,
    stderr: /returned a non-zero code: 3/,
  });
});

t.test('passthrough › logs -f and attach end when the container does', { skip }, async (t) => {
  const { host, docker } = await setUp(t);
  const script = 'trap "echo stopping; exit 0" TERM; echo started; while :; do sleep 0.1; done';
  t.equal((await docker(['run', '-d', '--name', 'talker', image, 'sh', '-c', script])).code, 0);
  const following = follow(host, 'logs', '-f', 'talker');
  const attached = follow(host, 'attach', '--no-stdin', '--sig-proxy=false', 'talker');
  await waitFor('the log is followed', () => following.output() === 'started\n');
  // What attach shows begins with it: there is no other sign that it is under way than the engine's event.
  await waitFor('somebody is attached', async () => {
    const past = ['events', '--since', '1h', '--until', '0s', '--filter', 'event=attach', '--format', '{{.ID}}'];
    return (await docker(past)).stdout.trim() !== '';
  });
  t.equal((await docker(['stop', 'talker'])).code, 0);
  t.equal(await following.ended, 0);
  t.equal(following.output(), 'started\nstopping\n');
  t.equal(await attached.ended, 0, 'with the container’s exit code');
  t.equal(attached.output(), 'stopping\n');
  t.equal((await docker(['logs', 'talker'])).stdout, 'started\nstopping\n');

  t.equal(
    (await docker(['create', '-i', '--name', 'echo', image, 'sh', '-c', 'read line; echo "got $line"; exit 9'])).code,
    0,
  );
  t.same(
    await docker(['start', '-ai', 'echo'], { input: 'this\n' }),
    { code: 9, stdout: 'got this\n', stderr: '' },
    'start with an attached input',
  );
  t.equal((await docker(['rm', 'talker', 'echo'])).code, 0);
});

t.test('passthrough › ps, inspect, wait and events', { skip }, async (t) => {
  const { host, docker } = await setUp(t);
  const format = '{{.Actor.Attributes.name}} {{.Action}}';
  const events = follow(host, 'events', '--filter', 'label=kind=test', '--format', format);
  const label = ['--label', 'kind=test'];
  // Events begin when the engine has heard of the client: something must happen until then.
  await waitFor('events come', async () => {
    await docker(['run', '--rm', '--name', 'first', ...label, image, 'true']);
    return events.output().includes('first create\n');
  });
  const id = (await docker(['run', '-d', '--name', 'watched', ...label, ...forever])).stdout.trim();
  const listed = await docker([
    'ps',
    '--no-trunc',
    '--filter',
    'label=kind=test',
    '--format',
    '{{.ID}} {{.Names}} {{.State}}',
  ]);
  t.equal(listed.stdout, `${id} watched running\n`);
  const waited = docker(['wait', 'watched']);
  t.equal((await docker(['kill', '--signal', 'TERM', 'watched'])).code, 0);
  t.same((await waited).stdout, '0\n');
  const state = await docker(['inspect', '--format', '{{.State.Status}} {{.State.ExitCode}}', 'watched']);
  t.equal(state.stdout, 'exited 0\n');
  t.equal((await docker(['rm', 'watched'])).code, 0);
  await waitFor('its end was told', () => events.output().includes('watched destroy\n'));
  const told = events.output().match(/(?<=^watched )(create|start|kill|die|destroy)$/gm);
  t.same(told, ['create', 'start', 'kill', 'die', 'destroy'], 'all of its life');
  events.stop();
  await events.ended;
  t.match(await docker(['inspect', 'watched']), { code: 1, stderr: /No such object: watched/i });
});

/** Runs the docker CLI in the background. `ended` resolves with its exit code. */
function follow(host: Host, ...args: string[]): { output(): string; ended: Promise<number>; stop(): void } {
  const child = host.spawn(cli(...args), { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
  }
  const ended = new Promise<number>((resolve) => child.once('close', (code) => resolve(code ?? -1)));
  return { output: () => output, ended, stop: () => child.kill('SIGKILL') };
}
