import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { credentials } from '@grpc/grpc-js';
import type { SwarmdError } from '@swarmd/model';
import { manualClock } from '@swarmd/testkit';
import { DispatcherClient, type ManagerMessage } from '@swarmd/wire';
import fc from 'fast-check';
import t from 'tap';
import { attemptOrder } from '../src/session/backoff.js';
import { openSession, type SessionHandlers } from '../src/session/session.js';
import { TestManager, taskChange } from './support/manager.js';
import { logger, clock as realClock } from './support/system.js';

const register = {
  description: Buffer.from('{}'),
  seenIndex: 7,
  bootNonce: 'nonce',
  swarmdVersion: '0.1.0',
  advertiseAddr: '127.0.0.1',
  dataPath: undefined,
};

async function open(t: { teardown(fn: () => void): void }, handlers: Partial<SessionHandlers> = {}, clock = realClock) {
  const manager = await new TestManager().start();
  const client = manager.connect(manager.addr);
  const stop = new AbortController();
  t.teardown(() => {
    client.close();
    manager.kill();
  });
  const deps = { client, register, backWithinMs: () => 1234, clock, logger };
  const session = openSession(deps, { onWelcome: () => {}, onMessage: () => {}, ...handlers }, stop.signal);
  const over = session.over.catch((reason: SwarmdError) => reason);
  return { manager, session, stop, over };
}

t.test('session › registers, beats at once and then at the pace it is told', async (t) => {
  const { manager, stop, over } = await open(t);
  manager.heartbeatPeriodMs = 20;
  await manager.until(() => manager.heartbeats >= 3, 'three heartbeats');
  t.match(manager.registers, [{ seenIndex: 7, bootNonce: 'nonce' }]);
  stop.abort();
  await manager.until(() => manager.goodbyes.length > 0, 'a goodbye');
  t.strictSame(manager.goodbyes, [1234]);
  t.match(await over, { code: 'unavailable' });
});

t.test('session › passes on messages in order', async (t) => {
  const got: ManagerMessage['body'][] = [];
  const { manager, session, over } = await open(t, { onMessage: (body) => got.push(body) });
  await manager.until(() => manager.connected, 'a session');
  manager.complete([taskChange('a', 'running'), taskChange('b', 'running')], 1, 1);
  manager.incremental([], 2);
  await manager.until(() => manager.heartbeats > 0, 'a heartbeat');
  while (got.length < 3) await new Promise((resolve) => setImmediate(resolve));
  t.match(got, [
    { $case: 'assignments', value: { lastPart: false } },
    { $case: 'assignments', value: { lastPart: true } },
    { $case: 'assignments', value: { appliesTo: 1, resultsIn: 2 } },
  ]);
  session.end({ code: 'aborted', message: 'enough' } as never);
  t.match(await over, { message: 'enough' });
});

t.test('session › gives up a manager that leaves a heartbeat unanswered', async (t) => {
  const clock = manualClock();
  const { manager, over } = await open(t, {}, clock);
  const send = manager.send.bind(manager);
  manager.send = (body) => {
    if (body.$case !== 'heartbeat') send(body);
  };
  await manager.until(() => manager.heartbeats > 0, 'a heartbeat');
  clock.advance(5_000);
  t.match(await over, { code: 'deadline-exceeded' });
});

t.test('session › gives a manager whose period is short two and a half seconds to answer a heartbeat', async (t) => {
  const clock = manualClock();
  const { manager, over } = await open(t, {}, clock);
  let ended = false;
  void over.then(() => {
    ended = true;
  });
  const send = manager.send.bind(manager);
  manager.send = (body) => {
    if (body.$case !== 'heartbeat') send(body);
  };
  await manager.until(() => manager.heartbeats > 0, 'a heartbeat');
  clock.advance(2_400);
  await new Promise((resolve) => setImmediate(resolve));
  t.equal(ended, false);
  clock.advance(100);
  t.match(await over, { code: 'deadline-exceeded' });
});

t.test('session › gives up a manager that cannot be connected to', async (t) => {
  const sockets: Socket[] = [];
  // It takes the connection and says nothing, as a host whose swarmd hangs.
  const hung = createServer((socket) => void sockets.push(socket)).listen(0, '127.0.0.1');
  await once(hung, 'listening');
  const client = new DispatcherClient(`127.0.0.1:${(hung.address() as AddressInfo).port}`, credentials.createSsl());
  const clock = manualClock();
  t.teardown(() => {
    client.close();
    for (const socket of sockets) socket.destroy();
    hung.close();
  });
  const deps = { client, register, backWithinMs: () => 0, clock, logger };
  const handlers = { onWelcome: () => {}, onMessage: () => {} };
  const session = openSession(deps, handlers, new AbortController().signal);
  const over = session.over.catch((reason: SwarmdError) => reason);
  clock.advance(3_000);
  t.match(await over, { code: 'unavailable', message: /could not be reached/ });
});

t.test('session › managers are tried in any order, the one that was left last', (t) => {
  const draws = fc.array(fc.double({ min: 0, max: 0.999, noNaN: true }), { minLength: 8, maxLength: 8 });
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom('a:1', 'b:1', 'c:1', 'd:1')),
      fc.constantFrom('a:1', 'z:1'),
      draws,
      (addrs, left, rest) => {
        const order = attemptOrder(addrs, left, () => rest.pop() ?? 0);
        return (
          order.toSorted().join() === [...new Set(addrs)].toSorted().join() &&
          (!order.includes(left) || order.at(-1) === left)
        );
      },
    ),
  );
  t.end();
});

t.test('session › gives up a manager that does not welcome it', async (t) => {
  const clock = manualClock();
  const { manager, over } = await open(t, {}, clock);
  manager.send = () => {};
  await manager.until(() => manager.registers.length > 0, 'a register');
  clock.advance(30_000);
  t.match(await over, { code: 'deadline-exceeded' });
});

t.test('session › ends when the manager dies', async (t) => {
  const { manager, over } = await open(t);
  await manager.until(() => manager.connected, 'a session');
  manager.kill();
  // Which of the two depends on how far the server came in its shutdown.
  t.ok(['unavailable', 'aborted'].includes((await over).code));
});

t.test('session › ends rather than swarmd when a message cannot be taken', async (t) => {
  const onMessage = () => {
    throw new Error('no');
  };
  const { manager, over } = await open(t, { onMessage });
  await manager.until(() => manager.connected, 'a session');
  manager.complete([], 1);
  t.match(await over, { code: 'internal' });
});
