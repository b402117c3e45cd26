import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NodeNetwork } from '@swarmd/model';
import fc from 'fast-check';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { formatAddress, formatRange, inRange, parseAddress, parseRange } from '../src/driver/addresses.js';
import { chooseAddress } from '../src/driver/choose-address.js';
import { createIpamDriver, type IpamDriver } from '../src/driver/ipam-driver.js';
import { type NodeState, openNodeState } from '../src/state/node-state.js';
import { aNetwork } from './support/net-host.js';

const logger = pino({ level: 'silent' });

interface Bed {
  state: NodeState;
  ipam: IpamDriver;
  /** Monotonic milliseconds. */
  time: { ms: number };
}

async function bed(t: Test, ...networks: NodeNetwork[]): Promise<Bed> {
  const directory = mkdtempSync(join(tmpdir(), 'net-ipam-'));
  const state = await openNodeState({
    ...{ path: join(directory, 'net.log'), bootId: 'b', logger },
  });
  t.teardown(async () => {
    await state.close();
    rmSync(directory, { recursive: true });
  });
  for (const network of networks) await state.putNetwork(network);
  const time = { ms: 0 };
  return { state, time, ipam: createIpamDriver(state, () => time.ms) };
}

const gateway = { RequestAddressType: 'com.docker.network.gateway' };

function pool(ipam: IpamDriver, network: string, Pool = ''): string {
  return ipam.requestPool({ Pool, SubPool: '', Options: { 'swarmd.network': network }, V6: false }).PoolID;
}

function request(ipam: IpamDriver, PoolID: string, Address = '', Options = {}): string {
  return ipam.requestAddress({ PoolID, Address, Options }).Address;
}

t.test('ipam › pools of networks with the same subnet are apart, and the same call gives the same pool', async (t) => {
  const { ipam } = await bed(t, aNetwork('n1', '10.0.1.0/24'), aNetwork('n2', '10.0.1.0/24'));
  const first = ipam.requestPool({ Pool: '10.0.1.0/24', SubPool: '', Options: { 'swarmd.network': 'n1' }, V6: false });
  t.equal(first.Pool, '10.0.1.0/24');
  t.equal(pool(ipam, 'n1'), first.PoolID);
  t.not(pool(ipam, 'n2'), first.PoolID);
  t.equal(request(ipam, first.PoolID), request(ipam, pool(ipam, 'n2')));
});

t.test('ipam › the gateway is the network’s, every time', async (t) => {
  const { ipam } = await bed(t, aNetwork('n1', '10.0.1.0/24'));
  const id = pool(ipam, 'n1');
  t.equal(request(ipam, id, '', gateway), '10.0.1.1/24');
  t.equal(request(ipam, id, '10.0.1.1', gateway), '10.0.1.1/24');
  t.throws(() => request(ipam, id, '10.0.1.2', gateway), { code: 'invalid-argument', message: /is 10.0.1.1, not/ });
  t.throws(() => request(ipam, id, '10.0.1.1'), { message: /is its gateway/ });
});

t.test('ipam › an address that is asked for must lie in the subnet, and may be asked for again', async (t) => {
  const { ipam } = await bed(t, aNetwork('n1', '10.0.1.0/24'));
  const id = pool(ipam, 'n1');
  t.equal(request(ipam, id, '10.0.1.77'), '10.0.1.77/24');
  t.equal(request(ipam, id, '10.0.1.77'), '10.0.1.77/24', 'an engine that starts again asks for all it has');
  for (const bad of ['10.0.2.1', '10.0.1.0', '10.0.1.255', 'fd00::1', 'nonsense']) {
    t.throws(() => request(ipam, id, bad), { code: 'invalid-argument', field: 'Address', message: /10\.0\.1\.0\/24/ });
  }
});

t.test('ipam › without one, the lowest of the node’s ranges that nobody has', async (t) => {
  const { ipam, state } = await bed(
    t,
    aNetwork('n1', '10.0.1.0/24', { addressBlocks: ['10.0.1.8/29', '10.0.1.0/29'] }),
  );
  const id = pool(ipam, 'n1');
  await state.changeMembers([
    {
      ...{ networkId: 'n1', complete: true, removedEndpoints: [], removedServices: [] },
      endpoints: [{ id: 't', serviceId: '', nodeAddr: '', addresses: ['10.0.1.3'], phase: 'ready', names: [] }],
      services: [{ id: 's', name: 's', aliases: [], virtualIps: ['10.0.1.4'] }],
    },
  ]);
  const got = Array.from({ length: 3 }, () => request(ipam, id));
  t.same(got, ['10.0.1.2/24', '10.0.1.5/24', '10.0.1.6/24']);
});

