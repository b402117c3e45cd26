import { createApi } from '@swarmd/api';
import { createControl } from '@swarmd/manager';
import { type Clock, idFromBytes, type LocalNodeInfo, type WriteTx } from '@swarmd/model';
import { createMemoryLog, openStore } from '@swarmd/store';
import { buildNode, buildServiceSpec, buildTask, createService, seededRandom } from '@swarmd/testkit';
import { pino } from 'pino';

/**
 * A program, run by `api.ts`: the real API and control on a store in memory that holds NODES nodes and SERVICES services
 * of REPLICAS running tasks each, on SOCKET. Says `ready` once it serves; ends with its standard input.
 */
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

function fill(tx: WriteTx, nodes: number, services: number, replicas: number): void {
  const nodeIds = Array.from({ length: nodes }, (_, i) => {
    const node = buildNode(newId());
    node.Description = { ...node.Description!, Hostname: `node-${i}` };
    return tx.create('node', node).ID;
  });
  let placed = 0;
  for (let i = 0; i < services; i++) {
    const service = createService(tx, newId(), buildServiceSpec(`service-${i}`, replicas));
    for (let slot = 1; slot <= replicas; slot++) {
      const task = buildTask(service, newId(), { Slot: slot, NodeID: nodeIds[placed++ % nodeIds.length]! });
      task.Status = { ...task.Status, State: 'running', Message: 'started' };
      tx.create('task', task);
    }
  }
}

async function main(socket: string, nodes: number, services: number, replicas: number): Promise<void> {
  const logger = pino({ level: 'warn' }, process.stderr);
  const store = await openStore({ log: createMemoryLog(), clock });
  await store.update((tx) => fill(tx, nodes, services, replicas));
  const control = createControl({
    ...{ store, clock, random, logger },
    logSource: { subscribe: async function* () {} },
    explain: (_view, ServiceID) => ({ ServiceID, ServiceName: '', Tasks: [] }),
    tokens: { rotateJoinToken: (kind) => kind },
  });
  const info: LocalNodeInfo = {
    ...{ NodeID: newId(), NodeAddr: '127.0.0.1', LocalNodeState: 'active', ControlAvailable: true, Error: '' },
    RemoteManagers: [],
  };
  const nothing = async (): Promise<void> => {};
  const membership = {
    ...{ init: async () => info.NodeID, join: nothing, leave: nothing, unlock: nothing },
    restore: () => Promise.reject(new Error('nothing is restored here')),
    recover: () => Promise.reject(new Error('nothing is recovered here')),
    check: () => Promise.reject(new Error('nothing is checked here')),
    cleanup: async () => ({ Items: [], Removed: false }),
    findManagers: nothing,
    info: () => info,
    control: () => control,
    fresh: async () => {},
  };
  const api = createApi({ membership, engineSocket: `${socket}.engine`, logger });
  await api.listen(socket);
  console.log('ready');
  process.stdin.resume().once('end', () => {
    void api.close().then(() => store.close());
  });
}

const [socket, nodes, services, replicas] = process.argv.slice(2);
await main(socket!, Number(nodes), Number(services), Number(replicas));
