import { type SharedStore, SwarmdError } from '@swarmd/model';
import { createSharedMemory, openSharedStore, type SharedMemory } from '@swarmd/store';
import t from 'tap';
import { createLeaderCalls, patientCalls } from '../src/cluster/forward.js';
import type { ManagerCallOptions, ManagerTransport } from '../src/cluster/transport.js';
import { realClock } from './support/test-manager.js';

const forever = (): AbortSignal => new AbortController().signal;

function open(memory: SharedMemory): Promise<SharedStore> {
  return openSharedStore({ log: memory.open(), clock: realClock });
}

function transportOf(call: ManagerTransport['call']): ManagerTransport {
  const never = (): never => {
    throw new SwarmdError('internal', 'not asked for here');
  };
  return { call, attach: never, hears: never, close: () => {} };
}

function lead(store: SharedStore, nodeId: string): Promise<boolean> {
  return store.claim({ nodeId, addr: `${nodeId}:2377` }, forever());
}

t.test('forward › a call to a leader that never answers is made again as soon as another leads', async (t) => {
  const memory = createSharedMemory();
  const [one, two, three] = [await open(memory), await open(memory), await open(memory)];
  await lead(one, 'one');
  await three.fresh(forever());
  const asked: string[] = [];
  let heard = (): void => {};
  const silent = new Promise<void>((resolve) => {
    heard = resolve;
  });
  const transport = transportOf((addr, _method, _args, { requestId = '', signal }: ManagerCallOptions) => {
    asked.push(`${addr} ${requestId}`);
    if (addr !== 'one:2377') return Promise.resolve('done');
    heard();
    return new Promise((_resolve, reject) => {
      signal?.addEventListener('abort', () => reject(new SwarmdError('aborted', 'the call was given up')));
    });
  });
  const deps = { store: three, transport, handlers: {}, clock: realClock };
  const answer = patientCalls(createLeaderCalls(deps), deps).call('write', {}, { requestId: 'r1' });
  await silent;
  await lead(two, 'two');
  t.equal(await answer, 'done');
  t.strictSame(asked, ['one:2377 r1', 'two:2377 r1']);
});

t.test('forward › what the leader refuses is refused, and a caller may give up', async (t) => {
  const memory = createSharedMemory();
  const [one, two] = [await open(memory), await open(memory)];
  await lead(one, 'one');
  await two.fresh(forever());
  const refusing = transportOf(() => Promise.reject(new SwarmdError('not-found', 'no such thing')));
  const deps = { store: two, transport: refusing, handlers: {}, clock: realClock };
  await t.rejects(patientCalls(createLeaderCalls(deps), deps).call('write', {}), { code: 'not-found' });

  const obeying = transportOf(async (_addr, _method, _args, { signal }) => {
    if (signal?.aborted) throw new SwarmdError('aborted', 'the call was given up');
  });
  const given = patientCalls(createLeaderCalls({ ...deps, transport: obeying }), deps);
  await t.rejects(given.call('write', {}, { signal: AbortSignal.abort() }), { code: 'aborted' });
});
