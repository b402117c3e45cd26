import fc from 'fast-check';
import t from 'tap';
import { AddressPool, QUARANTINE_MS } from '../src/allocator/address-pool.js';
import { contains, formatCidr, formatIp, parseCidr, parseIp } from '../src/allocator/ip.js';

t.test('addresses › what is written is read again', (t) => {
  const v4 = fc.bigInt({ min: 0n, max: 2n ** 32n - 1n }).map((value) => ({ family: 4 as const, value }));
  const v6 = fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }).map((value) => ({ family: 6 as const, value }));
  fc.assert(fc.property(fc.oneof(v4, v6), (ip) => t.same(parseIp(formatIp(ip)), ip) as boolean));
  fc.assert(
    fc.property(fc.oneof(v4, v6), fc.nat(32), (ip, bits) => {
      const cidr = parseCidr(`${formatIp(ip)}/${bits}`)!;
      return contains(cidr, ip) && formatCidr(parseCidr(formatCidr(cidr), { strict: true })!) === formatCidr(cidr);
    }),
  );
  t.equal(formatIp(parseIp('2001:db8:0:0:1:0:0:1')!), '2001:db8::1:0:0:1');
  for (const text of ['10.0.0.1/33', '10.0.0/8', '::1/129', 'x', '10.0.0.0', ''])
    t.equal(parseCidr(text), undefined, text);
  t.equal(parseCidr('10.0.0.1/8', { strict: true }), undefined);
  t.end();
});

t.test('addresses › a pool goes on where it was, around what is its own', (t) => {
  const pool = new AddressPool(parseCidr('10.0.0.0/29')!, [parseIp('10.0.0.1')!]);
  const take = (nowMs = 0): number | undefined => {
    const taken = pool.take(nowMs);
    return 'offset' in taken ? taken.offset : undefined;
  };
  t.same([take(), take()], [2, 3]);
  pool.drop(2, 0);
  t.same([take(), take(), take(), take()], [4, 5, 6, undefined]);
  t.same(pool.take(1_000), { waitMs: QUARANTINE_MS - 1_000 });
  t.equal(take(QUARANTINE_MS), 2);
  t.same(pool.take(QUARANTINE_MS), { waitMs: undefined });
  const part = new AddressPool(parseCidr('10.0.0.0/24')!, [], parseCidr('10.0.0.128/30'));
  t.same(
    [1, 2, 3, 4, 5].map(() => part.take(0)).map((taken) => 'offset' in taken && taken.offset),
    [128, 129, 130, 131, false],
  );
  t.end();
});
