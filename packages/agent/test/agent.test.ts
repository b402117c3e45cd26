import { type EngineVersion, whyNoHosts } from '@swarmd/testkit';
import { NetworkEndpoint_Phase } from '@swarmd/wire';
import t from 'tap';
import { CLUSTER_LABEL, NETWORK_LABEL } from '../src/labels.js';
import {
  busybox,
  configChange,
  networkChange,
  overlayChange,
  secretChange,
  specChange,
  taskChange,
} from './support/manager.js';
import { createTestEngine, logsOf, TestNode } from './support/node.js';

const why = whyNoHosts();
if (why) {
  t.pass(`skipped: ${why}`, { skip: why });
} else {
  t.setTimeout(300_000);
  const engineVersion = process.env['SWARMD_TEST_ENGINE'] as EngineVersion | undefined;
  const engine = await createTestEngine('agent', engineVersion ? { engineVersion } : {});
  t.teardown(() => engine.lab.destroy());
  const sleep = 'trap "exit 0" TERM; while true; do sleep 1000 & wait; done';

  t.test('agent › runs, stops and removes an assigned task', async (t) => {
    const node = await TestNode.start(engine);
    node.complete(specChange(busybox(sleep)), taskChange('t1', 'running'));
    await node.manager.state('t1', 'running');
    t.match(await engine.containers(), [{ Names: ['/web.1.t1'], State: 'running', Image: 'busybox:latest' }]);
    t.ok(node.manager.statuses.get('t1')?.ContainerStatus?.PID);
    node.change(taskChange('t1', 'shutdown'));
    await node.manager.state('t1', 'shutdown');
    t.match(await engine.containers(), [{ State: 'exited' }]);
    node.change(taskChange('t1', 'remove', { remove: true }));
    await node.end();
    t.strictSame(await engine.containers(), []);
    const states = node.manager.history.map(([, state]) => state);
    t.notOk(states.includes('accepted'), 'steps in a row are one report');
  });

  t.test('agent › prepares a task that is to be ready and starts it when told', async (t) => {
    const node = await TestNode.start(engine);
    node.complete(specChange(busybox(sleep)), taskChange('t1', 'ready'));
    await node.manager.state('t1', 'ready');
    t.match(await engine.containers(), [{ State: 'created' }]);
    node.change(taskChange('t1', 'running'));
    await node.manager.state('t1', 'running');
    await node.end();
  });

  t.test('agent › tells how tasks end', async (t) => {
    const node = await TestNode.start(engine);
    node.complete(
      specChange(busybox('exit 0'), 'ok'),
      taskChange('ok', 'running', { serviceId: 'ok' }),
      specChange(busybox('exit 3'), 'fails'),
      taskChange('fails', 'running', { serviceId: 'fails' }),
      specChange(busybox('', { Init: false, Command: ['/nosuch'] }), 'nosuch'),
      taskChange('nosuch', 'running', { serviceId: 'nosuch' }),
      specChange(busybox('', { Image: 'nosuch:1' }), 'noimage'),
      taskChange('noimage', 'running', { serviceId: 'noimage' }),
      specChange(busybox('', { Mounts: [{ Type: 'bind', Source: '/nosuch', Target: '/x' }] }), 'nobind'),
      taskChange('nobind', 'running', { serviceId: 'nobind' }),
      specChange(
        busybox(
          '',
          { Init: false, Command: ['tail', '/dev/zero'] },
          { Resources: { Limits: { MemoryBytes: 8 << 20 } } },
        ),
        'oom',
      ),
      taskChange('oom', 'running', { serviceId: 'oom' }),
    );
    await node.manager.state('ok', 'complete');
    for (const [id, state, err] of [
      ['fails', 'failed', 'task: non-zero exit (3)'],
      ['nosuch', 'failed', /^starting container failed: .*nosuch/],
      ['noimage', 'rejected', /^No such image: nosuch:1 \(.+\)/],
      ['nobind', 'rejected', /bind source path does not exist: \/nosuch/],
      ['oom', 'failed', /^task: non-zero exit \(\d+\): out of memory/],
    ] as const) {
      await node.manager.state(id, state);
      t.match(node.manager.statuses.get(id)?.Err, err);
    }
    t.equal(node.manager.statuses.get('fails')?.ContainerStatus?.ExitCode, 3);
    await node.end();
  });

  t.test('agent › a health check decides when a task runs and when it fails', async (t) => {
    const node = await TestNode.start(engine);
    const check = (test: string) => ({
      Healthcheck: { Test: ['CMD-SHELL', test], Interval: 1e8, Timeout: 1e9, Retries: 1 },
    });
    node.complete(
      specChange(busybox(sleep, check('test -e /healthy')), 'late'),
      taskChange('late', 'running', { serviceId: 'late' }),
      specChange(busybox(sleep, check('false')), 'sick'),
      taskChange('sick', 'running', { serviceId: 'sick' }),
      specChange(busybox(`touch /healthy; ${sleep}`, check('test -e /healthy')), 'turns'),
      taskChange('turns', 'running', { serviceId: 'turns' }),
    );
    await node.manager.state('sick', 'failed');
    t.match(node.manager.statuses.get('sick')?.Err, /dockerexec: unhealthy container/);
    await node.manager.state('turns', 'running');
    await engine.exec('web.1.turns', 'rm /healthy');
    await node.manager.state('turns', 'failed');
    await node.end();
  });

  t.test('agent › containers get templates, secrets and configs, the latter in memory only', async (t) => {
    const node = await TestNode.start(engine);
    const spec = busybox(sleep, {
      Hostname: '{{.Node.Hostname}}-{{.Task.Slot}}',
      Env: ['WHO={{.Service.Name}}'],
      Secrets: [
        { SecretID: 'pw', SecretName: 'pw', File: { Name: 'password', UID: '1000', GID: '50', Mode: 0o440 } },
        { SecretID: 'pw', SecretName: 'pw', File: { Name: '/etc/deep/er/pw' } },
      ],
      Configs: [{ ConfigID: 'conf', ConfigName: 'conf', File: { Name: 'app.conf', Mode: 0o444 } }],
      ReadOnly: true,
    });
    node.complete(specChange(spec), configChange('conf', 'hello {{.Task.ID}}', 'golang'), taskChange('t1', 'running'));
    await node.manager.until(
      () => node.manager.statuses.get('t1')?.Message === 'waiting for secret pw',
      'the task to say what it waits for',
    );
    node.change(secretChange('pw', 'hunter2'));
    await node.manager.state('t1', 'running');
    const container = 'web.1.t1';
    t.equal(await engine.exec(container, 'hostname; echo $WHO'), 'h1-1\nweb');
    t.equal(await engine.exec(container, 'cat /run/secrets/password /etc/deep/er/pw'), 'hunter2hunter2');
    t.equal(await engine.exec(container, 'stat -c "%u %g %a" /run/secrets/password'), '1000 50 440');
    t.equal(await engine.exec(container, 'cat /app.conf'), 'hello t1');
    t.match(await engine.exec(container, '(echo x >/run/secrets/password) 2>&1 || true'), /[Rr]ead-only/);
    t.match(await engine.exec(container, 'grep " /run/secrets/password " /proc/mounts'), /tmpfs/);
    const journal = await engine.host.run(['sh', '-c', `grep -c hunter2 ${node.options.stateDir}/agent.log || true`]);
    t.equal(journal.trim(), '0');
    node.change(taskChange('t1', 'shutdown'));
    await node.manager.state('t1', 'shutdown');
    // They are taken away as the status goes out.
    const left = async () => (await engine.host.run(`ls ${node.options.runDir}/tasks | wc -l`)).trim();
    while ((await left()) !== '0');
    await node.end();
  });

  t.test('agent › adopts its containers after a restart and reports what happened meanwhile', async (t) => {
    const node = await TestNode.start(engine);
    node.complete(specChange(busybox(sleep)), ...['a', 'b', 'c'].map((id) => taskChange(id, 'running')));
    for (const id of ['a', 'b', 'c']) await node.manager.state(id, 'running');
    const before = await engine.containers();
    await node.restart(async () => {
      await engine.docker.getContainer('web.1.b').kill();
      await engine.docker.getContainer('web.1.c').remove({ force: true });
    });
    await node.manager.state('a', 'running');
    await node.manager.state('b', 'failed');
    await node.manager.state('c', 'failed');
    t.match(node.manager.statuses.get('c')?.Err, /removed/);
    t.equal(node.manager.registers.length, 2);
    t.not(node.manager.registers[0]?.bootNonce, node.manager.registers[1]?.bootNonce);
    t.equal(node.manager.registers[1]?.seenIndex, 1);
    const after = await engine.containers();
    t.equal(after.find((c) => c.Names[0] === '/web.1.a')?.Id, before.find((c) => c.Names[0] === '/web.1.a')?.Id);
    await node.end();
  });

  t.test('agent › with a damaged memory adopts by label what it is assigned and removes the rest', async (t) => {
    const node = await TestNode.start(engine);
    node.complete(specChange(busybox(sleep)), taskChange('a', 'running'), taskChange('b', 'running'));
    await node.manager.state('a', 'running');
    await node.manager.state('b', 'running');
    const [before] = (await engine.containers()).filter((c) => c.Names[0] === '/web.1.a');
    await engine.docker.createContainer({ name: 'stranger', Image: 'busybox', Cmd: ['true'] });
    await node.restart(() => engine.host.run(['sed', '-i', '2s/./x/', `${node.options.stateDir}/agent.log`]));
    t.equal((await engine.containers()).length, 2, 'nothing goes before a manager has said what is to be');
    node.complete(specChange(busybox(sleep)), taskChange('a', 'running'));
    await node.manager.state('a', 'running');
    await engine.host.run('while docker inspect web.1.b >/dev/null 2>&1; do sleep 0.05; done');
    t.match(await engine.containers(), [{ Id: before?.Id, State: 'running' }]);
    await node.end();
    await engine.docker.getContainer('stranger').remove();
  });

  t.test('agent › refuses an old full set and asks for another when one is missing', async (t) => {
    const node = await TestNode.start(engine);
    node.complete(specChange(busybox(sleep)), taskChange('a', 'running'));
    await node.manager.state('a', 'running');
    node.manager.complete([], 0);
    await node.manager.until(() => node.manager.registers.length === 2, 'a new session');
    node.complete(specChange(busybox(sleep)), taskChange('a', 'running'));
    node.manager.skip();
    node.change(taskChange('a', 'shutdown'));
    await node.manager.until(() => node.manager.registers.length === 3, 'another session');
    t.match(await engine.containers(), [{ State: 'running' }]);
    await node.end();
  });

  t.test('agent › finds another manager when its own dies', async (t) => {
    const node = await TestNode.start(engine);
    node.complete(specChange(busybox(sleep)), taskChange('a', 'running'));
    await node.manager.state('a', 'running');
    const { TestManager } = await import('./support/manager.js');
    const other = await new TestManager().start();
    const managers = [{ nodeId: 'm2', addr: other.addr }];
    const update = {
      managers,
      rootCertificatePem: Buffer.alloc(0),
      node: Buffer.alloc(0),
      renewCertificate: false,
      dataPathPort: 0,
      dataPathPeers: [],
    };
    node.manager.send({ $case: 'cluster', value: update });
    node.manager.send({ $case: 'heartbeat', value: { heartbeatPeriodMs: 100 } });
    await node.manager.until(() => node.manager.heartbeats > 2, 'heartbeats');
    node.manager.kill();
    await other.until(() => other.connected, 'the agent at the other manager');
    await other.state('a', 'running');
    other.complete([specChange(busybox(sleep)), taskChange('a', 'shutdown')], ++node.index);
    await other.state('a', 'shutdown');
    await node.end();
    t.strictSame(other.goodbyes, [0]);
    other.kill();
  });

  const { PHASE_READY, PHASE_RESERVED, PHASE_DRAINING } = NetworkEndpoint_Phase;
  const on = (id: string, address: string) => ({
    Network: { ID: id, Spec: { Name: id } },
    Addresses: [`${address}/24`],
  });
  const member = (id: string, address: string, nodeAddr: string) => ({
    ...{ id, serviceId: 's1', nodeId: 'node1', nodeAddr, addresses: [address], names: [], phase: PHASE_READY },
  });
  const endpoints = (
    node: TestNode,
    networkId: string,
    members: ReturnType<typeof member>[],
    ports?: object[],
  ): void => {
    const json = ports === undefined ? '' : JSON.stringify(ports);
    const services = [{ id: 's1', name: 'web', aliases: ['w'], virtualIps: [], ports: Buffer.from(json) }];
    const none = { removedEndpoints: [], removedServices: [], blocks: [], removedBlocks: [] };
    const value = {
      ...none,
      networkId,
      complete: true,
      index: ++node.index,
      lastPart: true,
      endpoints: members,
      services,
    };
    node.manager.send({ $case: 'endpoints', value });
  };
  const dataPath = {
    managers: [],
    rootCertificatePem: Buffer.alloc(0),
    node: Buffer.alloc(0),
    renewCertificate: false,
  };
  const peers = { $case: 'cluster' as const, value: { ...dataPath, dataPathPort: 4789, dataPathPeers: [] } };

  t.test(
    'agent › puts tasks on overlays with their addresses, where they find each other by service name',
    async (t) => {
      const node = await TestNode.start(engine);
      t.match(node.manager.registers.at(-1)?.dataPath, { addr: engine.host.ip, mtu: 1500, encryption: false });
      node.manager.send(peers);
      const host = { Network: { ID: 'hostid', Spec: { Name: 'host' } }, Addresses: [] };
      node.complete(
        specChange(busybox(sleep)),
        overlayChange('front', 'front', 71),
        overlayChange('back', 'back', 72, { Internal: true }),
        networkChange('hostid', 'host'),
        taskChange('a', 'running', { networks: [on('front', '10.71.0.5'), on('back', '10.72.0.5')] }),
        taskChange('b', 'running', { networks: [on('back', '10.72.0.6')], slot: 2 }),
        taskChange('c', 'running', { networks: [host], slot: 3 }),
      );
      const { ip } = engine.host;
      endpoints(node, 'front', [member('a', '10.71.0.5', ip)]);
      endpoints(node, 'back', [member('a', '10.72.0.5', ip), member('b', '10.72.0.6', ip)]);
      for (const id of ['a', 'b']) {
        node.manager.send({ $case: 'endpointSettled', value: { taskId: id, phase: PHASE_RESERVED } });
      }
      for (const id of ['a', 'b', 'c']) await node.manager.state(id, 'running');
      await node.manager.until(() => node.manager.applied.includes(node.index), 'an acknowledgement');
      const found = await engine.exec('web.2.b', 'nslookup web 2>&1; true');
      for (const address of ['10.72.0.5', '10.72.0.6']) t.match(found, address);
      t.notMatch(found, '10.71.0.5', 'on its own networks alone');
      t.match(await engine.exec('web.2.b', 'nslookup w 2>&1; true'), '10.72.0.6');
      t.match(await engine.exec('web.2.b', 'ping -c 1 -W 2 10.72.0.5'), /1 packets received/);
      const own = await engine.exec('web.1.a', 'ip addr');
      for (const address of ['10.71.0.5', '10.72.0.5']) t.match(own, address);
      t.equal(await engine.exec('web.3.c', 'ls /sys/class/net | grep -c docker0'), '1');
      node.change(taskChange('a', 'remove', { remove: true }), overlayChange('front', 'front', 71, { remove: true }));
      await engine.host.run('while docker network inspect front >/dev/null 2>&1; do sleep 0.05; done');
      t.match(await engine.docker.getNetwork('back').inspect(), { Driver: 'swarmd' });
      await node.end();
      await t.rejects(engine.docker.getNetwork('back').inspect());
    },
  );

  t.test('agent › stops a task only when others know, and starts it only then', async (t) => {
    const node = await TestNode.start(engine);
    node.manager.send(peers);
    const networks = [on('front', '10.71.0.5')];
    const settled = (phase: typeof PHASE_RESERVED | typeof PHASE_DRAINING): void =>
      node.manager.send({ $case: 'endpointSettled', value: { taskId: 'a', phase } });
    node.complete(
      specChange(busybox(sleep)),
      overlayChange('front', 'front', 71),
      taskChange('a', 'running', { networks }),
    );
    await node.manager.state('a', 'starting');
    t.match(await engine.containers(), [{ State: 'created' }]);
    settled(PHASE_RESERVED);
    await node.manager.state('a', 'running');
    node.change(
      specChange({ ...busybox(sleep), Labels: { 'swarmd.drain': '1h' } }),
      taskChange('a', 'running', { networks }),
    );
    node.change(taskChange('a', 'shutdown', { networks }));
    settled(PHASE_DRAINING);
    // Asking twice takes the agent longer than stopping would have.
    node.change(secretChange('x', 'y'));
    await engine.exec('web.1.a', 'true');
    t.match(await engine.containers(), [{ State: 'running' }]);
    node.change(specChange(busybox(sleep)), taskChange('a', 'shutdown', { networks }));
    await node.manager.state('a', 'shutdown');
    await node.end();
  });

  t.test('agent › makes attachable networks at once, and reports the containers that are on them', async (t) => {
    const node = await TestNode.start(engine);
    node.manager.send(peers);
    await node.manager.until(() => node.manager.attachments?.length === 0, 'a first report');
    // As an earlier swarmd made it.
    const Labels = { [CLUSTER_LABEL]: 'cluster1', [NETWORK_LABEL]: 'open' };
    await engine.docker.createNetwork({ Name: 'open', Driver: 'bridge', Labels });
    node.complete(overlayChange('open', 'open', 73, { Attachable: true }));
    await engine.host.run('until docker network ls | grep -q "open *swarmd"; do sleep 0.05; done');
    await engine.host.run(
      'docker run -d --name guest --hostname box --network open --network-alias g busybox sleep 1000',
    );
    await node.manager.until(() => node.manager.attachments?.length === 1, 'a report');
    const [attachment] = node.manager.attachments ?? [];
    t.match(attachment, { NetworkID: 'open', ContainerID: /^[0-9a-f]{64}$/, Addresses: [/^10\.73\.0\./] });
    for (const name of ['guest', 'box', 'g']) t.ok(attachment?.Names.includes(name), name);
    node.change(overlayChange('open', 'open', 73, { remove: true, Attachable: true }));
    await engine.host.run('docker rm -f guest');
    await node.manager.until(() => node.manager.attachments?.length === 0, 'a report that it is gone');
    t.comment('what was in use is tried again');
    await engine.host.run('while docker network inspect open >/dev/null 2>&1; do sleep 0.05; done');
    await node.end();
  });

  t.test(
    'agent › a task comes onto its network beside those that an earlier swarmd put on a bridge of its name',
    async (t) => {
      const node = await TestNode.start(engine);
      node.manager.send(peers);
      const Labels = { [CLUSTER_LABEL]: 'cluster1', [NETWORK_LABEL]: 'front' };
      await engine.docker.createNetwork({ Name: 'front', Driver: 'bridge', Labels });
      await engine.host.run('docker run -d --name old --network front busybox sleep 1000');
      const networks = [on('front', '10.71.0.5')];
      node.complete(
        specChange(busybox(sleep)),
        overlayChange('front', 'front', 71),
        taskChange('a', 'running', { networks }),
      );
      await node.manager.state('a', 'running');
      const names = "docker network ls --filter name=front --format '{{.Name}} {{.Driver}}' | sort";
      t.equal(await engine.host.run(names), 'front bridge\nfront.front swarmd\n');
      const address = `{{(index .NetworkSettings.Networks "front.front").IPAddress}}`;
      t.equal(await engine.host.run(`docker inspect -f '${address}' web.1.a`), '10.71.0.5\n');

      t.comment('the bridge goes when nobody is on it; what runs stays on the other name');
      await engine.host.run('docker rm -f old; while docker network inspect front 2>/dev/null >&2; do sleep 0.1; done');
      node.change(taskChange('b', 'running', { networks: [on('front', '10.71.0.6')], slot: 2 }));
      await node.manager.state('b', 'running');
      t.equal(await engine.host.run(names), 'front.front swarmd\n');
      node.change(
        taskChange('a', 'remove', { remove: true }),
        taskChange('b', 'remove', { remove: true }),
        overlayChange('front', 'front', 71, { remove: true }),
      );
      await engine.host.run(`while [ -n "$(${names})" ]; do sleep 0.1; done`);

      t.comment('then the name is its own again');
      node.change(
        overlayChange('front', 'front', 71),
        taskChange('c', 'running', { networks: [on('front', '10.71.0.7')] }),
      );
      await node.manager.state('c', 'running');
      t.equal(await engine.host.run(names), 'front swarmd\n');
      await node.end();
    },
  );

  t.test('agent › publishes ports and says which numbers the engine chose', async (t) => {
    const node = await TestNode.start(engine);
    const ports = [
      { TargetPort: 80, PublishMode: 'host', Protocol: 'tcp' },
      { TargetPort: 81, PublishedPort: 8081, PublishMode: 'ingress', Protocol: 'tcp' },
    ];
    const serve = 'mkdir /w; echo hi >/w/index.html; httpd -p 80 -h /w; httpd -p 81 -h /w; sleep 1000';
    node.manager.send(peers);
    node.complete(
      specChange(busybox(serve)),
      overlayChange('in', 'ingress', 74, { Ingress: true }),
      taskChange('a', 'running', { ports, networks: [on('in', '10.74.0.5')] }),
      taskChange('b', 'running', { ports, networks: [on('in', '10.74.0.6')], slot: 2 }),
    );
    const { ip } = engine.host;
    endpoints(node, 'in', [member('a', '10.74.0.5', ip), member('b', '10.74.0.6', ip)], ports.slice(1));
    await node.manager.state('a', 'running');
    await node.manager.state('b', 'running');
    for (const id of ['a', 'b']) {
      const bound = node.manager.statuses.get(id)?.PortStatus?.Ports;
      t.match(bound, [{ TargetPort: 80, PublishMode: 'host' }]);
      t.equal(bound?.length, 1);
      t.equal(
        await engine.host.run(
          `wget -qO- http://127.0.0.1:${bound?.[0]?.PublishedPort}/ || busybox wget -qO- http://127.0.0.1:${bound?.[0]?.PublishedPort}/`,
        ),
        'hi\n',
      );
    }
    const mesh = (address: string) => `until curl -sf --max-time 2 http://${address}:8081/; do sleep 0.1; done`;
    t.equal(await engine.host.run(mesh('127.0.0.1')), 'hi\n');
    t.equal((await engine.lab.client(mesh(ip))).stdout, 'hi\n');
    await node.end();
  });

  t.test('agent › sends logs: lines, streams, times, tail and follow', async (t) => {
    const node = await TestNode.start(engine);
    const talk =
      'for i in 1 2 3; do echo out $i; done; echo err >&2; while ! test -e /go; do sleep 0.1; done; echo more';
    node.complete(
      specChange(busybox(talk), 'talks'),
      taskChange('talks', 'running', { serviceId: 'talks' }),
      specChange(busybox('echo one; echo two', { TTY: true }), 'tty'),
      taskChange('tty', 'running', { serviceId: 'tty' }),
    );
    await node.manager.state('talks', 'running');
    await node.manager.state('tty', 'complete');
    const ask = (id: string, taskIds: string[], over: object = {}) => {
      const options = {
        follow: false,
        stdout: true,
        stderr: true,
        timestamps: true,
        tail: -1,
        details: false,
        ...over,
      };
      const value = { id, taskIds, options: Buffer.from(JSON.stringify(options)) };
      node.manager.send({ $case: 'logSubscription', value });
    };
    const until = (id: string, test: (logs: ReturnType<typeof logsOf>) => boolean) =>
      node.manager.until(
        () => test(logsOf(node.manager, id)),
        `logs ${id}: ${JSON.stringify(logsOf(node.manager, id))}`,
      );
    await engine.host.run('until docker logs web.1.talks 2>&1 | grep -q err; do sleep 0.05; done');
    ask('all', ['talks']);
    await until('all', (logs) => logs.ended);
    const { lines, records } = logsOf(node.manager, 'all');
    t.strictSame(lines.sort(), ['1 out 1\n', '1 out 2\n', '1 out 3\n', '2 err\n']);
    t.match(records[0], { taskId: 'talks', serviceId: 'talks', timestamp: /^\d{4}-\d\d-\d\dT.*Z$/ });
    ask('tail', ['talks'], { tail: 1, stderr: false });
    await until('tail', (logs) => logs.ended);
    t.ok(logsOf(node.manager, 'tail').lines.length <= 1);
    ask('tty', ['tty', 'nosuch']);
    await until('tty', (logs) => logs.ended);
    t.strictSame(logsOf(node.manager, 'tty').lines, ['1 one\r\n', '1 two\r\n']);
    t.match(logsOf(node.manager, 'tty').error, /nosuch/);
    ask('follow', ['talks'], { follow: true, tail: 0 });
    await engine.exec('web.1.talks', 'touch /go');
    await until('follow', (logs) => logs.ended);
    t.ok(logsOf(node.manager, 'follow').lines.includes('1 more\n'));
    await node.end();
  });

  t.test('agent › never starts what the cluster has seen end', async (t) => {
    const node = await TestNode.start(engine);
    node.complete(specChange(busybox(sleep)), taskChange('a', 'running', { ended: true }), taskChange('b', 'running'));
    await node.manager.state('b', 'running');
    t.match(await engine.containers(), [{ Names: ['/web.1.b'] }]);
    t.equal((await engine.containers()).length, 1);
    await node.end();
  });

  t.test('agent › fails a task whose container somebody else removes', async (t) => {
    const node = await TestNode.start(engine);
    node.complete(specChange(busybox(sleep)), taskChange('a', 'running'));
    await node.manager.state('a', 'running');
    await engine.docker.getContainer('web.1.a').remove({ force: true });
    await node.manager.state('a', 'failed');
    // Removal kills first: which of the two is seen is up to the engine.
    t.match(node.manager.statuses.get('a')?.Err, /^(the container was removed|task: non-zero exit \(137\))$/);
    await node.end();
  });

  t.test('agent › survives a restart of the engine and says which tasks did not', async (t) => {
    const node = await TestNode.start(engine);
    node.complete(specChange(busybox('exec sleep 1000')), taskChange('a', 'running'), taskChange('b', 'ready'));
    await node.manager.state('a', 'running');
    await node.manager.state('b', 'ready');
    await engine.host.stopEngine();
    node.change(taskChange('c', 'running'));
    await engine.host.startEngine();
    await node.manager.state('a', 'failed');
    t.match(node.manager.statuses.get('a')?.Err, /^task: non-zero exit/);
    await node.manager.state('c', 'running');
    node.change(taskChange('b', 'running'));
    await node.manager.state('b', 'running');
    await node.end();
  });

  t.test('agent › runs many tasks at once', async (t) => {
    const node = await TestNode.start(engine);
    const ids = Array.from({ length: 12 }, (_, i) => `m${i}`);
    node.complete(specChange(busybox(sleep)), ...ids.map((id, i) => taskChange(id, 'running', { slot: i + 1 })));
    await Promise.all(ids.map((id) => node.manager.state(id, 'running')));
    node.change(...ids.map((id) => taskChange(id, 'remove')));
    await Promise.all(ids.map((id) => node.manager.state(id, 'shutdown')));
    node.change(...ids.map((id) => taskChange(id, 'remove', { remove: true })));
    await engine.host.run('while docker ps -aq | grep -q .; do sleep 0.05; done');
    t.strictSame(await engine.containers(), []);
    await node.end();
  });
}
