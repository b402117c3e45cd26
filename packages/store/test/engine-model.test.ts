import {
  type AnyObject,
  rfc3339,
  type Service,
  type StoreEvent,
  TABLE_INDEXES,
  type TableName,
  type WriteTx,
} from '@swarmd/model';
import fc from 'fast-check';
import t from 'tap';
import { openStore } from '../src/index.js';
import { type Content, contentOf, newService, newTask } from './builders.js';
import { ControlledLog, turn } from './controlled-log.js';

type Write =
  | { kind: 'task'; id: string; service: string; node: string }
  | { kind: 'service'; id: string; name: string; pendingDelete: boolean; keepSpec: boolean }
  | { kind: 'delete'; table: TableName; id: string };
type Step = { kind: 'update'; writes: Write[]; throws: boolean } | { kind: 'release' } | { kind: 'settle' };

const id = fc.constantFrom('a', 'b', 'c', 'd');
const write: fc.Arbitrary<Write> = fc.oneof(
  fc.record({
    kind: fc.constant('task' as const),
    id,
    service: fc.constantFrom('s1', 's2'),
    node: fc.constantFrom('', 'n1', 'n2'),
  }),
  fc.record({
    kind: fc.constant('service' as const),
    id,
    name: fc.constantFrom('web', 'WEB', 'db'),
    pendingDelete: fc.boolean(),
    keepSpec: fc.boolean(),
  }),
  fc.record({ kind: fc.constant('delete' as const), table: fc.constantFrom('task' as const, 'service' as const), id }),
);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('update' as const),
      writes: fc.array(write, { maxLength: 6 }),
      throws: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.constant({ kind: 'release' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'settle' as const }) },
);

/** The same store, dumb: a plain object for each index, copied whole. */
class Oracle {
  head: Content = {};
  readonly byIndex: Content[] = [{}];

  apply(write: Write, tx: WriteTx): void {
    if (write.kind === 'delete') {
      const known = `${write.table}/${write.id}` in this.head;
      if (tx.delete(write.table, write.id) !== known) throw new Error('delete answered wrongly');
      delete this.head[`${write.table}/${write.id}`];
      return;
    }
    const key = `${write.kind}/${write.id}`;
    const before = this.head[key];
    const wanted = fieldsOf(write, before) as AnyObject;
    const moved = before === undefined || write.kind === 'task' || !write.keepSpec;
    const after = {
      ...wanted,
      Version: { Index: moved ? tx.index : before.Version.Index },
      CreatedAt: before?.CreatedAt ?? tx.now,
      UpdatedAt: tx.now,
    };
    const stored = before === undefined ? tx.create(write.kind, wanted as never) : tx.put(write.kind, wanted as never);
    if (JSON.stringify(sorted(stored)) !== JSON.stringify(sorted(after))) throw new Error('stored something else');
    this.head[key] = { ...stored };
  }
}

function fieldsOf(write: Exclude<Write, { kind: 'delete' }>, before: AnyObject | undefined) {
  if (write.kind === 'task') return newTask(write.id, { ServiceID: write.service, NodeID: write.node });
  const spec = before !== undefined && write.keepSpec ? (before as Service).Spec : { Name: write.name };
  return newService(write.id, { Spec: spec, PendingDelete: write.pendingDelete });
}

const sorted = (object: object) => Object.entries(object).sort(([a], [b]) => (a < b ? -1 : 1));

/** Compares every kind of read with a scan of `content`. */
function checkReads(view: WriteTx | Parameters<typeof contentOf>[0], content: Content, where: string): void {
  for (const table of ['task', 'service'] as const) {
    const objects = Object.entries(content).filter(([key]) => key.startsWith(`${table}/`));
    same(view.count(table), objects.length, `${where}: count of ${table}`);
    for (const id of ['a', 'b', 'c', 'd'])
      same(view.get(table, id), content[`${table}/${id}`], `${where}: ${table} ${id}`);
    same(byId(view.all(table)), byId(objects.map(([, object]) => object)), `${where}: all of ${table}`);
    for (const [index, keyOf] of Object.entries(TABLE_INDEXES[table])) {
      for (const key of ['s1', 's2', 'n1', 'n2', '', 'web', 'db']) {
        const expected = objects.map(([, object]) => object).filter((object) => keyOf(object as never) === key);
        same(byId(view.find(table, index as never, key)), byId(expected), `${where}: ${table} ${index} ${key}`);
      }
    }
  }
}

