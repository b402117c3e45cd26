import fc from 'fast-check';
import t from 'tap';
import {
  type Action,
  type Answer,
  type Call,
  checkHistory,
  checkKey,
  createHistory,
} from '../../src/histories/index.js';
import { oracle } from './oracle.js';
import { type Defect, simulateHistory } from './simulated-register.js';

/** A call of a table: who, from when to when, what, and what came back. */
function call(client: string, from: number, to: number, action: Action, answer: Answer): Call {
  return { client, via: 'h1', key: 'x', invokedAt: from, returnedAt: to, action, answer };
}

const create = (value: string): Action => ({ kind: 'create', value });
const update = (version: number, value: string, id = 'i'): Action => ({ kind: 'update', id, version, value });
const found = (version: number, value: string, id = 'i'): Answer => ({ kind: 'found', id, version, value });
const created: Answer = { kind: 'created', id: 'i' };
const read: Action = { kind: 'read' };
const remove: Action = { kind: 'delete', id: 'i' };
const unknown: Answer = { kind: 'unknown' };
const absent: Answer = { kind: 'absent' };

const begin = call('a', 0, 1, create('v0'), created);
const seen = call('a', 2, 3, read, found(5, 'v0'));

const LINEARIZABLE: Record<string, Call[]> = {
  'nothing at all': [],
  'a read during a write sees either': [
    begin,
    seen,
    call('a', 4, 9, update(5, 'v1'), { kind: 'updated' }),
    call('b', 5, 6, read, found(5, 'v0')),
    call('c', 7, 8, read, found(6, 'v1')),
  ],
  'a write without an answer takes effect late': [
    begin,
    seen,
    call('a', 4, Infinity, update(5, 'v1'), unknown),
    call('b', 10, 11, read, found(5, 'v0')),
    call('b', 20, 21, read, found(6, 'v1')),
  ],
  'a write without an answer never takes effect': [
    begin,
    seen,
    call('a', 4, Infinity, update(5, 'v1'), unknown),
    call('b', 5, 6, update(5, 'v2'), { kind: 'updated' }),
    call('b', 7, 8, read, found(7, 'v2')),
  ],
  'a creation without an answer is found later': [
    call('a', 0, Infinity, create('v0'), unknown),
    call('b', 5, 6, read, absent),
    call('b', 7, 8, create('v1'), { kind: 'exists' }),
    call('b', 9, 10, read, found(5, 'v0')),
  ],
  'a name is used again after a deletion': [
    begin,
    call('a', 4, 5, remove, { kind: 'deleted' }),
    call('a', 6, 7, create('v1'), { kind: 'created', id: 'j' }),
    call('a', 8, 9, remove, absent),
    call('a', 10, 11, read, found(9, 'v1', 'j')),
  ],
};

const VIOLATIONS: Record<string, Call[]> = {
  'a stale read after a write was acknowledged': [
    begin,
    seen,
    call('a', 4, 5, update(5, 'v1'), { kind: 'updated' }),
    call('b', 6, 7, read, found(5, 'v0')),
  ],
  'an acknowledged creation that is not there': [begin, call('b', 2, 3, read, absent)],
  'two updates of the same version': [
    begin,
    seen,
    call('a', 4, 5, update(5, 'v1'), { kind: 'updated' }),
    call('b', 4, 5, update(5, 'v2'), { kind: 'updated' }),
  ],
  'the same name twice': [begin, call('b', 2, 3, create('v1'), { kind: 'created', id: 'j' })],
  'a version that goes back': [
    begin,
    seen,
    call('a', 4, 5, update(5, 'v1'), { kind: 'updated' }),
    call('a', 6, 7, read, found(4, 'v1')),
  ],
  'a version that goes back where a name is used again': [
    begin,
    seen,
    call('a', 4, 5, remove, { kind: 'deleted' }),
    call('a', 6, 7, create('v1'), { kind: 'created', id: 'j' }),
    call('a', 8, 9, read, found(5, 'v1', 'j')),
  ],
  'a refusal as stale of what nobody changed': [begin, seen, call('a', 4, 5, update(5, 'v1'), { kind: 'stale' })],
  'a refusal as stale of what is found right after': [
    begin,
    call('a', 2, 3, update(5, 'v1'), { kind: 'stale' }),
    call('a', 4, 5, read, found(5, 'v0')),
  ],
  'a write without an answer that comes and goes': [
    begin,
    seen,
    call('a', 4, Infinity, update(5, 'v1'), unknown),
    call('b', 10, 11, read, found(6, 'v1')),
    call('b', 20, 21, read, found(5, 'v0')),
  ],
  'a deleted object that comes back': [
    begin,
    call('a', 2, 3, remove, { kind: 'deleted' }),
    call('a', 4, 5, read, found(5, 'v0')),
  ],
};

t.test('linearizability › accepts what one server in one order could have answered', (t) => {
  for (const [name, calls] of Object.entries(LINEARIZABLE)) {
    t.equal(checkKey('x', calls).kind, 'linearizable', name);
    t.ok(oracle(calls), `${name}: so says the oracle`);
  }
  t.end();
});

t.test('linearizability › refuses what no order explains, and says which answer', (t) => {
  for (const [name, calls] of Object.entries(VIOLATIONS)) {
    const verdict = checkKey('x', calls);
    t.equal(verdict.kind, 'violation', name);
    if (verdict.kind === 'violation') t.match(verdict.report, /nothing explains: .* via h1: /, name);
    t.notOk(oracle(calls), `${name}: so says the oracle`);
  }
  t.end();
});

