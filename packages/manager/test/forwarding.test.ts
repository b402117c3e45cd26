import { createServer as createTcpServer } from 'node:net';
import { isErrorCode, type SharedStore } from '@swarmd/model';
import { createSharedMemory, openSharedStore } from '@swarmd/store';
import { createIdentityHolder } from '@swarmd/wire';
import t from 'tap';
import { requestCertificate } from '../src/ca/index.js';
import { createGrpcTransport } from '../src/cluster/grpc-transport.js';
import { bootstrapCluster, createManager, type Manager } from '../src/cluster/index.js';
import { realClock, realRandom, silent } from './support/test-manager.js';

t.setTimeout(60_000);

const deps = { clock: realClock, random: realRandom, logger: silent };
const never = (): AbortSignal => new AbortController().signal;

async function freePort(): Promise<number> {
  const server = createTcpServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A leader and a manager that follows it, each over a store of its own. */
async function twoManagers(t: Pick<typeof import('tap').default, 'teardown'>) {
  const memory = createSharedMemory();
  const open = (): Promise<SharedStore> => openSharedStore({ log: memory.open(), clock: realClock, logger: silent });
  const [store, other] = [await open(), await open()];
  const addr = `127.0.0.1:${await freePort()}`;
  await store.claim({ nodeId: 'first', addr }, never());
  const identity = createIdentityHolder(await bootstrapCluster(store, { ...deps, advertiseAddr: addr }));
  await store.resign(never());
  await store.claim({ nodeId: identity.current.nodeId, addr }, never());
  const leader = createManager({ store, identity, ...deps, listenAddr: addr, advertiseAddr: addr });
  await leader.start();
  const { Manager: token } = store.view.get('cluster', 'cluster')!.JoinTokens;
  const request = { remoteAddrs: [addr], token, advertiseAddr: '127.0.0.1', signal: never() };
  const joined = createIdentityHolder(await requestCertificate(request));
  await other.fresh(never());
  const listen = { listenAddr: '127.0.0.1:0', advertiseAddr: '127.0.0.1' };
  const follower = createManager({ store: other, identity: joined, ...deps, ...listen });
  await follower.start();
  t.teardown(async () => {
    await follower.stop();
    await leader.stop();
    await Promise.all([other.close(), store.close()]);
  });
  return { leader, follower, store, identity: joined, addr };
}

const config = (name: string, bytes: number) => ({ Name: name, Data: Buffer.alloc(bytes, 'x').toString('base64') });

async function codeOf(manager: Manager, spec: object): Promise<string> {
  try {
    await manager.control.createConfig(spec);
    return 'made';
  } catch (error) {
    return isErrorCode(error, 'unavailable') ? 'unavailable' : (error as { code: string }).code;
  }
}

t.test('forwarding › what the leader takes, every manager takes', async (t) => {
  const { leader, follower, store } = await twoManagers(t);
  t.equal(await codeOf(leader, config('there', 1000 * 1024 - 1)), 'made');
  t.equal(await codeOf(follower, config('here', 1000 * 1024 - 1)), 'made');
  t.equal(store.view.count('config'), 2);
  t.equal(await codeOf(follower, config('too-large', 1000 * 1024)), 'invalid-argument');
});

t.test('forwarding › the pieces of a call have an end', async (t) => {
  const { identity, addr } = await twoManagers(t);
  const transport = createGrpcTransport(identity);
  t.teardown(() => transport.close());
  await t.rejects(transport.call(addr, 'control.createConfig', ['x'.repeat(9 << 20)], { timeoutMs: 20_000 }), {
    code: 'invalid-argument',
    message: /larger than/,
  });
});
