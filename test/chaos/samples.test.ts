import t from 'tap';
import { judgeSweeps, type Running } from './support/samples.js';

const run = (container: string, host: string, slot: string, task = `t-${container}`): Running => ({
  container,
  host,
  slot,
  task,
  service: slot.split('.')[0]!,
});
const allowed = (service: string): number => (service === 'first' ? 2 : 1);
const nobody = (): boolean => false;

t.test('chaos samples › one container a slot is right, and so is a successor seen in one look alone', (t) => {
  const before = { at: 1, running: [run('a', 'h1', 'web.1'), run('b', 'h2', 'web.2')] };
  t.same(judgeSweeps(before, { ...before, at: 2 }, allowed, nobody), []);
  // h2 was asked after h1's container had gone: the two need not have met.
  const moving = { at: 2, running: [run('a', 'h1', 'web.1'), run('c', 'h2', 'web.1')] };
  const moved = { at: 3, running: [run('c', 'h2', 'web.1')] };
  t.same(judgeSweeps(before, moving, allowed, nobody), []);
  t.same(judgeSweeps(moving, moved, allowed, nobody), []);
  t.end();
});

t.test('chaos samples › two containers of a slot that both stay are one too many, unless updates start first', (t) => {
  const twice = (slot: string) => ({ at: 1, running: [run('a', 'h1', slot), run('b', 'h2', slot)] });
  const found = judgeSweeps(twice('web.1'), { ...twice('web.1'), at: 2 }, allowed, nobody);
  t.match(found, [/slot web\.1 runs 2 times: t-a in a on h1, t-b in b on h2/]);
  t.same(judgeSweeps(twice('first.1'), { ...twice('first.1'), at: 2 }, allowed, nobody), []);
  const thrice = { at: 1, running: [...twice('first.1').running, run('c', 'h3', 'first.1')] };
  t.match(judgeSweeps(thrice, { ...thrice, at: 2 }, allowed, nobody), [/slot first\.1 runs 3 times/]);
  t.end();
});

t.test('chaos samples › what a host out of reach still runs does not count, but a task never runs twice', (t) => {
  const cut = (host: string, at: number): boolean => host === 'h1' && at < 5;
  const twice = { at: 1, running: [run('a', 'h1', 'web.1'), run('b', 'h2', 'web.1')] };
  t.same(judgeSweeps(twice, { ...twice, at: 2 }, allowed, cut), []);
  t.equal(judgeSweeps({ ...twice, at: 6 }, { ...twice, at: 7 }, allowed, cut).length, 1);
  const same = { at: 1, running: [run('a', 'h1', 'web.1', 't'), run('b', 'h2', 'web.1', 't')] };
  t.match(judgeSweeps(same, { ...same, at: 2 }, allowed, cut), [/task t runs in 2 containers/]);
  t.end();
});
