import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { whyNoHosts } from '@swarmd/testkit';
import t from 'tap';
import { connectEngine, type EngineClient } from '../src/engine/client.js';
import { describeNode, engineInfo } from '../src/engine/describe.js';
import { createImages, type Images } from '../src/engine/images.js';
import { type ListedContainer, watchEngine } from '../src/engine/watch.js';
import { CLUSTER_LABEL, TASK_ID_LABEL } from '../src/labels.js';
import { createTestEngine } from './support/node.js';
import { clock, logger } from './support/system.js';

const why = whyNoHosts();
const auth = (username: string, password: string) =>
  Buffer.from(JSON.stringify({ username, password, serveraddress: '127.0.0.1:5000' })).toString('base64url');

if (why) {
  t.pass(`skipped: ${why}`, { skip: why });
} else {
  t.setTimeout(200_000);
  const engine = await createTestEngine('engine', { hosts: [{ engineLabels: ['rack=r1', 'ssd=yes'] }] });
  t.teardown(() => engine.lab.destroy());
  const { host, docker, lab } = engine;
  const client = await connectEngine(host.engineSocket);
  const signal = new AbortController().signal;

  t.test('engine › is spoken to in a version that both sides know', async (t) => {
    t.match(client, { apiVersion: /^1\.4\d$/ });
    await t.rejects(connectEngine('/nosuch.sock'), { code: 'unavailable' });
  });

  t.test('engine › describes its host', async (t) => {
    const description = describeNode(await engineInfo(client));
    t.match(description, {
      Hostname: host.name,
      Platform: { OS: 'linux', Architecture: 'x86_64' },
      Engine: { Labels: { rack: 'r1', ssd: 'yes' } },
    });
    t.ok(description.Resources.NanoCPUs >= 1e9);
    t.ok(description.Resources.MemoryBytes > 0);
    const plugins = description.Engine.Plugins?.map((plugin) => `${plugin.Type}/${plugin.Name}`);
    t.match(plugins, ['Log/awslogs']);
    for (const name of ['Network/overlay', 'Volume/local', 'Log/json-file']) t.ok(plugins?.includes(name), name);
  });

  t.test('engine › an image of a registry', async (t) => {
    const config = join(lab.directory, 'registry.yml');
    const users = join(lab.directory, 'htpasswd');
    await host.run(['sh', '-c', `htpasswd -Bbn user secret >${users}`]);
    writeFileSync(
      config,
      JSON.stringify({
        version: 0.1,
        storage: { filesystem: { rootdirectory: join(lab.directory, 'registry') } },
        http: { addr: '127.0.0.1:5000' },
        auth: { htpasswd: { realm: 'test', path: users } },
      }),
    );
    await host.launch(['docker-registry', 'serve', config], join(lab.directory, 'registry.log'));
    await host.run('until busybox nc -w 1 127.0.0.1 5000 </dev/null 2>/dev/null; do sleep 0.05; done', {
      timeoutMs: 20_000,
    });
    const image = '127.0.0.1:5000/team/app:1';
    await host.run(
      `docker login -u user -p secret 127.0.0.1:5000 && docker tag busybox ${image} && docker push ${image}`,
    );
    const digest = (await host.run(`docker inspect -f '{{index .RepoDigests 0}}' ${image}`)).trim();
    await host.run(`docker rmi ${image} ${digest}; docker logout 127.0.0.1:5000`);
    const images = (): Images => createImages({ clock, logger });
    const here = async (name: string) => (await host.exec(['docker', 'image', 'inspect', name])).code === 0;

    await t.test('image › is refused without credentials, in the registry’s words', async (t) => {
      await t.rejects(images().ensure(client, image, '', signal), {
        code: 'not-found',
        message: /^No such image: 127.0.0.1:5000\/team\/app:1 \(.*(auth|denied)/,
      });
    });
    await t.test('image › is pulled with credentials, once for all who want it', async (t) => {
      const one = images();
      await Promise.all([1, 2, 3].map(() => one.ensure(client, image, auth('user', 'secret'), signal)));
      t.ok(await here(image));
    });
    await t.test('image › that is here is used when the registry refuses', async (t) => {
      await t.resolves(images().ensure(client, image, auth('user', 'wrong'), signal));
    });
    await t.test('image › pinned and here needs no registry', async (t) => {
      await host.run('kill $(busybox pidof docker-registry)');
      await t.resolves(images().ensure(client, digest, '', signal));
      await host.run(`docker rmi ${image} ${digest} || true`);
      await t.rejects(images().ensure(client, digest, '', signal), { code: 'not-found' });
    });
    await t.test('image › waiting for a pull ends when it is told to', async (t) => {
      const stop = new AbortController();
      const waiting = images().ensure(client, 'nosuch.invalid/x:1', '', stop.signal);
      stop.abort(new Error('enough'));
      await t.rejects(waiting, { message: 'enough' });
    });
  });

  t.test('engine › is watched: what is there, what changes, and when it goes and comes back', async (t) => {
    const stop = new AbortController();
    // Nothing else keeps this process alive while the engine is away.
    const alive = setInterval(() => {}, 1_000);
    t.teardown(() => clearInterval(alive));
    const seen: string[] = [];
    let tell = () => {};
    const until = async (test: () => boolean) => {
      while (!test()) await new Promise<void>((resolve) => (tell = resolve));
    };
    const note = (text: string) => {
      seen.push(text);
      tell();
    };
    const make = (name: string, labels: Record<string, string>) =>
      docker.createContainer({ name, Image: 'busybox', Cmd: ['sleep', '1000'], Labels: labels });
    const ours = await make('web.1.t1', { [CLUSTER_LABEL]: 'c', [TASK_ID_LABEL]: 't1' });
    await make('web.1.t2', { [CLUSTER_LABEL]: 'd', [TASK_ID_LABEL]: 't2' });
    // As of an image that was committed from a task's container.
    const copy = await make('copy', { [CLUSTER_LABEL]: 'c', [TASK_ID_LABEL]: 't3' });
    const done = watchEngine(
      { socketPath: host.engineSocket, clusterId: 'c', clock, logger },
      {
        onUp: (_: EngineClient, list: readonly ListedContainer[]) => note(`up ${list.map((c) => c.taskId)}`),
        onContainer: (_, taskId, exists) => note(`${taskId} ${exists}`),
        onDown: () => note('down'),
      },
      stop.signal,
    );
    await until(() => seen.some((line) => line.startsWith('up')));
    t.ok(seen.includes('up t1'));
    const before = seen.length;
    await copy.start();
    await ours.start();
    await until(() => seen.slice(before).includes('t1 true'));
    await ours.remove({ force: true });
    await until(() => seen.includes('t1 false'));
    const pid = Number(await host.run('cat /run/docker.pid'));
    await host.run(`kill -STOP ${pid}`);
    t.comment('a hung engine is noticed by its silence');
    await until(() => seen.includes('down'));
    await host.run(`kill -CONT ${pid}`);
    await until(() => seen.lastIndexOf('up ') > seen.lastIndexOf('down'));
    t.notOk(seen.some((line) => /t2|t3/.test(line)));
    stop.abort();
    await done;
  });
}
