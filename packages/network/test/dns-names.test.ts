import type { Random } from '@swarmd/model';
import fc from 'fast-check';
import t from 'tap';
import { createNameTables } from '../src/dns/name-table.js';
import { addressOfReverse, resolveName, resolveReverse, shuffled } from '../src/dns/resolve.js';
import type { Asker } from '../src/parts.js';
import { endpoint, type Known, know, members, network, nothingKnown, service, sourceOf } from './support/names.js';

const random: Random = { bytes: (n) => new Uint8Array(n), float: () => 0 };
const asker = (...networkIds: string[]): Asker => ({ networkIds, dns: [], outside: true });

function example(): Known {
  const known = nothingKnown();
  const front = members(
    [
      service('web', { aliases: ['www', 'both'], virtualIps: ['10.1.0.100'] }),
      service('api', { aliases: ['Both'], virtualIps: ['10.1.0.101', 'fd00:1::101'] }),
      service('db'),
      service('idle'),
      service('gone', { virtualIps: ['10.1.0.103'] }),
    ],
    [
      endpoint('web.1.x', '10.1.0.10', { serviceId: 's-web', names: ['web.1.x', 'shared'] }),
      endpoint('web.2.y', '10.1.0.11', { serviceId: 's-web', names: ['web.2.y', 'shared'], phase: 'reserved' }),
      endpoint('web.3.z', '10.1.0.12', { serviceId: 's-web', names: ['web.3.z', 'shared'], phase: 'draining' }),
      endpoint('db.1.x', '10.1.0.20', { serviceId: 's-db', addresses: ['10.1.0.20', 'fd00:1::20'] }),
      endpoint('db.2.y', '10.1.0.21', { serviceId: 's-db', names: ['db.2.y', 'db'] }),
      endpoint('idle.1.x', '10.1.0.30', { serviceId: 's-idle', phase: 'reserved' }),
      endpoint('api', '10.1.0.66'),
      endpoint('tasks.api', '10.1.0.67'),
      endpoint('Old-Shell', '10.1.0.40'),
    ],
  );
  const back = members(
    [service('cache', { virtualIps: ['10.2.0.100'] }), service('web', { id: 's-web2', virtualIps: ['10.2.0.101'] })],
    [endpoint('old-shell', '10.2.0.40'), endpoint('idle', '10.2.0.50')],
  );
  know(known, network('Front', 1), front);
  know(known, network('stack_back.net', 2), back);
  know(known, network('secret', 3), members([service('vault', { virtualIps: ['10.3.0.100'] })], []));
  return known;
}

t.test('dns › a name leads to what the networks of the asker have under it', async (t) => {
  const tables = createNameTables(sourceOf(example()));
  const both = asker('id-Front', 'id-stack_back.net');
  const table: [string, string, string[] | undefined, string[]?][] = [
    ['a service with a virtual IP', 'web', ['10.1.0.100']],
    ['in any case', 'WeB', ['10.1.0.100']],
    ['with the root dot', 'web.', ['10.1.0.100']],
    ['an alias', 'www', ['10.1.0.100']],
    ['an alias that two services have', 'BOTH', ['10.1.0.100', '10.1.0.101'], ['fd00:1::101']],
    ['a dnsrr service: its ready tasks, no container of that name', 'db', ['10.1.0.20', '10.1.0.21'], ['fd00:1::20']],
    ['tasks of a service: the ready ones', 'tasks.web', ['10.1.0.10']],
    ['tasks of an alias', 'tasks.www', ['10.1.0.10']],
    ['a container cannot take the place of a service', 'api', ['10.1.0.101'], ['fd00:1::101']],
    ['nor that of its tasks', 'tasks.api', []],
    ['a service without tasks keeps its virtual IP', 'gone', ['10.1.0.103']],
    ['an own name', 'web.1.x', ['10.1.0.10']],
    ['an own name of a reserved one', 'web.2.y', ['10.1.0.11']],
    ['an own name of one that drains: known, nowhere', 'web.3.z', []],
    ['a host name that several have', 'shared', ['10.1.0.10', '10.1.0.11']],
    ['the network of the question first', 'old-shell', ['10.1.0.40']],
    ['the other network, when the first has no ready task', 'idle', ['10.2.0.50']],
    ['a name of the second network', 'cache', ['10.2.0.100']],
    ['in a network by its name', 'web.STACK_back.net', ['10.2.0.101']],
    ['tasks in a network by its name', 'tasks.web.front', ['10.1.0.10']],
    ['not in that network', 'cache.front', undefined],
    ['a network that the asker is not on', 'vault', undefined],
    ['nor by its name', 'vault.secret', undefined],
    ['unknown', 'example.com', undefined],
    ['the root', '.', undefined],
    ['other letters are no ASCII ones', 'd\u212a', undefined],
  ];
  for (const [what, name, v4, v6 = []] of table) {
    t.same(resolveName(name, both, tables), v4 === undefined ? undefined : { v4, v6 }, `${what}: ${name}`);
  }
});

