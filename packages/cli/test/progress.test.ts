import t from 'tap';
import { isOvertaken, progressLines, type ServiceProgress, serviceProgress } from '../src/progress/service-progress.js';
import { at, NODES, replicas, service, task } from './support/observed.js';

const words = (progress: ServiceProgress): string[] => progressLines(progress).map(({ id, text }) => `${id}: ${text}`);

t.test('progress › has a line for each replica, whether or not its task is there yet', async (t) => {
  const progress = at(replicas(3), task(2, 'preparing'), task(7, 'running'));
  t.same(words(progress), ['overall progress: 1 out of 3 tasks', '1/3: preparing', '2/3: running', '3/3: ']);
  t.notOk(progress.converged);
  t.equal(progress.slots[0]?.fraction, 5 / 8);
  t.equal(progress.slots[1]?.fraction, 1);
});

t.test('progress › shows the error of a task in place of its state', async (t) => {
  const long = `${'x'.repeat(80)}\ny`;
  const progress = at(replicas(2), task(1, 'pending', { err: 'no suitable node' }), task(2, 'failed', { err: long }));
  t.same(words(progress).slice(1), ['1/2: no suitable node', `2/2: ${'x'.repeat(74)}…`]);
});

t.test('progress › of two tasks in a slot counts the one that is to stay', async (t) => {
  const old = task(1, 'running', { DesiredState: 'shutdown' });
  const progress = at(replicas(1), old, task(1, 'starting'));
  t.same(words(progress), ['overall progress: 0 out of 1 tasks', '1/1: starting']);
});

t.test('progress › does not count tasks on nodes that are down', async (t) => {
  t.notOk(at(replicas(1), task(1, 'running', { node: 'gone' })).converged);
  t.ok(at(replicas(1), task(1, 'running')).converged);
});

t.test('progress › of nothing to run is complete', async (t) => t.ok(at(replicas(0)).converged));

t.test('progress › leaves out the lines of many tasks', async (t) => {
  t.equal(words(at(replicas(21))).length, 1);
  t.equal(words(at(replicas(20))).length, 21);
});

t.test('progress › of a global service has a line a node', async (t) => {
  const global = service({ Global: {} });
  t.same(words(at(global)), ['overall progress: waiting for new tasks']);
  t.notOk(at(global).converged);
  const progress = at(global, task(0, 'running', { node: 'n2' }), task(0, 'ready', { node: 'n1' }));
  t.same(words(progress), ['overall progress: 1 out of 2 tasks', 'n1: ready', 'n2: running']);
});

t.test('progress › of a job counts what its present iteration completed', async (t) => {
  const job = service(
    { ReplicatedJob: { TotalCompletions: 2, MaxConcurrent: 1 } },
    { JobStatus: { JobIteration: { Index: 1 } } },
  );
  const now = { JobIteration: { Index: 1 }, DesiredState: 'complete' };
  const progress = at(
    job,
    task(1, 'complete', now),
    task(2, 'complete', { JobIteration: {} }),
    task(2, 'running', now),
  );
  t.equal(progress.done, 1);
  t.ok(at(job, task(1, 'complete', now), task(2, 'complete', now)).converged);
});

t.test('progress › is hopeless once tasks have ended for good and none is under way', async (t) => {
  const ended = { DesiredState: 'shutdown' };
  t.ok(at(replicas(1), task(1, 'failed', ended)).hopeless);
  t.ok(at(replicas(2), task(1, 'rejected', ended), task(2, 'running')).hopeless);
  t.notOk(at(replicas(2), task(1, 'failed', ended), task(2, 'starting')).hopeless, 'one may still come up');
  t.notOk(at(replicas(1), task(1, 'failed')).hopeless, 'not yet looked at by the manager');
  t.notOk(at(replicas(1), task(1, 'failed', ended), task(1, 'ready', { DesiredState: 'ready' })).hopeless, 'restarts');
  t.notOk(at(replicas(1)).hopeless, 'not yet begun');
});

const replaced = { DesiredState: 'shutdown' };
const created = (second: number) => ({ CreatedAt: `2026-01-01T00:00:0${second}.000000000Z` });

t.test('progress › takes tasks that were told to end for no sign of anything', async (t) => {
  const old = [1, 2, 3].map((slot) => task(slot, 'shutdown', replaced));
  const back = at(replicas(3), ...old);
  t.same(words(back), ['overall progress: 0 out of 3 tasks', '1/3: ', '2/3: ', '3/3: ']);
  t.notOk(back.hopeless, 'a rollback to what ran before');
  t.notOk(at(replicas(3), task(1, 'running'), ...old.slice(1)).hopeless, 'scaled up again');
  const failed = task(1, 'failed', { ...replaced, ...created(1) });
  t.notOk(at(replicas(1), failed, task(1, 'shutdown', { ...replaced, ...created(2) })).hopeless, 'failed long ago');
  t.ok(at(replicas(1), task(1, 'shutdown', { ...replaced, ...created(1) }), { ...failed, ...created(2) }).hopeless);
});

t.test('progress › prefers slots that are wanted to those of an earlier scale', async (t) => {
  t.ok(at(replicas(1), task(1, 'failed', replaced), task(2, 'shutdown', replaced), task(3, 'running')).converged);
});

t.test('progress › of a global service leaves out nodes that it was told to leave', async (t) => {
  const global = service({ Global: {} });
  t.ok(at(global, task(0, 'running', { node: 'n1' }), task(0, 'shutdown', { node: 'n2', ...replaced })).converged);
  t.same(words(at(global, task(0, 'shutdown', replaced))), ['overall progress: waiting for new tasks']);
});

t.test('progress › a job that tries again, or is about to, is not hopeless', async (t) => {
  const job = service({ ReplicatedJob: { TotalCompletions: 1, MaxConcurrent: 1 } });
  t.notOk(at(job, task(0, 'failed', { DesiredState: 'complete' })).hopeless);
  t.ok(at(job, task(0, 'failed', replaced)).hopeless);
});

t.test('progress › slots that hold, or were last given, other tasks are not given up', async (t) => {
  const ended = task(1, 'failed', { ...replaced, ...created(1) });
  const other = (over: object) => ({ ...task(1, 'failed', { ...replaced, ...created(2) }), ID: 'other', ...over });
  t.notOk(isOvertaken(replicas(1), [ended], [ended]));
  t.ok(isOvertaken(replicas(1), [ended], [ended, other({ DesiredState: 'running' })]));
  t.ok(isOvertaken(replicas(1), [ended], [ended, other({})]), 'which failed too');
  t.notOk(isOvertaken(replicas(1), [ended], [ended, other(created(0))]), 'long ago');
  t.notOk(isOvertaken(replicas(2), [ended], [ended, other({ Slot: 2, ...created(0) })]));
  const global = service({ Global: {} });
  t.ok(isOvertaken(global, [{ ...ended, Slot: 0 }], [other({ Slot: 0 })]));
  t.notOk(isOvertaken(global, [{ ...ended, Slot: 0 }], [{ ...ended, Slot: 0 }]));
});

t.test('progress › speaks of a rollback while one runs', async (t) => {
  t.equal(serviceProgress(replicas(2), [], NODES, true).overall.text, 'rolling back update: 0 out of 2 tasks');
});
