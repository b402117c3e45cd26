import type { Commit, Network, Store } from '@swarmd/model';
import { createMemoryLog, openStore } from '@swarmd/store';
import { buildNode, manualClock } from '@swarmd/testkit';
import type { EndpointUpdate } from '@swarmd/wire';
import fc from 'fast-check';
import t from 'tap';
import { networkItem } from '../src/dispatcher/assignments.js';
import { type EndpointSet, endpointsOf } from '../src/dispatcher/endpoints/endpoint-set.js';
import { createEndpoints, type Endpoints } from '../src/dispatcher/endpoints/endpoints.js';
import type { SessionEndpoints } from '../src/dispatcher/endpoints/session-endpoints.js';
import type { ManagerBody } from '../src/dispatcher/session-stream.js';
import { buildNetwork, createServiceOn, createTaskOn, dataPathOf } from './support/network-world.js';
import { applyUpdates } from './support/test-agent.js';
import { realClock, silent } from './support/test-manager.js';

const NETWORKS = ['net0', 'net1', 'net2'];

/** An agent whose stream takes so many messages before it must read. */
class Agent {
  readonly known = new Map<string, EndpointSet>();
  readonly session: SessionEndpoints;
  readonly applied: number[] = [];
  room = 0;
  #parts: EndpointUpdate[] = [];

  constructor(endpoints: Endpoints) {
    const agent = this;
    const stream = {
      get writable() {
        return agent.room > 0;
      },
      send: (body: ManagerBody) => this.#hear(body),
    };
    this.session = endpoints.open({ nodeId: 'n', stream });
  }

  has(network: Network): void {
    const item = networkItem(network, undefined);
    this.session.assigned({ put: [item], remove: [] }, undefined as never);
  }

  leaves(network: Network): void {
    this.known.delete(network.ID);
    this.session.assigned({ put: [], remove: [networkItem(network, undefined)] }, undefined as never);
  }

  reads(room: number): void {
    this.room = room;
    this.session.update(() => true);
  }

  #hear(body: ManagerBody): void {
    this.room -= 1;
    if (body.$case !== 'endpoints') return;
    this.#parts.push(body.value);
    if (!body.value.lastPart) return;
    const { networkId, index } = body.value;
    const known = this.known.get(networkId) ?? { endpoints: new Map(), services: new Map(), blocks: new Map() };
    this.known.set(networkId, known);
    applyUpdates(known, this.#parts);
    this.#parts = [];
    this.applied.push(index);
  }
}

async function world(): Promise<Store> {
  const store = await openStore({ log: createMemoryLog(), clock: realClock });
  await store.update((tx) => {
    tx.create('node', buildNode('n', { DataPath: dataPathOf(1) }));
    for (const [i, id] of NETWORKS.entries()) tx.create('network', buildNetwork(id, i));
    createServiceOn(tx, 'web', NETWORKS);
  });
  return store;
}

const serving = (store: Store): Endpoints => {
  const clock = manualClock();
  const endpoints = createEndpoints({ store, clock, managerId: 'm', wake: () => {}, logger: silent });
  store.watch((commit: Commit) => endpoints.onCommit(commit));
  return endpoints;
};

const plain = ({ endpoints, services }: EndpointSet): string =>
  JSON.stringify([endpoints, services].map((map: ReadonlyMap<string, unknown>) => [...map].sort()));

const steps = fc.array(
  fc.record({
    kind: fc.constantFrom('task', 'task', 'end', 'read', 'read', 'ack', 'leave', 'have'),
    pick: fc.nat(100),
    room: fc.nat(4),
  }),
  { maxLength: 60, size: 'max' },
);

t.test('endpoint sessions › whatever an agent reads, what it acknowledged is what it knows', async (t) => {
  await fc.assert(
    fc.asyncProperty(steps, async (history) => {
      const store = await world();
      const agent = new Agent(serving(store));
      const held = new Set<string>();
      /** What followed from the store, by network and index. */
      const past = new Map<string, string>();
      const network = (id: string): Network => store.view.get('network', id)!;
      const problems: string[] = [];
      const note = (): void => {
        for (const id of NETWORKS) past.set(`${id} ${store.index}`, plain(endpointsOf(store.view, id)));
      };
      note();
      store.watch(note);
      for (const { kind, pick, room } of history) {
        const id = NETWORKS[pick % 3]!;
        if (kind === 'task')
          await store.update((tx) => {
            const service = tx.get('service', 'web')!;
            const networkIds = NETWORKS.filter((_, i) => ((pick >> i) & 1) === 1);
            createTaskOn(tx, service, { id: `t${tx.index}`, nodeId: 'n', networkIds, n: pick });
          });
        else if (kind === 'end')
          await store.update((tx) => {
            const [task] = tx.all('task');
            if (task !== undefined) tx.delete('task', task.ID);
          });
        else if (kind === 'have' && !held.has(id)) {
          held.add(id);
          agent.has(network(id));
        } else if (kind === 'leave' && held.delete(id)) agent.leaves(network(id));
        else if (kind === 'read') agent.reads(room);
        else if (kind === 'ack' && agent.applied.length > 0) agent.session.applied(agent.applied.at(-1)!);
        for (const networkId of held) {
          if (!agent.session.knows(new Set([networkId]), store.index)) continue;
          const known = agent.known.get(networkId);
          if (known === undefined || plain(known) !== plain(endpointsOf(store.view, networkId)))
            problems.push(`${networkId} is not known as of ${store.index}`);
        }
        const every = NETWORKS.every((one) => agent.session.knows(new Set([one]), store.index));
        if (agent.session.knows(new Set([...NETWORKS, 'none']), store.index) !== every)
          problems.push('all together is not each by itself');
      }
      agent.reads(100);
      agent.session.applied(agent.applied.at(-1) ?? 0);
      for (const networkId of held) {
        if (!agent.session.knows(new Set([networkId]), store.index)) problems.push(`${networkId} stays unknown`);
        if (plain(agent.known.get(networkId)!) !== past.get(`${networkId} ${store.index}`))
          problems.push(`${networkId} is known otherwise`);
      }
      if (problems.length > 0) throw new Error(problems[0]);
    }),
    { numRuns: 300 },
  );
  t.pass('in every run');
});

t.test('endpoint sessions › what an agent acknowledges without having been sent it counts for nothing', async (t) => {
  const store = await world();
  const agent = new Agent(serving(store));
  agent.has(store.view.get('network', 'net0')!);
  agent.session.applied(Number.MAX_SAFE_INTEGER);
  t.notOk(agent.session.knows(new Set(['net0']), store.index));
  agent.reads(1);
  t.notOk(agent.session.knows(new Set(['net0']), store.index));
  agent.session.applied(Number.MAX_SAFE_INTEGER);
  t.ok(agent.session.knows(new Set(['net0']), store.index));
  await store.update((tx) => {
    createTaskOn(tx, tx.get('service', 'web')!, { id: 't1', nodeId: 'n', networkIds: ['net0'] });
  });
  t.notOk(agent.session.knows(new Set(['net0']), store.index));
});