t.test('dns › a name without ready tasks is known, not unknown', async (t) => {
  const tables = createNameTables(sourceOf(example()));
  t.same(resolveName('idle', asker('id-Front'), tables), { v4: [], v6: [] });
  t.same(resolveName('tasks.gone', asker('id-Front'), tables), { v4: [], v6: [] });
});

t.test('dns › reverse names are answered for addresses of the asker’s networks', async (t) => {
  const tables = createNameTables(sourceOf(example()));
  const nibbles = (last: string): string => `${last}.${'0.'.repeat(22)}1.0.0.0.0.0.d.f.ip6.arpa`;
  const table: [string, string, unknown][] = [
    ['a task', '10.0.1.10.in-addr.arpa', { kind: 'name', name: 'web.1.x.Front' }],
    ['a virtual IP', '100.0.1.10.IN-ADDR.ARPA.', { kind: 'name', name: 'web.Front' }],
    ['IPv6', nibbles('1.0'), { kind: 'nobody' }],
    ['one that drains', '12.0.1.10.in-addr.arpa', { kind: 'nobody' }],
    ['nobody', '200.0.1.10.in-addr.arpa', { kind: 'nobody' }],
    ['another network', '100.0.3.10.in-addr.arpa', { kind: 'elsewhere' }],
    ['another private address', '1.1.168.192.in-addr.arpa', { kind: 'elsewhere' }],
    ['a part', '1.10.in-addr.arpa', { kind: 'elsewhere' }],
    ['no number', 'x.0.1.10.in-addr.arpa', { kind: 'elsewhere' }],
  ];
  for (const [what, name, expected] of table) {
    t.same(resolveReverse(name, asker('id-Front'), tables), expected, what);
  }
  const v6 = `0.2.0.0.${'0.0.0.0.'.repeat(5)}1.0.0.0.0.0.d.f.ip6.arpa`;
  t.same(resolveReverse(v6, asker('id-Front'), tables), { kind: 'name', name: 'db.1.x.Front' });
  t.equal(addressOfReverse(v6), 'fd00:1::20');
});

t.test('dns › names of containers that no packet can hold have no reverse name', async (t) => {
  const known = nothingKnown();
  const names = ['a'.repeat(64), 'a..b', 'ä', 'a b'];
  const odd = names.map((name, at) => endpoint(name, `10.1.0.${10 + at}`));
  know(known, network('n', 1), members([], odd));
  const tables = createNameTables(sourceOf(known));
  for (let at = 0; at < odd.length; at++) {
    const name = `${10 + at}.0.1.10.in-addr.arpa`;
    t.same(resolveReverse(name, asker('id-n'), tables), { kind: 'nobody' }, JSON.stringify(names[at]));
  }
});

t.test('dns › changed members answer at once', async (t) => {
  const known = example();
  const tables = createNameTables(sourceOf(known));
  const on = known.members.get('id-Front')!;
  t.same(resolveName('tasks.web', asker('id-Front'), tables)?.v4, ['10.1.0.10']);
  const endpoints = new Map(on.endpoints);
  endpoints.set('web.2.y', { ...on.endpoints.get('web.2.y')!, phase: 'ready' });
  known.members.set('id-Front', { ...on, endpoints });
  t.same(resolveName('tasks.web', asker('id-Front'), tables)?.v4, ['10.1.0.10', '10.1.0.11']);
  known.members.delete('id-Front');
  t.equal(resolveName('tasks.web', asker('id-Front'), tables), undefined);
});

