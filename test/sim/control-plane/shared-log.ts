import { type SharedLog, SwarmdError } from '@swarmd/model';
import type { SharedMemory } from '@swarmd/store';
import { LOG, type Network } from './network.js';
import { GRAIN_MS, type Process } from './process.js';

/** A request that the log does not answer is given up after this long. */
const GIVE_UP_MS = 2_000;

/** The faults of a simulated log that all managers see. */
export interface LogFaults {
  /** No room is left: what would be written is refused. */
  full: boolean;
}

/** A manager's log on the memory that all share, over the simulated network. */
export function openLog(memory: SharedMemory, process: Process, network: Network, faults: LogFaults): SharedLog {
  const travel = async (): Promise<void> => {
    const begun = process.clock.monotonic();
    await pause(process, network.delayMs());
    while (!network.reaches(process.host, LOG)) {
      if (process.clock.monotonic() - begun > GIVE_UP_MS)
        throw new SwarmdError('unavailable', 'the log cannot be reached');
      await pause(process, 5 * GRAIN_MS);
    }
  };
  const tell = (deliver: () => void): void => {
    const attempt = (): void => {
      if (network.reaches(process.host, LOG)) deliver();
      else process.clock.after(5 * GRAIN_MS, attempt);
    };
    process.clock.after(network.delayMs(), attempt);
  };
  const log = memory.open({ request: travel, reply: travel }, tell);
  return {
    get leader() {
      return log.leader;
    },
    replay: (onObject) => log.replay(onObject),
    append: async (entries) => {
      if (faults.full) {
        await travel();
        if (faults.full) throw new SwarmdError('not-leader', 'no space is left: nothing was written');
      }
      return log.append(entries);
    },
    follow: (onEvent) => log.follow(onEvent),
    claim: (self, over, signal) => untilAborted(signal, log.claim(self, over, signal)),
    resign: (term, signal) => untilAborted(signal, log.resign(term, signal)),
    barrier: (signal) => untilAborted(signal, log.barrier(signal)),
    close: () => log.close(),
  };
}

function pause(process: Process, ms: number): Promise<void> {
  return new Promise((resolve) => void process.clock.after(ms, resolve));
}

/** Whoever asked has left when the signal fires; what was asked may still happen. */
function untilAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  if (signal.aborted) return Promise.reject(signal.reason as Error);
  return new Promise((resolve, reject) => {
    const late = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', late, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', late));
  });
}
