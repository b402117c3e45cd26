import { seededRandom } from '@swarmd/testkit';

/** Choices drawn from one seed. */
export interface Dice {
  /** A whole number from `min` to `max`, both included. */
  int(min: number, max: number): number;
  /** True in `probability` (0…1) of the cases. */
  chance(probability: number): boolean;
  pick<T>(list: readonly T[]): T;
}

/** Dice of a seed; different `streams` of it have nothing to do with each other. */
export function createDice(seed: number, stream: number): Dice {
  const random = seededRandom(Math.imul(seed, 0x9e3779b1) ^ Math.imul(stream + 1, 0x85ebca6b));
  const int = (min: number, max: number): number => min + Math.floor(random.float() * (max - min + 1));
  return {
    int,
    chance: (probability) => random.float() < probability,
    pick: (list) => list[int(0, list.length - 1)]!,
  };
}
