import type { EndpointChange } from '@swarmd/model';
import { type EndpointUpdate, NetworkEndpoint_Phase } from '@swarmd/wire';
import fc from 'fast-check';
import t from 'tap';
import { gateOf, mergeChanges, toEndpointChange } from '../src/network/endpoint-changes.js';
import { EndpointQueue } from '../src/network/endpoint-queue.js';
import { PublishedPorts } from '../src/network/published-ports.js';
import { applyChange } from './support/memory-node-networks.js';

const id = fc.constantFrom('a', 'b', 'c', 'd');
const endpoint = fc.record({
  id,
  serviceId: fc.constantFrom('', 's1'),
  nodeAddr: fc.constantFrom('10.0.0.1', '10.0.0.2'),
  addresses: fc.constant<string[]>(['10.1.0.2']),
  phase: fc.constantFrom('reserved' as const, 'ready' as const, 'draining' as const),
  names: fc.constant<string[]>([]),
});
const service = fc.record({
  id,
  name: fc.constantFrom('web', 'db'),
  aliases: fc.constant<string[]>([]),
  virtualIps: fc.constant<string[]>([]),
});
const change: fc.Arbitrary<EndpointChange> = fc.record({
  networkId: fc.constant('n'),
  complete: fc.boolean(),
  endpoints: fc.array(endpoint, { maxLength: 4 }),
  removedEndpoints: fc.array(id, { maxLength: 3 }),
  services: fc.array(service, { maxLength: 4 }),
  removedServices: fc.array(id, { maxLength: 3 }),
  blocks: fc.array(fc.record({ nodeId: id, nodeAddr: fc.constant('10.0.0.1'), ranges: fc.constant<string[]>([]) })),
  removedBlocks: fc.array(id, { maxLength: 3 }),
});
const byId = (a: { id: string }, b: { id: string }) => (a.id < b.id ? -1 : 1);
const plain = (members: ReturnType<typeof applyChange>) => ({
  endpoints: [...members.endpoints.values()].sort(byId),
  blocks: [...members.blocks].sort(([a], [b]) => (a < b ? -1 : 1)),
  services: [...members.services.values()].sort(byId),
});

t.test('changes › merged in any way do what they do one after the other', async () => {
  fc.assert(
    fc.property(change, change, change, (known, first, second) => {
      const before = applyChange(undefined, known);
      const one = applyChange(applyChange(before, first), second);
      const other = applyChange(before, mergeChanges(first, second));
      return fc.stringify(plain(one)) === fc.stringify(plain(other));
    }),
  );
});

const update = (over: Partial<EndpointUpdate>): EndpointUpdate => ({
  ...{ networkId: 'n', complete: false, index: 1, lastPart: true },
  ...{ endpoints: [], removedEndpoints: [], services: [], removedServices: [], blocks: [], removedBlocks: [] },
  ...over,
});
const member = (name: string, phase: NetworkEndpoint_Phase = NetworkEndpoint_Phase.PHASE_READY) => ({
  ...{ id: name, serviceId: 's1', nodeId: 'h2', nodeAddr: '10.0.0.2', addresses: ['10.1.0.2'], names: [], phase },
});

t.test('changes › are read from a manager’s updates', async (t) => {
  const { PHASE_DRAINING, PHASE_RESERVED, PHASE_UNSPECIFIED } = NetworkEndpoint_Phase;
  const read = toEndpointChange(
    update({ endpoints: [member('a'), member('b', PHASE_DRAINING), member('c', PHASE_UNSPECIFIED)] }),
  );
  t.strictSame(
    read.endpoints.map(({ id, phase, nodeAddr }) => [id, phase, nodeAddr]),
    [
      ['a', 'ready', '10.0.0.2'],
      ['b', 'draining', '10.0.0.2'],
      ['c', 'reserved', '10.0.0.2'],
    ],
  );
  t.equal(gateOf(PHASE_RESERVED), 'reserved');
  t.equal(gateOf(PHASE_DRAINING), 'draining');
  t.equal(gateOf(NetworkEndpoint_Phase.PHASE_READY), undefined);
});

