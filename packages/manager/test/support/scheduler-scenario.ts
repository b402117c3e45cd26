import { rfc3339, type Task, type TaskSpec, type WriteTx } from '@swarmd/model';
import { buildNode, buildTask, createService } from '@swarmd/testkit';
import fc from 'fast-check';
import { specWith, type World } from './scheduler-world.js';

/** A small cluster with work to do, as plain data. Nodes are `n0`…, services `s0`…, pending tasks `s0.1`…. */
export interface Scenario {
  nodes: { cpus: number; zone?: string; rack: string; web: boolean; active: boolean; path?: boolean }[];
  services: {
    cpus: number;
    spreads: readonly string[];
    web: boolean;
    maxReplicas: number;
    port: boolean;
    overlay?: boolean;
    pending: number;
  }[];
  /** Tasks that are there already; `wanted` ones count as active. */
  held: { node: number; service: number; wanted: boolean }[];
  /** Failures of a service on a node within the last minutes. */
  failures: { node: number; service: number; count: number }[];
}

const node = fc.record({
  cpus: fc.integer({ min: 0, max: 5 }),
  zone: fc.option(fc.constantFrom('a', 'b', 'c'), { nil: undefined }),
  rack: fc.constantFrom('1', '2', '3'),
  web: fc.boolean(),
  active: fc.integer({ min: 0, max: 5 }).map((n) => n > 0),
  path: fc.integer({ min: 0, max: 3 }).map((n) => n > 0),
});
const service = fc.record({
  cpus: fc.integer({ min: 0, max: 2 }),
  spreads: fc.constantFrom([], [], ['zone'], ['rack'], ['zone', 'rack'], ['rack', 'zone']),
  web: fc.boolean(),
  maxReplicas: fc.constantFrom(0, 0, 0, 1, 2),
  port: fc.integer({ min: 0, max: 4 }).map((n) => n === 0),
  overlay: fc.boolean(),
  pending: fc.integer({ min: 0, max: 14 }),
});

/** Any {@link Scenario}. */
export const scenarios: fc.Arbitrary<Scenario> = fc
  .tuple(fc.array(node, { maxLength: 9 }), fc.array(service, { minLength: 1, maxLength: 4 }))
  .chain(([nodes, services]) => {
    const place = {
      node: fc.nat({ max: Math.max(0, nodes.length - 1) }),
      service: fc.nat({ max: services.length - 1 }),
    };
    const some = nodes.length === 0 ? 0 : undefined;
    return fc.record({
      nodes: fc.constant(nodes),
      services: fc.constant(services),
      held: fc.array(fc.record({ ...place, wanted: fc.boolean() }), { maxLength: some ?? 12 }),
      failures: fc.array(fc.record({ ...place, count: fc.integer({ min: 1, max: 7 }) }), { maxLength: some ?? 3 }),
    }) as fc.Arbitrary<Scenario>;
  });

const MINUTE_MS = 60_000;
const GIB = 2 ** 30;
const ON_NETWORK = [{ Network: { ID: 'net' }, Addresses: ['10.1.0.2/16'] }];

/** Writes a scenario into a world; backwards when told, so that nothing comes in the same order. */
export async function fill({ store, clock }: World, scenario: Scenario, backwards = false): Promise<void> {
  const writes: ((tx: WriteTx) => void)[] = [];
  for (const [i, { cpus, zone, rack, web, active, path = true }] of scenario.nodes.entries()) {
    const Labels = { rack, ...(zone === undefined ? {} : { zone }), ...(web ? { tier: 'web' } : {}) };
    const built = buildNode(`n${i}`, { Spec: { Role: 'worker', Availability: active ? 'active' : 'drain', Labels } });
    built.Session = { ID: `session${i}`, BootNonce: '' };
    if (path) built.DataPath = { Addr: `192.168.0.${i + 1}`, MTU: 1500 };
    built.Description!.Resources = { NanoCPUs: cpus * 1e9, MemoryBytes: 8 * GIB };
    writes.push((tx) => void tx.create('node', built));
  }
  const taskOf = (tx: WriteTx, i: number, id: string, over: Partial<Task>): void => {
    const Ports = scenario.services[i]!.port ? [{ PublishedPort: 80, PublishMode: 'host' as const }] : [];
    const NetworksAttachments = scenario.services[i]!.overlay ? ON_NETWORK : [];
    const from = tx.get('service', `s${i}`)!;
    tx.create('task', buildTask(from, id, { Endpoint: { Ports }, NetworksAttachments, ...over }));
  };
  const failed = rfc3339(clock.now() - MINUTE_MS);
  for (const [i, { node: on, service: of, wanted }] of scenario.held.entries()) {
    const Status = { Timestamp: failed, State: 'running' as const, Message: '' };
    const DesiredState = wanted ? ('running' as const) : ('shutdown' as const);
    writes.push((tx) => taskOf(tx, of, `held${i}`, { NodeID: `n${on}`, DesiredState, Status }));
  }
  for (const [i, { node: on, service: of, count }] of scenario.failures.entries()) {
    const Status = { Timestamp: failed, State: 'failed' as const, Message: '', AppliedAt: failed };
    for (let n = 0; n < count; n++) {
      writes.push((tx) => taskOf(tx, of, `failed${i}.${n}`, { NodeID: `n${on}`, DesiredState: 'shutdown', Status }));
    }
  }
  for (const [i, { pending }] of scenario.services.entries()) {
    for (let slot = 1; slot <= pending; slot++) writes.push((tx) => taskOf(tx, i, `s${i}.${slot}`, { Slot: slot }));
  }
  await store.update((tx) => {
    for (const [i, of] of scenario.services.entries()) createService(tx, `s${i}`, specWith(templateOf(of)));
    for (const write of backwards ? writes.reverse() : writes) write(tx);
  });
}

function templateOf({ cpus, spreads, web, maxReplicas }: Scenario['services'][number]): TaskSpec {
  return {
    Resources: { Reservations: { NanoCPUs: cpus * 1e9, MemoryBytes: cpus === 0 ? 0 : GIB } },
    Placement: {
      Constraints: web ? ['node.labels.tier==web'] : [],
      Preferences: spreads.map((label) => ({ Spread: { SpreadDescriptor: `node.labels.${label}` } })),
      MaxReplicas: maxReplicas,
    },
  };
}
