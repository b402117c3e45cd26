import { createMemoryLog, openStore } from '@swarmd/store';
import { buildServiceSpec, createService, type ManualClock, manualClock } from '@swarmd/testkit';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { eachKey } from '../src/loop/each-key.js';
import { type LoopDefinition, type PassContext, startLoop } from '../src/loop/loop.js';

async function turns(): Promise<void> {
  for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** A loop over services whose passes go to `pass`, and what it logs. */
async function loopOf(t: Test, pass: LoopDefinition<string>['pass'], over: Partial<LoopDefinition<string>> = {}) {
  const clock = manualClock();
  const store = await openStore({ log: createMemoryLog(), clock });
  const logged: { msg: string; keys?: string[]; count?: number }[] = [];
  const logger = pino({ level: 'error' }, { write: (line: string) => void logged.push(JSON.parse(line)) });
  const loop = startLoop<string>(
    {
      name: 'test',
      dirtiedBy: (event, mark) => mark(event.object.ID),
      allKeys: () => [...store.view.all('service')].map((service) => service.ID),
      pass,
      ...over,
    },
    { store, clock, logger },
  );
  t.teardown(async () => {
    await loop.stop();
    await store.close();
  });
  const add = (...ids: string[]): Promise<void> =>
    store.update((tx) => {
      for (const id of ids) createService(tx, id, buildServiceSpec(id, 1));
    });
  return { clock, loop, logged, add, store };
}

/** Lets `ms` pass in small steps. */
async function pass(clock: ManualClock, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 50) {
    clock.advance(50);
    await turns();
  }
}

t.test('loop › a key that fails is tried again alone, later each time, until it succeeds', async (t) => {
  const seen: string[] = [];
  let broken = true;
  const reconcile = eachKey<string>(async (key) => {
    if (key.includes('/')) return;
    seen.push(key);
    if (key === 'bad' && broken) throw new Error('no');
  });
  const { clock, add, logged } = await loopOf(t, reconcile);
  await add('good', 'bad');
  await turns();
  t.same(seen.splice(0), ['good', 'bad']);
  await pass(clock, 750);
  t.same(seen.splice(0), ['bad', 'bad', 'bad'], 'after 100, 200 and 400 ms');
  t.equal(logged.length, 4);
  broken = false;
  await pass(clock, 800);
  t.same(seen.splice(0), ['bad']);
  await pass(clock, 10_000);
  t.same(seen, []);
});

t.test('loop › what fails together for one reason is logged once', async (t) => {
  const refusal = new Error('the store cannot write');
  const { add, logged } = await loopOf(
    t,
    eachKey<string>(() => Promise.reject(refusal)),
  );
  await add(...Array.from({ length: 30 }, (_, i) => `s${i}`));
  await turns();
  t.equal(logged.length, 1);
  t.equal(logged[0]?.count, 60, 'services and their specs');
  t.equal(logged[0]?.keys?.length, 10);
});

t.test(
  'loop › a key that is costly to look at rests in proportion, and is then looked at if it was marked',
  async (t) => {
    const seen: number[] = [];
    let clock: ManualClock | undefined;
    const reconcile = eachKey<string>(async (key) => {
      if (key !== 'big') return;
      seen.push(clock!.monotonic());
      clock!.advance(10);
    });
    const world = await loopOf(t, reconcile);
    clock = world.clock;
    const touch = (): Promise<void> =>
      world.store.update((tx) => void tx.put('service', { ...tx.get('service', 'big')! }));
    await world.add('big');
    await turns();
    t.same(seen, [0]);
    await touch();
    await touch();
    await turns();
    t.same(seen, [0], 'not now');
    clock.advance(29);
    await turns();
    t.same(seen, [0], 'not yet');
    clock.advance(1);
    await turns();
    t.same(seen, [0, 40], 'once, three times as long after as it took');
    await pass(clock, 1_000);
    t.equal(seen.length, 2, 'nothing marked it again');
  },
);

t.test('loop › a wake-up that is further away than timers reach does not come at once', async (t) => {
  let passes = 0;
  const pass: LoopDefinition<string>['pass'] = async (_keys, { wakeAfter }) => {
    passes++;
    wakeAfter('s', 2 ** 40);
  };
  const { clock, add } = await loopOf(t, pass, { allKeys: () => [] });
  await add('s');
  await turns();
  t.equal(passes, 1);
  clock.advance(3_599_999);
  await turns();
  t.equal(passes, 1);
  clock.advance(1);
  await turns();
  t.equal(passes, 2, 'but within the hour, to ask again');
});

t.test('loop › a commit that it does not understand makes it look at everything', async (t) => {
  const seen = new Set<string>();
  const { add, logged } = await loopOf(
    t,
    eachKey<string>(async (key) => void seen.add(key)),
    {
      dirtiedBy: () => {
        throw new Error('what is this?');
      },
    },
  );
  await add('a', 'b');
  await turns();
  t.same([...seen], ['a', 'b']);
  t.equal(logged.length, 1);
});

t.test('loop › stopping waits for what is under way, and nothing begins after it', async (t) => {
  let finish = (): void => {};
  let passes = 0;
  const { loop, add } = await loopOf(t, async (_keys: ReadonlySet<string>, { signal }: PassContext<string>) => {
    passes++;
    await new Promise<void>((resolve) => {
      finish = resolve;
    });
    t.ok(signal.aborted);
  });
  await add('a');
  await turns();
  let stopped = false;
  const stopping = loop.stop().then(() => {
    stopped = true;
  });
  await add('b');
  await turns();
  t.notOk(stopped);
  finish();
  await stopping;
  await turns();
  t.equal(passes, 1);
});
