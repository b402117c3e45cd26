import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { SABOTAGES } from './sabotage.js';
import { type ControlPlaneResult, simulateControlPlane } from './simulation.js';

/** What is broken on purpose, by its name in {@link SABOTAGES}. */
export type SabotageName = keyof typeof SABOTAGES;

/** Seeds to run: `count` of them from `first` on, every `step`th. */
interface Share {
  first: number;
  count: number;
  step: number;
  sabotage: SabotageName | undefined;
}

/** Side by side; each is a thread with a heap of its own. */
const WORKERS = 2;
/** Most of what a run makes is garbage at once: a young generation that holds it saves a third of the time. */
const YOUNG_GENERATION_MB = 64;

/**
 * Runs `count` seeds from `first` on, on two cores; `onResult` hears of each, in no particular order. Stops early once it
 * returns false.
 */
export async function runSeeds(
  first: number,
  count: number,
  onResult: (result: ControlPlaneResult) => boolean,
  sabotage?: SabotageName,
): Promise<void> {
  const workers: Worker[] = [];
  const run = (share: Share): Promise<void> =>
    new Promise((resolve, reject) => {
      const worker = new Worker(new URL(import.meta.url), {
        workerData: share,
        resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
      });
      workers.push(worker);
      worker.on('message', (result: ControlPlaneResult) => {
        if (!onResult(result)) for (const each of workers) void each.terminate();
      });
      worker.on('error', reject);
      worker.on('exit', () => resolve());
    });
  const shares = Array.from({ length: Math.min(WORKERS, count) }, (_, i) =>
    run({ first: first + i, count: Math.ceil((count - i) / WORKERS), step: WORKERS, sabotage }),
  );
  await Promise.all(shares);
}

async function work({ first, count, step, sabotage }: Share): Promise<void> {
  // Refusals are part of the game, and nobody reads where they came from until a seed is replayed alone.
  if (count > 1) Error.stackTraceLimit = 0;
  for (let i = 0; i < count; i++) {
    const options = sabotage === undefined ? {} : { sabotage: SABOTAGES[sabotage]() };
    parentPort?.postMessage(await simulateControlPlane({ seed: first + i * step, ...options }));
  }
}

if (!isMainThread) await work(workerData as Share);
