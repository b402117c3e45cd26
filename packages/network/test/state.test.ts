import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EndpointChange, NetworkEndpoint } from '@swarmd/model';
import fc from 'fast-check';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { type NodeState, openNodeState } from '../src/state/node-state.js';
import { openRecordLog, readLines } from '../src/state/record-log.js';
import { aNetwork } from './support/net-host.js';

const logger = pino({ level: 'silent' });

function fileIn(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'net-state-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return join(directory, 'net.log');
}

function open(path: string, bootId = 'boot-1'): Promise<NodeState> {
  return openNodeState({ path, bootId, logger });
}

function endpoint(id: string, address: string): NetworkEndpoint {
  return { id, serviceId: 's', nodeAddr: '192.0.2.1', addresses: [address], phase: 'ready', names: [] };
}

function change(networkId: string, more: Partial<EndpointChange>): EndpointChange {
  return {
    networkId,
    complete: false,
    endpoints: [],
    removedEndpoints: [],
    services: [],
    removedServices: [],
    ...more,
  };
}

function local(endpointId: string, sandbox: string) {
  return {
    ...{ networkId: 'n1', engineNetworkId: 'e1', endpointId, addresses: ['10.0.1.9'], macAddress: '02:42:0a:00:01:09' },
    ...{ taskId: '', dns: [], sandbox, changedAtMs: 0 },
  };
}

/** All that a state holds, as plain data. */
function contents(state: NodeState) {
  const members = [...state.networks().keys()].map((id) => [
    id,
    [...(state.members(id)?.endpoints.keys() ?? [])].sort(),
  ]);
  return {
    members,
    config: state.config(),
    blocks: [...(state.members('n1')?.blocks?.keys() ?? [])],
    engine: [...state.engineNetworks()],
    locals: [...state.locals().values()],
    published: state.published(),
  };
}

async function filled(path: string): Promise<NodeState> {
  const state = await open(path);
  await state.setConfig({ nodeId: 'h1', clusterId: 'c', addr: '192.0.2.1', port: 4789, peers: ['192.0.2.2'] });
  for (const id of ['n1', 'n2']) await state.putNetwork(aNetwork(id, '10.0.1.0/24'));
  await state.changeMembers([
    change('n1', { complete: true, endpoints: [endpoint('t1', '10.0.1.2'), endpoint('t2', '10.0.1.3')] }),
    change('unknown', { endpoints: [endpoint('t9', '10.0.9.2')] }),
  ]);
  await state.changeMembers([change('n1', { removedEndpoints: ['t1'], endpoints: [endpoint('t3', '10.0.1.4')] })]);
  await state.putEngineNetwork('e1', 'n1');
  await state.putLocal(local('a', '/ns/a'));
  const blocks = [{ nodeId: 'h2', nodeAddr: '192.0.2.2', ranges: ['10.0.1.128/26'] }];
  await state.changeMembers([change('n1', { blocks: [...blocks, { ...blocks[0]!, nodeId: 'h3' }] })]);
  await state.changeMembers([change('n1', { removedBlocks: ['h3'] })]);
  await state.setPublished([{ serviceId: 's', ports: [] }]);
  return state;
}

t.test('state › what was written is there after a restart, in the same epoch', async (t) => {
  const path = fileIn(t);
  const before = await filled(path);
  await before.close();
  const after = await open(path);
  t.same(contents(after), contents(before));
  t.same(contents(after).members, [
    ['n1', ['t2', 't3']],
    ['n2', []],
  ]);
  t.same(contents(after).blocks, ['h2']);
  t.equal(after.epoch(), before.epoch());
  t.notOk(after.doubtful);
  t.equal(after.members('unknown'), undefined, 'members of unknown networks are not kept');
  await after.close();
});

t.test('state › a complete change replaces what was known, and members are another object then', async (t) => {
  const path = fileIn(t);
  const state = await filled(path);
  const before = state.members('n1')!;
  await state.changeMembers([change('n1', { complete: true, endpoints: [endpoint('t7', '10.0.1.7')] })]);
  t.same([...state.members('n1')!.endpoints.keys()], ['t7']);
  t.not(state.members('n1'), before);
  t.equal(state.members('n1')!.blocks?.size, 0);
  t.same([...before.endpoints.keys()], ['t2', 't3'], 'who still reads the old set is not disturbed');
  await state.close();
  const again = await open(path);
  t.same([...again.members('n1')!.endpoints.keys()], ['t7']);
  await again.close();
});