t.test('linearizability › agrees with a dumb oracle on all small histories', (t) => {
  const id = fc.constantFrom('i', 'j');
  const version = fc.integer({ min: 1, max: 3 });
  const value = fc.constantFrom('v0', 'v1', 'v2');
  const lost = fc.constant(unknown);
  const foundAny = fc.record({ kind: fc.constant('found' as const), id, version, value });
  const asked: fc.Arbitrary<[Action, Answer]> = fc.oneof(
    fc.tuple(
      fc.record({ kind: fc.constant('create' as const), value }),
      fc.oneof(fc.record({ kind: fc.constant('created' as const), id }), fc.constant<Answer>({ kind: 'exists' }), lost),
    ),
    fc.tuple(fc.constant(read), fc.oneof({ weight: 3, arbitrary: foundAny }, fc.constant(absent))),
    fc.tuple(
      fc.record({ kind: fc.constant('update' as const), id, version, value }),
      fc.oneof(fc.constantFrom<Answer>({ kind: 'updated' }, { kind: 'stale' }, absent), lost),
    ),
    fc.tuple(
      fc.record({ kind: fc.constant('delete' as const), id }),
      fc.oneof(fc.constantFrom<Answer>({ kind: 'deleted' }, absent), lost),
    ),
  );
  const anyCall = fc
    .tuple(fc.integer({ min: 0, max: 8 }), fc.integer({ min: 0, max: 4 }), asked)
    .map(([from, lasts, [action, answer]]) =>
      call('a', from, answer.kind === 'unknown' ? Infinity : from + lasts, action, answer),
    );
  const counts = { linearizable: 0, violation: 0, undecided: 0 };
  fc.assert(
    fc.property(fc.array(anyCall, { minLength: 1, maxLength: 4 }), (calls) => {
      const verdict = checkKey('x', calls);
      counts[verdict.kind]++;
      return (verdict.kind === 'linearizable') === oracle(calls);
    }),
    { numRuns: 8_000 },
  );
  t.ok(counts.linearizable > 400 && counts.violation > 400, `both are frequent: ${JSON.stringify(counts)}`);
  t.equal(counts.undecided, 0);
  t.end();
});

t.test('linearizability › agrees with the oracle on short histories of servers, right and wrong ones', (t) => {
  const defect = fc.constantFrom<Defect>('none', 'stale-reads', 'lost-writes', 'blind-updates', 'double-creates');
  fc.assert(
    fc.property(fc.nat(), defect, (seed, wrong) => {
      const calls = simulateHistory(seed, 20, wrong).slice(0, 6);
      return (checkKey('x', calls).kind === 'linearizable') === oracle(calls);
    }),
    { numRuns: 150 },
  );
  t.end();
});

t.test('linearizability › accepts every history of a correct server', (t) => {
  fc.assert(
    fc.property(fc.nat(), (seed) => checkKey('x', simulateHistory(seed, 600, 'none')).kind === 'linearizable'),
    { numRuns: 200 },
  );
  t.end();
});

const DEFECTS: Exclude<Defect, 'none'>[] = [
  'stale-reads',
  'lost-writes',
  'blind-updates',
  'double-creates',
  'versions-again',
  'writes-twice',
];

for (const defect of DEFECTS) {
  t.test(`linearizability › finds a server with ${defect}`, (t) => {
    const seeds = Array.from({ length: 60 }, (_, index) => index + 1);
    const found = seeds.filter((seed) => checkKey('x', simulateHistory(seed, 600, defect)).kind === 'violation');
    t.ok(found.length >= 55, `in ${found.length} of ${seeds.length} histories`);
    t.end();
  });
}

t.test('linearizability › checks keys apart from each other, from what they held at first', (t) => {
  const other = { ...call('b', 4, 5, read, found(9, 'mine', 'n')), key: 'node' };
  const node = { present: true, id: 'n', version: 9, value: 'mine', floor: 9, not: [] };
  const calls = [begin, seen, other];
  t.same(checkHistory(calls, { initial: new Map([['node', node]]) }), [
    { kind: 'linearizable', key: 'x', calls: 2 },
    { kind: 'linearizable', key: 'node', calls: 1 },
  ]);
  t.same(
    checkHistory(calls).map(({ kind }) => kind),
    ['linearizable', 'violation'],
  );
  t.end();
});

t.test('linearizability › gives up, and says so, where there are too many pasts', (t) => {
  const creates = Array.from({ length: 12 }, (_, index) => call('a', 0, Infinity, create(`v${index}`), unknown));
  const calls = [...creates, call('b', 1, 2, read, found(1, 'v3'))];
  t.equal(checkKey('x', calls, { maxPasts: 5 }).kind, 'undecided');
  t.equal(checkKey('x', calls).kind, 'linearizable');
  t.end();
});

t.test('history › leaves out what says nothing, keeps writes without an answer', (t) => {
  let now = 0;
  const history = createHistory(() => now++);
  history.invoke('a', 'h1', 'x', create('v0'))('failed');
  history.invoke('a', 'h1', 'x', read)(unknown);
  history.invoke('a', 'h1', 'x', create('v1'))(unknown);
  history.invoke('a', 'h2', 'x', create('v2'));
  history.invoke('a', 'h2', 'x', read)(found(1, 'v1'));
  t.same(
    history.calls.map(({ action, answer, returnedAt }) => [action.kind, answer.kind, returnedAt]),
    [
      ['create', 'unknown', Infinity],
      ['create', 'unknown', Infinity],
      ['read', 'found', 5],
    ],
  );
  t.end();
});
