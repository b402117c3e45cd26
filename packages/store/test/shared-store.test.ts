import { type SharedStore, SwarmdError, TABLE_NAMES } from '@swarmd/model';
import t from 'tap';
import {
  createMemoryLog,
  createSharedMemory,
  moveLog,
  openSharedStore,
  openStore,
  type Reach,
  type SharedMemory,
} from '../src/index.js';
import { contentOf, newTask, silent, steppingClock } from './builders.js';

const forever = (): AbortSignal => new AbortController().signal;
const self = (nodeId: string) => ({ nodeId, addr: `${nodeId}:2377` });

function open(memory: SharedMemory, reach?: Partial<Reach>): Promise<SharedStore> {
  return openSharedStore({ log: memory.open(reach), clock: steppingClock(), logger: silent });
}

async function until(store: SharedStore, index: number): Promise<void> {
  await store.waitFor(index, forever());
}

t.test('shared store › followers see what the leader writes, and cannot write', async (t) => {
  const memory = createSharedMemory();
  const [a, b] = [await open(memory), await open(memory)];
  t.equal(await a.claim(self('a'), forever()), true);
  await a.update((tx) => tx.create('task', newTask('x')));
  await until(b, 1);
  t.strictSame(contentOf(b.view), contentOf(a.view));
  t.equal(b.leader?.nodeId, 'a');
  await t.rejects(
    b.update((tx) => tx.create('task', newTask('y'))),
    { code: 'not-leader' },
  );
  t.equal(a.leads, true);
  t.equal(b.leads, false);
});

t.test('shared store › who claims takes over, and the one before can write no more', async (t) => {
  const memory = createSharedMemory();
  const [a, b] = [await open(memory), await open(memory)];
  await a.claim(self('a'), forever());
  await a.update((tx) => tx.create('task', newTask('x')));
  t.equal(await b.claim(self('b'), forever()), true);
  t.equal(b.view.get('task', 'x')?.ID, 'x');
  await t.rejects(
    a.update((tx) => tx.create('task', newTask('y'))),
    { code: 'not-leader' },
  );
  t.equal(a.leads, false);
  const { Version } = await b.update((tx) => tx.create('task', newTask('z')));
  t.equal(Version.Index, 2);
  await until(a, 2);
  t.strictSame(contentOf(a.view), contentOf(b.view));
  t.equal(a.leader?.nodeId, 'b');
});

t.test('shared store › who was paused and has lost leadership refuses nothing by what it knew', async (t) => {
  const memory = createSharedMemory();
  const [a, b] = [await open(memory), await open(memory)];
  await a.claim(self('a'), forever());
  await a.update((tx) => tx.create('task', newTask('x')));
  await b.claim(self('b'), forever());
  await b.update((tx) => tx.delete('task', 'x'));
  t.equal(a.leads, true, 'nobody has told it');
  const refuse = a.update((tx) => {
    if (tx.get('task', 'x') !== undefined) throw new SwarmdError('already-exists', 'there is an x');
  });
  await t.rejects(refuse, { code: 'not-leader' });
  t.equal(a.leads, false);

  await a.fresh(forever());
  t.equal(await a.claim(self('a'), forever()), true);
  t.equal(b.leads, true);
  await t.rejects(
    b.update((tx) => tx.get('task', 'x')),
    { code: 'not-leader' },
    'nor does it tell what a transaction read',
  );
});

t.test(
  'shared store › a write whose answer comes late is not put over what another leader wrote after it',
  async (t) => {
    const memory = createSharedMemory();
    let held: Promise<void> | undefined;
    const a = await open(memory, { reply: () => held ?? Promise.resolve() });
    const b = await open(memory);
    await a.claim(self('a'), forever());
    let release = (): void => {};
    held = new Promise((resolve) => {
      release = resolve;
    });
    const late = a.update((tx) => tx.create('task', newTask('x')));
    await until(b, 1);
    held = undefined;
    await b.claim(self('b'), forever());
    await b.update((tx) => tx.delete('task', 'x'));
    await b.update((tx) => tx.create('task', newTask('y')));
    const told: number[] = [];
    a.watch(({ index }) => told.push(index));
    const seen = a.fresh(forever());
    await new Promise<void>((resolve) => a.onLeadership(resolve));
    t.equal(a.leads, false);
    release();
    await late;
    await seen;
    t.strictSame(contentOf(a.view), contentOf(b.view));
    t.strictSame(told, [1, 2, 3]);
  },
);

t.test('shared store › a leader that reaches nobody refuses nothing', async (t) => {
  const memory = createSharedMemory();
  let cut = false;
  const request = async (): Promise<void> => {
    if (cut) throw new SwarmdError('unavailable', 'no way there');
  };
  const a = await open(memory, { request });
  await a.claim(self('a'), forever());
  const refuse = (): Promise<never> =>
    a.update(() => {
      throw new SwarmdError('out-of-sequence', 'of an older version');
    });
  await t.rejects(refuse(), { code: 'out-of-sequence' });
  cut = true;
  await t.rejects(refuse(), { code: 'not-leader' });
});

