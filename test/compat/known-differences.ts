import type { Outcome } from './support/normalise.js';

/** Something that swarmd answers otherwise on purpose. */
export interface KnownDifference {
  /** What differs, and why that is right. */
  reason: string;
  /** Titles of the steps that it shows in. */
  command: RegExp;
  /** Takes out of both sides' outcomes what differs, and nothing else. */
  hide(outcome: Outcome): Outcome;
}

/** Every intended difference from Docker Swarm. Whatever is not here is a defect. */
export const knownDifferences: readonly KnownDifference[] = [];

/** An outcome of a step without what is known to differ. */
export function hideKnownDifferences(command: string, outcome: Outcome): Outcome {
  return knownDifferences
    .filter((difference) => difference.command.test(command))
    .reduce((left, difference) => difference.hide(left), outcome);
}
