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
  const duties = createDuties([first, second], silent);
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
