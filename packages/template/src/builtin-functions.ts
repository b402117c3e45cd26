import { compareEqual, compareLess } from './comparison.js';
import { escapeHtml, escapeJs, escapeUrlQuery } from './escape.js';
import { fixed, type TemplateFunctions, variadic } from './functions.js';
import { sprint, sprintf, sprintln } from './printf.js';
import { isStringMap, isTrue, kindOf, lookUp, typeName } from './values.js';

function length(value: unknown): number {
  switch (kindOf(value)) {
    case 'string':
      return Buffer.byteLength(value as string);
    case 'slice':
      return (value as unknown[]).length;
    case 'map':
      return value instanceof Map ? value.size : Object.keys(value as object).length;
    case 'nil':
      throw new Error('len of nil pointer');
    default:
      throw new Error(`len of type ${typeName(value)}`);
  }
}

/** An index within `limit`, which is itself allowed for the ends of slices only. */
function checkIndex(index: unknown, limit: number): number {
  if (kindOf(index) === 'nil') throw new Error('cannot index slice/array with nil');
  if (kindOf(index) !== 'int') throw new Error(`cannot index slice/array with type ${typeName(index)}`);
  const position = Number(index);
  if (position < 0 || position > limit) throw new Error(`index out of range: ${position}`);
  return position;
}

function indexOnce(item: unknown, key: unknown): unknown {
  switch (kindOf(item)) {
    case 'string': {
      const bytes = Buffer.from(item as string);
      return bytes[checkIndex(key, bytes.length - 1)];
    }
    case 'slice':
      return (item as unknown[])[checkIndex(key, (item as unknown[]).length - 1)];
    case 'map': {
      if (kindOf(key) === 'nil') throw new Error('value is nil; should be of type string');
      if (typeof key !== 'string') throw new Error(`value has type ${typeName(key)}; should be string`);
      const found = lookUp(item as object, key);
      return found ? found.value : isStringMap(item as object) ? '' : undefined;
    }
    case 'nil':
      throw new Error('index of nil pointer');
    default:
      throw new Error(`can't index item of type ${typeName(item)}`);
  }
}

function index(item: unknown, ...keys: unknown[]): unknown {
  if (kindOf(item) === 'nil') throw new Error('index of untyped nil');
  return keys.reduce(indexOnce, item);
}

function slice(item: unknown, ...indexes: unknown[]): unknown {
  const kind = kindOf(item);
  if (kind === 'nil') throw new Error('slice of untyped nil');
  if (indexes.length > 3) throw new Error(`too many slice indexes: ${indexes.length}`);
  if (kind !== 'string' && kind !== 'slice') throw new Error(`can't slice item of type ${typeName(item)}`);
  if (kind === 'string' && indexes.length === 3) throw new Error('cannot 3-index slice a string');
  const source = kind === 'string' ? Buffer.from(item as string) : (item as unknown[]);
  const bounds = indexes.map((bound) => checkIndex(bound, source.length));
  const [start = 0, end = source.length, capacity = source.length] = bounds;
  if (start > end) throw new Error(`invalid slice index: ${start} > ${end}`);
  if (end > capacity) throw new Error(`invalid slice index: ${end} > ${capacity}`);
  return Buffer.isBuffer(source) ? source.subarray(start, end).toString('utf8') : source.slice(start, end);
}

function lessOrEqual(a: unknown, b: unknown): boolean {
  return compareLess(a, b) || compareEqual(a, [b]);
}

/** Values as html, js and urlquery see them: a missing one reads `<no value>`. */
function textOf(values: readonly unknown[]): string {
  return sprint(values.map((value) => (kindOf(value) === 'nil' ? '<no value>' : value)));
}

/**
 * The functions every Go template has, except `and`, `or` and `call`, whose arguments are not all evaluated first and
 * which are therefore part of the language here.
 */
export const BUILTIN_FUNCTIONS: TemplateFunctions = {
  not: fixed(['any'], (value) => !isTrue(value)),
  eq: variadic(['any'], 'any', (value, ...others) => compareEqual(value, others)),
  ne: fixed(['any', 'any'], (a, b) => !compareEqual(a, [b])),
  lt: fixed(['any', 'any'], compareLess),
  le: fixed(['any', 'any'], lessOrEqual),
  gt: fixed(['any', 'any'], (a, b) => !lessOrEqual(a, b)),
  ge: fixed(['any', 'any'], (a, b) => !compareLess(a, b)),
  len: fixed(['any'], length),
  index: variadic(['any'], 'any', index),
  slice: variadic(['any'], 'any', slice),
  print: variadic([], 'any', (...values) => sprint(values)),
  printf: variadic(['string'], 'any', (format, ...values) => sprintf(format, values)),
  println: variadic([], 'any', (...values) => sprintln(values)),
  html: variadic([], 'any', (...values) => escapeHtml(textOf(values))),
  js: variadic([], 'any', (...values) => escapeJs(textOf(values))),
  urlquery: variadic([], 'any', (...values) => escapeUrlQuery(textOf(values))),
};

/** The names of the functions that are part of the language. */
export const LANGUAGE_FUNCTIONS: ReadonlySet<string> = new Set(['and', 'or', 'call']);
