import { createDispatcher, type Dispatcher, localReports } from '@swarmd/manager';
import type { Network, NewObject, Store } from '@swarmd/model';
import { createMemoryLog, openStore } from '@swarmd/store';
import { buildNode, buildServiceSpec, buildTask, createService, manualClock, seededRandom } from '@swarmd/testkit';
import { ManagerMessage } from '@swarmd/wire';
import { pino } from 'pino';
import { ServerCall } from '../sim/support/server-call.js';
import type { BenchLine } from './main.js';

const SESSIONS = 1_000;
const SERVICES = [10, 100, 1_000];
/** Tasks of each service, each on another node: as many sessions hold its network. */
const REPLICAS = 10;
const CHANGES = 300;

/**
 * A manager with 1,000 sessions and as many services as a size says, each with ten tasks on a network of its own; then one
 * network that all sessions hold. Emits `endpoints/<services>/connect` (seconds until all sessions have all of it),
 * `/change` (milliseconds from a task's status to the last message about it encoded), `/messages` (of one change), and
 * `/memory` (bytes a session, all parts of the manager together); `/everywhere` is a change on the network of all.
 */
export async function run(emit: (line: BenchLine) => void, args: readonly string[]): Promise<void> {
  for (const services of SERVICES) {
    if (args.length > 0 && !args.includes(String(services))) continue;
    const name = `endpoints/${services}`;
    const manager = await startManager(services);
    const before = heapBytes();
    const startedAt = performance.now();
    for (let i = 0; i < SESSIONS; i++) manager.connect(`node${i}`);
    await manager.quiet();
    emit({ name: `${name}/connect`, value: (performance.now() - startedAt) / 1000, unit: 's' });
    emit({ name: `${name}/memory`, value: (heapBytes() - before) / SESSIONS, unit: 'bytes' });
    const one = await measure(manager, (i) => `task${i % services}-${i % REPLICAS}`);
    emit({ name: `${name}/change`, value: one.ms, unit: 'ms' });
    emit({ name: `${name}/messages`, value: one.messages, unit: 'messages' });
    const all = await measure(manager, (i) => `task-all-${i % REPLICAS}`);
    emit({ name: `${name}/everywhere/change`, value: all.ms, unit: 'ms' });
    emit({ name: `${name}/everywhere/messages`, value: all.messages, unit: 'messages' });
    await manager.stop();
  }
}

interface BenchManager {
  store: Store;
  /** Messages that sessions were sent so far. */
  messages(): number;
  connect(nodeId: string): void;
  /** Resolves once nothing is sent any more. */
  quiet(): Promise<void>;
  stop(): Promise<void>;
}

async function measure(
  { store, messages, quiet }: BenchManager,
  task: (i: number) => string,
): Promise<{ ms: number; messages: number }> {
  const sent = messages();
  const times: number[] = [];
  for (let i = 0; i < CHANGES; i++) {
    const startedAt = performance.now();
    await store.update((tx) => {
      const before = tx.get('task', task(i))!;
      const State = before.Status.State === 'running' ? 'starting' : 'running';
      tx.put('task', { ...before, Status: { ...before.Status, State } });
    });
    // What a commit makes sessions send, they send in its turn.
    await Promise.resolve();
    times.push(performance.now() - startedAt);
    await quiet();
  }
  // The median: a machine that is busy with other things does not count.
  const ms = times.sort((a, b) => a - b)[CHANGES >> 1]!;
  return { ms, messages: (messages() - sent) / CHANGES };
}

async function startManager(services: number): Promise<BenchManager> {
  // Time stands still: no heartbeats are missed.
  const clock = manualClock();
  const store = await openStore({ log: createMemoryLog(), clock });
  await fill(store, services);
  const deps = { store, clock, random: seededRandom(1), logger: pino({ level: 'silent' }) };
  const dispatcher = createDispatcher({ ...deps, managerId: 'manager', reports: localReports(deps) });
  await dispatcher.start();
  let messages = 0;
  const serve = (call: ServerCall): void =>
    dispatcher.service.session(call as unknown as Parameters<Dispatcher['service']['session']>[0]);
  return {
    store,
    messages: () => messages,
    connect: (nodeId) => {
      const write = (message: unknown): void => {
        const { body } = message as ManagerMessage;
        messages += 1;
        ManagerMessage.encode(message as ManagerMessage).finish();
        if (body?.$case === 'endpoints') acknowledge(body.value.index);
      };
      const call = new ServerCall({ nodeId, role: 'worker' }, undefined, write, () => {});
      const acknowledge = (index: number): void =>
        void setImmediate(() => call.deliver({ body: { $case: 'endpointsApplied', value: { index } } }));
      serve(call);
      const about = { description: Buffer.alloc(0), bootNonce: nodeId, swarmdVersion: 'bench', seenIndex: 0 };
      const dataPath = { addr: addressOf(Number(nodeId.slice(4))), mtu: 1500, encryption: false };
      call.deliver({ body: { $case: 'register', value: { ...about, advertiseAddr: '10.0.0.1', dataPath } } });
    },
    quiet: async () => {
      for (let before = -1; before !== messages; ) {
        before = messages;
        for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
      }
    },
    stop: async () => {
      await dispatcher.stop();
      await store.close();
    },
  };
}

async function fill(store: Store, services: number): Promise<void> {
  await store.update((tx) => {
    for (let i = 0; i < SESSIONS; i++) tx.create('node', buildNode(`node${i}`));
    for (let s = 0; s <= services; s++) {
      const everywhere = s === services;
      const network = buildNetwork(everywhere ? 'net-all' : `net${s}`, s, everywhere);
      tx.create('network', network);
      const id = everywhere ? 'service-all' : `service${s}`;
      const service = createService(tx, id, buildServiceSpec(id, REPLICAS));
      for (let r = 0; r < REPLICAS; r++) {
        const Status = { Timestamp: tx.now, State: 'starting' as const, Message: '' };
        const NetworksAttachments = [{ Network: { ID: network.ID }, Addresses: [`${addressOf(r + 2)}/16`] }];
        const place = { NodeID: `node${(s * REPLICAS + r) % SESSIONS}`, Slot: r + 1 };
        const taskId = everywhere ? `task-all-${r}` : `task${s}-${r}`;
        tx.create('task', buildTask(service, taskId, { ...place, Status, NetworksAttachments }));
      }
    }
  });
}

function buildNetwork(id: string, n: number, attachable: boolean): NewObject<Network> {
  const Subnets = [{ Subnet: '10.0.0.0/16', Gateway: '10.0.0.1' }];
  const Spec = { Name: id, Driver: 'overlay', Attachable: attachable };
  return { ID: id, Spec, Allocation: { VNI: 2 ** 20 + n, Subnets, MTU: 1450 } };
}

function addressOf(n: number): string {
  return `10.0.${Math.floor(n / 250)}.${n % 250}`;
}

function heapBytes(): number {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}
