/** A queue between several writers and one reader, bounded: writers wait for room. */
export interface BoundedQueue<T> extends AsyncIterable<T> {
  /** Resolves once there was room; `false` when the queue was closed: nothing more is wanted. */
  push(item: T): Promise<boolean>;
  /** No more comes in; the reader gets what is there, then the end. */
  finish(): void;
  /** The reader has gone: what is there is dropped, waiting writers go on. */
  close(): void;
}

/** A {@link BoundedQueue} that holds at most `capacity` items. `onClose` runs when the reader has gone or read the end. */
export function createBoundedQueue<T>(capacity: number, onClose: () => void): BoundedQueue<T> {
  const items: T[] = [];
  let state: 'open' | 'finished' | 'closed' = 'open';
  let wakeReader = (): void => {};
  let writers: (() => void)[] = [];

  const wakeWriters = (): void => {
    const woken = writers;
    writers = [];
    for (const wake of woken) wake();
  };
  const close = (): void => {
    if (state === 'closed') return;
    state = 'closed';
    items.length = 0;
    wakeReader();
    wakeWriters();
    onClose();
  };
  const read = async (): Promise<IteratorResult<T>> => {
    while (items.length === 0 && state === 'open') {
      await new Promise<void>((resolve) => {
        wakeReader = resolve;
      });
    }
    if (items.length === 0) {
      close();
      return { done: true, value: undefined };
    }
    const value = items.shift()!;
    wakeWriters();
    return { done: false, value };
  };
  return {
    push: async (item) => {
      while (state === 'open' && items.length >= capacity) {
        await new Promise<void>((resolve) => {
          writers.push(resolve);
        });
      }
      if (state !== 'open') return false;
      items.push(item);
      wakeReader();
      return true;
    },
    finish: () => {
      if (state !== 'open') return;
      state = 'finished';
      wakeReader();
      wakeWriters();
    },
    close,
    [Symbol.asyncIterator]: () => ({
      next: read,
      return: async () => {
        close();
        return { done: true, value: undefined };
      },
    }),
  };
}
