import { isDeepStrictEqual } from 'node:util';
import type { Outcome } from './normalise.js';

/** Takes something out of an outcome. */
export type Hide = (outcome: Outcome) => Outcome;

/** One after the other. */
export function hideAll(...hides: readonly Hide[]): Hide {
  return (outcome) => hides.reduce((left, hide) => hide(left), outcome);
}

/** Replaces text wherever it stands: in lines of output, and in strings inside of JSON. */
export function rewrite(pattern: RegExp | string, replacement: string): Hide {
  return everywhere((value) => (typeof value === 'string' ? value.replace(pattern, replacement) : value));
}

/** Takes out lines of output. */
export function dropLines(pattern: RegExp): Hide {
  return everywhere((value) =>
    Array.isArray(value) ? value.filter((line) => typeof line !== 'string' || !pattern.test(line)) : value,
  );
}

/** Takes a field out of every object; with `value`, only where it has just that. */
export function dropField(name: string, ...value: readonly unknown[]): Hide {
  return everywhere((object) => {
    if (object === null || typeof object !== 'object' || Array.isArray(object) || !(name in object)) return object;
    const { [name]: found, ...rest } = object as Record<string, unknown>;
    return value.length === 0 || isDeepStrictEqual(found, value[0]) ? rest : object;
  });
}

/** Applies `change` to every value of an outcome's output, the innermost first. */
function everywhere(change: (value: unknown) => unknown): Hide {
  const apply = (value: unknown): unknown => {
    if (Array.isArray(value)) return change(value.map(apply));
    if (value === null || typeof value !== 'object') return change(value);
    return change(Object.fromEntries(Object.entries(value).map(([key, item]) => [key, apply(item)])));
  };
  return (outcome) => ({ code: outcome.code, stdout: apply(outcome.stdout), stderr: apply(outcome.stderr) });
}
