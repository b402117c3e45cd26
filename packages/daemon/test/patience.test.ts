import { manualClock } from '@swarmd/testkit';
import t from 'tap';
import { keepAsking, openTimeoutMs } from '../src/manager/patience.js';

t.test('patience › each attempt to open the store may take longer, up to ten minutes', async (t) => {
  t.strictSame(
    [0, 1, 2, 3, 4, 5, 100].map((attempt) => openTimeoutMs(attempt) / 1_000),
    [30, 60, 120, 240, 480, 600, 600],
  );
});

t.test('patience › what is asked for is asked for again until it is given', async (t) => {
  const clock = manualClock();
  const refused: unknown[] = [];
  let asked = 0;
  const ask = async (): Promise<void> => {
    if (++asked < 3) throw new Error(`not yet ${asked}`);
  };
  let over = false;
  const asking = keepAsking(ask, clock, new AbortController().signal, (error) => refused.push(error)).then(() => {
    over = true;
  });
  for (let turn = 0; turn < 20 && !over; turn++) {
    await new Promise((resolve) => setImmediate(resolve));
    clock.advance(1_000);
  }
  await asking;
  t.equal(asked, 3);
  t.match(refused, [{ message: 'not yet 1' }, { message: 'not yet 2' }]);
});

t.test('patience › nobody asks on for what is not needed any more', async (t) => {
  const abort = new AbortController();
  let asked = 0;
  const refusal = async (): Promise<void> => {
    asked += 1;
    throw new Error('no');
  };
  const asking = keepAsking(refusal, manualClock(), abort.signal, () => {});
  await new Promise((resolve) => setImmediate(resolve));
  abort.abort();
  await asking;
  t.equal(asked, 1);
});
