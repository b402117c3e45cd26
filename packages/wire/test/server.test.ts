import type { ClientDuplexStream, Metadata, ServerDuplexStream, ServerUnaryCall, sendUnaryData } from '@grpc/grpc-js';
import { makeGenericClientConstructor } from '@grpc/grpc-js';
import { SwarmdError, VERSIONS } from '@swarmd/model';
import t from 'tap';
import {
  type AccessTable,
  type Announced,
  announcedIn,
  callUnary,
  clientArguments,
  createAnonymousChannel,
  createChannel,
  createIdentityHolder,
  createServer,
  fromGrpcError,
  type Identity,
  peerOf,
  SERVER_LIMITS,
} from '../src/index.js';
import { createTestRoot, type TestRoot } from './certificates.js';

const bytes = {
  requestSerialize: (v: Buffer) => v,
  requestDeserialize: (v: Buffer) => v,
  responseSerialize: (v: Buffer) => v,
  responseDeserialize: (v: Buffer) => v,
};
const unary = (name: string) => ({ path: `/test.Test/${name}`, requestStream: false, responseStream: false, ...bytes });
const METHODS = {
  open: unary('Open'),
  node: unary('Node'),
  manager: unary('Manager'),
  forgotten: unary('Forgotten'),
  echo: { path: '/test.Test/Echo', requestStream: true, responseStream: true, ...bytes },
};
const ACCESS: AccessTable = {
  '/test.Test/Open': 'anyone',
  '/test.Test/Node': 'node',
  '/test.Test/Manager': 'manager',
  '/test.Test/Echo': 'node',
};
type Client = InstanceType<ReturnType<typeof makeGenericClientConstructor>>;
type Channel = ReturnType<typeof createChannel>;
const TestClient = makeGenericClientConstructor(METHODS, 'test.Test');
const clientOn = (channel: Channel): Client => new TestClient(...clientArguments(channel));

/** The code with which a call fails, or what it answers. */
async function call(client: Client, method: Exclude<keyof typeof METHODS, 'echo'>): Promise<string> {
  const request = { timeoutMs: 5_000 };
  try {
    return (
      await callUnary<Buffer, Buffer>(client[method]!.bind(client) as never, Buffer.alloc(0), request)
    ).toString();
  } catch (error) {
    return (error as SwarmdError).code;
  }
}

type Closing = { teardown(fn: () => unknown): unknown };

async function startServer(
  t: Closing,
  root: TestRoot,
  removed: readonly string[] = [],
  now: () => number = Date.now,
  versions: Announced = VERSIONS,
) {
  const identity = createIdentityHolder(await root.identity({ nodeId: 'm1', role: 'manager' }));
  const admit = ({ nodeId }: { nodeId: string }) =>
    removed.includes(nodeId) ? new SwarmdError('permission-denied', 'removed') : undefined;
  const server = createServer({ identity, access: ACCESS, admit, now, versions });
  const handle = (of: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>): void => {
    const peer = peerOf(of);
    callback(null, Buffer.from(peer === undefined ? 'nobody' : `${peer.role} ${peer.nodeId}`));
  };
  const echo = (stream: ServerDuplexStream<Buffer, Buffer>): void => {
    stream.on('data', (data: Buffer) => stream.write(data));
    stream.on('end', () => stream.end());
  };
  server.addService(METHODS, { open: handle, node: handle, manager: handle, forgotten: handle, echo });
  const addr = `127.0.0.1:${await server.listen('127.0.0.1:0')}`;
  t.teardown(() => server.stop(0));
  const connect = (who: Identity): Client => {
    const channel = createChannel(addr, createIdentityHolder(who));
    t.teardown(() => channel.close());
    return clientOn(channel);
  };
  const anonymous = (rootPem: string): Client => {
    const channel = createAnonymousChannel(addr, { verify: true, rootPem });
    t.teardown(() => channel.close());
    return clientOn(channel);
  };
  return { server, identity, addr, connect, anonymous };
}

const all = async (client: Client): Promise<string[]> => {
  const answers = [];
  for (const method of ['open', 'node', 'manager', 'forgotten'] as const) answers.push(await call(client, method));
  return answers;
};

t.test('server › who may call what, over TLS', async (t) => {
  const [root, other] = [await createTestRoot(), await createTestRoot()];
  const { connect, anonymous } = await startServer(t, root, ['gone']);
  const denied = 'permission-denied';
  const nobody = 'unauthenticated';
  t.same(await all(anonymous(root.rootPem)), ['nobody', nobody, nobody, nobody], 'without a certificate');
  const worker = await root.identity({ nodeId: 'w1', role: 'worker' });
  t.same(await all(connect(worker)), ['worker w1', 'worker w1', denied, denied]);
  const manager = await root.identity({ nodeId: 'm2', role: 'manager' });
  t.same(await all(connect(manager)), ['manager m2', 'manager m2', 'manager m2', denied]);
  const elsewhere = await root.identity({ nodeId: 'w1', role: 'manager', clusterId: 'another' });
  t.same(await all(connect(elsewhere)), ['manager w1', nobody, nobody, nobody], 'of another cluster');
  const foreign = { ...(await other.identity({ nodeId: 'w1', role: 'manager' })), rootPem: root.rootPem };
  t.same(await all(connect(foreign)), ['nobody', nobody, nobody, nobody], 'signed by another root');
  const gone = await root.identity({ nodeId: 'gone', role: 'worker' });
  t.same((await all(connect(gone))).slice(1), [denied, denied, denied], 'removed');
});