const NAMES = ['a', 'b', 'c', 'tasks.a', 'd'];
const arbitraryName = fc.constantFrom(...NAMES);
const arbitraryKnown = fc
  .array(
    fc.record({
      services: fc.array(fc.record({ name: arbitraryName, alias: arbitraryName, vip: fc.boolean() }), { maxLength: 3 }),
      endpoints: fc.array(
        fc.record({
          service: fc.nat(3),
          phase: fc.constantFrom('reserved' as const, 'ready' as const, 'draining' as const),
          names: fc.array(arbitraryName, { maxLength: 2 }),
        }),
        { maxLength: 6 },
      ),
    }),
    { minLength: 1, maxLength: 4 },
  )
  .map((networks) => {
    const known = nothingKnown();
    networks.forEach(({ services, endpoints }, octet) => {
      const on = members(
        services.map(({ name, alias, vip }, at) => {
          const virtualIps = vip ? [`10.${octet}.0.${100 + at}`] : [];
          return service(name, { id: `s${at}`, aliases: [alias], virtualIps });
        }),
        endpoints.map(({ service: of, phase, names }, at) =>
          endpoint(`e${at}`, `10.${octet}.0.${10 + at}`, { serviceId: `s${of}`, phase, names }),
        ),
      );
      know(known, network(`n${octet}`, octet), on);
    });
    return known;
  });

t.test('dns › never an address of a network the asker is not on, never one that drains', async () => {
  fc.assert(
    fc.property(arbitraryKnown, fc.subarray([0, 1, 2, 3]), (known, on) => {
      const tables = createNameTables(sourceOf(known));
      const who = asker(...on.map((octet) => `id-n${octet}`));
      const draining = [...known.members.values()]
        .flatMap(({ endpoints }) => [...endpoints.values()])
        .filter(({ phase }) => phase === 'draining')
        .flatMap(({ addresses }) => addresses);
      const forms = NAMES.flatMap((name) => [name, `tasks.${name}`, ...[0, 1, 2, 3].map((n) => `${name}.n${n}`)]);
      return forms.every((name) =>
        (resolveName(name, who, tables)?.v4 ?? []).every(
          (address) => on.includes(Number(address.split('.')[1])) && !draining.includes(address),
        ),
      );
    }),
  );
});

t.test('dns › a name of a network the asker is not on is as unknown as any other', async () => {
  fc.assert(
    fc.property(arbitraryKnown, arbitraryName, (known, name) => {
      const tables = createNameTables(sourceOf(known));
      const elsewhere = asker('id-another');
      return (
        resolveName(name, elsewhere, tables) === undefined && resolveName(`${name}.n0`, elsewhere, tables) === undefined
      );
    }),
  );
});

t.test('dns › tasks.<service> leads to its ready tasks, all of them', async () => {
  fc.assert(
    fc.property(arbitraryKnown, (known) => {
      const tables = createNameTables(sourceOf(known));
      return [...known.members].every(([id, { services, endpoints }]) =>
        [...services.values()].every(({ name }) => {
          const found = resolveName(`tasks.${name}`, asker(id), tables)?.v4 ?? [];
          const named = [...services.values()].filter((each) => each.name === name || each.aliases.includes(name));
          return [...endpoints.values()]
            .filter((each) => each.phase === 'ready' && named.some((one) => one.id === each.serviceId))
            .every((each) => found.includes(each.addresses[0]!));
        }),
      );
    }),
  );
});

t.test('dns › shuffling keeps all', async (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.integer()),
      fc.infiniteStream(fc.double({ min: 0, max: 0.999, noNaN: true })),
      (list, floats) => {
        const drawn: Random = { ...random, float: () => floats.next().value };
        return JSON.stringify(shuffled(list, drawn).sort()) === JSON.stringify([...list].sort());
      },
    ),
  );
  t.same(shuffled([1, 2, 3], random), [2, 3, 1]);
});