t.test('queue › makes an update of several parts as one, and only when it is whole', async (t) => {
  const queue = new EndpointQueue();
  const made: EndpointChange[] = [];
  const make = async (changes: readonly EndpointChange[]) => void made.push(...changes);
  queue.add(update({ complete: true, lastPart: false, index: 7, endpoints: [member('a')] }));
  t.equal(await queue.make(() => true, make), 0);
  t.strictSame(made, []);
  // As managers mark them: each part of a complete update.
  queue.add(update({ complete: true, index: 7, endpoints: [member('b')] }));
  t.equal(await queue.make(() => true, make), 7);
  t.match(made, [{ complete: true, endpoints: [{ id: 'a' }, { id: 'b' }] }]);
  t.equal(made.length, 1);
});

t.test('queue › what failed is made together with what came in meanwhile', async (t) => {
  const queue = new EndpointQueue();
  queue.add(update({ index: 1, endpoints: [member('a'), member('b')] }));
  await t.rejects(
    queue.make(
      () => true,
      async () => {
        queue.add(update({ index: 2, removedEndpoints: ['a'] }));
        t.ok(queue.has('n'));
        throw new Error('away');
      },
    ),
  );
  let made: readonly EndpointChange[] = [];
  const index = await queue.make(
    () => true,
    async (changes) => {
      made = changes;
    },
  );
  t.equal(index, 2);
  t.match(made, [{ endpoints: [{ id: 'b' }], removedEndpoints: ['a'] }]);
  t.notOk(queue.has('n'));
});

t.test('queue › keeps those of unknown networks until they are known', async (t) => {
  const queue = new EndpointQueue();
  queue.add(update({ networkId: 'x', endpoints: [member('a')] }));
  const never = async () => {
    t.fail('it is not known');
  };
  await queue.make((networkId) => networkId !== 'x', never);
  t.ok(queue.has('x'));
  await queue.make(
    () => true,
    async () => {},
  );
  t.notOk(queue.has('x'));
});

t.test('queue › says when it has become too long to be worth keeping', async (t) => {
  const queue = new EndpointQueue();
  let kept = true;
  for (let i = 0; kept; i++) {
    kept = queue.add(update({ removedEndpoints: Array.from({ length: 1_000 }, (_, k) => `t${i}-${k}`) }));
  }
  t.notOk(queue.has('n'));
});

t.test('published ports › follow the services of a network, from its first complete set on', async (t) => {
  const ports = new PublishedPorts();
  const web = (ports: unknown[]) => ({
    ...{ id: 's1', name: 'web', aliases: [], virtualIps: [] },
    ports: ports.length > 0 ? Buffer.from(JSON.stringify(ports)) : Buffer.alloc(0),
  });
  const port = { Protocol: 'tcp', TargetPort: 80, PublishedPort: 8080, PublishMode: 'ingress' };
  t.notOk(ports.take(update({ services: [web([port])] })));
  t.equal(ports.services('n'), undefined);
  t.ok(ports.take(update({ complete: true })));
  t.strictSame(ports.services('n'), []);
  t.ok(ports.take(update({ services: [web([port])] })));
  t.strictSame(ports.services('n'), [{ serviceId: 's1', ports: [port] }]);
  t.notOk(ports.take(update({ endpoints: [member('a')] })));
  t.ok(ports.take(update({ complete: true, lastPart: false, services: [web([port])] })));
  t.equal(ports.services('n'), undefined, 'half of a set is nothing to publish');
  t.ok(ports.take(update({ complete: true })));
  t.strictSame(ports.services('n'), [{ serviceId: 's1', ports: [port] }]);
  t.ok(ports.take(update({ services: [web([])] })));
  t.strictSame(ports.services('n'), []);
  ports.take(update({ services: [web([port])] }));
  t.ok(ports.take(update({ removedServices: ['s1'] })));
  t.strictSame(ports.services('n'), []);
});
