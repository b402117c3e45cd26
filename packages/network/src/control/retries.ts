import { asSwarmdError, type Clock } from '@swarmd/model';
import type { Logger } from 'pino';

/** What is to be brought about, until it is. */
export interface Attempted {
  /** Failures in a row are counted by it. */
  key: string;
  /** For people. */
  what: string;
  /** Called after a failure, each time later: it is to lead to another attempt. */
  again(): Promise<void>;
}

/** Attempts that are made again when they fail, and timers that end together. */
export interface Retries {
  /** Settles as `attempt` does; a failure is logged, remembered, and followed by another attempt. */
  watched(attempted: Attempted, attempt: () => Promise<void>): Promise<void>;
  forget(key: string): void;
  forgetAll(): void;
  /** What failed and has not succeeded since, each a sentence. */
  problems(): string[];
  /** Calls `task` once; what it fails with is logged. */
  later(delayMs: number, task: () => Promise<void> | void): void;
  /** Nothing is called any more. */
  stop(): void;
}

const FIRST_MS = 1000;
const MAX_MS = 30_000;

interface Failure {
  what: string;
  message: string;
  attempts: number;
}

/** Nothing has failed yet. */
export function createRetries(clock: Clock, logger: Logger): Retries {
  const failures = new Map<string, Failure>();
  const timers = new Set<() => void>();
  let stopped = false;

  const later: Retries['later'] = (delayMs, task) => {
    if (stopped) return;
    const run = async (): Promise<void> => {
      timers.delete(cancel);
      await task();
    };
    const cancel = clock.after(delayMs, () => {
      run().catch((error: unknown) => logger.debug({ err: error }, 'tried again in vain'));
    });
    timers.add(cancel);
  };

  return {
    later,
    async watched({ key, what, again }, attempt) {
      try {
        await attempt();
        failures.delete(key);
      } catch (error) {
        const attempts = (failures.get(key)?.attempts ?? 0) + 1;
        failures.set(key, { what, message: asSwarmdError(error).message, attempts });
        logger.warn({ err: error, attempts }, `${what}: it does not work; it is tried again`);
        later(Math.min(FIRST_MS * 2 ** (attempts - 1), MAX_MS), async () => {
          // Somebody else may have tried meanwhile.
          if (failures.get(key)?.attempts === attempts) await again();
        });
        throw error;
      }
    },
    forget: (key) => failures.delete(key),
    forgetAll: () => failures.clear(),
    problems: () => [...failures.values()].map(({ what, message }) => `${what}: ${message}`),
    stop() {
      stopped = true;
      for (const cancel of timers) cancel();
      timers.clear();
    },
  };
}
