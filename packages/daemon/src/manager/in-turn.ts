import { SwarmdError } from '@swarmd/model';

/** Runs work one piece after another. */
export interface Turns {
  /**
   * Runs `work` when it is its turn and settles as it does. Work of the same `owner` that still waits is dropped and
   * rejects with `aborted`: who asks again has given up what it asked before.
   */
  run<R>(owner: string, work: () => Promise<R>): Promise<R>;
}

/** Nobody waits yet. */
export function createTurns(): Turns {
  const waiting = new Map<string, { work(): Promise<void>; drop(): void }>();
  let running = false;
  const next = async (): Promise<void> => {
    if (running) return;
    running = true;
    for (let [first] = waiting; first !== undefined; [first] = waiting) {
      waiting.delete(first[0]);
      await first[1].work();
    }
    running = false;
  };
  return {
    run: (owner, work) =>
      new Promise((resolve, reject) => {
        waiting.get(owner)?.drop();
        waiting.set(owner, {
          work: () => Promise.resolve().then(work).then(resolve, reject),
          drop: () => reject(new SwarmdError('aborted', `${owner} has asked again`)),
        });
        void next();
      }),
  };
}
