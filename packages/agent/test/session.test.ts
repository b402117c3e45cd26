import type { SwarmdError } from '@swarmd/model';
import { manualClock } from '@swarmd/testkit';
import type { ManagerMessage } from '@swarmd/wire';
import t from 'tap';
import { openSession, type SessionHandlers } from '../src/session/session.js';
import { TestManager, taskChange } from './support/manager.js';
import { logger, clock as realClock } from './support/system.js';

const register = {
  description: Buffer.from('{}'),
  seenIndex: 7,
  bootNonce: 'nonce',
  swarmdVersion: '0.1.0',
  advertiseAddr: '127.0.0.1',
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
