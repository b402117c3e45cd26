import { CommandError } from '../program/errors.js';
import { bool } from '../program/flag-types.js';
import { printInspect } from './inspect.js';
import type { Screen } from './screen.js';

/** `--pretty` of inspect commands. */
export const prettyFlag = bool('Print the information in a human friendly format');

type Pairs = Readonly<Record<string, string>> | null | undefined;

/** Entries of a map, sorted by key, as templates iterate over them. */
export function sortedPairs(pairs: Pairs): [string, string][] {
  return Object.entries(pairs ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1));
}

/** `Labels:` and a line each, or nothing. */
export function labelLines(title: string, labels: Pairs, bullet: string): string[] {
  const pairs = sortedPairs(labels);
  if (pairs.length === 0) return [];
  return [title, ...pairs.map(([key, value]) => `${bullet}${key}${value === '' ? '' : `=${value}`}`)];
}

/**
 * Inspects objects: prints them in a human form with `--pretty` (then `--format` is refused), else as `printInspect`.
 */
export async function inspect<T>(
  context: { readonly out: Screen },
  refs: readonly string[],
  { format, pretty }: { format: string | undefined; pretty: boolean },
  find: (ref: string) => Promise<T>,
  describe: (object: T) => Promise<string> | string,
): Promise<void> {
  if (!pretty) return printInspect(context, refs, format, find);
  if (format !== undefined && format !== '')
    throw new CommandError('--format is incompatible with human friendly format');
  for (const ref of refs) context.out.write(`${await describe(await find(ref))}\n`);
}
