import type { NodeNetwork } from '@swarmd/model';
import { type EndpointUpdate, NetworkEndpoint_Phase } from '@swarmd/wire';
import t from 'tap';
import { NetworkLink, type NetworkSession } from '../src/network/link.js';
import { MemoryNodeNetworks } from './support/memory-node-networks.js';
import { clock, logger } from './support/system.js';

const network = (id: string, over: Partial<NodeNetwork> = {}): NodeNetwork => ({
  ...{ id, name: id, vni: 2 ** 20, subnets: [{ subnet: '10.1.0.0/24', gateway: '10.1.0.1' }], mtu: 1450 },
  ...{ internal: false, ingress: false, attachable: true, addressBlocks: [] },
  ...over,
});
const update = (
  networkId: string,
  index: number,
  ids: string[],
  over: Partial<EndpointUpdate> = {},
): EndpointUpdate => ({
  ...{ networkId, index, complete: false, lastPart: true, removedEndpoints: [], services: [], removedServices: [] },
  ...{ blocks: [], removedBlocks: [] },
  endpoints: ids.map((id) => ({
    ...{ id, serviceId: 's1', nodeId: 'h2', nodeAddr: '10.0.0.2', addresses: ['10.1.0.2'], names: [] },
    phase: NetworkEndpoint_Phase.PHASE_READY,
  })),
  ...over,
});

/** A link that runs, with a swarmd-net in memory, and a session that notes what it is told. */
function running(t: { teardown(fn: () => Promise<void>): void }) {
  const net = new MemoryNodeNetworks();
  const own = { nodeId: 'node1', clusterId: 'cluster1', addr: '10.0.0.1' };
  let aheadMs = 0;
  const later = { ...clock, monotonic: () => clock.monotonic() + aheadMs };
  const link = new NetworkLink({ nodeNetworks: net, own, clock: later, logger });
  const stop = new AbortController();
  // Nothing else keeps this process alive while swarmd-net is away.
  const alive = setInterval(() => {}, 1_000);
  const done = link.run(stop.signal);
  t.teardown(async () => {
    stop.abort();
    clearInterval(alive);
    await done;
  });
  const applied: number[] = [];
  const renewed: string[] = [];
  const begin = (takesPart = true): void => {
    const session: NetworkSession = {
      takesPart,
      applied: (index) => {
        applied.push(index);
        net.emit('change');
      },
      renew: ({ message }) => {
        renewed.push(message);
        net.emit('change');
      },
    };
    link.begin(session);
  };
  const on = (id: string) => [...(net.members.get(id)?.endpoints.keys() ?? [])].sort();
  const elapse = (ms: number): void => {
    aheadMs += ms;
  };
  return { net, link, applied, renewed, begin, on, elapse };
}

t.test('link › tells networks before who is on them, and acknowledges what is done', async (t) => {
  const { net, link, applied, begin, on } = running(t);
  begin();
  link.peers(4789, ['10.0.0.2']);
  link.want([network('n1'), network('n2')]);
  link.update(update('n1', 5, ['a'], { complete: true }));
  link.update(update('n2', 5, ['a', 'b'], { complete: true }));
  await net.until(() => applied.includes(5));
  t.strictSame(applied, [5], 'once for what came in one go');
  t.strictSame(net.config, {
    nodeId: 'node1',
    clusterId: 'cluster1',
    addr: '10.0.0.1',
    port: 4789,
    peers: ['10.0.0.2'],
  });
  t.strictSame([on('n1'), on('n2')], [['a'], ['a', 'b']]);
  link.update(update('n2', 6, ['c'], { removedEndpoints: ['a'] }));
  await net.until(() => applied.includes(6));
  t.strictSame(on('n2'), ['b', 'c']);
});

t.test('link › what comes for a network before the network waits for it', async (t) => {
  const { net, link, begin, on } = running(t);
  begin();
  link.update(update('n1', 5, ['a'], { complete: true }));
  link.update(update('n1', 6, ['b']));
  await net.until(() => net.calls.includes('status'));
  link.want([network('n1')]);
  await link.ready('n1', new AbortController().signal);
  t.strictSame(on('n1'), ['a', 'b']);
});

t.test('link › while swarmd-net is away changes gather, and are made once it is back', async (t) => {
  const { net, link, applied, renewed, begin, on } = running(t);
  begin();
  link.want([network('n1')]);
  link.update(update('n1', 1, ['a'], { complete: true }));
  await net.until(() => applied.includes(1));
  net.up = false;
  for (let i = 2; i < 50; i++) link.update(update('n1', i, [`t${i}`], { removedEndpoints: [`t${i - 1}`] }));
  await net.until(() => net.calls.at(-1) === 'status');
  t.strictSame(on('n1'), ['a']);
  t.equal(link.isBehind(['n1']), true);
  t.equal(link.isBehind(['n2']), true, 'nothing of that one has come in this session yet');
  net.up = true;
  await net.until(() => applied.includes(49));
  await net.until(() => !link.isBehind(['n1']));
  t.strictSame(on('n1'), ['a', 't49']);
  t.strictSame(renewed, [], 'it has kept what it knew');
  begin();
  t.equal(link.isBehind(['n1']), true, 'a new session tells it anew');
  link.update(update('n1', 50, ['a'], { complete: true }));
  await net.until(() => !link.isBehind(['n1']));
  link.end();
  t.equal(link.isBehind(['n1', 'n2']), false, 'without a session nothing is to come');
});

