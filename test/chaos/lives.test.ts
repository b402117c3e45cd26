import t from 'tap';
import { judgeLives, type Life } from './support/lives.js';

function life(container: string, host: string, slot: string, from: number, to: number, task = `t-${container}`): Life {
  return { container, host, slot, task, service: slot.split('.')[0]!, from, to };
}
const allowed = (service: string): number => (service === 'first' ? 2 : 1);
const nobody = (): boolean => false;

t.test('chaos lives › one container after the other is right, slots do not mind each other', (t) => {
  const lives = [
    life('a', 'h1', 'web.1', 1, 5),
    life('b', 'h2', 'web.1', 5, Infinity),
    life('c', 'h1', 'web.2', 1, Infinity),
    life('d', 'h1', 'all.n1', 1, Infinity),
  ];
  t.same(judgeLives(lives, allowed, nobody), []);
  t.end();
});

t.test('chaos lives › two at a time are one too many, however shortly, unless updates start first', (t) => {
  const twice = (slot: string): Life[] => [life('a', 'h1', slot, 1, 5), life('b', 'h2', slot, 4.99, 9)];
  t.same(judgeLives(twice('web.1'), allowed, nobody), [
    'slot web.1 ran 2 times at 4.99 s: t-a in a on h1 from 1.00 to 5.00 s, t-b in b on h2 from 4.99 to 9.00 s',
  ]);
  t.same(judgeLives(twice('first.1'), allowed, nobody), []);
  const thrice = [...twice('first.1'), life('c', 'h3', 'first.1', 4.995, 6)];
  t.match(judgeLives(thrice, allowed, nobody), [/slot first\.1 ran 3 times at 5\.00 s/]);
  t.end();
});

t.test('chaos lives › a host out of reach may run what it had, but not for long after', (t) => {
  const lives = [life('a', 'h1', 'web.1', 1, 30), life('b', 'h2', 'web.1', 10, Infinity)];
  t.same(
    judgeLives(lives, allowed, (host, at) => host === 'h1' && at < 40),
    [],
  );
  t.match(
    judgeLives(lives, allowed, (host, at) => host === 'h1' && at < 20),
    [/slot web\.1 ran 2 times at 20\.00 s/],
  );
  t.end();
});

t.test('chaos lives › a task has one container for good', (t) => {
  const lives = [life('a', 'h1', 'web.1', 1, 5, 't'), life('b', 'h1', 'web.1', 6, 7, 't')];
  t.match(judgeLives(lives, allowed, nobody), [/task t had 2 containers/]);
  t.same(judgeLives([life('a', 'h1', 'web.1', 1, 5, 't'), life('a', 'h1', 'web.1', 6, 7, 't')], allowed, nobody), []);
  t.end();
});
