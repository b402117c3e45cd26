import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import t, { type Test } from 'tap';
import { type FakeEngine, startFakeEngine } from './support/fake-engine.js';
import { socketFolder, startTestApi, type TestApi } from './support/test-api.js';

async function withEngine(t: Test): Promise<{ engine: FakeEngine; world: TestApi }> {
  const engine = await startFakeEngine(t, socketFolder(t));
  return { engine, world: await startTestApi(t, engine.socket) };
}

const VERSIONS: [string, { min: string; max: string }, string, string][] = [
  ['an old engine is asked at its newest version', { min: '1.12', max: '1.41' }, '/v1.47/info2', '/v1.41/info2'],
  ['a new engine is asked at its oldest version', { min: '1.44', max: '1.52' }, '/v1.41/x?a=b', '/v1.44/x?a=b'],
  ['a version that both know stays', { min: '1.24', max: '1.50' }, '/v1.45/x', '/v1.45/x'],
  ['without a version none is added', { min: '1.44', max: '1.52' }, '/containers/json', '/containers/json'],
];

for (const [what, versions, url, expected] of VERSIONS) {
  t.test(`passthrough › ${what}`, async (t) => {
    const { engine, world } = await withEngine(t);
    engine.versions = versions;
    engine.onRequest = (_request, response) => response.setHeader('Api-Version', '1.1').end('from the engine');
    const answer = await world.request('GET', url);
    t.same(engine.seen, [`GET ${expected}`]);
    t.same([answer.status, answer.body, answer.headers['api-version']], [200, 'from the engine', '1.47']);
  });
}

t.test('passthrough › bodies and answers stream, and headers come before the first byte of a body', async (t) => {
  const { engine, world } = await withEngine(t);
  const received = new Promise<string>((resolve) => {
    engine.onRequest = (request, response) => {
      response.writeHead(200, { 'content-type': 'application/x-tar', 'x-docker-container-path-stat': 'abc' });
      response.flushHeaders();
      request.once('data', (chunk: Buffer) => resolve(chunk.toString()));
      request.on('end', () => response.end('done'));
    };
  });
  const outgoing = http.request({ socketPath: world.socket, method: 'POST', path: '/v1.47/build', agent: false });
  outgoing.flushHeaders();
  const [response] = (await once(outgoing, 'response')) as [http.IncomingMessage];
  t.equal(response.headers['x-docker-container-path-stat'], 'abc', 'the head is here though nothing was sent yet');
  outgoing.write('first');
  t.equal(await received, 'first', 'the engine has the first chunk while the request goes on');
  outgoing.end();
  let body = '';
  for await (const chunk of response) body += String(chunk);
  t.equal(body, 'done');
});

t.test('passthrough › a client that goes away ends its request to the engine', async (t) => {
  const { engine, world } = await withEngine(t);
  const gone = new Promise<void>((resolve) => {
    engine.onRequest = (_request, response) => {
      response.writeHead(200);
      response.write('line');
      response.on('close', () => resolve());
    };
  });
  const outgoing = http.get({ socketPath: world.socket, path: '/containers/x/logs?follow=1', agent: false });
  outgoing.on('error', () => {});
  await once(outgoing, 'response');
  outgoing.destroy();
  await gone;
  t.pass('the engine saw the end');
});

t.test('passthrough › an engine that refuses early and closes is still understood', async (t) => {
  const { engine, world } = await withEngine(t);
  engine.onRequest = (_request, response) => {
    response.writeHead(404, { 'content-type': 'application/json', connection: 'close' });
    response.end('{"message":"no such container"}');
  };
  const answer = await world.request('PUT', '/containers/x/archive?path=/', { body: 'x'.repeat(4 * 1024 * 1024) });
  t.same([answer.status, answer.body], [404, { message: 'no such container' }]);
});

