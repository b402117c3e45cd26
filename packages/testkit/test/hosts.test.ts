import { existsSync } from 'node:fs';
import t from 'tap';
import { createLab, type Host, importBusyboxImage, whyNoHosts } from '../src/hosts/index.js';
import { until } from '../src/hosts/processes.js';

const why = whyNoHosts();
const seconds = 1000;
const testTimeoutMs = 240 * seconds;

function running(host: Host): Promise<string> {
  return host.run(['docker', 'ps', '--format', '{{.Names}}']);
}

/** Fetches from a host's published port; `timeout` as busybox's own `wget -T` crashes. */
function ask(from: Host, to: Host) {
  return from.exec(['timeout', '3', 'busybox', 'wget', '-q', '-O-', `http://${to.ip}:8080/`]);
}

if (why) {
  t.pass(`skipped: ${why}`, { skip: why });
} else {
  t.setTimeout(testTimeoutMs);
  const lab = await createLab({ name: `hosts-${process.pid}`, hosts: 3 });
  t.teardown(() => lab.destroy());
  const [h1, h2, h3] = lab.hosts as [Host, Host, Host];
  await Promise.all(lab.hosts.map((host) => importBusyboxImage(host)));

  t.test('hosts › each runs containers of its own on an engine of its own', async (t) => {
    await Promise.all(
      lab.hosts.map(async (host) => {
        await host.run(`docker run -d --init --restart always --name web-${host.name} -p 8080:80 busybox \
          sh -c 'echo $0 >/www/index.html; exec httpd -f -h /www' ${host.name}`);
        t.equal(await running(host), `web-${host.name}\n`);
        t.equal((await host.run('hostname')).trim(), host.name);
      }),
    );
    const ids = await Promise.all(lab.hosts.map((host) => host.run(['docker', 'info', '-f', '{{.ID}}'])));
    t.equal(new Set(ids).size, 3, 'three engines');
  });

  t.test('hosts › a published port answers the others and a client of the network', async (t) => {
    t.equal((await ask(h2, h1)).stdout.trim(), 'h1');
    const client = await lab.client(['busybox', 'wget', '-q', '-O-', `http://${h1.ip}:8080/`]);
    t.equal(client.stdout.trim(), 'h1');
  });

  t.test('hosts › a name that nobody knows fails at once', async (t) => {
    const result = await h1.exec(['docker', 'pull', 'nosuch:latest'], { timeoutMs: 10 * seconds });
    t.not(result.code, 0);
  });

  t.test('hosts › exec gives exit code, both outputs and takes input', async (t) => {
    t.match(await h1.exec('cat; echo no >&2; exit 7', { input: 'yes' }), { code: 7, stdout: 'yes', stderr: 'no\n' });
    const aborting = new AbortController();
    const sleeping = h1.exec('echo started >/run/sleeping; exec sleep 1000', { signal: aborting.signal });
    await until(() => existsSync(h1.path('/run/sleeping')), { timeoutMs: 5 * seconds, what: 'the sleep to start' });
    aborting.abort(new Error('enough'));
    await t.rejects(sleeping, { message: 'enough' });
    await until(async () => (await h1.exec('pgrep -x sleep -a | grep -w 1000')).code !== 0, {
      timeoutMs: 5 * seconds,
      what: 'the aborted command to end',
    });
  });

  t.test('hosts › a signal sent to a spawned process reaches it, not only its helper', async (t) => {
    const child = h1.spawn('trap "echo stopped; exit 3" TERM; echo ready; while :; do sleep 0.05; done');
    let printed = '';
    child.stdout!.on('data', (chunk) => {
      printed += chunk;
      if (printed === 'ready\n') child.kill('SIGTERM');
    });
    const code = await new Promise((resolve) => child.once('close', resolve));
    t.equal(code, 3);
    t.equal(printed, 'ready\nstopped\n');
  });

  t.test('hosts › a host killed dies at once and returns with its disk, address and containers', async (t) => {
    await h2.run('echo kept >/var/lib/swarmd/file; echo lost >/run/file');
    const child = h2.spawn(['sleep', '1000']);
    const ended = new Promise((resolve) => child.once('exit', resolve));
    await h2.kill();
    await ended;
    t.notOk(h2.running);
    t.not((await ask(h1, h2)).code, 0, 'the others cannot reach it');
    await h2.start();
    t.equal(await h2.run('cat /var/lib/swarmd/file'), 'kept\n');
    t.notOk(existsSync(h2.path('/run/file')));
    await until(async () => (await running(h2)) === 'web-h2\n', { timeoutMs: 20 * seconds, what: 'its container' });
    t.equal((await ask(h1, h2)).stdout.trim(), 'h2');
  });

  t.test('hosts › a cut cable loses packets both ways and is mended', async (t) => {
    await h3.disconnect();
    t.not((await ask(h1, h3)).code, 0);
    t.not((await ask(h3, h1)).code, 0);
    t.equal((await ask(h1, h2)).code, 0, 'the others still talk');
    t.equal(await running(h3), 'web-h3\n', 'and everything on the host goes on');
    await h3.reconnect();
    await until(async () => (await ask(h1, h3)).code === 0, { timeoutMs: 15 * seconds, what: 'the cable' });
  });

  t.test('hosts › an engine restarts, cleanly and after a crash, with its containers', async (t) => {
    for (const signalName of ['TERM', 'KILL'] as const) {
      await h1.restartEngine({ signalName });
      await until(async () => (await running(h1)) === 'web-h1\n', { timeoutMs: 20 * seconds, what: 'its container' });
    }
    await h1.stopEngine();
    t.not((await h1.exec('docker ps')).code, 0);
    await h1.startEngine();
    t.equal((await h1.exec('docker ps')).code, 0);
  });

  t.test('hosts › destroy leaves nothing behind', async (t) => {
    t.ok((await lab.remains()).length > 0);
    await lab.destroy();
    t.same(await lab.remains(), []);
  });
}
