import type { PublishLogsRequest } from '@swarmd/wire';
import t from 'tap';
import { LogOutlet } from '../src/logs/outlet.js';

const record = (n: number) => ({
  taskId: 't1',
  serviceId: 's1',
  stream: 1,
  timestamp: '2026-01-01T00:00:00Z',
  data: Buffer.from(`line ${n}\n`),
});
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

t.test('log outlet › lines of one turn go together, in order, and the end comes last', async (t) => {
  const sent: PublishLogsRequest[] = [];
  const outlet = new LogOutlet('sub', async (request) => void sent.push(request));
  for (let n = 0; n < 3; n++) await outlet.put(record(n));
  await turn();
  for (let n = 3; n < 1_200; n++) await outlet.put(record(n));
  await outlet.end('');
  t.equal(sent[0]?.records.length, 3);
  const lines = sent.flatMap(({ records }) => records.map(({ data }) => data.toString()));
  t.same(
    lines,
    Array.from({ length: 1_200 }, (_, n) => `line ${n}\n`),
  );
  t.same(
    sent.map(({ end }) => end),
    [...sent.slice(1).map(() => false), true],
  );
});

t.test('log outlet › a manager that does not read stops whoever reads the log', async (t) => {
  let release = (): void => {};
  const blocked = new Promise<void>((resolve) => {
    release = resolve;
  });
  const outlet = new LogOutlet('sub', () => blocked);
  let put = 0;
  const reading = (async () => {
    for (; put < 10_000; put++) {
      await outlet.put(record(put));
      // Each line in a turn of its own: no message is ever full.
      await turn();
    }
  })();
  for (let n = 0; n < 1_000; n++) await turn();
  t.ok(put < 10, `${put} lines were taken`);
  release();
  await reading;
  t.equal(put, 10_000);
});
