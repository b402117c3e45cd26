import { existsSync } from 'node:fs';
import t from 'tap';
import { tryRun } from '../src/hosts/command.js';
import { createLab, type Host, importBusyboxImage, remainsOf, whyNoHosts } from '../src/hosts/index.js';
import { isAlive, until } from '../src/hosts/processes.js';
import { loadLab } from '../src/hosts/state.js';

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
  const lab = await createLab({ name: `hosts-${process.pid}`, hosts: [{}, {}, { dataDiskMegabytes: 32 }] });
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

  t.test('hosts › a pair is cut one way or both, while each still reaches the third', async (t) => {
    await lab.block(h1, h2);
    t.not((await ask(h2, h1)).code, 0, 'no answer comes back');
    t.equal((await ask(h2, h3)).stdout.trim(), 'h3');
    t.equal((await ask(h3, h1)).stdout.trim(), 'h1');
    const listen =
      "dgram.createSocket('udp4').bind(9000, () => console.log('up')).once('message', () => process.exit(7))";
    const listener = h1.spawn([process.execPath, '-e', listen], { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = new Promise((resolve) => listener.once('exit', resolve));
    await new Promise((resolve) => listener.stdout!.once('data', resolve));
    await h2.run(['bash', '-c', `echo hello >/dev/udp/${h1.ip}/9000`]);
    t.equal(await ended, 7, 'the other way is open');
    await lab.unblock(h1, h2);
    await lab.block(h2, h1);
    t.not((await ask(h1, h2)).code, 0);
    await lab.unblock(h2, h1);
    t.equal((await ask(h1, h2)).stdout.trim(), 'h2');
  });

  t.test('hosts › a data disk of its own is full, stalls, and outlives the host', async (t) => {
    const full = await h3.exec('dd if=/dev/zero of=/var/lib/swarmd/ballast bs=1M 2>&1');
    t.match(full, { code: 1, stdout: /No space left on device/ });
    await h3.run('rm /var/lib/swarmd/ballast && echo kept >/var/lib/swarmd/file');
    await h3.stallDataDisk();
    const writing = h3.exec('echo more >>/var/lib/swarmd/file');
    t.equal(await Promise.race([writing.then(() => 'written'), h3.run('sleep 1').then(() => 'waiting')]), 'waiting');
    await h3.resumeDataDisk();
    t.equal((await writing).code, 0);
    await h3.kill();
    await h3.start();
    t.equal(await h3.run('cat /var/lib/swarmd/file'), 'kept\nmore\n');
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

  t.test('hosts › with an uplink this machine reaches them, and they know its name servers', async (t) => {
    const open = await createLab({ name: `open-${process.pid}`, hosts: 1, uplink: true });
    t.teardown(() => open.destroy());
    const host = open.hosts[0]!;
    host.spawn(['busybox', 'httpd', '-f', '-p', '8081', '-h', '/var/lib/swarmd']).unref();
    await host.run('echo reached >/var/lib/swarmd/index.html');
    const fetchPage = () => fetch(`http://${host.ip}:8081/`).then((response) => response.text());
    await until(async () => (await fetchPage().catch(() => '')) === 'reached\n', {
      timeoutMs: 5 * seconds,
      what: 'the page',
    });
    t.match(await host.run('ip route get 192.0.2.1'), `via ${host.ip.replace(/\d+$/, '1')} dev eth0`);
    await open.destroy();
    t.same(await open.remains(), []);
  });

  t.test('hosts › a lab whose owner was killed is gone, and removed when the next one is made', async (t) => {
    const name = `orphan-${process.pid}`;
    const index = new URL('../src/hosts/index.js', import.meta.url);
    const script = `const { createLab } = await import('${index}');
      await createLab({ name: '${name}', hosts: 1, uplink: true });
      process.kill(process.pid, 'SIGKILL');`;
    await tryRun([process.execPath, '--input-type=module', '-e', script]);
    const orphan = loadLab(name)!;
    await until(() => !isAlive(orphan.hosts[0]!.init), { timeoutMs: 5 * seconds, what: 'its host to die with it' });
    const next = await createLab({ name: `next-${process.pid}`, hosts: 0 });
    t.teardown(() => next.destroy());
    t.same(await remainsOf(orphan), []);
  });

  t.test('hosts › an aborted start leaves nothing behind', async (t) => {
    const name = `abort-${process.pid}`;
    const aborting = new AbortController();
    const making = createLab({ name, hosts: 2, signal: aborting.signal });
    await until(() => loadLab(name)?.hosts[0]?.init != null, {
      timeoutMs: 10 * seconds,
      what: 'the start',
      intervalMs: 1,
    });
    const state = loadLab(name)!;
    aborting.abort(new Error('changed my mind'));
    await t.rejects(making, { message: 'changed my mind' });
    t.same(await remainsOf(state), []);
  });
}
