import { linkSync, renameSync, statSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { join } from 'node:path';
import { CLUSTER_KEY, SwarmdError } from '@swarmd/model';
import { pino } from 'pino';
import t from 'tap';
import { createApi } from '../src/index.js';
import { socketFolder, startTestApi } from './support/test-api.js';

const WEB = { Name: 'web', TaskTemplate: { ContainerSpec: { Image: 'nginx' } } };

t.test('api › a ping says which version to speak and what this node is', async (t) => {
  const world = await startTestApi(t);
  for (const method of ['GET', 'HEAD']) {
    const { status, headers } = await world.request(method, '/_ping');
    t.equal(status, 200);
    t.match(headers, { 'api-version': '1.47', ostype: 'linux', swarm: 'active/manager' });
  }
  world.info.LocalNodeState = 'inactive';
  t.equal((await world.request('HEAD', '/_ping')).headers['swarm'], 'inactive');
});

const VERSIONS: [string, number, RegExp][] = [
  ['/v1.48/nodes', 400, /client version 1\.48 is too new\. Maximum supported API version is 1\.47/],
  ['/v1.23/nodes', 400, /client version 1\.23 is too old\. Minimum supported API version is 1\.24/],
  ['/v1.47/nodes', 200, /^\[\]$/],
  ['/nodes', 200, /^\[\]$/],
];

for (const [url, status, body] of VERSIONS) {
  t.test(`api › ${url} is answered with ${status}`, async (t) => {
    const world = await startTestApi(t);
    const answer = await world.request('GET', url);
    t.equal(answer.status, status);
    t.match(answer.raw.toString(), body);
    t.equal(answer.headers['content-type'], 'application/json', 'the only type under which the CLI reads an error');
  });
}

const NOT_MANAGER: [string, 'inactive' | 'active' | 'pending' | 'locked', boolean, RegExp][] = [
  ['outside a cluster', 'inactive', false, /Use "docker swarm init" or "docker swarm join" to connect this node/],
  ['on a worker', 'active', false, /Worker nodes can't be used to view or modify cluster state/],
  ['on a manager that does not serve yet', 'pending', false, /Manager is being prepared or has trouble connecting/],
  ['on a standby', 'pending', false, /it keeps a copy of the state and has no vote/],
  ['on a locked manager', 'locked', true, /Swarm is encrypted and needs to be unlocked/],
];

for (const [where, state, manager, words] of NOT_MANAGER) {
  t.test(`api › ${where} the cluster’s part says why it is not served`, async (t) => {
    const world = await startTestApi(t);
    world.serving.on = false;
    world.info.LocalNodeState = state;
    world.info.ControlAvailable = manager;
    if (where === 'on a standby')
      Object.assign(world.info, { Standby: true, Error: 'it keeps a copy of the state and has no vote' });
    for (const path of ['/services', '/nodes', '/tasks', '/secrets', '/configs', '/swarm', '/swarmd/services/x/why']) {
      const answer = await world.request('GET', path);
      t.equal(answer.status, 503);
      t.match((answer.body as { message: string }).message, words);
    }
  });
}

t.test('api › filters are understood in both of Docker’s forms, and nothing else is', async (t) => {
  const world = await startTestApi(t);
  await world.request('POST', '/services/create', { body: WEB });
  const found = async (filters: string) =>
    (await world.request('GET', `/services?filters=${encodeURIComponent(filters)}`)).raw.toString().includes('"web"');
  t.ok(await found('{"name":["we"]}'));
  t.ok(await found('{"name":{"we":true}}'));
  t.notOk(await found('{"name":{"other":true}}'));
  for (const filters of ['nonsense', '[]', '{"name":"web"}', '{"unknown":["x"]}']) {
    const answer = await world.request('GET', `/services?filters=${encodeURIComponent(filters)}`);
    t.equal(answer.status, 400, filters);
    t.match((answer.body as { message: string }).message, /^invalid filter/);
  }
});

t.test('api › bodies that are no JSON and versions that are no numbers are refused', async (t) => {
  const world = await startTestApi(t);
  const broken = await world.request('POST', '/services/create', { body: '{"Name":' });
  t.equal(broken.status, 400);
  t.match((broken.body as { message: string }).message, /invalid JSON in the request body/);
  for (const url of ['/services/x/update', '/nodes/x/update?version=a', '/swarm/update?version=-1']) {
    const answer = await world.request('POST', url, { body: {} });
    t.same([answer.status, /version/.test(answer.raw.toString())], [400, true]);
  }
});

t.test('api › a spec that no agent could be sent is refused', async (t) => {
  const world = await startTestApi(t);
  const Env = [`LARGE=${'x'.repeat(2 << 20)}`];
  const large = { ...WEB, TaskTemplate: { ContainerSpec: { Image: 'nginx', Env } } };
  const answer = await world.request('POST', '/services/create', { body: large });
  t.equal(answer.status, 413);
});

t.test('api › empty registry credentials are none', async (t) => {
  const world = await startTestApi(t);
  const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  for (const [name, auth, kept] of [
    ['none', encode({}), false],
    ['some', encode({ username: 'u' }), true],
  ] as const) {
    await world.request('POST', '/services/create', {
      body: { ...WEB, Name: name },
      headers: { 'x-registry-auth': auth },
    });
    const [service] = [...world.store.view.find('service', 'name', name)];
    t.equal(service?.RegistryAuth, kept ? auth : undefined);
  }
});

t.test('api › joining and leaving follow the state of this node', async (t) => {
  const world = await startTestApi(t);
  const again = await world.request('POST', '/swarm/init', { body: {} });
  t.same([again.status, /already part of a swarm/.test(again.raw.toString())], [503, true]);
  world.info.LocalNodeState = 'inactive';
  const left = await world.request('POST', '/swarm/leave');
  t.same([left.status, left.body], [503, { message: 'This node is not part of a swarm' }]);
  const init = await world.request('POST', '/swarm/init', { body: {} });
  t.same([init.status, init.body], [200, world.info.NodeID]);
  t.equal((await world.request('POST', '/swarm/join', { body: { RemoteAddrs: [] } })).status, 200);
});

t.test('api › the unlock key is the cluster’s, and unlocking is for a node that is locked', async (t) => {
  const world = await startTestApi(t);
  await world.store.update((tx) => {
    tx.create('cluster', {
      ...{ ID: CLUSTER_KEY, ClusterID: 'c1', Spec: {}, RootCA: { Certificate: '', Key: '' }, RemovedNodes: {} },
      ...{ JoinTokens: { Worker: '', Manager: '' }, DefaultAddrPool: [], SubnetSize: 24, DataPathPort: 4789 },
    });
  });
  const unlock = (body: unknown) => world.request('POST', '/swarm/unlock', { body });
  t.same((await world.request('GET', '/swarm/unlockkey')).body, { UnlockKey: '' });
  const active = await unlock({ UnlockKey: 'x' });
  t.same([active.status, active.body], [409, { message: 'swarm is not locked' }]);
  const update = (query: string, on: boolean) => {
    const version = [...world.store.view.all('cluster')][0]!.Version.Index;
    const body = { EncryptionConfig: { AutoLockManagers: on } };
    return world.request('POST', `/swarm/update?version=${version}${query}`, { body });
  };
  const key = async () => ((await world.request('GET', '/swarm/unlockkey')).body as { UnlockKey: string }).UnlockKey;
  t.equal((await update('&rotateManagerUnlockKey=true', false)).status, 200);
  t.equal(await key(), '', 'there is nothing to rotate');
  await update('', true);
  const first = await key();
  t.match(first, /^SWMKEY-1-[A-Za-z0-9+/]{43}$/);
  await update('', true);
  t.equal(await key(), first, 'it stays');
  await update('&rotateManagerUnlockKey=true', true);
  t.not(await key(), first);
  t.notMatch((await world.request('GET', '/swarm')).raw.toString(), /SWMKEY/);
  await update('', false);
  t.equal(await key(), '');

  world.serving.on = false;
  world.info.LocalNodeState = 'locked';
  t.equal((await unlock({ UnlockKey: first })).status, 200);
  t.same([(await unlock({})).status, (await unlock({ UnlockKey: 5 })).status], [200, 200]);
  t.same(world.unlocked, [first, '', ''], 'the daemon says what is no key');
  world.info.LocalNodeState = 'inactive';
  const none = await unlock({ UnlockKey: first });
  t.match([none.status, none.raw.toString()], [503, /This node is not a swarm manager/]);
});

t.test('api › logs are framed with details in front, raw for a terminal', async (t) => {
  const world = await startTestApi(t);
  await world.request('POST', '/services/create', { body: WEB });
  const tty = { Name: 'tty', TaskTemplate: { ContainerSpec: { Image: 'x', TTY: true } } };
  await world.request('POST', '/services/create', { body: tty });
  const data = Buffer.from('tick\n');
  const timestamp = '2026-11-22T23:24:35.564101113Z';
  world.lines.push({
    taskId: 't1',
    serviceId: 's1',
    nodeId: 'n1',
    stream: 2,
    timestamp,
    data,
    attributes: { a: 'b c' },
  });
  const neither = await world.request('GET', '/services/web/logs');
  t.same([neither.status, /you must choose at least one stream/.test(neither.raw.toString())], [400, true]);
  const framed = await world.request('GET', '/services/web/logs?stdout=1&stderr=1&details=1&timestamps=1');
  const details = 'a=b%20c,com.docker.swarm.node.id=n1,com.docker.swarm.service.id=s1,com.docker.swarm.task.id=t1';
  const line = `${timestamp} ${details} tick\n`;
  t.same([...framed.raw.subarray(0, 8)], [2, 0, 0, 0, 0, 0, 0, line.length]);
  t.equal(framed.raw.subarray(8).toString(), line);
  const raw = await world.request('GET', '/services/tty/logs?stdout=1');
  t.equal(raw.raw.toString(), 'tick\n');
  t.equal(raw.headers['content-type'], 'application/vnd.docker.raw-stream');
  t.equal((await world.request('GET', '/services/nope/logs?stdout=1')).status, 404);
});

t.test('api › what is missing from logs is told at their end, where it stops no reader', async (t) => {
  const world = await startTestApi(t);
  await world.request('POST', '/services/create', { body: WEB });
  const of = { taskId: 't', serviceId: 's', nodeId: 'n', timestamp: '' };
  world.lines.push({ ...of, stream: 0, data: Buffer.from('node n disconnected unexpectedly') });
  world.lines.push({ ...of, stream: 1, data: Buffer.from('tick\n') });
  const { raw } = await world.request('GET', '/services/web/logs?stdout=1');
  t.equal(raw.subarray(8, 13).toString(), 'tick\n');
  t.equal(raw[13], 3, 'a message of the system');
  t.match(raw.subarray(21).toString(), /^Error grabbing logs: .*: node n disconnected unexpectedly\n$/);
});

t.test('api › a list too long for one piece is the same list', async (t) => {
  const world = await startTestApi(t);
  await world.store.update((tx) => {
    for (let at = 0; at < 1234; at++) tx.create('config', { ID: `c${at}`, Spec: { Name: `c${at}`, Labels: {} } });
  });
  const answer = await world.request('GET', '/configs');
  t.equal(answer.headers['content-type'], 'application/json');
  t.same(answer.body, await world.control.listConfigs({}));
});

t.test('api › the socket is for root and a group; a stale one is replaced, a living one is not', async (t) => {
  const world = await startTestApi(t);
  t.equal(statSync(world.socket).mode & 0o777, 0o660);
  const other = createApi({
    membership: { info: () => world.info, control: () => undefined } as never,
    engineSocket: '/nonexistent',
    logger: pino({ level: 'silent' }),
  });
  const code = async (path: string): Promise<string> => {
    const thrown: unknown = await other.listen(path).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    return thrown instanceof SwarmdError ? thrown.code : String(thrown);
  };
  t.equal(await code(world.socket), 'failed-precondition');
  t.equal(await code(join(socketFolder(t), 'x'.repeat(120))), 'invalid-argument');
  const stale = join(socketFolder(t), 'stale.sock');
  await leaveStaleSocket(stale);
  t.ok(statSync(stale).isSocket());
  t.equal(await code(stale), 'undefined');
  await other.close();
});

t.test('api › closing answers whoever has asked, ends streams in order, and lets nobody else in', async (t) => {
  const world = await startTestApi(t);
  const asked = withResolvers<void>();
  const decided = withResolvers<{ ID: string }>();
  world.control.createConfig = () => {
    asked.resolve();
    return decided.promise;
  };
  const events = world.request('GET', '/events?filters={"type":["config"]}');
  const slow = world.request('POST', '/configs/create', { body: { Name: 'c', Data: '' } });
  await asked.promise;
  const keeping = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const kept = (): Promise<number> =>
    new Promise((resolve, reject) => {
      const outgoing = http.get({ socketPath: world.socket, path: '/nodes', agent: keeping }, (response) => {
        response.on('end', () => resolve(response.statusCode ?? 0)).resume();
      });
      outgoing.on('error', reject);
    });
  t.equal(await kept(), 200);
  // These are in the kernel's queue when closing begins.
  const queued = Array.from({ length: 20 }, () => world.request('GET', '/nodes'));
  const closed = world.api.close();
  t.equal(await kept(), 200, 'on a connection that was kept');
  for (const { status } of await Promise.all(queued)) t.equal(status, 200);
  t.equal((await events).status, 200, 'the stream came to its end');
  await t.rejects(world.request('GET', '/nodes'), { code: 'ENOENT' });
  decided.resolve({ ID: 'made' });
  const answer = await slow;
  t.same([answer.status, answer.body], [201, { ID: 'made' }]);
  await closed;
});

/** A socket file that nobody answers on any more. */
async function leaveStaleSocket(path: string): Promise<void> {
  const first = net.createServer().listen(path);
  await new Promise((resolve) => first.once('listening', resolve));
  linkSync(path, `${path}.kept`);
  await new Promise((resolve) => first.close(resolve));
  renameSync(`${path}.kept`, path);
}

function withResolvers<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