t.test('ipam › an address that was just released comes last, the one released longest ago first', async (t) => {
  const { ipam } = await bed(t, aNetwork('n1', '10.0.1.0/24', { addressBlocks: ['10.0.1.4/30'] }));
  const PoolID = pool(ipam, 'n1');
  t.equal(request(ipam, PoolID), '10.0.1.4/24');
  t.equal(request(ipam, PoolID), '10.0.1.5/24');
  ipam.releaseAddress({ PoolID, Address: '10.0.1.5' });
  ipam.releaseAddress({ PoolID, Address: '10.0.1.4' });
  const got = Array.from({ length: 4 }, () => request(ipam, PoolID));
  t.same(got, ['10.0.1.6/24', '10.0.1.7/24', '10.0.1.5/24', '10.0.1.4/24']);
  t.throws(() => request(ipam, PoolID), {
    code: 'failed-precondition',
    message: /no address is left in this node's ranges 10.0.1.4\/30: remove containers, name an address with --ip/,
  });
});

t.test('ipam › an address that no endpoint followed is free again after a while', async (t) => {
  const { ipam, time } = await bed(t, aNetwork('n1', '10.0.1.0/24', { addressBlocks: ['10.0.1.4/32'] }));
  const id = pool(ipam, 'n1');
  t.equal(request(ipam, id), '10.0.1.4/24');
  t.throws(() => request(ipam, id));
  time.ms += 121_000;
  t.equal(request(ipam, id), '10.0.1.4/24');
});

t.test('ipam › errors name what is wrong', async (t) => {
  const { ipam, state } = await bed(t, aNetwork('n1', '10.0.1.0/24', { addressBlocks: [] }));
  const ask = (options: Record<string, unknown>, more = {}) =>
    ipam.requestPool({ Pool: '', SubPool: '', Options: options, V6: false, ...more });
  t.throws(() => ask({}), { field: 'swarmd.network', message: /must name a network of the cluster/ });
  t.throws(() => ask({ 'swarmd.network': 'x' }), {
    code: 'not-found',
    message: /no network x of the cluster is known/,
  });
  const known = { 'swarmd.network': 'n1' };
  t.throws(() => ask(known, { Pool: '10.0.2.0/24' }), { message: /no subnet 10.0.2.0\/24; it has 10.0.1.0\/24/ });
  t.throws(() => ask(known, { V6: true }), { message: /no IPv6 subnet/ });
  t.throws(() => ask(known, { Pool: '10.0.1.0/24', SubPool: '10.0.1.0/25' }), {
    message: /--ip-range 10.0.1.0\/25 is not supported/,
  });
  t.throws(() => request(ipam, pool(ipam, 'n1')), { message: /has no range of addresses .* name one with --ip/ });
  const id = pool(ipam, 'n1');
  await state.removeNetwork('n1');
  t.throws(() => request(ipam, id), { code: 'not-found' });
});

t.test('addresses › what is read is written the same, and ranges hold their ends', async (t) => {
  const four = fc.ipV4();
  const six = fc.ipV6();
  fc.assert(
    fc.property(fc.oneof(four, six), (text) => {
      const address = parseAddress(text)!;
      t.same(parseAddress(formatAddress(address)), address);
      for (const length of [0, 8, 24, 31, address.family === 4 ? 32 : 128]) {
        const range = parseRange(`${text}/${length}`)!;
        t.ok(inRange(range, address));
        t.same(parseRange(formatRange(range)), range);
        t.notOk(inRange(range, { ...address, value: range.last + 1n }));
      }
    }),
    { numRuns: 50 },
  );
  for (const bad of ['10.0.0.1', '10.0.0.0/33', '10.0.0/8', 'x/8', '::/129']) t.equal(parseRange(bad), undefined, bad);
});

t.test('choose address › as a search through every address does', async (t) => {
  const numbers = fc.uniqueArray(fc.integer({ min: 0, max: 31 }), { maxLength: 30 });
  const text = (n: number): string => `10.0.0.${n}`;
  fc.assert(
    fc.property(numbers, numbers, fc.subarray([0, 8, 16, 24]), (taken, released, starts) => {
      const got = chooseAddress({
        subnet: parseRange('10.0.0.0/27')!,
        blocks: starts.map((start) => parseRange(`10.0.0.${start}/29`)!),
        taken: new Set(taken.map(text)),
        released: released.map(text),
      });
      const usable = Array.from({ length: 32 }, (_, n) => n).filter(
        (n) => n > 0 && n < 31 && starts.some((start) => n >= start && n < start + 8) && !taken.includes(n),
      );
      const first = usable.find((n) => !released.includes(n)) ?? released.find((n) => usable.includes(n));
      t.equal(got, first === undefined ? undefined : text(first));
    }),
    { numRuns: 300 },
  );
});
