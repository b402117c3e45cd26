import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Clock, type Log, type NewObject, rfc3339, type Store, type Task } from '@swarmd/model';
import { createMemoryLog, openLevelLog, openStore } from '@swarmd/store';
import { pino } from 'pino';
import { hasEtcd, onEtcd } from './etcd-log.js';

/** A figure of a benchmark. */
interface Line {
  name: string;
  value: number;
  unit: string;
}

const logger = pino({ level: 'silent' });
const clock: Clock = { now: Date.now, monotonic: () => performance.now(), after: () => () => {} };

/** Long enough for some hundred syncs of a slow disk. */
const WRITING_MS = 3_000;
const STORED_TASKS = 100_000;
const BULK_TASKS = 1_000_000;
const SERVICES = 100;
const SAMPLES = 1_000;

/**
 * The store's speed: acknowledged writes a second on level and etcd, one by one and from concurrent writers; latency of an update
 * and of lists with 100,000 tasks stored; time and memory of one transaction that creates a million tasks.
 * Writes to the system's directory for temporary files, which should lie on the disk that counts.
 */
export async function run(emit: (line: Line) => void): Promise<void> {
  await durable('level', onLevel, emit);
  if (hasEtcd()) await durable('etcd', onEtcd, emit);
  const store = await openStore({ log: createMemoryLog(), clock });
  await fill(store, STORED_TASKS);
  await latencies(store, 'memory', emit);
  await store.close();
  await bulk(emit);
}

/** Calls `measure` with a way to open a log on a place that goes afterwards. */
type OnPlace = (measure: (open: () => Promise<Log>) => Promise<void>) => Promise<void>;

async function durable(log: string, onPlace: OnPlace, emit: (line: Line) => void): Promise<void> {
  for (const writers of [1, 32, 256]) {
    const name = writers === 1 ? 'one-by-one' : `batched-${writers}`;
    await onPlace(async (open) => {
      const store = await openStore({ log: await open(), clock });
      emit({ name: `store/${log}/${name}`, value: round(await writesPerSecond(store, writers)), unit: '1/s' });
      await store.close();
    });
  }
  await onPlace(async (open) => {
    const store = await openStore({ log: await open(), clock });
    await fill(store, STORED_TASKS);
    await latencies(store, log, emit);
    await store.close();
    const start = performance.now();
    const reopened = await openStore({ log: await open(), clock });
    emit({ name: `store/${log}/open/${STORED_TASKS}`, value: round(performance.now() - start), unit: 'ms' });
    await reopened.close();
  });
}

async function onLevel(measure: (open: () => Promise<Log>) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'swarmd-bench-store-'));
  try {
    await measure(() => openLevelLog({ dir: join(dir, 'store'), dataKey: Buffer.alloc(32, 1), logger }));
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

async function writesPerSecond(store: Store, writers: number): Promise<number> {
  const start = performance.now();
  let written = 0;
  const write = async (): Promise<void> => {
    while (performance.now() - start < WRITING_MS) {
      await store.update((tx) => tx.create('task', newTask(tx.count('task'))));
      written++;
    }
  };
  await Promise.all(Array.from({ length: writers }, write));
  return written / ((performance.now() - start) / 1000);
}

async function latencies(store: Store, log: string, emit: (line: Line) => void): Promise<void> {
  let n = 0;
  const update = await samples(async () => {
    const id = taskId((n++ * 7919) % STORED_TASKS);
    await store.update((tx) => {
      const task = tx.get('task', id);
      if (task !== undefined) tx.put('task', { ...task, DesiredState: 'shutdown' });
    });
  });
  // A list as the API reads it: every object is looked at and kept.
  const ofService = await samples(async () => [...store.view.find('task', 'service', serviceId(n++ % SERVICES))]);
  const all = await samples(async () => [...store.view.all('task')], SAMPLES / 10);
  for (const [what, times] of Object.entries({ update, 'list-service': ofService, 'list-all': all }))
    for (const percent of [50, 99])
      emit({
        name: `store/${log}/${what}/${STORED_TASKS}/p${percent}`,
        value: round(times[Math.ceil((times.length * percent) / 100) - 1] ?? 0),
        unit: 'ms',
      });
}

/** Durations of repeated calls, shortest first. */
async function samples(measured: () => Promise<unknown>, count = SAMPLES): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const start = performance.now();
    await measured();
    times.push(performance.now() - start);
  }
  return times.sort((a, b) => a - b);
}

/** One transaction that creates a million tasks, with a watcher that sees each event. */
async function bulk(emit: (line: Line) => void): Promise<void> {
  const store = await openStore({ log: createMemoryLog(), clock });
  let events = 0;
  store.watch((commit) => {
    events += commit.events.length;
  });
  const before = usedBytes();
  const start = performance.now();
  await store.update((tx) => {
    for (let i = 0; i < BULK_TASKS; i++) tx.create('task', newTask(i));
  });
  emit({ name: `store/memory/create/${events}`, value: round(performance.now() - start), unit: 'ms' });
  const used = (usedBytes() - before) / store.view.count('task');
  // Without --expose-gc this counts garbage too.
  emit({
    name: `store/memory/task/${events}`,
    value: round(used),
    unit: globalThis.gc ? 'bytes' : 'bytes (with garbage)',
  });
  await store.close();
}

function usedBytes(): number {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}

async function fill(store: Store, count: number): Promise<void> {
  for (let from = 0; from < count; from += 5_000)
    await store.update((tx) => {
      for (let i = from; i < from + 5_000; i++) tx.create('task', newTask(i));
    });
}

const serviceId = (i: number): string => `service${String(i).padStart(18, '0')}`;
const taskId = (i: number): string => `task${String(i).padStart(21, '0')}`;
const createdAt = rfc3339(0);

function newTask(i: number): NewObject<Task> {
  return {
    ID: taskId(i),
    ServiceID: serviceId(i % SERVICES),
    SpecVersion: 1,
    Slot: Math.floor(i / SERVICES) + 1,
    NodeID: '',
    DesiredState: 'running',
    Status: { Timestamp: createdAt, State: 'new', Message: 'created' },
    ServiceName: `service${i % SERVICES}`,
  };
}

/** Three significant digits below a thousand. */
function round(value: number): number {
  return value < 1000 ? Number(value.toPrecision(3)) : Math.round(value);
}
