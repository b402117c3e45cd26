import { type AnyObject, SwarmdError, type TableName } from '@swarmd/model';

/** The most that one character of a string takes as JSON in UTF-8: an escape. */
const BYTES_PER_CHARACTER = 6;
/** More than any number, word or bracket takes, commas included. */
const BYTES_PER_VALUE = 32;

/**
 * Throws `invalid-argument`, with its size and the limit, for an object whose JSON is larger than `limit` bytes. Costs a
 * walk over the object; only what may be too large is written out.
 */
export function checkSize(table: TableName, key: string, value: AnyObject, limit: number): void {
  if (atMost(value, limit) >= 0) return;
  const bytes = Buffer.byteLength(JSON.stringify(value));
  if (bytes <= limit) return;
  const name = (value as { Spec?: { Name?: string } }).Spec?.Name ?? key;
  throw new SwarmdError(
    'invalid-argument',
    `${table} ${name} is too large to be stored: ${bytes} bytes, and the managers' etcd takes ${limit} for one object ` +
      '(see its --max-request-bytes)',
  );
}

/** What is left of `budget` bytes after the value; negative, without looking further, once it may be too large. */
function atMost(value: unknown, budget: number): number {
  if (typeof value === 'string') return budget - BYTES_PER_VALUE - BYTES_PER_CHARACTER * value.length;
  let left = budget - BYTES_PER_VALUE;
  if (typeof value !== 'object' || value === null) return left;
  for (const key in value) {
    left = atMost((value as Record<string, unknown>)[key], left - BYTES_PER_CHARACTER * key.length);
    if (left < 0) return left;
  }
  return left;
}
