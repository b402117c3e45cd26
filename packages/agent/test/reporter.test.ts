import type { TaskState, TaskStatus } from '@swarmd/model';
import type { StatusBatch } from '@swarmd/wire';
import t from 'tap';
import { nextBackoffMs, shuffled } from '../src/session/backoff.js';
import { createStatusReporter } from '../src/session/reporter.js';

const status = (State: TaskState): TaskStatus => ({ Timestamp: '2026-01-01T00:00:00Z', State, Message: '' });
const turn = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
const read = (batch: StatusBatch) =>
  batch.statuses.map(({ taskId, status: json }) => [taskId, (JSON.parse(json.toString()) as TaskStatus).State]);
const ack = (sequence: number, rejected: { taskId: string; code: string }[] = []) => ({
  sequence,
  storeIndex: 1,
  rejected,
});

t.test('statuses › of several in one turn only the last of each task is told', async (t) => {
  const sent: StatusBatch[] = [];
  const reporter = createStatusReporter();
  reporter.attach((batch) => sent.push(batch), []);
  reporter.changed('a', status('accepted'));
  reporter.changed('b', status('preparing'));
  reporter.changed('a', status('preparing'));
  await turn();
  t.strictSame(sent.map(read), [
    [
      ['a', 'preparing'],
      ['b', 'preparing'],
    ],
  ]);
});

t.test('statuses › wait for acknowledgements when many batches are under way, and go together then', async (t) => {
  const sent: StatusBatch[] = [];
  const reporter = createStatusReporter();
  reporter.attach((batch) => sent.push(batch), []);
  for (let i = 0; i < 10; i++) {
    reporter.changed(`t${i}`, status('running'));
    await turn();
  }
  t.equal(sent.length, 4);
  reporter.acknowledged(ack(sent[0]!.sequence));
  t.equal(sent.length, 5);
  t.equal(sent[4]!.statuses.length, 6);
});

t.test('statuses › a new session is told all again', async (t) => {
  const sent: StatusBatch[] = [];
  const reporter = createStatusReporter();
  reporter.attach((batch) => sent.push(batch), []);
  reporter.changed('a', status('running'));
  await turn();
  reporter.detach();
  reporter.changed('a', status('failed'));
  await turn();
  t.equal(sent.length, 1);
  reporter.attach(
    (batch) => sent.push(batch),
    [
      ['a', status('failed')],
      ['b', status('running')],
    ],
  );
  t.strictSame(read(sent[1]!).sort(), [
    ['a', 'failed'],
    ['b', 'running'],
  ]);
});

t.test('statuses › what the cluster refused for good is not told again until it changes', async (t) => {
  const sent: StatusBatch[] = [];
  const reporter = createStatusReporter();
  const first = status('running');
  reporter.attach((batch) => sent.push(batch), [['a', first]]);
  reporter.acknowledged(ack(sent[0]!.sequence, [{ taskId: 'a', code: 'not-found' }]));
  reporter.detach();
  reporter.attach((batch) => sent.push(batch), [['a', first]]);
  t.equal(sent.length, 1);
  reporter.detach();
  reporter.attach((batch) => sent.push(batch), [['a', status('failed')]]);
  t.strictSame(read(sent[1]!), [['a', 'failed']]);
});

t.test('statuses › large sets are cut into batches', async (t) => {
  const sent: StatusBatch[] = [];
  const reporter = createStatusReporter();
  const many = Array.from({ length: 2_500 }, (_, i): [string, TaskStatus] => [`t${i}`, status('running')]);
  reporter.attach((batch) => sent.push(batch), many);
  t.strictSame(
    sent.map((batch) => batch.statuses.length),
    [1000, 1000, 500],
  );
});

t.test('back-off › grows from a tenth of a second to eight', async (t) => {
  const bounds = [100];
  for (let i = 0; i < 8; i++) bounds.push(nextBackoffMs(bounds.at(-1)!));
  t.strictSame(bounds, [100, 300, 700, 1500, 3100, 6300, 8000, 8000, 8000]);
});

t.test('back-off › tries managers in any order, each once', async (t) => {
  t.strictSame(
    shuffled(['a', 'b', 'c'], () => 0),
    ['a', 'b', 'c'],
  );
  t.strictSame(
    shuffled(['a', 'b', 'c'], () => 0.99),
    ['c', 'b', 'a'],
  );
});
