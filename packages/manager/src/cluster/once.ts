import { createHash } from 'node:crypto';
import type { NewObject, Random, SharedStore, Store, WriteTx } from '@swarmd/model';

/**
 * A store on which the transactions of one request run once: each leaves a record of what it returned, in the same
 * transaction, and where the record is there already it is given back and nothing runs. Results must be plain JSON.
 */
export function onceStore(store: Store, requestId: string): Store {
  let transactions = 0;
  return {
    get view() {
      return store.view;
    },
    get index() {
      return store.index;
    },
    update<R>(fn: (tx: WriteTx) => R): Promise<R> {
      const ID = `${requestId}/${transactions++}`;
      return store.update((tx) => {
        const done = tx.get('request', ID);
        if (done !== undefined) return (done.Result === undefined ? undefined : JSON.parse(done.Result)) as R;
        const result = fn(tx);
        const Result = JSON.stringify(result);
        const record: NewObject<{ ID: string; Version: never; CreatedAt: string; UpdatedAt: string; Result?: string }> =
          Result === undefined ? { ID } : { ID, Result };
        tx.create('request', record);
        return result;
      });
    },
    watch: (onCommit) => store.watch(onCommit),
    waitFor: (index, signal) => store.waitFor(index, signal),
    advance: (index) => store.advance(index),
    close: () => (store as SharedStore).close(),
  };
}

/** Randomness that is the same whenever the same request runs, so that a repeated one names what it makes alike. */
export function randomOf(requestId: string): Random {
  let draws = 0;
  const draw = (): Buffer => createHash('sha512').update(`${draws++}\0${requestId}`).digest();
  return {
    bytes: (n) => {
      const parts: Buffer[] = [];
      for (let length = 0; length < n; length += 64) parts.push(draw());
      return Buffer.concat(parts).subarray(0, n);
    },
    float: () => draw().readUIntBE(0, 6) / 2 ** 48,
  };
}
