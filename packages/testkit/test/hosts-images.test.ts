import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import {
  availableEngines,
  createLab,
  type Host,
  importApiImage,
  importNginxImage,
  importPostgresImage,
  pushImage,
  startRegistry,
  whyNoHosts,
} from '../src/hosts/index.js';

const why = whyNoHosts();
const engines = why ? [] : await availableEngines();

/** Runs a command until it succeeds; its output. For servers that take a moment to start. */
async function eventually(host: Host, command: string): Promise<string> {
  for (let attempt = 0; attempt < 80; attempt += 1) {
    const result = await host.exec(command);
    if (result.code === 0) return result.stdout.trim();
    await delay(100);
  }
  return host.run(command);
}

if (why) {
  t.pass(`skipped: ${why}`, { skip: why });
} else if (engines.length === 0) {
  t.pass('skipped: no engine', { skip: 'no known release of Docker here: run deploy/install-deps.sh test engines' });
} else {
  t.setTimeout(400_000);
  const hosts = engines.map((engineVersion) => ({ engineVersion }));
  const lab = await createLab({ name: `images-${process.pid}`, hosts, mirror: true });
  t.teardown(() => lab.destroy());
  const first = lab.hosts[0]!;
  const registry = await startRegistry(lab);
  await importNginxImage(first);
  await importApiImage(first);
  await importPostgresImage(first);
  const digest = await pushImage(first, registry, 'nginx:alpine', { remove: true });

  for (const host of lab.hosts) {
    t.test(`images › engine ${host.state.options.engineVersion} pulls nginx by name and serves it`, async (t) => {
      t.match(await host.run(['docker', 'version', '-f', '{{.Server.Version}}']), host.state.options.engineVersion);
      t.match(await host.run('docker pull nginx:alpine'), digest, 'the digest that was pushed');
      await host.run('docker run -d --name web -p 80:80 nginx:alpine');
      t.match(await eventually(host, 'busybox wget -q -O- http://127.0.0.1/'), 'Welcome to nginx!');
      await host.run('docker stop web');
      t.equal(
        await host.run(['docker', 'inspect', '-f', '{{.State.ExitCode}}', 'web']),
        '0\n',
        'it heeds its stop signal',
      );
    });
  }

  t.test('images › PostgreSQL takes its password from a file and keeps its data', async (t) => {
    await first.run(`printf s3cret >/run/password
      docker run -d --name db -v /run/password:/run/secrets/db_password:ro -v data:/var/lib/postgresql/data \
        -e POSTGRES_DB=myapp -e POSTGRES_USER=user -e POSTGRES_PASSWORD_FILE=/run/secrets/db_password postgres:13`);
    const psql = (password: string, sql: string) =>
      `docker exec -e PGPASSWORD=${password} db psql -h "$(docker inspect -f '{{.NetworkSettings.IPAddress}}' db)" \
        -U user -d myapp -tAc '${sql}'`;
    await eventually(first, psql('s3cret', 'select 1'));
    await first.run(psql('s3cret', 'create table kept as select 42 as answer'));
    t.not((await first.exec(psql('wrong', 'select 1'))).code, 0, 'a wrong password is refused');
    await first.run('docker rm -f db && docker run -d --name db -v data:/var/lib/postgresql/data postgres:13');
    t.equal(await eventually(first, psql('s3cret', 'select answer from kept')), '42');
  });

  t.test('images › the API answers and says whether its database can be reached', async (t) => {
    await first.run(`docker run -d --name api -p 8080:8080 -e DATABASE_URL=postgresql://u:p@127.0.0.1:1/x myapi`);
    t.match(JSON.parse(await eventually(first, 'busybox wget -q -O- http://127.0.0.1:8080/')), { service: 'myapi' });
    const unreachable = await first.exec('busybox wget -q -O- http://127.0.0.1:8080/db');
    t.match(unreachable.stderr, '503');
    await first.run('docker stop -t 5 api');
    t.equal(await first.run(['docker', 'inspect', '-f', '{{.State.ExitCode}}', 'api']), '0\n');
  });

  t.test('registry › one with users refuses strangers', async (t) => {
    const locked = await startRegistry(lab, { port: 5001, users: { alice: 'secret' } });
    await pushImage(first, locked, 'myapi:latest');
    const name = `${locked.address}/library/myapi:latest`;
    t.match(await first.exec(['docker', 'pull', name]), { code: 1, stderr: /no basic auth credentials/ });
    await first.run(['docker', 'login', '-u', 'alice', '--password-stdin', locked.address], {
      input: 'secret',
      env: { HOME: first.path('/var/lib/swarmd') },
    });
    t.match(await first.exec(['docker', 'pull', name], { env: { HOME: first.path('/var/lib/swarmd') } }), { code: 0 });
    await locked.stop();
    t.not((await first.exec(['docker', 'pull', name])).code, 0);
  });
}