t.test('link › a swarmd-net that lost what it knew is told everything in a new session', async (t) => {
  const { net, link, applied, renewed, begin, on } = running(t);
  begin();
  link.peers(4789, []);
  link.want([network('n1')]);
  link.update(update('n1', 1, ['a'], { complete: true }));
  await net.until(() => applied.includes(1));
  net.up = false;
  link.update(update('n1', 2, ['b']));
  await net.until(() => net.calls.at(-1) === 'status');
  net.lose();
  net.up = true;
  await net.until(() => renewed.length === 1);
  link.end();
  await net.until(() => net.networks.has('n1') && net.config !== undefined);
  begin();
  link.update(update('n1', 2, ['a', 'b'], { complete: true }));
  await net.until(() => applied.includes(2));
  t.strictSame(on('n1'), ['a', 'b']);
  t.equal(renewed.length, 1);
});

t.test('link › one that lost what it knew between two sessions is configured again', async (t) => {
  const { net, link, begin, elapse } = running(t);
  begin();
  link.peers(4789, ['10.0.0.2']);
  link.want([network('n1')]);
  await net.until(() => net.config !== undefined && net.networks.has('n1'));
  link.end();
  net.lose();
  elapse(10_000);
  link.want([network('n1')]);
  await net.until(() => net.networks.has('n1'));
  begin();
  link.want([network('n2')]);
  await net.until(() => net.networks.has('n2'));
  t.strictSame(net.config?.peers, ['10.0.0.2']);
});

t.test('link › opens a new session when swarmd-net is there after all', async (t) => {
  const { net, renewed, begin } = running(t);
  net.up = false;
  begin(false);
  await net.until(() => net.calls.length > 1);
  t.strictSame(renewed, []);
  net.up = true;
  await net.until(() => renewed.length === 1);
});

t.test('link › one of another protocol counts as away', async (t) => {
  const { net, link, renewed, begin } = running(t);
  net.protocol++;
  t.notOk(await link.answers());
  begin(false);
  await net.until(() => net.calls.length > 3);
  t.strictSame(renewed, []);
  net.protocol--;
  t.ok(await link.answers());
});

t.test('link › a network that cannot be had keeps no other waiting, and says why', async (t) => {
  const { net, link, begin } = running(t);
  net.refuses.add('bad');
  begin();
  link.want([network('bad'), network('good')]);
  await link.ready('good', new AbortController().signal);
  const stop = new AbortController();
  const waiting = link.ready('bad', stop.signal);
  stop.abort(new Error('enough'));
  await t.rejects(waiting, { message: 'enough' });
  net.refuses.clear();
  link.want([network('bad'), network('good', { addressBlocks: ['10.1.0.64/26'] })]);
  await link.ready('bad', new AbortController().signal);
  await net.until(() => net.networks.get('good')?.addressBlocks.length === 1);
});

t.test('link › forgets a network when it is dropped and nobody is on it', async (t) => {
  const { net, link, begin } = running(t);
  begin();
  link.want([network('n1')]);
  await link.ready('n1', new AbortController().signal);
  link.want([]);
  net.inUse.add('n1');
  link.drop('n1');
  await net.until(() => net.calls.includes('remove n1'));
  t.ok(net.networks.has('n1'));
  net.inUse.clear();
  link.want([network('n2')]);
  await net.until(() => !net.networks.has('n1'));
  link.drop('n2');
  await link.ready('n2', new AbortController().signal);
  t.ok(net.networks.has('n2'), 'what is wanted is not dropped');
});

t.test('link › what comes for a network while it is being forgotten is kept', async (t) => {
  const { net, link, begin, on } = running(t);
  begin();
  link.want([network('n1')]);
  await link.ready('n1', new AbortController().signal);
  link.want([]);
  link.drop('n1');
  net.once('change', () => {
    link.want([network('n1')]);
    link.update(update('n1', 3, ['a'], { complete: true }));
  });
  await net.until(() => !net.networks.has('n1'));
  await link.ready('n1', new AbortController().signal);
  t.strictSame(on('n1'), ['a']);
});

t.test('link › does not acknowledge what came for a network that it has not told yet', async (t) => {
  const { net, link, applied, begin, on } = running(t);
  begin();
  link.want([network('n1')]);
  link.update(update('n1', 5, ['a'], { complete: true }));
  const known: string[][] = [];
  let more = false;
  net.on('change', () => {
    if (applied.includes(6)) known.push(on('n2'));
    if (more || net.calls.at(-1) !== 'put n1') return;
    more = true;
    link.want([network('n1'), network('n2')]);
    link.update(update('n2', 6, ['a'], { complete: true }));
  });
  await net.until(() => applied.includes(6));
  t.strictSame(known[0], ['a']);
  t.strictSame(applied, [5, 6]);
});

t.test('link › publishes the ports of the ingress network, once they are all known', async (t) => {
  const { net, link, applied, begin } = running(t);
  const ports = [{ Protocol: 'tcp' as const, TargetPort: 80, PublishedPort: 8080, PublishMode: 'ingress' as const }];
  const web = { id: 's1', name: 'web', aliases: [], virtualIps: [], ports: Buffer.from(JSON.stringify(ports)) };
  begin();
  link.want([network('n1'), network('in', { ingress: true })]);
  link.update(update('n1', 1, ['a'], { complete: true }));
  await net.until(() => applied.includes(1));
  t.equal(net.published, undefined, 'what was published before goes on');
  link.update(update('in', 2, ['a'], { complete: true, services: [web] }));
  await net.until(() => net.published !== undefined);
  t.strictSame(net.published, [{ serviceId: 's1', ports }]);
  link.update(update('in', 3, [], { removedServices: ['s1'] }));
  await net.until(() => net.published?.length === 0);
});
