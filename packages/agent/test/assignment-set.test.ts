import type { AssignmentChange, Assignments } from '@swarmd/wire';
import { Assignments_Kind } from '@swarmd/wire';
import t from 'tap';
import { type AssignmentSet, EMPTY_SET, takeAssignments } from '../src/worker/assignment-set.js';
import { findOrphans } from '../src/worker/orphans.js';
import { busybox, networkChange, secretChange, specChange, taskChange } from './support/manager.js';

const message = (over: Partial<Assignments>): Assignments => ({
  kind: Assignments_Kind.KIND_COMPLETE,
  appliesTo: 0,
  resultsIn: 1,
  storeIndex: 10,
  lastPart: true,
  changes: [],
  ...over,
});
const incremental = (appliesTo: number, changes: AssignmentChange[]) =>
  message({ kind: Assignments_Kind.KIND_INCREMENTAL, appliesTo, resultsIn: appliesTo + 1, changes });

function taken(set: AssignmentSet, msg: Assignments, seen = 0): AssignmentSet {
  const result = takeAssignments(set, msg, [], seen);
  if (result.kind !== 'applied') throw new Error(`not applied but ${result.kind}`);
  return result.set;
}

t.test('assignments › a full set replaces everything', async (t) => {
  const first = taken(EMPTY_SET, message({ changes: [specChange(busybox('true')), taskChange('t1', 'running')] }));
  t.strictSame([...first.tasks.keys()], ['t1']);
  t.strictSame([...first.specs.keys()], ['s1/1']);
  const second = taken(
    first,
    message({ resultsIn: 9, changes: [taskChange('t2', 'ready'), networkChange('n', 'net')] }),
  );
  t.strictSame([...second.tasks.keys()], ['t2']);
  t.strictSame([...second.specs.keys()], []);
  t.match(second.networks.get('n'), { spec: { Name: 'net' } });
  t.equal(second.sequence, 9);
});

t.test('assignments › a difference changes what it names and leaves the set before it alone', async (t) => {
  const first = taken(EMPTY_SET, message({ changes: [taskChange('t1', 'running'), secretChange('x', 'y')] }));
  const second = taken(
    first,
    incremental(1, [taskChange('t1', 'running', { remove: true }), taskChange('t2', 'ready')]),
  );
  t.strictSame([...second.tasks.keys()], ['t2']);
  t.strictSame([...second.secrets.keys()], ['x']);
  t.strictSame([...first.tasks.keys()], ['t1']);
});

t.test('assignments › parts count only once all are here', async (t) => {
  const part = takeAssignments(EMPTY_SET, message({ lastPart: false, changes: [taskChange('t1', 'ready')] }), [], 0);
  t.equal(part.kind, 'partial');
  if (part.kind !== 'partial') return;
  const whole = takeAssignments(EMPTY_SET, message({ changes: [taskChange('t2', 'ready')] }), part.parts, 0);
  t.match(whole, { kind: 'applied', complete: true });
  if (whole.kind === 'applied') t.strictSame([...whole.set.tasks.keys()], ['t1', 't2']);
});

t.test('assignments › a difference to something else is out of sequence', async (t) => {
  t.equal(takeAssignments(EMPTY_SET, incremental(1, []), [], 0).kind, 'out-of-sequence');
  const first = taken(EMPTY_SET, message({}));
  t.equal(takeAssignments(first, incremental(2, []), [], 0).kind, 'out-of-sequence');
});

t.test('assignments › a full set older than what was seen is refused', async (t) => {
  t.equal(takeAssignments(EMPTY_SET, message({ storeIndex: 9 }), [], 10).kind, 'stale');
  t.equal(takeAssignments(EMPTY_SET, message({ storeIndex: 10 }), [], 10).kind, 'applied');
});

t.test('assignments › nonsense is refused', async (t) => {
  const state = taskChange('t1', 'dancing' as never);
  t.throws(() => taken(EMPTY_SET, message({ changes: [state] })), { code: 'invalid-argument' });
  const spec = specChange(busybox('true'));
  if (spec.item?.$case === 'spec') spec.item.value.spec = Buffer.from('{');
  t.throws(() => taken(EMPTY_SET, message({ changes: [spec] })), { code: 'invalid-argument' });
});

t.test('orphans › are the containers of no known task', async (t) => {
  const containers = ['a', 'b', 'c'].map((taskId) => ({ id: `c-${taskId}`, taskId, state: 'running' }));
  t.strictSame(
    findOrphans(containers, new Set(['b'])).map(({ id }) => id),
    ['c-a', 'c-c'],
  );
});
