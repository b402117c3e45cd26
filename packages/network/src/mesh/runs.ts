/** Repeated work of which only the latest matters. */
export interface Runs {
  /** Resolves when a run that began after this call has ended; calls that wait for the same run share it. */
  run(): Promise<void>;
  /** Resolves when nothing runs any more, however that ended. */
  idle(): Promise<void>;
}

/** Runs `work` one at a time: at most one runs, and one more waits. */
export function createRuns(work: () => Promise<void>): Runs {
  let running: Promise<void> | undefined;
  let next: Promise<void> | undefined;
  const begin = (): Promise<void> => {
    const current = work().finally(() => {
      if (running === current) running = undefined;
    });
    running = current;
    return current;
  };
  return {
    run() {
      if (next !== undefined) return next;
      if (running === undefined) return begin();
      next = running
        .catch(() => {})
        .then(() => {
          next = undefined;
          return begin();
        });
      return next;
    },
    async idle() {
      while (running !== undefined || next !== undefined) await (next ?? running)?.catch(() => {});
    },
  };
}
