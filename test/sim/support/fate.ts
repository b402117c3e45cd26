import type { ServiceSpec } from '@swarmd/model';
import type { Dice } from './dice.js';

/** How a container of a task fares: drawn when the task arrives. Times in milliseconds. */
export interface Fate {
  prepareMs: number;
  startMs: number;
  /** It ends by itself this long after it runs; `undefined` runs on. */
  runMs: number | undefined;
  endsIn: 'complete' | 'failed';
  rejects: boolean;
  stopMs: number;
}

/** A fate at random. In `peace` containers do what they are meant to. */
export function randomFate({ chance, int }: Dice, spec: ServiceSpec, peace: boolean): Fate {
  const image = spec.TaskTemplate?.ContainerSpec?.Image ?? '';
  const job = Boolean(spec.Mode?.ReplicatedJob ?? spec.Mode?.GlobalJob);
  const bad = !peace && chance(image.startsWith('bad') ? 0.7 : 0.08);
  return {
    prepareMs: int(0, 400),
    startMs: int(0, 200),
    runMs: bad || job ? (chance(0.5) ? int(0, 300) : int(300, 8_000)) : undefined,
    endsIn: bad && chance(0.85) ? 'failed' : 'complete',
    rejects: bad && chance(0.2),
    // Some hang for longer than their replacements wait.
    stopMs: !peace && chance(0.03) ? int(55_000, 80_000) : int(0, 1_500),
  };
}
