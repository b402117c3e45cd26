import type { ForwardedRequest, WriteTx } from '@swarmd/model';
import type { ManagerLoopDependencies } from './manager.js';

/** A request is remembered for this long: far longer than anyone tries it again. */
const REMEMBERED_MS = 5 * 60_000;
/** Requests forgotten in one transaction. */
const MAX_PER_TRANSACTION = 1_000;
/** How often those that are old enough are looked for. */
const PERIOD_MS = 60_000;

/** Forgets, while this manager leads, the requests that nobody can try again any more. */
export function startRequestReaper({ store, clock, logger }: ManagerLoopDependencies): { stop(): Promise<void> } {
  let cancel = (): void => {};
  let stopped = false;
  let running: Promise<void> = Promise.resolve();
  const pass = async (): Promise<void> => {
    while (!stopped && (await store.update((tx) => forget(tx))) === MAX_PER_TRANSACTION);
  };
  const plan = (): void => {
    cancel = clock.after(PERIOD_MS, () => {
      if (store.view.count('request') > 0) {
        running = pass().catch((error: unknown) => logger.warn({ err: error }, 'old requests were not forgotten'));
      }
      plan();
    });
  };
  plan();
  return {
    stop: async () => {
      stopped = true;
      cancel();
      await running;
    },
  };
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
