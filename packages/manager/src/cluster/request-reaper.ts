import type { ForwardedRequest, WriteTx } from '@swarmd/model';
import { type Loop, type LoopDependencies, startLoop } from '../loop/loop.js';

/** A request is remembered for this long: far longer than anyone tries it again. */
const REMEMBERED_MS = 5 * 60_000;
/** Requests forgotten in one transaction. */
const MAX_PER_TRANSACTION = 1_000;
/** Forgets, while this manager leads, the requests that nobody can try again any more: when everything is looked at. */
export function startRequestReaper(deps: LoopDependencies): Loop {
  const { store } = deps;
  return startLoop<'requests'>(
    {
      name: 'request-reaper',
      dirtiedBy: () => {},
      allKeys: () => (store.view.count('request') > 0 ? ['requests'] : []),
      pass: async (_keys, { signal }) => {
        while (!signal.aborted && (await store.update((tx) => forget(tx))) === MAX_PER_TRANSACTION);
      },
    },
    deps,
  );
}

function forget(tx: WriteTx): number {
  const until = Date.parse(tx.now) - REMEMBERED_MS;
  const old: ForwardedRequest[] = [];
  for (const request of tx.all('request')) {
    if (Date.parse(request.CreatedAt) > until) continue;
    old.push(request);
    if (old.length === MAX_PER_TRANSACTION) break;
  }
  for (const { ID } of old) tx.delete('request', ID);
  return old.length;
}
