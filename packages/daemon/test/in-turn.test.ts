import t from 'tap';
import { createTurns } from '../src/manager/in-turn.js';

t.test('turns › work runs one after another, and of one owner the newest alone', async (t) => {
  const turns = createTurns();
  const ran: string[] = [];
  let release = (): void => {};
  const stuck = new Promise<void>((resolve) => {
    release = resolve;
  });
  const first = turns.run('a', async () => {
    ran.push('a begins');
    await stuck;
    ran.push('a ends');
    return 'a';
  });
  const work = (name: string) => async (): Promise<string> => {
    ran.push(name);
    return name;
  };
  const abandoned = [1, 2, 3].map((n) => turns.run('b', work(`b${n}`)));
  const other = turns.run('c', work('c'));
  const again = turns.run('a', work('a again'));
  const newest = turns.run('b', work('b4'));
  for (const dropped of abandoned) await t.rejects(dropped, { code: 'aborted' });
  t.strictSame(ran, ['a begins'], 'what runs goes on');
  release();
  t.strictSame(await Promise.all([first, other, again, newest]), ['a', 'c', 'a again', 'b4']);
  t.strictSame(ran, ['a begins', 'a ends', 'b4', 'c', 'a again'], 'and its owner keeps its place');
});

t.test('turns › work that fails holds nobody up', async (t) => {
  const turns = createTurns();
  const failing = turns.run('a', async () => {
    throw new Error('no');
  });
  const other = turns.run('b', async () => 'b');
  await t.rejects(failing, { message: 'no' });
  t.equal(await other, 'b');
  t.equal(await turns.run('a', async () => 'later'), 'later');
});