t.test('state › endpoints of another boot are dropped, networks stay', async (t) => {
  const path = fileIn(t);
  await (await filled(path)).close();
  const rebooted = await open(path, 'boot-2');
  t.equal(rebooted.locals().size, 0);
  t.same([...rebooted.networks().keys()], ['n1', 'n2']);
  t.same([...rebooted.engineNetworks().keys()], ['e1']);
  await rebooted.putLocal(local('b', '/ns/b'));
  await rebooted.close();
  const again = await open(path, 'boot-2');
  t.same([...again.locals().keys()], ['b']);
  await again.close();
});

t.test('state › a missing file begins a new epoch, as clearing does', async (t) => {
  const path = fileIn(t);
  const state = await filled(path);
  const first = state.epoch();
  await state.clear();
  const second = state.epoch();
  t.not(second, first);
  t.equal(state.networks().size, 0);
  await state.close();
  rmSync(path);
  const empty = await open(path);
  t.not(empty.epoch(), second);
  t.notOk(empty.doubtful);
  await empty.close();
});

t.test('state › a flipped or cut file is read as far as it can be, and is doubted in a new epoch', async (t) => {
  const path = fileIn(t);
  const state = await filled(path);
  const epoch = state.epoch();
  await state.close();
  const good = readFileSync(path);
  const damage = fc.oneof(
    fc.record({ flip: fc.nat(good.length - 1), bit: fc.nat(7) }),
    fc.record({ cut: fc.nat(good.length - 2) }),
  );
  await fc.assert(
    fc.asyncProperty(damage, async (how) => {
      const bytes = Buffer.from(good);
      if ('flip' in how) bytes[how.flip]! ^= 1 << how.bit;
      const bad = 'cut' in how ? bytes.subarray(0, how.cut) : bytes;
      writeFileSync(path, bad);
      const read = await open(path);
      // A cut between two lines leaves an older state that is whole.
      const whole = bad.length === 0 || bad.at(-1) === 10;
      if (!('cut' in how && whole)) t.not(read.epoch(), epoch);
      for (const id of read.networks().keys()) if (id !== 'n1' && id !== 'n2') t.fail(`made up ${id}`);
      await read.putNetwork(aNetwork('n3', '10.0.3.0/24'));
      await read.close();
      const again = await open(path);
      t.same(contents(again), contents(read), 'and goes on from there');
      t.equal(again.epoch(), read.epoch());
      await again.close();
    }),
    { numRuns: 60 },
  );
});

t.test('state › a damaged file of this boot is doubted, one of an earlier boot is not', async (t) => {
  const path = fileIn(t);
  await (await filled(path)).close();
  const good = readFileSync(path, 'utf8');
  const lines = good.split('\n');
  const broken = [...lines.slice(0, 3), lines[3]!.replace('net-', 'nut-'), ...lines.slice(4)].join('\n');
  writeFileSync(path, broken);
  const same = await open(path);
  t.ok(same.doubtful);
  t.equal(readFileSync(`${path}.damaged`, 'utf8'), broken, 'it is kept for those who want to know');
  await same.close();
  writeFileSync(path, broken);
  const other = await open(path, 'boot-2');
  t.notOk(other.doubtful, 'the kernel holds nothing');
  await other.close();
});

t.test('record log › any writes are read back, together or alone, also after it was written anew', async (t) => {
  const key = fc.constantFrom('a', 'b', 'c', 'd');
  const value = fc.option(fc.oneof(fc.string(), fc.integer(), fc.array(fc.string())), { nil: undefined });
  const writes = fc.array(fc.array(fc.tuple(key, value), { maxLength: 4 }), { maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(writes, async (batches) => {
      const path = fileIn(t);
      const log = await openRecordLog(path, logger);
      await Promise.all(batches.map((batch) => log.write(batch)));
      const expected = new Map<string, unknown>();
      for (const [k, v] of batches.flat())
        if (v === undefined) expected.delete(k);
        else expected.set(k, v);
      t.same(new Map(log.records), expected);
      await log.close();
      const { records, damaged } = readLines(readFileSync(path, 'utf8'));
      t.same(records, expected);
      t.notOk(damaged);
    }),
    { numRuns: 40 },
  );
});

t.test('record log › a file that has grown far beyond its records is written anew', async (t) => {
  const path = fileIn(t);
  const log = await openRecordLog(path, logger);
  const big = 'x'.repeat(1024 * 1024);
  for (let count = 0; count < 12; count += 1) await log.write([['only', `${count}${big}`]]);
  await log.close();
  const bytes = readFileSync(path);
  t.ok(bytes.length < 6 * big.length, 'it holds a few of twelve');
  t.equal(readLines(bytes.toString()).records.get('only'), `11${big}`);
});
