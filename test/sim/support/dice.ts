import type { Random } from '@swarmd/model';

/** Choices drawn from one seed. */
export interface Dice {
  /** A whole number from `min` to `max`, both included. */
  int(min: number, max: number): number;
  /** True in `probability` (0…1) of the cases. */
  chance(probability: number): boolean;
  pick<T>(list: readonly T[]): T;
}

/** Dice over a source of randomness. */
export function dice(random: Random): Dice {
  const int = (min: number, max: number): number => min + Math.floor(random.float() * (max - min + 1));
  return {
    int,
    chance: (probability) => random.float() < probability,
    pick: (list) => list[int(0, list.length - 1)]!,
  };
}