t.test('server › takes no more from a stranger than an agent would send', async (t) => {
  const root = await createTestRoot();
  const { anonymous } = await startServer(t, root);
  const client = anonymous(root.rootPem);
  const send = (size: number) =>
    callUnary<Buffer, Buffer>(client['open']!.bind(client) as never, Buffer.alloc(size), { timeoutMs: 5_000 });
  t.equal((await send(SERVER_LIMITS.receiveBytes)).toString(), 'nobody');
  await t.rejects(send(SERVER_LIMITS.receiveBytes + 1), { code: 'unavailable', message: /larger than max/ });
});

t.test('server › a certificate that expires on an open connection is refused', async (t) => {
  let aheadMs = 0;
  const root = await createTestRoot();
  const { connect } = await startServer(t, root, [], () => Date.now() + aheadMs);
  const client = connect(await root.identity({ nodeId: 'w1', role: 'worker' }));
  t.equal(await call(client, 'node'), 'worker w1');
  aheadMs = 2 * 3_600_000;
  t.equal(await call(client, 'node'), 'unauthenticated');
});

t.test('channel › the other end must be a manager with a certificate of the root', async (t) => {
  const [root, other] = [await createTestRoot(), await createTestRoot()];
  const { identity, anonymous, connect } = await startServer(t, root);
  t.equal(await call(anonymous(other.rootPem), 'open'), 'unavailable', 'another root');
  const mine = await root.identity({ nodeId: 'w1', role: 'worker' });
  identity.replace(await root.identity({ nodeId: 'w2', role: 'worker' }));
  t.equal(await call(connect(mine), 'node'), 'unavailable', 'a worker that serves');
});

t.test('rotation › new certificates are used for what comes, and drop nothing', async (t) => {
  const root = await createTestRoot();
  const { addr, identity } = await startServer(t, root);
  const holder = createIdentityHolder(await root.identity({ nodeId: 'w1', role: 'worker' }));
  const channel = createChannel(addr, holder);
  t.teardown(() => channel.close());
  const client = clientOn(channel);
  const stream = (client['echo'] as unknown as () => ServerDuplexStream<Buffer, Buffer>).call(client);
  const received: string[] = [];
  const echoed = (text: string): Promise<void> =>
    new Promise((resolve, reject) => {
      stream.on('data', (data: Buffer) => data.toString() === text && resolve());
      stream.on('error', (error) => reject(fromGrpcError(error)));
      stream.write(Buffer.from(text));
    });
  stream.on('data', (data: Buffer) => received.push(data.toString()));
  await echoed('before');
  t.equal(await call(client, 'manager'), 'permission-denied');

  identity.replace(await root.identity({ nodeId: 'm1', role: 'manager' }));
  holder.replace(await root.identity({ nodeId: 'w1', role: 'manager' }));
  t.equal(await call(client, 'manager'), 'manager w1', 'the new role counts at once');
  await echoed('after');
  t.same(received, ['before', 'after'], 'the stream of before goes on');
  stream.end();
});

t.test('server › an address in use is an error that names it', async (t) => {
  const root = await createTestRoot();
  const { addr, identity } = await startServer(t, root);
  const second = createServer({ identity, now: Date.now });
  t.teardown(() => second.stop(0));
  await t.rejects(second.listen(addr), { code: 'unavailable', message: new RegExp(addr) });
});

t.test(
  'server › speaks with one version older or newer, and refuses with both names whom it shares nothing with',
  async (t) => {
    const root = await createTestRoot();
    const own = { swarmd: '2.0.0', protocol: { min: 2, max: 3 } };
    const { addr } = await startServer(t, root, [], Date.now, own);
    const channel = createChannel(addr, createIdentityHolder(await root.identity({ nodeId: 'w1', role: 'worker' })));
    t.teardown(() => channel.close());
    const speaking = (swarmd: string, min: number, max: number): Client =>
      new TestClient(...clientArguments(channel, { swarmd, protocol: { min, max } }));
    t.equal(await call(speaking('1.9.0', 1, 2), 'node'), 'worker w1', 'older');
    t.equal(await call(speaking('2.1.0', 3, 4), 'node'), 'worker w1', 'newer');
    const refused = (client: Client): Promise<unknown> =>
      callUnary<Buffer, Buffer>(client['node']!.bind(client) as never, Buffer.alloc(0), { timeoutMs: 5_000 });
    await t.rejects(refused(speaking('1.0.0', 1, 1)), {
      code: 'incompatible',
      message:
        'swarmd 1.0.0 (protocol 1) and swarmd 2.0.0 (protocol 2 to 3) have no protocol in common: ' +
        'upgrade swarmd 1.0.0, through a version in between',
    });
    await t.rejects(refused(speaking('3.0.0', 4, 5)), { code: 'incompatible', message: /upgrade swarmd 2\.0\.0/ });
    const [target, credentials] = clientArguments(channel);
    const silent = new TestClient(target, credentials, { channelOverride: channel });
    await t.rejects(refused(silent), { code: 'incompatible', message: /of an unknown version \(protocol 1\)/ });
  },
);

t.test('server › tells every caller what it speaks', async (t) => {
  const root = await createTestRoot();
  const { connect } = await startServer(t, root);
  const stream = connect(await root.identity({ nodeId: 'w1', role: 'worker' }))['echo']!() as ClientDuplexStream<
    Buffer,
    Buffer
  >;
  const metadata = new Promise<Metadata>((resolve) => stream.once('metadata', resolve));
  stream.on('error', () => {});
  stream.on('data', () => {});
  stream.write(Buffer.from('hello'));
  t.same(announcedIn(await metadata), { swarmd: VERSIONS.swarmd, protocol: VERSIONS.protocol });
  stream.cancel();
});
