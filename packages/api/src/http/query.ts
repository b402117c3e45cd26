import { type Filters, SwarmdError } from '@swarmd/model';

/** Query parameters as fastify gives them. */
export type Query = Readonly<Record<string, string | string[] | undefined>>;

/** One parameter's text; the last one when it is repeated. */
export function text(query: Query, name: string): string {
  const value = query[name];
  return (Array.isArray(value) ? value.at(-1) : value) ?? '';
}

const FALSE = new Set(['', '0', 'no', 'false', 'none']);

/** A parameter that is on for anything but nothing, 0, no, false and none (Docker's `BoolValue`). */
export function flag(query: Query, name: string): boolean {
  return !FALSE.has(text(query, name).toLowerCase().trim());
}

/** The version that a change is based on. Throws `invalid-argument`. */
export function version(query: Query, kind: string): number {
  const raw = text(query, 'version');
  if (!/^\d+$/.test(raw)) {
    throw new SwarmdError('invalid-argument', `invalid ${kind} version '${raw}': a number must be given`, {
      field: 'version',
    });
  }
  return Number(raw);
}

/**
 * The `filters` parameter, in either of Docker's forms: `{"label":["a"]}` or `{"label":{"a":true}}`.
 * Throws `invalid-argument` for anything else.
 */
export function filters(query: Query): Filters {
  const raw = text(query, 'filters');
  if (raw === '') return {};
  const parsed = parseObject(raw);
  const result: Record<string, string[]> = {};
  for (const [name, value] of Object.entries(parsed)) result[name] = values(value);
  return result;
}

function parseObject(raw: string): Record<string, unknown> {
  try {
    const parsed: unknown = JSON.parse(raw);
    if (parsed !== null && typeof parsed === 'object' && !Array.isArray(parsed))
      return parsed as Record<string, unknown>;
  } catch {
    // Told below in one form with other unusable values.
  }
  throw new SwarmdError('invalid-argument', 'invalid filter: filters must be a JSON object', { field: 'filters' });
}

function values(value: unknown): string[] {
  if (Array.isArray(value)) return value.map(String);
  if (value !== null && typeof value === 'object') {
    return Object.entries(value).flatMap(([key, on]) => (on === false ? [] : [key]));
  }
  throw new SwarmdError('invalid-argument', 'invalid filter: each filter is a list or a set of values', {
    field: 'filters',
  });
}

/** Milliseconds of a Unix time in seconds with an optional fraction, or undefined when absent or zero. */
export function timeMs(query: Query, name: string): number | undefined {
  const raw = text(query, name);
  if (raw === '' || raw === '0') return undefined;
  const seconds = Number(raw);
  if (Number.isFinite(seconds)) return seconds * 1000;
  const parsed = Date.parse(raw);
  if (Number.isNaN(parsed))
    throw new SwarmdError('invalid-argument', `invalid value for ${name}: ${raw}`, { field: name });
  return parsed;
}
