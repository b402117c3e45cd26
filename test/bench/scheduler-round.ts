import { startScheduler } from '@swarmd/manager';
import { type Clock, idFromBytes, type NewObject, type Node, type Service, type WriteTx } from '@swarmd/model';
import { createMemoryLog, openStore } from '@swarmd/store';
import { buildNode, buildServiceSpec, buildTask, createService, seededRandom } from '@swarmd/testkit';
import { pino } from 'pino';

/** A program, run by `scheduler.ts`: one round of one size, the figures as a line of JSON on standard output. */
const SERVICES = 10;
const RACKS = 40;

const clock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after: (delayMs, fn) => {
    const timer = setTimeout(fn, delayMs).unref();
    return () => clearTimeout(timer);
  },
};
const random = seededRandom(1);
const newId = (): string => idFromBytes(random.bytes(17));

function nodeNumber(i: number, full: boolean): NewObject<Node> {
  const node = buildNode(newId());
  const Labels: Record<string, string> = full ? { rack: `rack-${i % RACKS}` } : {};
  if (full && i % 3 === 0) Labels['tier'] = 'web';
  node.Spec = { ...node.Spec, Labels };
  // Room for all tasks on a third of the nodes, as the resource filter must count but never refuse here.
  node.Description!.Resources = { NanoCPUs: 1_000e9, MemoryBytes: 1_024 * 2 ** 30 };
  return node;
}

function serviceNumber(tx: WriteTx, i: number, full: boolean): Service {
  const spec = buildServiceSpec(`service-${i}`, 0);
  if (full) {
    spec.TaskTemplate = {
      ...spec.TaskTemplate,
      Resources: { Reservations: { NanoCPUs: 0.1e9, MemoryBytes: 64 * 2 ** 20 } },
      Placement: {
        Constraints: ['node.labels.tier==web'],
        Preferences: [{ Spread: { SpreadDescriptor: 'node.labels.rack' } }],
      },
    };
  }
  return createService(tx, newId(), spec);
}

function fill(tx: WriteTx, nodes: number, tasks: number, full: boolean): void {
  for (let i = 0; i < nodes; i++) tx.create('node', nodeNumber(i, full));
  const services = Array.from({ length: SERVICES }, (_, i) => serviceNumber(tx, i, full));
  for (let i = 0; i < tasks; i++) {
    const service = services[i % SERVICES]!;
    tx.create('task', buildTask(service, newId(), { Slot: Math.floor(i / SERVICES) + 1 }));
  }
}

async function main(nodes: number, tasks: number, full: boolean): Promise<void> {
  const store = await openStore({ log: createMemoryLog(), clock });
  globalThis.gc?.();
  const emptyBytes = process.memoryUsage().heapUsed;
  let startedAt = 0;
  let assigned = 0;
  const placed = new Promise<number>((resolve) => {
    // Watches before the scheduler does: the clock starts with the event that first tells of the tasks.
    store.watch(({ events }) => {
      startedAt ||= performance.now();
      for (const { table, kind, object } of events) {
        if (table !== 'task' || kind !== 'update' || object.Status.State !== 'assigned') continue;
        if (++assigned === tasks) resolve(performance.now());
      }
    });
  });
  const scheduler = startScheduler({ store, clock, logger: pino({ level: 'warn' }, process.stderr) });
  await store.update((tx) => fill(tx, nodes, tasks, full));
  const endedAt = await placed;
  globalThis.gc?.();
  const bytes = process.memoryUsage().heapUsed - emptyBytes;
  console.log(JSON.stringify({ seconds: (endedAt - startedAt) / 1_000, bytesPerTask: bytes / tasks }));
  await scheduler.stop();
  await store.close();
}

const [nodes, tasks, full] = process.argv.slice(2);
await main(Number(nodes), Number(tasks), full === 'true');
