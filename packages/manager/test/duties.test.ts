import { manualClock } from '@swarmd/testkit';
import t from 'tap';
import { createDuties } from '../src/cluster/duties.js';
import { silent } from './support/test-manager.js';

t.test('duties › of a leadership that was lost meanwhile do not go on in the next one', async (t) => {
  const order: string[] = [];
  let started = (): void => {};
  const slow = new Promise<void>((resolve) => {
    started = resolve;
  });
  let times = 0;
  const first = async () => {
    const name = `first ${++times}`;
    order.push(`start ${name}`);
    if (times === 1) await slow;
    return { stop: async () => void order.push(`stop ${name}`) };
  };
  const second = () => {
    order.push('start second');
    return { stop: async () => void order.push('stop second') };
  };
  const duties = createDuties([first, second], { clock: manualClock(), logger: silent, giveUp: async () => false });
  void duties.set(true);
  await new Promise((resolve) => setImmediate(resolve));
  void duties.set(false);
  const again = duties.set(true);
  started();
  await again;
  t.strictSame(order, ['start first 1', 'stop first 1', 'start first 2', 'start second']);
  void duties.set(false);
  await duties.set(true);
  t.strictSame(order.slice(4), ['stop second', 'stop first 2', 'start first 3', 'start second']);
  await duties.set(true);
  t.equal(order.length, 8, 'once more is nothing new');
  await duties.set(false);
  t.strictSame(order.slice(8), ['stop second', 'stop first 3']);
});

/** Lets everything happen that waits for nothing. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

t.test('duties › when one fails to start, another manager is to lead', async (t) => {
  const order: string[] = [];
  const clock = manualClock();
  const first = () => {
    order.push('start first');
    return { stop: async () => void order.push('stop first') };
  };
  const second = (): never => {
    order.push('start second');
    throw new Error('no');
  };
  const giveUp = async (): Promise<boolean> => {
    order.push('give up');
    void duties.set(false);
    return true;
  };
  const duties = createDuties([first, second], { clock, logger: silent, giveUp });
  await duties.set(true);
  t.strictSame(order, ['start first', 'start second', 'stop first', 'give up']);
  clock.advance(60_000);
  await settle();
  t.equal(order.length, 4, 'it is for the other one to try');
});

t.test('duties › of the only manager are tried again, less and less often', async (t) => {
  const clock = manualClock();
  let attempts = 0;
  let works = false;
  let stops = 0;
  const duty = () => {
    attempts += 1;
    if (!works) throw new Error('no');
    return { stop: async () => void stops++ };
  };
  const giveUp = async (): Promise<boolean> => {
    throw new Error('no quorum');
  };
  const duties = createDuties([duty], { clock, logger: silent, giveUp });
  await duties.set(true);
  t.equal(attempts, 1);
  for (const [pauseMs, expected] of [
    [1_000, 2],
    [2_000, 3],
    [4_000, 4],
  ] as const) {
    clock.advance(pauseMs - 1);
    await settle();
    t.equal(attempts, expected - 1, 'not yet');
    clock.advance(1);
    await settle();
    t.equal(attempts, expected);
  }
  works = true;
  clock.advance(8_000);
  await settle();
  t.equal(attempts, 5);
  clock.advance(60_000);
  await settle();
  t.equal(attempts, 5, 'it runs');
  await duties.set(false);
  t.equal(stops, 1);
});

t.test('duties › that failed are not tried again by who leads no more', async (t) => {
  const clock = manualClock();
  let attempts = 0;
  const duty = (): never => {
    attempts += 1;
    throw new Error('no');
  };
  const duties = createDuties([duty], { clock, logger: silent, giveUp: async () => false });
  await duties.set(true);
  await duties.set(false);
  clock.advance(60_000);
  await settle();
  t.equal(attempts, 1);
});
