import type { NodeBlocks } from '@swarmd/model';
import fc from 'fast-check';
import t from 'tap';
import { addressesOf, macAddressOf } from '../src/kernel/addresses.js';
import { changesBetween } from '../src/kernel/difference.js';
import { rangeTable } from '../src/kernel/ranges.js';
import { readTables } from '../src/kernel/read-tables.js';
import { tablesFor } from '../src/kernel/tables.js';
import type { NetworkMembers } from '../src/parts.js';
import { type BedHost, configOf, endpointOf, makeBed, membersOf, networkOf, unfit } from './kernel-bed.js';

const network = networkOf('one', 1_048_577);

function blocksOf(...entries: [nodeAddr: string, ...ranges: string[]][]): Map<string, NodeBlocks> {
  return new Map(entries.map(([nodeAddr, ...ranges]) => [nodeAddr, { nodeId: nodeAddr, nodeAddr, ranges }]));
}

t.test('ranges › all addresses of a range are listed, and what is no range is refused by name', async (t) => {
  t.same(addressesOf('10.0.255.254/30'), ['10.0.255.252', '10.0.255.253', '10.0.255.254', '10.0.255.255']);
  t.same(addressesOf('fd00::/112'), [], 'IPv6 tells no MAC address');
  for (const range of ['10.0.0.0', '10.0.0.0/33', '10.0.0.0/16', 'x/24', '10.0.0.0/x'])
    t.throws(() => addressesOf(range), { code: 'invalid-argument', field: 'ranges' }, range);
});

t.test('ranges › those that are the same are not worked out again', async (t) => {
  const blocks = blocksOf(
    ['192.0.2.2', '10.1.0.64/26'],
    ['192.0.2.3', '10.1.0.128/26'],
    ['192.0.2.1', '10.1.0.192/26'],
  );
  const first = rangeTable(blocks, '192.0.2.1');
  t.equal(first.entries.size, 128, 'not the own ones');
  t.equal(rangeTable(new Map(blocks), '192.0.2.1', first), first);
  blocks.delete('192.0.2.3');
  const second = rangeTable(blocks, '192.0.2.1', first);
  t.equal(second.entries.size, 64);
  t.equal(second.parts.get('192.0.2.2'), first.parts.get('192.0.2.2'));
  t.not(rangeTable(blocks, '192.0.2.2', second), second, 'another node has others');
});

t.test('ranges › steps from one state to another are the same whether ranges were kept or read', async () => {
  const host = fc.integer({ min: 1, max: 4 }).map((last) => `192.0.2.${last}`);
  const address = fc.integer({ min: 2, max: 40 }).map((last) => `10.1.0.${last}`);
  const endpoints = fc.uniqueArray(fc.tuple(host, address), { selector: ([, each]) => each, maxLength: 8 });
  const ranges = fc.uniqueArray(fc.tuple(host, fc.constantFrom('10.1.0.8/30', '10.1.0.16/28', '10.1.0.32/29')), {
    selector: ([each]) => each,
    maxLength: 3,
  });
  const kept = blocksOf(['192.0.2.2', '10.1.0.16/29'], ['192.0.2.3', '10.1.0.24/29']);
  const members = fc.tuple(endpoints, fc.option(ranges), fc.array(address, { maxLength: 3 })).map(
    ([on, changed, here]): NetworkMembers => ({
      ...membersOf(on.map(([addr, each]) => endpointOf({ addr }, each))),
      blocks: changed === null ? kept : blocksOf(...changed),
      here: new Set(here),
    }),
  );
  /** As if it had been read from the kernel. */
  const read = (on: NetworkMembers) => {
    const { ranges: told, ...tables } = tablesFor(network, on, '192.0.2.1');
    for (const [mac, { address: each, node }] of told?.table.entries ?? []) {
      if (told?.own.has(mac) || tables.tunnels.has(mac)) continue;
      tables.tunnels.set(mac, node);
      tables.bridged.add(mac);
      tables.neighbours.set(each, mac);
    }
    return tables;
  };
  const sorted = (changes: ReturnType<typeof changesBetween>) =>
    JSON.stringify(Object.values(changes).map((lines: string[]) => [...lines].sort()));
  fc.assert(
    fc.property(members, members, (one, other) => {
      const from = tablesFor(network, one, '192.0.2.1');
      const to = tablesFor(network, other, '192.0.2.1', from.ranges?.table);
      const flat = changesBetween(network, read(one), read(other));
      return sorted(changesBetween(network, from, to)) === sorted(flat);
    }),
  );
});

t.test('ranges › in the kernel', { skip: unfit }, async (t) => {
  const bed = await makeBed(3);
  t.teardown(() => bed.remove());
  const [h1, h2, h3] = bed.hosts as [BedHost, BedHost, BedHost];
  const blocks = blocksOf([h2.addr, '10.1.0.64/26'], [h3.addr, '10.1.0.128/26'], [h1.addr, '10.1.0.192/26']);
  const on = (...endpoints: Parameters<typeof membersOf>[0]) => ({ ...membersOf(endpoints), blocks });
  const apply = async (members: NetworkMembers) => {
    for (const host of bed.hosts) await host.plane.apply(network, members);
  };
  const a = await bed.join(h1, network, '10.1.0.200');
  const b = await bed.join(h2, network, '10.1.0.70');
  await apply(on());
  await bed.serve(b, 'b', 80);
  t.equal(await bed.ask(a, b.address, 80), `b ${a.address}`, 'a container that nobody has told of is reached');

  const moved = await bed.join(h3, network, '10.1.0.71');
  await bed.serve(moved, 'moved', 80);
  await apply(on(endpointOf(h3, moved.address)));
  t.equal(await bed.ask(a, moved.address, 80), `moved ${a.address}`, 'an endpoint goes before a range');
  await bed.join(h1, network, '10.1.0.72');
  const here = { ...on(endpointOf(h3, moved.address)), here: new Set(['10.1.0.72']) };
  await h1.plane.apply(network, here);
  const path = h1.namespaces.pathOf(network.id);
  const tunnels = async () => (await readTables(bed.commands, path, network, h1.namespaces.view(path))).tunnels;
  t.notOk((await tunnels()).has(macAddressOf('10.1.0.72')), 'and so does a container that is here');
  t.equal((await tunnels()).size, 127);

  const plane = h1.restart();
  await plane.configure(configOf(h1, [h2.addr, h3.addr]));
  t.same(await plane.audit(network, here, []), [], 'after a restart there is nothing to be written');
  await plane.apply(network, on());
  t.equal((await tunnels()).get(macAddressOf(moved.address)), h2.addr, 'an endpoint that is gone leaves the range');
  await plane.apply(network, membersOf([]));
  t.equal((await tunnels()).size, 0);
});
