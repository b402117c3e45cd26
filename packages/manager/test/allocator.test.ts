import type { EndpointSpec, PortConfig, Service } from '@swarmd/model';
import { createMemoryLog, openStore } from '@swarmd/store';
import { buildServiceSpec, buildTask, createService, manualClock, seededRandom } from '@swarmd/testkit';
import fc from 'fast-check';
import { pino } from 'pino';
import t from 'tap';
import { startAllocator } from '../src/allocator/index.js';
import { allocatePorts, type OtherPorts, portKey } from '../src/allocator/ports.js';
import { serviceOf } from './support/observed.js';

function service(ports: PortConfig[], had?: PortConfig[]): Service {
  const spec: EndpointSpec = { Mode: 'vip', Ports: ports };
  const endpoint = had === undefined ? {} : { Endpoint: { Spec: {}, Ports: had } };
  return serviceOf({ Spec: { ...buildServiceSpec('web', 1), EndpointSpec: spec }, ...endpoint });
}

function others(taken: string[] = [], claimed: string[] = []): OtherPorts {
  return { taken: new Set(taken), claimed: new Set(claimed) };
}

/** The published ports, or the error. */
function published(of: Service, than: OtherPorts = others()): (number | undefined)[] | string {
  const allocation = allocatePorts(of, than);
  return 'error' in allocation ? allocation.error : (allocation.endpoint.Ports ?? []).map((port) => port.PublishedPort);
}

t.test('allocator › gives the lowest free dynamic port, per protocol', (t) => {
  t.same(published(service([{ TargetPort: 80 }])), [30_000]);
  t.same(published(service([{ TargetPort: 80 }]), others(['tcp/30000', 'tcp/30001'])), [30_002]);
  t.same(published(service([{ TargetPort: 53, Protocol: 'udp' }]), others(['tcp/30000'])), [30_000]);
  t.same(published(service([{ TargetPort: 80 }, { TargetPort: 81 }])), [30_000, 30_001]);
  t.same(published(service([{ TargetPort: 80 }]), others([], ['tcp/30000'])), [30_001], 'not one that a spec asks for');
  t.same(published(service([{ TargetPort: 80 }, { TargetPort: 81, PublishedPort: 30_000 }])), [30_001, 30_000]);
  t.end();
});

t.test('allocator › keeps ports over changes of the spec', (t) => {
  const had: PortConfig[] = [
    { TargetPort: 80, PublishedPort: 30_007, PublishMode: 'ingress', Protocol: 'tcp' },
    { TargetPort: 80, PublishedPort: 30_003, PublishMode: 'ingress', Protocol: 'tcp' },
  ];
  t.same(published(service([{ TargetPort: 80 }], had)), [30_007]);
  t.same(published(service([{ TargetPort: 80 }, { TargetPort: 80 }], had)), [30_007, 30_003], 'each its own');
  t.same(published(service([{ TargetPort: 81 }], had)), [30_000], 'another target is another port');
  t.same(published(service([{ TargetPort: 80 }], had), others(['tcp/30007'])), [30_003], 'unless it is another’s now');
  const fixed = [{ TargetPort: 80, PublishedPort: 8_080 }];
  t.same(published(service([{ TargetPort: 80 }], fixed)), [30_000], 'a port that was asked for is not dynamic');
  t.end();
});

t.test('allocator › says which port cannot be had', (t) => {
  t.match(
    published(service([{ TargetPort: 80, PublishedPort: 80 }]), others(['tcp/80'])),
    /^port '80\/tcp' is already/,
  );
  t.same(
    published(service([{ TargetPort: 80, PublishedPort: 80 }]), others([], ['tcp/80'])),
    [80],
    'a claim is no gift',
  );
  const host: PortConfig = { TargetPort: 80, PublishedPort: 80, PublishMode: 'host' };
  t.same(published(service([host]), others(['tcp/80'])), [80], 'ports of hosts are the scheduler’s business');
  const all = Array.from({ length: 2_768 }, (_, i) => `tcp/${30_000 + i}`);
  t.match(published(service([{ TargetPort: 80 }]), others(all)), /^no free port left/);
  t.same(published(service([{ TargetPort: 53, Protocol: 'udp' }]), others(all)), [30_000]);
  t.end();
});

t.test('allocator › never gives a port twice, and gives the same again', (t) => {
  const port = fc.record({
    TargetPort: fc.integer({ min: 80, max: 82 }),
    Protocol: fc.constantFrom<'tcp' | 'udp'>('tcp', 'udp'),
    PublishedPort: fc.constantFrom(0, 0, 0, 30_001, 30_002),
  });
  const key = fc.record({
    Protocol: fc.constantFrom<'tcp' | 'udp'>('tcp', 'udp'),
    PublishedPort: fc.integer({ min: 30_000, max: 30_004 }),
  });
  const property = fc.property(
    fc.uniqueArray(port, { maxLength: 5, selector: (p) => (p.PublishedPort ? portKey(p) : p) }),
    fc.array(key, { maxLength: 4 }),
    fc.array(key, { maxLength: 4 }),
    (ports, taken, claimed) => {
      const theirs = others(taken.map(portKey), claimed.map(portKey));
      const allocation = allocatePorts(service(ports), theirs);
      if ('error' in allocation) return ports.some((p) => p.PublishedPort > 0 && theirs.taken.has(portKey(p)));
      const given = allocation.endpoint.Ports ?? [];
      const keys = given.map(portKey);
      if (new Set(keys).size !== keys.length || keys.some((k) => theirs.taken.has(k))) return false;
      if (ports.some((p, i) => p.PublishedPort === 0 && theirs.claimed.has(keys[i]!))) return false;
      const again = allocatePorts(service([...ports].reverse(), given), theirs);
      return (
        !('error' in again) &&
        new Set(again.endpoint.Ports?.map(portKey)).size === keys.length &&
        (again.endpoint.Ports ?? []).every((p) => keys.includes(portKey(p)))
      );
    },
  );
  fc.assert(property, { numRuns: 1_000 });
  t.end();
});

t.test('allocator › a service that waits for a port gets it as soon as it is free', async (t) => {
  const clock = manualClock();
  const store = await openStore({ log: createMemoryLog(), clock });
  const allocator = startAllocator({ store, clock, random: seededRandom(1), logger: pino({ level: 'silent' }) });
  t.teardown(async () => {
    await allocator.stop();
    await store.close();
  });
  const spec = (name: string) => ({
    ...buildServiceSpec(name, 1),
    EndpointSpec: { Ports: [{ TargetPort: 80, PublishedPort: 80, Protocol: 'tcp' as const }] },
  });
  const settle = async (): Promise<void> => {
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
  };
  await store.update((tx) => {
    for (const id of ['a', 'b']) {
      const made = createService(tx, id, spec(id));
      tx.create('task', buildTask(made, `${id}1`, { Status: { Timestamp: tx.now, State: 'new', Message: '' } }));
    }
  });
  await settle();
  const status = (id: string) => store.view.get('task', id)?.Status;
  t.match(status('a1'), { State: 'pending' });
  t.match(status('b1'), { State: 'new', Err: /'80\/tcp' is already in use/ });
  await store.update((tx) => void tx.put('service', { ...tx.get('service', 'a')!, PendingDelete: true }));
  await settle();
  t.match(status('b1'), { State: 'pending', Err: undefined });
  t.equal(store.view.get('service', 'b')?.Endpoint?.Ports?.[0]?.PublishedPort, 80);
});