t.test('passthrough › an upgraded connection carries bytes both ways, and each side ends on its own', async (t) => {
  const { engine, world } = await withEngine(t);
  engine.onUpgrade = (_request, socket, head) => {
    let input = head.toString();
    socket.write('HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nApi-Version: 1.41\r\n\r\nready;');
    socket.on('data', (chunk: Buffer) => {
      input += chunk.toString();
    });
    socket.on('end', () => socket.end(`got ${input}`));
  };
  const client = net.connect({ path: world.socket, allowHalfOpen: true });
  const body = '{"Detach":false}';
  client.write(
    `POST /v1.47/exec/abc/start HTTP/1.1\r\nHost: d\r\nUpgrade: tcp\r\nConnection: Upgrade\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
  let received = '';
  client.on('data', (chunk: Buffer) => {
    received += chunk.toString();
    if (received.endsWith('ready;')) client.end('stdin');
  });
  await once(client, 'close');
  t.match(received, /^HTTP\/1\.1 101 UPGRADED\r\n/);
  t.match(received, 'Api-Version: 1.47');
  t.ok(received.endsWith(`\r\n\r\nready;got ${body}stdin`), 'the answer came after our side had ended');
  t.same(engine.seen, ['POST /v1.41/exec/abc/start']);
});

t.test('passthrough › a refused upgrade is an ordinary answer after which the connection closes', async (t) => {
  const { engine, world } = await withEngine(t);
  engine.onUpgrade = (_request, socket) => {
    socket.write(
      'HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{"message":"n"}',
    );
  };
  const upgrade = { Upgrade: 'tcp', Connection: 'Upgrade' };
  const answer = await world.request('POST', '/exec/abc/start', { headers: upgrade });
  t.same([answer.status, answer.body, answer.headers.connection], [404, { message: 'n' }, 'close']);
  const tooNew = await world.request('POST', '/v1.99/exec/abc/start', { headers: upgrade });
  t.equal(tooNew.status, 400);
});

t.test('passthrough › without an engine only what is its own fails, and a new engine is learned', async (t) => {
  const { engine, world } = await withEngine(t);
  engine.onRequest = (_request, response) => response.end('ok');
  t.equal((await world.request('GET', '/v1.47/a')).status, 200);
  await engine.stop();
  const answer = await world.request('GET', '/v1.47/containers/json');
  t.equal(answer.status, 503);
  t.match((answer.body as { message: string }).message, /the Docker engine at .* does not answer/);
  const upgrade = await world.request('POST', '/exec/a/start', { headers: { Upgrade: 'tcp', Connection: 'Upgrade' } });
  t.equal(upgrade.status, 503);
  t.equal((await world.request('GET', '/v1.47/nodes')).status, 200);
  t.same((await world.request('GET', '/v1.47/networks')).body, []);
  t.match((await world.request('GET', '/info')).body, { Swarm: { LocalNodeState: 'active' } });
  t.equal((await world.request('HEAD', '/_ping')).status, 200);
  engine.versions = { min: '1.44', max: '1.52' };
  await engine.start();
  t.equal((await world.request('GET', '/v1.41/b')).status, 200);
  t.same(engine.seen, ['GET /v1.41/a', 'GET /v1.44/b']);
});

t.test('passthrough › networks are the cluster’s and the engine’s in one list', async (t) => {
  const { engine, world } = await withEngine(t);
  engine.onRequest = (request, response) => {
    response.setHeader('content-type', 'application/json');
    if (request.url?.startsWith('/v1.41/networks?')) response.end('[{"Id":"l","Name":"bridge","Scope":"local"}]');
    else if (request.method === 'POST') request.pipe(response.writeHead(201, { 'content-type': 'application/json' }));
    else response.end(`{"Id":"local ${request.url}"}`);
  };
  const overlay = { Name: 'n', Driver: 'overlay', CheckDuplicate: true };
  const created = await world.request('POST', '/v1.41/networks/create', { body: overlay });
  const id = (created.body as { Id: string }).Id;
  const names = async (query: string) =>
    ((await world.request('GET', `/v1.41/networks${query}`)).body as { Name: string }[]).map((n) => n.Name);
  t.same(await names(''), ['n', 'bridge']);
  t.same(await names('?filters={"scope":["swarm"]}'), ['n']);
  t.same(await names('?filters={"scope":{"local":true}}'), ['bridge']);
  const one = await world.request('GET', '/v1.41/networks/n');
  t.match(one.body, { Id: id, Scope: 'swarm', Driver: 'overlay' });
  t.notOk('ID' in (one.body as object));
  t.same((await world.request('GET', '/v1.41/networks/n?scope=local')).body, {
    Id: 'local /v1.41/networks/n?scope=local',
  });
  t.same((await world.request('GET', '/v1.41/networks/host')).body, { Id: 'local /v1.41/networks/host' });
  t.match((await world.request('GET', '/v1.41/networks/host?scope=swarm')).body, { Name: 'host', Scope: 'swarm' });
  const local = { Name: 'b', Driver: 'bridge' };
  const passed = await world.request('POST', '/v1.41/networks/create', { body: local });
  t.same(passed.body, local, 'a network of this host is created by the engine');
  t.equal((await world.request('DELETE', '/v1.41/networks/n')).status, 204);
  t.same(await names(''), ['bridge']);
});

t.test('passthrough › the bridge that stands for a cluster’s network is not shown beside it', async (t) => {
  const { engine, world } = await withEngine(t);
  const { ID } = await world.control.createNetwork({ Name: 'n', Driver: 'overlay' });
  const stand = { Id: 'bridge1', Name: 'n', Scope: 'local', Labels: { 'com.swarmd.network.id': ID } };
  engine.onRequest = (request, response) => {
    response.setHeader('content-type', 'application/json');
    const inspected = { ...stand, Containers: { c1: { Name: 'web.1' } } };
    response.end(JSON.stringify(request.url?.includes('/bridge1') ? inspected : [stand]));
  };
  const list = (await world.request('GET', '/v1.41/networks')).body as { Id: string }[];
  t.same(
    list.map((network) => network.Id),
    [ID],
  );
  const one = await world.request('GET', '/v1.41/networks/n');
  t.match(one.body, { Id: ID, Scope: 'swarm', Containers: { c1: { Name: 'web.1' } } });
});

t.test('passthrough › events of the engine and of the cluster come in one stream', async (t) => {
  const { engine, world } = await withEngine(t);
  engine.onRequest = (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.write('{"Type":"container","Action":"start"}\n{"Type":"contai');
    setImmediate(() => response.write('ner","Action":"die"}\n'));
  };
  const outgoing = http.get({ socketPath: world.socket, path: '/v1.47/events', agent: false });
  const [response] = (await once(outgoing, 'response')) as [http.IncomingMessage];
  const seen: string[] = [];
  const lines = (async () => {
    for await (const chunk of response.setEncoding('utf8')) {
      for (const line of String(chunk).trim().split('\n')) {
        const { Type, Action } = JSON.parse(line) as { Type: string; Action: string };
        seen.push(`${Type} ${Action}`);
      }
      if (seen.length === 3) return;
    }
  })();
  await world.control.createService({ Name: 'web', TaskTemplate: { ContainerSpec: { Image: 'x' } } }, {});
  await lines;
  t.same([...seen].sort(), ['container die', 'container start', 'service create']);
  const onlySwarm = http.get({
    socketPath: world.socket,
    path: '/v1.47/events?filters={"type":["service"]}',
    agent: false,
  });
  await once(onlySwarm, 'response');
  t.same(engine.seen, ['GET /v1.41/events'], 'the engine is not asked for what only the cluster knows');
  onlySwarm.destroy();
});

t.test('passthrough › events up to a moment that has passed are all that the engine remembers', async (t) => {
  const { engine, world } = await withEngine(t);
  engine.onRequest = (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    setImmediate(() => response.end('{"Type":"container","Action":"die"}\n'));
  };
  const answer = await world.request('GET', '/events?since=1&until=2');
  t.same(answer.body, { Type: 'container', Action: 'die' });
});