const byId = (objects: Iterable<AnyObject>) => [...objects].sort((a, b) => (a.ID < b.ID ? -1 : 1));

function same(found: unknown, wanted: unknown, where: string): void {
  const text = (value: unknown) => JSON.stringify(value, (_, v) => (isPlain(v) ? Object.fromEntries(sorted(v)) : v));
  if (text(found) !== text(wanted)) throw new Error(`${where}: found ${text(found)}, wanted ${text(wanted)}`);
}

const isPlain = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function applyEvents(copy: Content, events: readonly StoreEvent[]): void {
  for (const event of events) {
    const key = `${event.table}/${event.object.ID}`;
    same(copy[key], event.kind === 'delete' ? event.object : event.previous, `state before ${event.kind} of ${key}`);
    if (event.kind === 'delete') delete copy[key];
    else copy[key] = event.object;
  }
}

async function play(steps: Step[], failsAtEnd: boolean): Promise<void> {
  const log = new ControlledLog();
  let now = 0;
  const store = await openStore({ log, clock: { now: () => now++, monotonic: () => now, after: () => () => {} } });
  const oracle = new Oracle();
  const copy: Content = {};
  const heard: number[] = [];
  const updates: Promise<unknown>[] = [];
  store.watch(({ index, events }) => {
    heard.push(index);
    applyEvents(copy, events);
    same(copy, contentOf(store.view), `the copy at ${index}`);
  });
  for (const step of steps) {
    if (step.kind === 'update') updates.push(runUpdate(step));
    else if (step.kind === 'release') await log.release();
    else await turn();
    checkReads(store.view, oracle.byIndex[store.index]!, `view at ${store.index}`);
  }
  const durable = await finish();
  const expected = oracle.byIndex[durable]!;
  same(contentOf(store.view), expected, 'the last view');
  same(
    heard,
    Array.from({ length: durable }, (_, i) => i + 1),
    'indexes heard',
  );
  await store.close();
  const again = await openStore({ log, clock: { now: () => now++, monotonic: () => now, after: () => () => {} } });
  same(contentOf(again.view), expected, 'the store reopened');
  same(again.index, durable, 'the index reopened');

  async function runUpdate(step: Step & { kind: 'update' }): Promise<void> {
    const before = { ...oracle.head };
    const done = store.update((tx) => {
      same(tx.now, rfc3339(now - 1), 'the time');
      same(tx.index, oracle.byIndex.length, 'the index');
      checkReads(tx, oracle.head, 'head before');
      for (const write of step.writes) {
        oracle.apply(write, tx);
        checkReads(tx, oracle.head, 'head within');
      }
      if (step.throws) throw new RangeError('on purpose');
    });
    const wrote = Object.keys({ ...before, ...oracle.head }).some((key) => before[key] !== oracle.head[key]);
    if (step.throws) oracle.head = before;
    else if (wrote) oracle.byIndex.push({ ...oracle.head });
    const index = oracle.byIndex.length - 1;
    try {
      await done;
      if (step.throws) throw new Error('an update that throws resolved');
      if (store.index < index) throw new Error('an update was answered before it was durable');
    } catch (error) {
      if (step.throws && error instanceof RangeError) {
        if (store.index < index) throw new Error('an update was refused before what it saw was durable');
      } else if (!failsAtEnd || (error as { code?: string }).code !== 'unavailable') throw error;
    }
  }

  async function finish(): Promise<number> {
    await turn();
    const durable = store.index;
    if (failsAtEnd && log.waiting > 0) await log.fail(new Error('disk on fire'));
    while (log.waiting > 0) await log.release();
    await Promise.all(updates);
    if (!failsAtEnd) same(store.index, oracle.byIndex.length - 1, 'the last index');
    return failsAtEnd ? Math.max(durable, store.index) : store.index;
  }
}

t.test('store › agrees with a plain map under any transactions, on a slow log', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), (steps) => play(steps, false)),
    { numRuns: 300 },
  );
});

t.test('store › agrees with a plain map up to the failure of its log', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), (steps) => play(steps, true)),
    { numRuns: 200 },
  );
});