t.test('shared store › of several that claim at once one leads', async (t) => {
  const memory = createSharedMemory();
  const stores = await Promise.all(['a', 'b', 'c'].map(() => open(memory)));
  const won = await Promise.all(stores.map((store, i) => store.claim(self(`${i}`), forever())));
  t.equal(won.filter(Boolean).length, 1);
  t.equal(stores.filter((store) => store.leads).length, 1);
});

t.test('shared store › a write whose answer was lost counts if it took effect', async (t) => {
  const memory = createSharedMemory();
  let cut = false;
  const lost = async (): Promise<void> => {
    if (cut) throw new SwarmdError('unavailable', 'the line is cut');
  };
  const [a, b] = [await open(memory, { reply: lost }), await open(memory)];
  await a.claim(self('a'), forever());
  cut = true;
  const written = a.update((tx) => tx.create('task', newTask('x')));
  const behind = a.update((tx) => tx.create('task', newTask('y')));
  await written;
  await behind;
  t.equal(a.leads, false);
  await until(b, 2);
  t.equal(b.view.count('task'), 2);
  t.strictSame(contentOf(a.view), contentOf(b.view));
});

t.test('shared store › a write that never arrived fails for sure once another leads', async (t) => {
  const memory = createSharedMemory();
  let cut = false;
  const refuse = async (): Promise<void> => {
    if (cut) throw new SwarmdError('unavailable', 'the line is cut');
  };
  const [a, b] = [await open(memory, { request: refuse }), await open(memory)];
  await a.claim(self('a'), forever());
  cut = true;
  const written = a.update((tx) => tx.create('task', newTask('x')));
  const failed = t.rejects(written, { code: 'not-leader' });
  await b.claim(self('b'), forever());
  await failed;
  t.equal(a.view.count('task'), 0);
  t.equal(a.leader?.nodeId, 'b');
});

t.test(
  'shared store › reads are as new as what was acknowledged elsewhere, and tell a leader that it is none',
  async (t) => {
    const memory = createSharedMemory();
    const [a, b] = [await open(memory), await open(memory)];
    await a.claim(self('a'), forever());
    await b.claim(self('b'), forever());
    await b.update((tx) => tx.create('task', newTask('x')));
    await a.fresh(forever());
    t.equal(a.leads, false);
    t.equal(a.view.get('task', 'x')?.ID, 'x');
  },
);

t.test('shared store › resigning ends what is pending first, and leaves nobody in charge', async (t) => {
  const memory = createSharedMemory();
  const [a, b] = [await open(memory), await open(memory)];
  await a.claim(self('a'), forever());
  const written = a.update((tx) => tx.create('task', newTask('x')));
  await a.resign(forever());
  await written;
  await b.fresh(forever());
  await new Promise<void>((resolve) => {
    if (b.leader === undefined) resolve();
    else b.onLeadership(() => b.leader === undefined && resolve());
  });
  t.equal(await b.claim(self('b'), forever()), true);
  await b.update((tx) => tx.create('task', newTask('y')));
});

t.test('shared store › who missed what was forgotten reads everything again', async (t) => {
  const memory = createSharedMemory();
  const held: (() => void)[] = [];
  const a = await open(memory);
  const b = await openSharedStore({
    log: memory.open({}, (deliver) => held.push(deliver)),
    clock: steppingClock(),
    logger: silent,
  });
  for (const deliver of held.splice(0)) deliver();
  await a.claim(self('a'), forever());
  await a.update((tx) => tx.create('task', newTask('x')));
  await a.update((tx) => tx.create('task', newTask('y')));
  await a.update((tx) => tx.delete('task', 'x'));
  memory.compact();
  const commits: number[] = [];
  b.watch(({ index, events }) => commits.push(index, events.length));
  const seen = until(b, 3);
  for (const deliver of held.splice(0)) deliver();
  await seen;
  t.strictSame(contentOf(b.view), contentOf(a.view));
  t.strictSame(commits, [3, 1]);
  await a.update((tx) => tx.create('task', newTask('z')));
  for (const deliver of held.splice(0)) deliver();
  await until(b, 4);
  t.equal(b.view.count('task'), 2);
});

t.test('shared store › moves to another log while it is written to, and loses nothing', async (t) => {
  const store = await openStore({ log: createMemoryLog(), clock: steppingClock(), logger: silent });
  for (let i = 0; i < 2_500; i++) void store.update((tx) => tx.create('task', newTask(`before-${i}`)));
  await store.update((tx) => tx.delete('task', 'before-7'));
  const memory = createSharedMemory();
  let flipped = false;
  const during: Promise<unknown>[] = [];
  const log = memory.open({
    request: async () => {
      if (flipped) return;
      const name = `during-${during.length}`;
      during.push(store.update((tx) => tx.create('task', newTask(name))));
      during.push(store.update((tx) => tx.delete('task', `before-${100 + during.length}`)));
    },
  });
  const flip = async (): Promise<void> => {
    flipped = true;
  };
  await moveLog(store, log, self('a'), flip, forever());
  t.equal(flipped, true);
  t.equal(store.leads, true);
  await Promise.all(during);
  const last = await store.update((tx) => tx.create('task', newTask('after')));
  const other = await open(memory);
  await until(other, last.Version.Index);
  t.strictSame(contentOf(other.view), contentOf(store.view));
  t.ok(during.length > 6);
  t.equal(other.leader?.nodeId, 'a');
});

t.test('shared store › stays with its log when the move fails', async (t) => {
  const store = await openStore({ log: createMemoryLog(), clock: steppingClock(), logger: silent });
  await store.update((tx) => tx.create('task', newTask('x')));
  const flip = async (): Promise<void> => {
    throw new SwarmdError('unavailable', 'the disk is full');
  };
  const moving = moveLog(store, createSharedMemory().open(), self('a'), flip, forever());
  const written = store.update((tx) => tx.create('task', newTask('y')));
  await t.rejects(moving, { message: 'the disk is full' });
  await written;
  t.equal((await store.update((tx) => tx.create('task', newTask('z')))).Version.Index, 3);
});

t.test(
  'tables › a log names the cluster first: whoever reads it knows its form before anything that may be new',
  (t) => {
    // Logs give records in the order of their keys, which begin with the table; dumps in that of the list.
    t.equal(TABLE_NAMES[0], 'cluster');
    t.equal([...TABLE_NAMES].sort()[0], 'cluster');
    t.end();
  },
);

/** A line of which the test decides when, and how, the next use of it ends; all others go through at once. */
function gate(): { pass: () => Promise<void>; hold(): { reached: Promise<void>; open(error?: SwarmdError): void } } {
  let held: (() => Promise<void>) | undefined;
  return {
    pass: async () => {
      const next = held;
      held = undefined;
      await next?.();
    },
    hold: () => {
      let open = (_error?: SwarmdError): void => {};
      const opened = new Promise<void>((resolve, reject) => {
        open = (error) => (error === undefined ? resolve() : reject(error));
      });
      const reached = new Promise<void>((resolve) => {
        held = () => {
          resolve();
          return opened;
        };
      });
      return { reached, open: (error) => open(error) };
    },
  };
}

t.test('shared store › an answer that comes after another manager wrote changes nothing back', async (t) => {
  const memory = createSharedMemory();
  const line = gate();
  const [a, b] = [await open(memory, { reply: line.pass }), await open(memory)];
  await a.claim(self('a'), forever());
  await a.update((tx) => tx.create('task', newTask('x')));
  const answer = line.hold();
  const written = a.update((tx) => tx.put('task', { ...tx.get('task', 'x')!, Slot: 1 }));
  await answer.reached;
  await b.claim(self('b'), forever());
  await b.update((tx) => tx.put('task', { ...tx.get('task', 'x')!, Slot: 2 }));
  const seen = a.fresh(forever());
  await new Promise((resolve) => setImmediate(resolve));
  answer.open();
  await Promise.all([written, seen]);
  t.equal(a.index, b.index);
  t.strictSame(contentOf(a.view), contentOf(b.view));
});

t.test('shared store › what a later leader writes does not acknowledge a write that was lost', async (t) => {
  const memory = createSharedMemory();
  const line = gate();
  const [a, b] = [await open(memory, { request: line.pass }), await open(memory)];
  await a.claim(self('a'), forever());
  const request = line.hold();
  const failed = t.rejects(
    a.update((tx) => tx.create('task', newTask('lost'))),
    { code: 'not-leader' },
  );
  await request.reached;
  await b.claim(self('b'), forever());
  const seen = a.fresh(forever());
  await new Promise((resolve) => setImmediate(resolve));
  request.open(new SwarmdError('unavailable', 'the line is cut'));
  await seen;
  await b.update((tx) => tx.create('task', newTask('other')));
  await failed;
  await until(a, 1);
  t.strictSame(contentOf(a.view), contentOf(b.view));
});

t.test('shared store › a write of which nobody knew when leadership was gone is not called undone', async (t) => {
  const memory = createSharedMemory();
  const line = gate();
  const [a, b] = [await open(memory, { reply: line.pass }), await open(memory)];
  await a.claim(self('a'), forever());
  const answer = line.hold();
  const written = a.update((tx) => tx.create('task', newTask('x')));
  await answer.reached;
  await b.claim(self('b'), forever());
  const seen = a.fresh(forever());
  await new Promise((resolve) => setImmediate(resolve));
  answer.open(new SwarmdError('unavailable', 'the line is cut'));
  await Promise.all([written, seen]);
  t.equal(b.view.get('task', 'x')?.ID, 'x');
});
